"""Groth16: proofs that hold, forgeries that do not, keys, powers of tau, and their ceremony."""

import json
import random
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.audits import named
from tests.groth16 import OUTSIDE, moved_out
from tests.tiny import TINY_GROTH16, echo_in, run_in, tiny_in, write_model
from zk import srs
from zk.audit.build import audit_build
from zk.audit.powers import audit_powers
from zk.binding import read_model
from zk.errors import CircuitError, InvalidProofError, RangeError
from zk.files import sha256
from zk.groth16 import ceremony, claims, curve, powers, prover
from zk.groth16.ceremony import Ceremony, begun
from zk.groth16.curve import BASE, G1, G2
from zk.groth16.keys import ProvingKey, VerificationKey, first_key, logrows_of
from zk.groth16.powers import Powers, ensure_powers, write_dev_powers
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, verify
from zk.r1cs.system import System
from zk.samples import Samples
from zk.tuning.tuner import Limits, tune
from zk.witness import float_answers

pytestmark = pytest.mark.slow

KEY = 0xABCDEF << 160 | 0x1234
BEACON = "5c" * 32
drawn = np.random.default_rng(24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("groth16")


@pytest.fixture(scope="module")
def samples() -> Samples:
    inputs = drawn.normal(size=(60, 4)).astype(np.float32)
    return Samples(inputs[:20], inputs[20:])


@pytest.fixture(scope="module")
def build(folder, samples) -> Manifest:
    write_model(folder / "tiny.onnx")
    return run_in(folder, tiny_in(folder, samples, TINY_GROTH16))[0]


@pytest.fixture(scope="module")
def proof(build, samples) -> Proof:
    return prove(build, KEY, samples.test[0])


@pytest.fixture(scope="module")
def key(build) -> VerificationKey:
    return VerificationKey.load(build.file("vk"))


@pytest.fixture
def copy(build, tmp_path) -> Manifest:
    """A copy of the build that a test may damage."""
    for name in ("artifacts", "contracts", "tiny.onnx"):
        source, copied = build.folder.parents[1] / name, tmp_path / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copied)
    return Manifest(tmp_path / "artifacts" / "tiny")


# Proofs


def test_proof_is_valid_and_shows_key_and_answer(build, proof, samples):
    verify(build, proof)
    assert proof.key(build.layout) == KEY
    outputs = proof.outputs(build.layout)[:3]
    assert outputs == list(answer(build, samples.test[0]))[:3]
    expected = float_answers(build.file("model"), samples.test[:1])[0]
    assert np.abs(np.array(outputs) / 2 ** build["output_scale"] - expected).max() < 0.1


def test_every_proof_differs(build, proof, samples):
    """Proofs hide the input: those of one statement have nothing in common."""
    other = prove(build, KEY, samples.test[0])
    assert other.instances == proof.instances
    assert all(a != b for a, b in zip(words(other), words(proof), strict=True))


def words(proof: Proof) -> list[int]:
    return [int.from_bytes(proof.proof[at : at + 32]) for at in range(0, 256, 32)]


def test_every_changed_word_is_refused(build, proof):
    for place in range(8):
        changed = words(proof)
        changed[place] ^= 1
        refused(build, replace(proof, proof=b"".join(word.to_bytes(32) for word in changed)))


def test_every_changed_instance_is_refused(build, proof):
    for place, instance in enumerate(proof.instances):
        for other in (instance + 1, FIELD - instance, 0):
            instances = [*proof.instances[:place], other % FIELD, *proof.instances[place + 1 :]]
            refused(build, replace(proof, instances=instances))


def refused(build: Manifest, proof: Proof) -> None:
    with pytest.raises(InvalidProofError):
        verify(build, proof)


def test_instances_of_another_form(key, proof):
    wrapped = [proof.instances[0] + FIELD, *proof.instances[1:]]
    for instances, problem in (
        (wrapped, "not a field element"),
        ([-1, *proof.instances[1:]], "not a field element"),
        (proof.instances[:-1], "has 256 bytes and 2 instances, not 256 and 1"),
        ([*proof.instances, 0], "has 256 bytes and 2 instances, not 256 and 3"),
    ):
        with pytest.raises(InvalidProofError, match=problem):
            prover.verify(key, proof.proof, instances)


@pytest.mark.parametrize(
    ("place", "point"),
    [
        (0, (0, 0)),
        (0, (1, 3)),
        (0, (BASE + 1, 2)),
        (6, (0, 0)),
        (2, (0, 0, 0, 0)),
        (2, (1, 2, 3, 4)),
        (2, OUTSIDE),
    ],
)
def test_points_that_are_none(key, proof, place, point):
    """At infinity, off the curve, with a wrapped coordinate, or outside the group."""
    changed = words(proof)
    changed[place : place + len(point)] = point
    forged = b"".join(word.to_bytes(32) for word in changed)
    with pytest.raises(InvalidProofError):
        prover.verify(key, forged, proof.instances)


def test_second_point_outside_the_group_with_the_same_pairings(key, proof):
    changed = words(proof)
    changed[2:6] = moved_out(changed[2:6])
    forged = b"".join(word.to_bytes(32) for word in changed)
    with pytest.raises(InvalidProofError, match="outside the group"):
        prover.verify(key, forged, proof.instances)


@pytest.mark.parametrize("length", [0, 32, 255, 257, 288])
def test_proof_of_another_length(key, proof, length):
    with pytest.raises(InvalidProofError, match=f"not {length} and 2"):
        prover.verify(key, (proof.proof * 2)[:length], proof.instances)


def test_witness_that_breaks_a_constraint_proves_nothing(build, key, samples):
    """The prover makes a proof of any witness; that of a wrong one is not valid."""
    system = System.load(build.file("constraints"))
    numbers = [int(one[0]) for one in system.numbers(samples.test[:1])]
    honest = system.witness(KEY, numbers)
    loaded = ProvingKey.load(build.file("pk"))
    prover.verify(key, prover.prove(loaded, system, honest), honest[1:3])
    for wire in random.Random(24).sample(range(1, system.wires), 12):
        changed = [*honest[:wire], (honest[wire] + 1) % FIELD, *honest[wire + 1 :]]
        if any(True for _ in system.broken(changed)):
            with pytest.raises(InvalidProofError):
                prover.verify(key, prover.prove(loaded, system, changed), changed[1:3])


def test_instance_in_no_constraint_is_bound_all_the_same(folder):
    """Without the rows of public wires, a proof would be valid for any key."""
    system = System.taking(1, 1, [1, 2], 0, 0)
    del system.constraints[-1], system.rules[0]  # the square of the key
    system.wires -= 1
    system.publish(system.input_sums())
    assert not any(1 in sum_ for three in system.constraints for sum_ in three)
    path = ensure_powers(folder / "small", "insecure-dev", logrows_of(system))
    made = first_key(system, Powers(path)).contributed(5)
    witness = system.witness(7, [3])
    proof = prover.prove(made, system, witness)
    prover.verify(made.verification, proof, [7, 3])
    with pytest.raises(InvalidProofError):
        prover.verify(made.verification, proof, [8, 3])


def test_input_beyond_the_range(build):
    with pytest.raises(RangeError, match=r"times 2\*\*6, from -1023 to 1023"):
        prove(build, KEY, np.full(4, 20.0))
    with pytest.raises(CircuitError, match="takes 4 numbers, not 3"):
        prove(build, KEY, np.zeros(3))


def test_model_whose_outputs_have_no_room(samples, tmp_path):
    write_model(tmp_path / "tiny.onnx", weight=1e6)
    with pytest.raises(CircuitError, match="an instance has room for numbers below"):
        run_in(tmp_path, tiny_in(tmp_path, samples, TINY_GROTH16))


def test_output_alone_in_its_instance_has_more_room(tmp_path):
    circuit = echo_in(tmp_path, "one", 1, TINY_GROTH16)
    write_model(circuit.model, operator="Identity", matrix=np.array([[1e6]]))
    manifest, _ = run_in(tmp_path, circuit)
    (output,) = answer(manifest, np.array([2.0]))
    assert output == 2e6 * 2 ** manifest["output_scale"] > 2**25


def test_private_witness_stays_private(build, samples, tmp_path):
    """It is only written where it is asked for, for this user alone."""
    files = {label: build.file(label) for label in build.proving_files}
    kept = tmp_path / "witness.json"
    _, instances = claims.prove(files, KEY, samples.test[0], kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())[1:3] == instances


# Builds


def test_build_repeats_only_what_changed(copy, samples, tmp_path):
    run = partial(run_in, tmp_path, tiny_in(tmp_path, samples, TINY_GROTH16))
    assert run()[1] == []
    copy.file("vk").unlink()
    assert run()[1] == ["setup", "verifier"]
    write_model(tmp_path / "tiny.onnx", weight=0.25)
    assert run()[1] == ["constraints", "accuracy", "setup", "verifier"]


def test_tuner_names_the_only_knob(build, samples, tmp_path):
    circuit = tiny_in(build.folder.parents[1], samples, TINY_GROTH16)
    with pytest.raises(CircuitError, match="whose only knob is param_scale"):
        tune(circuit, samples, "prove", Limits(), finalists=1, artifacts=tmp_path, gas=None)


def test_coarse_weights_are_refused(samples, tmp_path):
    write_model(tmp_path / "tiny.onnx")
    args = replace(TINY_GROTH16, param_scale=0)
    with pytest.raises(CircuitError, match=r"finer knobs in apps/run_args\.json, such as a higher"):
        run_in(tmp_path, tiny_in(tmp_path, samples, args))


def test_layout_and_bounds_are_recorded(build):
    assert (build.layout.limbs, build.layout.limb_bits, build.layout.lanes) == (1, 252, 10)
    assert build["ceremony"] == {"contributions": 1, "beacon": False}
    assert build.enough_contributions is False
    assert list(build["bounds"]) == ["features", "hidden", "scores"]
    assert build["bounds"]["scores"][0] == 0


def test_key_is_the_same_after_saving(build):
    loaded = ProvingKey.load(build.file("pk"))
    assert ProvingKey.of(loaded.content) == loaded


# The audit of a build


def audited(manifest: Manifest, tmp_path, **changes) -> list[str]:
    """Audit a build after these changes to its manifest; return the findings."""
    path = manifest.folder / "manifest.json"
    path.write_text(json.dumps(manifest.content | changes))
    original = read_model(tmp_path / "tiny.onnx")
    return named(audit_build(Manifest(manifest.folder), original, tmp_path))


def rehashed(manifest: Manifest, *labels: str) -> dict:
    """The files of a manifest with the hashes that they have now."""
    files = dict(manifest["files"])
    for label in labels:
        path = manifest.folder / files[label]["path"]
        files[label] = files[label] | {"sha256": sha256(path)}
    return {"files": files}


def test_audit_of_a_sound_build(copy, tmp_path):
    assert audited(copy, tmp_path) == []


def test_audit_finds_other_constraints(copy, tmp_path):
    """A weight is changed in the constraints, and everything after them is made again."""
    path = copy.file("constraints")
    system = System.load(path)
    row = next(i for i, (_, _, c) in enumerate(system.constraints) if len(c) > 4)
    sum_ = system.constraints[row][2]
    sum_[max(sum_)] += 1
    system.save(path)
    changes = rehashed(copy, "constraints")
    assert audited(copy, tmp_path, **changes) == ["constraints-differ", "ceremony-unsound"]


def test_audit_finds_other_bounds(copy, tmp_path):
    bounds = copy["bounds"] | {"scores": [0, 1]}
    assert audited(copy, tmp_path, bounds=bounds) == ["bounds-differ"]


@pytest.mark.parametrize("part", ["vk_alpha_1", "vk_delta_2", "IC"])
def test_audit_finds_another_verification_key(copy, tmp_path, part):
    path = copy.file("vk")
    content = json.loads(path.read_text())
    double = {"vk_alpha_1": G1 * 2, "vk_delta_2": G2 * 2, "IC": G1 * 2}[part]
    x = [str(word) for word in curve.coordinates(double)]
    point = [*x, "1"] if len(x) == 2 else [x[:2], x[2:], ["1", "0"]]
    content[part] = [point, *content["IC"][1:]] if part == "IC" else point
    path.write_text(json.dumps(content))
    changes = rehashed(copy, "vk")
    assert audited(copy, tmp_path, **changes) == ["key-differs", "verifier-differs"]


def test_audit_finds_another_gamma_in_the_verifier(copy, tmp_path):
    path = copy.file("verifier")
    negative = [str(word) for word in prover.evm_words(-G2)]
    delta = [str(word) for word in prover.evm_words(-VerificationKey.load(copy.file("vk")).delta)]
    text = path.read_text()
    for old, new in zip(negative, delta, strict=True):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    assert audited(copy, tmp_path, **rehashed(copy, "verifier")) == ["verifier-differs"]


def test_audit_finds_a_missing_contribution(copy, tmp_path):
    path = copy.file("transcript")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"contributions": []}))
    found = audited(copy, tmp_path, **rehashed(copy, "transcript"))
    assert found == ["ceremony-unsound", "ceremony-differs"]


def test_audit_finds_invented_contributions(copy, tmp_path):
    held = {"contributions": 5, "beacon": True}
    assert audited(copy, tmp_path, ceremony=held) == ["ceremony-differs"]


def test_audit_finds_the_key_of_a_cheat(copy, tmp_path):
    """A key whose maker also multiplied alpha has no ceremony that leads to it."""
    path = copy.file("pk")
    loaded = ProvingKey.load(path)
    cheat = replace(loaded, verification=replace(loaded.verification, alpha=G1 * 9))
    path.write_bytes(cheat.content)
    cheat.verification.save(copy.file("vk"))
    changes = rehashed(copy, "pk", "vk")
    assert audited(copy, tmp_path, **changes) == ["ceremony-unsound", "verifier-differs"]


def test_audit_finds_powers_that_are_not_the_ceremonys(copy, tmp_path):
    srs = copy["srs"] | {"kind": "ceremony"}
    assert audited(copy, tmp_path, srs=srs) == ["powers-hash"]


# Ceremonies


@pytest.fixture
def begun_here(build) -> Ceremony:
    return begun("tiny", build.file("constraints"), build.file("srs"))


@pytest.fixture
def wrong(build):
    """The problems of a ceremony of the circuit."""
    return lambda held: held.problems(build.file("constraints"), build.file("srs"))


@pytest.fixture
def held(begun_here) -> Ceremony:
    return begun_here.contributed("Ada").contributed("Bob").contributed("Eve").with_beacon(BEACON)


def test_ceremony_gives_the_build_its_key(copy, samples, held, tmp_path):
    held.save(copy.folder / "ceremony.json")
    circuit = tiny_in(tmp_path, samples, TINY_GROTH16)
    made, redone = run_in(tmp_path, circuit)
    assert redone == ["setup", "verifier"]
    assert made["ceremony"] == {"contributions": 3, "beacon": True}
    assert made.enough_contributions
    verify(made, prove(made, KEY, samples.test[1]))
    assert audited(made, tmp_path) == []
    assert run_in(tmp_path, circuit)[1] == []


def test_ceremony_is_the_same_after_saving(held, wrong, tmp_path):
    held.save(tmp_path / "c.json")
    assert Ceremony.load(tmp_path / "c.json") == held
    assert wrong(held) == []


def test_ceremony_that_is_not_sound_is_not_built(copy, samples, held, tmp_path):
    replace(held, contributions=held.contributions[1:]).save(copy.folder / "ceremony.json")
    before = (copy.folder / "manifest.json").read_text()
    with pytest.raises(CircuitError, match="is not sound"):
        run_in(tmp_path, tiny_in(tmp_path, samples, TINY_GROTH16))
    assert (copy.folder / "manifest.json").read_text() == before


def test_contribution_without_knowledge_of_its_factor(held, begun_here, wrong):
    """Taking somebody's delta, with a made-up proof, is noticed."""
    _, second, *_ = held.contributions
    stolen = replace(second, name="Mallory")
    assert "Mallory, proves no knowledge" in str(
        wrong(replace(held, contributions=[held.contributions[0], stolen]))
    )
    invented = replace(second, response=second.response ^ 1)
    assert "Bob, proves no knowledge" in str(
        wrong(replace(held, contributions=[held.contributions[0], invented]))
    )


def test_contributions_in_another_order(held, wrong):
    first, second, *others = held.contributions
    assert wrong(replace(held, contributions=[second, first, *others]))


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_contribution_that_is_left_out(held, wrong, gone):
    others = [one for place, one in enumerate(held.contributions) if place != gone]
    assert wrong(replace(held, contributions=others))


def test_another_beacon(held, wrong):
    *others, last = held.contributions
    forged = replace(last, beacon="77" * 32)
    assert wrong(replace(held, contributions=[*others, forged])) == [
        "contribution 3 does not follow from its beacon"
    ]


def test_nothing_follows_a_beacon(held, begun_here, wrong):
    for go_on in (lambda: held.contributed("Late"), lambda: held.with_beacon(BEACON)):
        with pytest.raises(CircuitError, match="The ceremony is over"):
            go_on()
    open_again = replace(held, contributions=held.contributions[:-1]).contributed("Late")
    late = [*held.contributions, open_again.contributions[-1]]
    assert "contribution 3 follows a beacon" in wrong(replace(held, contributions=late))
    with pytest.raises(CircuitError, match="A beacon follows at least one contribution"):
        begun_here.with_beacon(BEACON)


@pytest.mark.parametrize("beacon", ["", "xyz", "00ff", "0x", "5c" * 15])
def test_beacons_that_are_none(held, beacon):
    with pytest.raises(CircuitError, match=r"is not a number of 16 bytes or more"):
        ceremony.beacon_secret(beacon)


CHANGES = {
    "alpha": lambda key: replace(key, verification=replace(key.verification, alpha=G1 * 3)),
    "beta": lambda key: replace(key, beta1=G1 * 3),
    "the points of instances": lambda key: replace(
        key,
        verification=replace(key.verification, instances=[G1 * 3, *key.verification.instances[1:]]),
    ),
    "the points of A": lambda key: replace(key, a=key.a | {1: G1 * 3}),
    "the points of B": lambda key: replace(key, b2=key.b2 | {next(iter(key.b2)): G2 * 3}),
    "the number of points": lambda key: replace(key, private=key.private[1:]),
    "the points of C": lambda key: replace(key, private=[*key.private[1:], key.private[0]]),
    "the points of C are": lambda key: replace(key, quotient=[*key.quotient[:-1], G1 * 3]),
    "the two forms of delta": lambda key: replace(key, delta1=G1 * 3),
}


@pytest.mark.parametrize("part", CHANGES)
def test_key_that_does_not_follow(held, wrong, part):
    problems = wrong(replace(held, key=CHANGES[part](held.key)))
    assert any(part in problem for problem in problems)


def test_delta_that_is_zero(held, wrong):
    nothing = replace(held.contributions[0], delta1=bytes(64), delta2=bytes(128))
    assert "contribution 0 makes delta 0" in wrong(replace(held, contributions=[nothing]))


def test_ceremony_of_another_circuit(held, wrong):
    assert "it began with other constraints" in str(wrong(replace(held, constraints="0" * 64)))
    assert "it began with other powers" in str(wrong(replace(held, powers="0" * 64)))


@pytest.mark.parametrize("name", ["", "a\x1b[2J", "x" * 61, "new\nline"])
def test_names_that_are_none(begun_here, held, tmp_path, name):
    """A name is shown on terminals."""
    with pytest.raises(CircuitError, match="is no name"):
        begun_here.contributed(name)
    first, *others = held.contributions
    replace(held, contributions=[replace(first, name=name), *others]).save(tmp_path / "c.json")
    with pytest.raises(CircuitError, match="is not the file of a ceremony"):
        Ceremony.load(tmp_path / "c.json")


def test_point_outside_the_group_is_no_point():
    x1, x0, y1, y0 = OUTSIDE
    with pytest.raises(CircuitError, match="a point outside the group"):
        curve.point_of([x0, x1, y0, y1])
    with pytest.raises(CircuitError, match="not the coordinates of a point"):
        curve.point_of([x1, x0, y1, y0])


@pytest.mark.parametrize("text", ["", "{}", '{"circuit": "tiny"}', "[]", '{"key": 1}'])
def test_file_of_no_ceremony(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(CircuitError, match="is not the file of a ceremony"):
        Ceremony.load(tmp_path / "c.json")


# Powers of tau


@pytest.fixture(scope="module")
def small(folder) -> Path:
    write_dev_powers(path := folder / "k4.ptau", 4)
    return path


def test_powers_are_sound(small):
    assert audit_powers(small, "insecure-dev", 4).sound


SECTIONS = [powers.TAU1, powers.TAU2, powers.ALPHA1, powers.BETA1, powers.BETA2]
SECTIONS += [powers.LAGRANGE1, powers.LAGRANGE2, powers.ALPHA_LAGRANGE, powers.BETA_LAGRANGE]


@pytest.mark.parametrize("section", SECTIONS)
def test_changed_powers_are_found(small, tmp_path, section):
    """The last point of a section is replaced by a multiple of the generator."""
    changed = tmp_path / "k4.ptau"
    content = bytearray(small.read_bytes())
    offset, size = Powers(small)._sections[section]
    second = section in (powers.TAU2, powers.BETA2, powers.LAGRANGE2)
    point = powers._bytes([(G2 if second else G1) * 11])
    content[offset + size - len(point) : offset + size] = point
    changed.write_bytes(content)
    assert not audit_powers(changed, "insecure-dev", 4).sound


def test_file_without_powers(tmp_path):
    (tmp_path / "k4.ptau").write_bytes(b"zkey" + bytes(60))
    with pytest.raises(CircuitError, match="holds no powers of tau"):
        Powers(tmp_path / "k4.ptau")


def test_powers_that_are_too_few(small):
    with pytest.raises(CircuitError, match="is too small: section 2"):
        Powers(small).powers(powers.TAU1, 32)
    with pytest.raises(CircuitError, match="is too small: section 12"):
        Powers(small).lagrange(powers.LAGRANGE1, 5)


def test_powers_of_the_ceremony_have_its_hash(small, tmp_path, monkeypatch):
    import base64

    digest = base64.b64encode(bytes.fromhex(sha256(small))).decode()
    monkeypatch.setitem(srs.POWERS_SHA256, 4, digest)
    path = tmp_path / "ceremony" / "k4.ptau"
    path.parent.mkdir()
    shutil.copyfile(small, path)
    assert ensure_powers(tmp_path, "ceremony", 4) == path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        CircuitError,
        match=f"should have the SHA-256 {sha256(small)} of the ceremony's file, but had",
    ):
        ensure_powers(tmp_path, "ceremony", 4)
    assert not path.exists()


def test_powers_that_the_ceremony_does_not_have(tmp_path):
    with pytest.raises(CircuitError, match=r"for 2\*\*3 rows are not known here"):
        ensure_powers(tmp_path, "ceremony", 3)

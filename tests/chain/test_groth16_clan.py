"""Clan with the second prover: the same rules, for less gas, and every forgery refused."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from web3.exceptions import ContractLogicError

from chain import contracts
from chain.compiler import contract_in
from chain.contracts import deploy, gas_of
from tests.builds import built
from tests.groth16 import OUTSIDE, moved_out
from tests.inputs import DRAWINGS
from tests.refusals import refusal
from tests.scale import scaled
from tests.tiny import TINY_GROTH16, run_in, tiny_in, write_model
from zk import srs
from zk.audit.attacks import genuine
from zk.audit.calldata import Call
from zk.audit.curve import BASE_FIELD
from zk.errors import CircuitError
from zk.files import sha256
from zk.groth16.build import CEREMONY, answers
from zk.groth16.ceremony import begun
from zk.groth16.keys import VerificationKey
from zk.groth16.verifier import source_of
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, verify
from zk.r1cs.system import System
from zk.samples import Samples
from zk.witness import float_answers

pytestmark = pytest.mark.slow

VERIFY_GAS, JOIN_GAS = 225_000, 275_000
INPUTS = scaled(50, 1000)


@pytest.fixture(scope="module")
def build() -> Manifest:
    return built("clan-groth16")


@pytest.fixture(scope="module")
def clan16(build, deployer):
    return deploy(build, deployer)


@pytest.fixture(scope="module")
def drawn(build, clan16, views, accounts) -> Proof:
    return prove(build, clan16.keyOf(accounts[0]), views[DRAWINGS[0]])


def test_verifier_is_that_of_the_key(build):
    """Otherwise the other tests run one that was built before a change of the code."""
    source = source_of(build["verifier"]["contract"], VerificationKey.load(build.file("vk")))
    assert build.file("verifier").read_text() == source


def test_account_joins(clan16, accounts, drawn, build):
    verify(build, drawn)
    receipt = clan16.join(accounts[0], drawn.proof, drawn.instances, sender=accounts[0])
    assert clan16.clanOf(accounts[0]) == 7
    assert receipt.gas_used <= JOIN_GAS
    with refusal("Clan__AlreadyMember"):
        clan16.join(accounts[0], drawn.proof, drawn.instances, sender=accounts[0])


def test_gas_of_the_verifier(build, drawn):
    assert gas_of(build["verifier"]["contract"], build.file("verifier"), drawn) <= VERIFY_GAS


def test_thief_cannot_use_the_proof(clan16, accounts, drawn):
    with refusal("BoundApplication__WrongKey"):
        clan16.join(accounts[1], drawn.proof, drawn.instances, sender=accounts[1])
    renamed = [clan16.keyOf(accounts[1]), *drawn.instances[1:]]
    with refusal("BoundApplication__InvalidProof"):
        clan16.join(accounts[1], drawn.proof, renamed, sender=accounts[1])


def test_proof_of_another_digit(clan16, accounts, drawn):
    other = [drawn.instances[0], (drawn.instances[1] + (1 << 25 * 3)) % FIELD]
    with refusal("BoundApplication__InvalidProof"):
        clan16.join(accounts[0], drawn.proof, other, sender=accounts[0])


def test_rewritten_proof_says_the_same_of_the_same_account(clan16, accounts, drawn):
    """Anyone can rewrite a proof: (-A, -B, C) is valid, too. It lets nobody else join."""
    call = genuine(drawn)
    words = list(call.proof)
    for place in (1, 4, 5):
        words[place] = BASE_FIELD - words[place]
    rewritten = replace(drawn, proof=b"".join(word.to_bytes(32) for word in words))
    assert clan16.readDigit(accounts[0], rewritten.proof, rewritten.instances) == 7
    with refusal("BoundApplication__WrongKey"):
        clan16.join(accounts[1], rewritten.proof, rewritten.instances, sender=accounts[1])


@pytest.fixture
def refuses(clan16, chain):
    """Return whether the verifier reverts without data."""

    def refuses(data: bytes) -> bool:
        try:
            chain.provider.web3.eth.call({"to": clan16.verifier(), "data": data})
        except ContractLogicError as error:
            return error.data in (None, "0x")
        return False

    return refuses


def test_verifier_refuses_every_changed_word(drawn, refuses):
    call = genuine(drawn)
    assert not refuses(call.usual())
    for place, word in enumerate(call.proof):
        for other in (word ^ 1, 0, word + BASE_FIELD if word + BASE_FIELD < 2**256 else 1):
            assert refuses(call.with_word(place, other).usual()), (place, other)
    for place, instance in enumerate(call.instances):
        for other in (instance + 1, instance + FIELD, FIELD - instance, 2**256 - 1):
            assert refuses(call.with_instance(place, other).usual()), (place, other)


def test_verifier_refuses_points_that_are_none(drawn, refuses):
    call = genuine(drawn)
    for place, point in (
        (0, (0, 0)),
        (0, (1, 3)),
        (2, (0, 0, 0, 0)),
        (2, (1, 2, 3, 4)),
        (2, OUTSIDE),
        (2, moved_out(call.proof[2:6])),
        (6, (0, 0)),
        (6, (BASE_FIELD, 0)),
    ):
        assert refuses(call.with_word(place, *point).usual()), (place, point)
    assert refuses(Call([0] * 8, call.instances).usual())


def test_verifier_refuses_other_lengths(drawn, refuses):
    call = genuine(drawn)
    for other in (
        Call(call.proof[:-1], call.instances),
        Call([*call.proof, 0], call.instances),
        Call([], call.instances),
        Call(call.proof, call.instances[:-1]),
        Call(call.proof, [*call.instances, 0]),
        Call(call.proof, []),
    ):
        assert refuses(other.usual())
    whole = call.usual()
    for length in (0, 4, 68, len(whole) - 32, len(whole) - 1):
        assert refuses(whole[:length])
    longer = bytearray(whole)
    longer[4 + 64 : 4 + 96] = (257).to_bytes(32)
    assert refuses(bytes(longer))


def test_contract_reads_what_python_and_the_model_read(build, views, reading16):
    """The same whole numbers in constraints, in Python and on chain; the model is close."""
    system, layout = System.load(build.file("constraints")), build.layout
    inputs = views[:INPUTS]
    found = answers(system, layout, inputs, build["bounds"])
    for x, expected in zip(inputs, found.tolist(), strict=True):
        numbers = [int(one[0]) for one in system.numbers(x)]
        witness = system.witness(layout.widest, numbers)
        assert not list(system.broken(witness))
        assert reading16.all(10, layout.lanes, witness[2:3]) == expected
    assert list(answer(build, inputs[0])) == found[0].tolist()
    floats = float_answers(build.file("model"), inputs)
    agreeing = np.mean(found.argmax(1) == floats.argmax(1))
    assert agreeing >= 0.97


@pytest.fixture(scope="module")
def reading16(deployer):
    return deployer.deploy(contract_in("tests/contracts/Reading.sol"))


@pytest.fixture
def ceremony_of(tmp_path, monkeypatch):
    """A small build with the key of a ceremony, over powers that pass for the public ones."""
    write_model(tmp_path / "tiny.onnx")
    inputs = np.random.default_rng(24).normal(size=(40, 4)).astype(np.float32)
    circuit = tiny_in(tmp_path, Samples(inputs[:20], inputs[20:]), TINY_GROTH16)

    def ceremony_of(count: int, beacon: bool) -> Manifest:
        first, _ = run_in(tmp_path, circuit)
        path = first.folder / CEREMONY
        held = begun("tiny", first.file("constraints"), first.file("srs"))
        for number in range(count):
            held = held.contributed(f"person {number}")
        (held.with_beacon("5c" * 32) if beacon else held).save(path)
        digest = base64.b64encode(bytes.fromhex(sha256(first.file("srs")))).decode()
        monkeypatch.setitem(srs.POWERS_SHA256, first["logrows"], digest)
        made, _ = run_in(tmp_path, circuit)
        made.content["srs"]["kind"] = "ceremony"
        return made

    return ceremony_of


@pytest.mark.plain
def test_live_network_needs_the_ceremony(build, ceremony_of, monkeypatch):
    contracts._require_ceremony(build)  # on a dev network
    monkeypatch.setattr(contracts, "is_dev", lambda: False)
    with pytest.raises(CircuitError, match="clan-groth16 uses a dev SRS"):
        contracts._require_ceremony(build)
    contracts._require_ceremony(ceremony_of(3, True))
    for count, beacon, words in ((2, True, "2 contributions and a"), (4, False, "and no beacon")):
        with pytest.raises(CircuitError, match=words):
            contracts._require_ceremony(ceremony_of(count, beacon))


@pytest.mark.plain
def test_live_network_believes_the_transcript_and_not_the_manifest(ceremony_of, monkeypatch):
    monkeypatch.setattr(contracts, "is_dev", lambda: False)
    few = ceremony_of(1, True)
    few.content["ceremony"] = {"contributions": 9, "beacon": True}
    with pytest.raises(CircuitError, match="has 1 contribution and a beacon"):
        contracts._require_ceremony(few)
    made = ceremony_of(3, True)
    path = made.file("transcript")
    content = json.loads(path.read_text())
    content["contributions"][1]["name"] = "Mallory"
    path.write_text(json.dumps(content))
    made.content["files"]["transcript"]["sha256"] = sha256(path)
    with pytest.raises(CircuitError, match="of Mallory, proves no knowledge"):
        contracts._require_ceremony(made)

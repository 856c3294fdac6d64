"""Proofs: their files, what `prove` refuses to return and `verify` to accept, and what is left."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import run_in, tiny_in, write_model
from zk import ezkl, processes, proof
from zk.errors import CircuitError, InvalidProofError
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, prove_all, prove_with, verify

KEY = 0x1234 << 160 | 0xFACE
FILES = ("compiled", "pk", "vk", "settings", "srs")


@pytest.fixture(scope="module")
def made(first_build) -> Manifest:
    return Manifest(first_build[0] / "artifacts" / "tiny")


@pytest.fixture(scope="module")
def proved(made, samples) -> Proof:
    return prove(made, KEY, samples.test[0])


@pytest.fixture(scope="module")
def foreign(first_build, samples, tmp_path_factory) -> Manifest:
    """The build of a model of the same shape with another weight."""
    folder = tmp_path_factory.mktemp("foreign")
    shutil.copytree(first_build[0], folder, dirs_exist_ok=True)
    write_model(folder / "tiny.onnx", weight=0.75)
    return run_in(folder, tiny_in(folder, samples))[0]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def paths(manifest: Manifest, **others: Path) -> dict[str, str]:
    files = {name: manifest.file(name) for name in FILES} | others
    return {name: str(path) for name, path in files.items()}


def test_proof_states_the_key_and_the_answer(made, proved, samples, temporary):
    assert proved.circuit == "tiny"
    assert proved.key(made.layout) == KEY
    assert proved.instances[: made.layout.limbs] == made.layout.split(KEY)
    assert proved.outputs(made.layout) == answer(made, samples.test[0]).tolist()
    assert len(proved.instances) == made.layout.limbs + 3
    verify(made, proved)
    assert not list(temporary.iterdir())


def test_negative_outputs_are_whole_numbers(made):
    instances = [*[0] * made.layout.limbs, 5, FIELD - 5, 0]
    assert Proof("tiny", b"", instances).outputs(made.layout) == [5, -5, 0]


@pytest.mark.slow
def test_proof_that_its_own_key_rejects_is_not_returned(made, foreign, samples, temporary):
    """ezkl writes a proof without checking it: here with the proving key of another circuit."""
    numbers = made.layout.numbers(KEY, samples.test[0])
    for other in ({"vk": foreign.file("vk")}, {"pk": foreign.file("pk")}):
        with pytest.raises(CircuitError):
            prove_with("tiny", paths(made, **other), numbers, 600)
    assert not list(temporary.iterdir())
    assert prove_with("tiny", paths(made), numbers, 600).key(made.layout) == KEY


def test_rejection_without_an_error_of_ezkl_is_an_error(made, proved, monkeypatch):
    """ezkl raises today, but its interface is a bool."""
    monkeypatch.setattr(ezkl, "verify", lambda *files: False)
    with pytest.raises(InvalidProofError, match="not valid under the verification key of tiny"):
        verify(made, proved)


def test_changed_proofs_are_rejected(made, proved, foreign, temporary):
    limbs = made.layout.limbs
    flipped = bytes([proved.proof[0] ^ 1]) + proved.proof[1:]
    changes = [replace(proved, proof=flipped), replace(proved, proof=proved.proof[:-1])]
    for index in (0, limbs - 1, limbs, limbs + 2):
        instances = list(proved.instances)
        instances[index] ^= 1
        changes.append(replace(proved, instances=instances))
    for changed in changes:
        with pytest.raises(InvalidProofError, match="under the verification key of tiny"):
            verify(made, changed)
    with pytest.raises(InvalidProofError):
        verify(foreign, proved)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("index", [0, 9, 10, 12])
def test_instances_that_are_no_field_elements_are_refused(made, proved, index):
    """Raised by the field's order, an instance would be the same for the verifier."""
    for outside in (proved.instances[index] + FIELD, FIELD, -1):
        instances = list(proved.instances)
        instances[index] = outside
        with pytest.raises(CircuitError, match=f"Instance {index} is {outside}, but a field"):
            verify(made, replace(proved, instances=instances))


@pytest.mark.parametrize("count", [0, 13, 15])
def test_wrong_number_of_instances(made, proved, count):
    instances = (proved.instances * 2)[:count]
    with pytest.raises(CircuitError, match=f"has {count} instances, but tiny has 14"):
        verify(made, replace(proved, instances=instances))


@pytest.mark.parametrize("key", [-1, 2**252])
def test_key_that_is_no_key_is_not_proved(made, samples, key):
    with pytest.raises(CircuitError, match="not a whole number from 0"):
        prove(made, key, samples.test[0])


@pytest.mark.parametrize(
    "x", [np.array([1, 2, 3, np.nan]), np.array([1, 2, np.inf, 4]), np.array(["1", "2", "3", "4"])]
)
def test_input_that_is_not_finite_is_refused(made, samples, x):
    for work in (
        lambda: prove_all(made, [(KEY, samples.test[0]), (KEY, x)]),
        lambda: answer(made, x),
    ):
        with pytest.raises(CircuitError, match="The input of tiny contains values that are not"):
            work()


def test_witness_is_kept_for_the_user_alone(made, samples, tmp_path):
    kept = tmp_path / "mine.private.json"
    prove_all(made, [(KEY, samples.test[0])], [kept])
    assert ezkl.satisfied(kept, made.file("compiled"))
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [kept]
    with pytest.raises(ValueError, match="shorter"):
        prove_all(made, [(KEY, samples.test[0])] * 2, [kept])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claims", "size", "expected"), [(3, 1e8, [None]), (4, 1e8, [1, 1]), (4, 0, [None])]
)
def test_small_circuits_are_proved_in_processes(made, samples, monkeypatch, claims, size, expected):
    used, child = [], processes._child
    monkeypatch.setattr(processes, "CORES", 2)
    monkeypatch.setattr(proof, "LARGE_KEY", size)
    monkeypatch.setattr(processes, "_child", lambda threads: used.append(threads) or child(threads))
    wanted = list(enumerate(samples.test[:claims]))
    for (key, x), one in zip(wanted, prove_all(made, wanted), strict=True):
        assert one.key(made.layout) == key
        assert one.outputs(made.layout) == answer(made, x).tolist()
    assert used == expected


@pytest.mark.parametrize("name", FILES)
def test_changed_artifact_is_not_used(tiny, run, proved, samples, name):
    manifest, _ = run(tiny)
    path = manifest.file(name)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CircuitError, match="should have the SHA-256"):
        prove(manifest, KEY, samples.test[0])
    if name in ("vk", "settings", "srs"):
        with pytest.raises(CircuitError, match="should have the SHA-256"):
            verify(manifest, proved)


GOOD = {"circuit": "tiny-2", "proof": "0x00ff", "instances": ["0x1", "0x" + "f" * 64]}


def test_file_of_a_proof(proved, tmp_path):
    path = tmp_path / "proof.json"
    proved.save(path)
    assert Proof.load(path) == proved
    content = json.loads(path.read_text())
    assert content == proved.content()
    assert content["proof"] == "0x" + proved.proof.hex()
    assert [len(instance) for instance in content["instances"]] == [66] * 14
    assert [int(instance, 16) for instance in content["instances"]] == proved.instances
    assert Proof.of(GOOD, "it") == Proof("tiny-2", b"\x00\xff", [1, 2**256 - 1])


@pytest.mark.parametrize(
    "change",
    [
        {"circuit": "../secrets"},
        {"circuit": ""},
        {"circuit": 5},
        {"instances": ["0x1" + "0" * 64]},
        {"instances": ["-0x1"]},
        {"instances": ["many"]},
        {"instances": [1]},
        {"instances": None},
        {"proof": "0x0g"},
        {"proof": None},
    ],
)
def test_content_that_is_no_proof(tmp_path, change):
    with pytest.raises(CircuitError, match="the upload is not a proof file"):
        Proof.of(GOOD | change, "the upload")


def test_file_that_is_no_proof(tmp_path):
    path = tmp_path / "proof.json"
    with pytest.raises(CircuitError, match=r"No proof found at .*: make one with `ape run prove`"):
        Proof.load(path)
    for text in ("{", "[]", "{}", "null", '"proof"'):
        path.write_text(text)
        with pytest.raises(CircuitError, match=r"proof\.json is not a proof file"):
            Proof.load(path)


@pytest.mark.parametrize("columns", [1, 2])
def test_values_that_a_table_holds(columns):
    """ezkl fills the last column of a table beyond its largest value."""
    rows = ezkl.usable_rows(8)
    first, largest = -3, -3 + rows * (columns - 1)
    table: Any = {"lookup_range": [str(first), str(largest)], "logrows": 8}
    last = first + rows * columns - 1
    assert proof._in_table(table, (first, last))
    assert not proof._in_table(table, (first - 1, last))
    assert not proof._in_table(table, (first, last + 1))

"""Builds repeat what is out of date, survive kills, and refuse what they cannot build."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models import voices as judges
from models.data import voices
from tests.tiny import TINY_ARGS, write_model
from zk import ezkl, limits
from zk.binding import read_model
from zk.errors import CircuitError
from zk.files import ROOT, locked, sha256
from zk.manifest import Manifest
from zk.proof import prove, verify
from zk.samples import Samples
from zk.srs import ensure_srs, srs_path

EVERYTHING = ["knobs", "bind", "settings", "compile", "accuracy", "setup", "verifier"]
SHORT = ("knobs", "setup", "verifier")  # the first, the longest and the last


def test_second_build_does_nothing(tiny, run, first_build):
    assert first_build[1] == EVERYTHING
    manifest = Manifest(first_build[0] / "artifacts" / "tiny")
    before = (manifest.folder / "manifest.json").read_bytes()
    assert run(tiny)[1] == []
    after = run(tiny)[0].folder / "manifest.json"
    assert after.read_bytes() == before


def test_built_circuit_proves_and_says_what_it_is(tiny, run, samples):
    manifest, _ = run(tiny)
    key = 0x1234 << 160 | 0xFACE
    proof = prove(manifest, key, samples.test[0])
    verify(manifest, proof)
    assert proof.key(manifest.layout) == key
    assert manifest["srs"]["kind"] == "insecure-dev"
    assert manifest["accuracy"]["agreement"] >= 0.9
    assert manifest["logrows"] == 11
    for label, entry in manifest["files"].items():
        assert sha256(manifest.file(label)) == entry["sha256"]
        assert manifest.file(label).stat().st_size == entry["bytes"]


@pytest.mark.slow
def test_changed_weight_rebuilds_everything(tiny, run):
    write_model(tiny.model, weight=0.75)
    assert run(tiny)[1] == EVERYTHING


def test_changed_run_argument_rebuilds_all_but_the_binding(tiny, run):
    other = replace(tiny, run_args=replace(TINY_ARGS, num_inner_cols=1))
    assert run(other)[1] == EVERYTHING[2:]


def test_changed_test_samples_only_measure_again(tiny, run, samples):
    fewer = Samples(samples.calibration, samples.test[1:])
    manifest, redone = run(replace(tiny, samples=lambda: fewer))
    assert redone == ["accuracy"]
    assert manifest["accuracy"]["samples"] == 15


def test_changed_contract_name_only_writes_the_verifier(tiny, run):
    manifest, redone = run(replace(tiny, verifier_name="OtherVerifier"))
    assert redone == ["verifier"]
    assert "contract OtherVerifier" in manifest.file("verifier").read_text()


def test_application_is_recorded_without_building_again(tiny, run):
    manifest, _ = run(tiny)
    with pytest.raises(CircuitError, match=r"tiny was built without an .*`ape run build … --app"):
        _ = manifest.application
    manifest, redone = run(replace(tiny, application="Clan"))
    assert redone == []
    assert manifest.application == "Clan"
    assert run(tiny)[0]["application"] is None


def test_old_manifest_has_no_application(tiny, run):
    """It stays readable, and the next build completes it."""
    path = run(tiny)[0].folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["application"]
    path.write_text(json.dumps(content))
    with pytest.raises(CircuitError, match=r"older version .*`ape run build` again"):
        _ = Manifest(path.parent).application
    assert run(replace(tiny, application="Clan"))[1] == []
    assert Manifest(path.parent).application == "Clan"


def test_model_knows_its_outputs(tiny):
    assert read_model(tiny.model).outputs == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "step"), [("bound", "bind"), ("compiled", "compile"), ("pk", "setup")]
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_damaged_file_is_refused_and_then_made_again(tiny, run, samples, label, step, damage):
    manifest, _ = run(tiny)
    path = manifest.file(label)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"x" + whole[1:])
    with pytest.raises(CircuitError, match=rf"{path.name} should have the SHA-256 .*ape run build"):
        manifest.file(label)
    manifest, redone = run(tiny)
    assert redone[0] == step
    assert run(tiny)[1] == []
    verify(manifest, prove(manifest, 7, samples.test[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [pytest.param(one, marks=[] if one in SHORT else pytest.mark.full) for one in EVERYTHING],
)
def test_killed_build_leaves_the_finished_one_and_goes_on(tiny, run, samples, tmp_path, step):
    """The process gets a SIGKILL as the step begins."""
    finished, _ = run(tiny)
    proof = prove(finished, 7, samples.test[0])
    np.savez(tmp_path / "samples.npz", calibration=samples.calibration, test=samples.test)
    write_model(tiny.model, weight=0.75)
    script = f"""
import os, signal
from pathlib import Path
import numpy as np
from tests.tiny import tiny_in
from zk.build import build
from zk.samples import Samples
here = Path({str(tmp_path)!r})
with np.load(here / "samples.npz") as arrays:
    samples = Samples(arrays["calibration"], arrays["test"])
build(
    tiny_in(here, samples), artifacts=here / "artifacts", verifiers=here / "contracts/verifiers",
    report=lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == {step!r} else None,
)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()

    verify(Manifest(finished.folder), proof)  # with the old build
    manifest, redone = run(tiny)
    assert redone == EVERYTHING
    verify(manifest, prove(manifest, 7, samples.test[0]))
    with pytest.raises(CircuitError):
        verify(manifest, proof)
    assert run(tiny)[1] == []
    assert not list(tmp_path.rglob("*.partial.*"))


@pytest.mark.slow
def test_kill_while_files_move(tiny, run, samples, tmp_path):
    """The manifest and one file are in the staging folder, the other files in their places."""
    write_model(tiny.model, weight=0.75)
    manifest, _ = run(tiny)
    proof = prove(manifest, 7, samples.test[0])
    staging = manifest.folder / ".staging"
    staging.mkdir()
    for name in ("manifest.json", "pk.key"):
        (manifest.folder / name).replace(staging / name)
    manifest, redone = run(tiny)
    assert redone == []
    verify(manifest, proof)
    prove(manifest, 7, samples.test[0])
    assert not staging.exists()


def test_two_builds_at_once(tiny, run):
    with (
        locked(Path(tiny.model).parent / "artifacts" / "tiny"),
        pytest.raises(CircuitError, match="Another build of tiny is running"),
    ):
        run(tiny)
    assert run(tiny)[1] == []


@pytest.mark.slow
def test_model_with_external_weights(tiny, run, samples):
    """By default, torch exports the weights to a file beside the graph."""
    run(tiny)
    model = onnx.load(tiny.model)
    for raw in model.graph.initializer:
        raw.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(raw) / 2, raw.name))
    onnx.save(
        model, tiny.model, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    manifest, redone = run(tiny)
    assert redone == EVERYTHING
    verify(manifest, prove(manifest, 7, samples.test[0]))
    tiny.model.with_name("weights.bin").unlink()
    with pytest.raises(CircuitError, match=r"weights\.bin"):
        run(tiny)


@pytest.mark.parametrize("labels", [np.zeros(3), np.zeros((16, 10))], ids=["few", "one-hot"])
def test_labels_that_do_not_fit(tiny, run, samples, labels):
    labelled = Samples(samples.calibration, samples.test, labels)
    with pytest.raises(CircuitError, match="one number for each of the 16 test samples"):
        run(replace(tiny, samples=lambda: labelled))


def test_failed_build_leaves_the_finished_one(tiny, run, samples):
    finished, _ = run(tiny)
    write_model(tiny.model, operator="Mish")
    with pytest.raises(CircuitError, match="the operator Mish is not supported"):
        run(tiny)
    verify(Manifest(finished.folder), prove(finished, 7, samples.test[0]))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (
            [("a", TensorProto.FLOAT, [1, 4]), ("b", TensorProto.FLOAT, [1, 4])],
            1,
            r"has the inputs a \(FLOAT\), b",
        ),
        ([("a", TensorProto.DOUBLE, [1, 4])], 1, r"has the inputs a \(DOUBLE\)"),
        ([("a", TensorProto.FLOAT, [1, 4])], 2, "2 outputs"),
        ([("a", TensorProto.FLOAT, [1, "width"])], 1, "leaves the sizes width of a open"),
    ],
    ids=["inputs", "double", "outputs", "open"],
)
def test_model_that_cannot_be_bound(tiny, run, inputs, outputs, reason):
    values = [helper.make_tensor_value_info(*value) for value in inputs]
    results = [
        helper.make_tensor_value_info(f"y{i}", values[0].type.tensor_type.elem_type, inputs[0][2])
        for i in range(outputs)
    ]
    nodes = [helper.make_node("Relu", [inputs[0][0]], [result.name]) for result in results]
    graph = helper.make_graph(nodes, "unbindable", values, results)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tiny.model)
    with pytest.raises(CircuitError, match=reason):
        run(tiny)


def test_model_whose_tensors_are_called_key(tiny, run, samples):
    """Binding chooses other names for the key."""
    model = onnx.load(tiny.model)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "key"
    onnx.save(model, tiny.model)
    manifest, _ = run(tiny)
    assert prove(manifest, 99, samples.test[0]).key(manifest.layout) == 99


def test_file_that_is_no_model(tiny, run):
    tiny.model.write_bytes(b"not an onnx file")
    with pytest.raises(CircuitError, match="is not a valid ONNX file"):
        run(tiny)
    tiny.model.unlink()
    with pytest.raises(CircuitError, match="not found: give the path of an ONNX file"):
        run(tiny)


@pytest.mark.parametrize(
    "numbers",
    [np.zeros((0, 4)), np.zeros((3, 5)), np.full((3, 4), np.nan), np.full((3, 4), np.inf)],
    ids=["none", "shape", "nan", "infinite"],
)
def test_samples_that_the_model_does_not_take(tiny, run, numbers):
    with pytest.raises(CircuitError, match="takes one or more samples of shape"):
        run(replace(tiny, samples=lambda: Samples(numbers, numbers)))


def test_input_outside_the_range_is_a_sentence(tiny, run):
    manifest, _ = run(tiny)
    with pytest.raises(CircuitError, match="a value leaves the circuit's range"):
        prove(manifest, 7, np.full(4, 1e8))
    with pytest.raises(CircuitError, match="not finite numbers"):
        prove(manifest, 7, np.full(4, np.nan))


def test_private_input_is_in_no_message(tiny, run):
    manifest, _ = run(tiny)
    for private in (np.array([0.123456789, 0.25]), np.full(4, 12345678.9)):
        with pytest.raises(CircuitError) as caught:
            prove(manifest, 7, private)
        assert "12345" not in str(caught.value)


def test_key_that_is_no_key(tiny, run, samples):
    manifest, _ = run(tiny)
    for key in (-1, 2**252):
        with pytest.raises(CircuitError, match=r"not a whole number from 0 to 2\*\*252"):
            prove(manifest, key, samples.test[0])


def test_circuit_that_was_not_built(tmp_path):
    with pytest.raises(CircuitError, match="has not been built: build nothing again"):
        Manifest(tmp_path / "nothing")


def test_damaged_manifest(tiny, run):
    manifest, _ = run(tiny)
    path = manifest.folder / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(CircuitError, match="is damaged"):
        Manifest(manifest.folder)
    assert run(tiny)[1] == EVERYTHING


def test_other_version_of_ezkl(tiny, run):
    manifest, _ = run(tiny)
    path = manifest.folder / "manifest.json"
    content = json.loads(path.read_text())
    content["versions"]["ezkl"] = "22.0.0"
    path.write_text(json.dumps(content))
    with pytest.raises(CircuitError, match=r"was built with ezkl 22\.0\.0"):
        Manifest(manifest.folder)


def test_panic_is_a_sentence(tmp_path, capfd):
    """The Rust code panics at 2**40 rows, and Python gets a BaseException."""
    with pytest.raises(CircuitError, match=r"could not make a dev SRS of 2\*\*40 rows"):
        ensure_srs(tmp_path, "insecure-dev", 40)
    assert "panicked" not in capfd.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]


def test_dev_srs_does_not_pass_for_the_ceremony(tmp_path):
    """A file in the ceremony's folder is compared with the public hash, and removed."""
    forged = srs_path(tmp_path, "ceremony", 4)
    forged.parent.mkdir()
    ensure_srs(tmp_path, "insecure-dev", 4).replace(forged)
    with pytest.raises(CircuitError, match="ceremony"):
        ensure_srs(tmp_path, "ceremony", 4)
    assert not forged.exists()


def test_kinds_of_srs_never_share_a_file(tmp_path):
    dev, ceremony = (srs_path(tmp_path, kind, 13) for kind in ("insecure-dev", "ceremony"))
    assert dev.parent != ceremony.parent


@pytest.mark.slow
def test_new_srs_makes_new_keys(tiny, run, tmp_path):
    manifest, _ = run(tiny)
    path = srs_path(tmp_path / "artifacts" / "srs", "insecure-dev", manifest["logrows"])
    ezkl.make_srs(path, manifest["logrows"])
    assert run(tiny)[1] == ["setup", "verifier"]


def test_clan_proves_within_its_figures(manifest):
    assert manifest["accuracy"]["quantised"] >= 0.975  # of the first 1,000 drawings
    assert manifest["files"]["pk"]["bytes"] <= 25_000_000
    assert manifest["verifier"]["runtime_bytes"] <= 20_000
    assert manifest["files"]["model"]["bytes"] < 100_000


def test_voice_proves_within_its_figures(voice_manifest):
    measured = voice_manifest["accuracy"]
    assert voice_manifest["files"]["pk"]["bytes"] <= 75_000_000
    assert voice_manifest["verifier"]["runtime_bytes"] <= 20_000
    assert voice_manifest["files"]["model"]["bytes"] < 100_000
    assert measured["max_error"] < 0.02
    assert abs(measured["correlation"]["quantised"] - measured["correlation"]["float"]) < 0.02
    if "(RAVDESS speech)" in measured["source"]:
        assert measured["correlation"]["quantised"] >= 0.45
        assert measured["error"]["quantised"] <= 0.85


def test_verifier_that_no_contract_can_hold_is_not_built(tiny, run, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LARGEST_CODE", 5000)
    with pytest.raises(CircuitError, match=r"verifier of other has about .* at most 5,000"):
        run(replace(tiny, name="other"))
    assert not list((tmp_path / "artifacts" / "other").glob("*.key"))


@pytest.mark.full
def test_training_reproduces_the_voice_export(voice_manifest):
    """It needs RAVDESS speech in VOICE_DATA_DIR."""
    measured = voice_manifest["accuracy"]
    if "(RAVDESS speech)" in measured["source"]:
        _, again = judges.train("voice", voices.find())
        trained = again["RAVDESS speech"]
        assert trained.correlation == pytest.approx(measured["correlation"]["float"], rel=0.1)
        assert trained.error / trained.mean_error == pytest.approx(
            measured["error"]["float"], rel=0.1
        )

"""The audit of a build names each change to its files."""

import json
import shutil

import onnx
import pytest
from onnx import numpy_helper

from apps.circuits import circuit
from tests.audits import named
from zk import ezkl
from zk.audit.build import audit_build
from zk.files import sha256
from zk.manifest import Manifest

pytestmark = pytest.mark.slow


def rebuilt(artifacts, folder, **changes) -> list[str]:
    """Audit a copy of the build after these changes to its manifest; return the findings."""
    path = artifacts / "clan" / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    original = circuit("clan").model
    return named(audit_build(Manifest(artifacts / "clan"), original, folder))


def edit_weight(path) -> None:
    """Change one weight of an ONNX file by 1 %."""
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[0] *= 1.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)


def test_edited_weight(copied, tmp_path):
    edit_weight(copied / "clan" / "model.onnx")
    assert rebuilt(copied, tmp_path) == ["file-changed"]


def test_edited_weight_and_manifest(copied, tmp_path, manifest):
    """An attacker who can write to the folder can also change the manifest."""
    path = copied / "clan" / "model.onnx"
    edit_weight(path)
    files = manifest["files"]
    files = files | {"model": files["model"] | {"sha256": sha256(path)}}
    assert rebuilt(copied, tmp_path, files=files) == ["model-differs", "binding-differs"]


def test_edited_bound_model_and_manifest(copied, tmp_path, manifest):
    """The key of this model has a second use."""
    path = copied / "clan" / "bound.onnx"
    model = onnx.load(path)
    key = model.graph.input[0].name
    model.graph.node.append(onnx.helper.make_node("Identity", [key], ["elsewhere"]))
    onnx.save(model, path)
    files = manifest["files"]
    files = files | {"bound": files["bound"] | {"sha256": sha256(path)}}
    found = rebuilt(copied, tmp_path, files=files)
    assert found[:2] == ["binding-differs", "key-not-passed"]


def test_edited_verifier_and_manifest(copied, tmp_path, manifest):
    path = tmp_path / "contracts" / "verifiers" / "ClanVerifier.sol"
    path.write_text(path.read_text().replace("success := and(success, lt(instance, r))", ""))
    files = manifest["files"]
    files = files | {"verifier": files["verifier"] | {"sha256": sha256(path)}}
    assert rebuilt(copied, tmp_path, files=files) == ["verifier-differs"]


def test_other_srs(copied, tmp_path, manifest):
    path = copied / "srs" / "insecure-dev" / f"k{manifest['logrows']}.srs"
    shutil.copy(path, tmp_path / "before.srs")
    path.unlink()
    ezkl.make_srs(path, manifest["logrows"])
    assert rebuilt(copied, tmp_path) == ["file-changed"]
    srs = manifest["srs"] | {"sha256": sha256(path)}
    assert rebuilt(copied, tmp_path, srs=srs) == ["key-differs", "verifier-differs"]


def test_dev_srs_labelled_as_the_ceremonys(copied, tmp_path, manifest):
    srs = manifest["srs"] | {"kind": "ceremony"}
    assert rebuilt(copied, tmp_path, srs=srs) == ["srs-hash", "srs-secret"]

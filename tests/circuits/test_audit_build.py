"""The audit of a build names each change to its files."""

import json

import onnx
import pytest
from onnx import numpy_helper

from tests.audits import named
from zk import ezkl
from zk.audit.build import audit_build
from zk.binding import read_model
from zk.files import sha256
from zk.manifest import Manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def manifest(tiny, tmp_path) -> Manifest:
    """A finished build that a test may damage."""
    return Manifest(tmp_path / "artifacts" / "tiny")


def found(manifest: Manifest, tmp_path, **changes) -> list[str]:
    """Audit the build after these changes to its manifest; return the findings."""
    path = manifest.folder / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    return named(
        audit_build(Manifest(manifest.folder), read_model(tmp_path / "tiny.onnx"), tmp_path)
    )


def edit_weight(path) -> None:
    """Change one weight of an ONNX file by 1 %."""
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[0] *= 1.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)


def test_edited_weight(manifest, tmp_path):
    edit_weight(manifest.file("model"))
    assert found(manifest, tmp_path) == ["file-changed"]


def test_edited_weight_and_manifest(manifest, tmp_path):
    """An attacker who can write to the folder can also change the manifest."""
    path = manifest.file("model")
    edit_weight(path)
    files = manifest["files"]
    files = files | {"model": files["model"] | {"sha256": sha256(path)}}
    assert found(manifest, tmp_path, files=files) == ["model-differs", "binding-differs"]


def test_edited_bound_model_and_manifest(manifest, tmp_path):
    """The key of this model has a second use."""
    path = manifest.file("bound")
    model = onnx.load(path)
    key = model.graph.input[0].name
    model.graph.node.append(onnx.helper.make_node("Identity", [key], ["elsewhere"]))
    onnx.save(model, path)
    files = manifest["files"]
    files = files | {"bound": files["bound"] | {"sha256": sha256(path)}}
    assert found(manifest, tmp_path, files=files)[:2] == ["binding-differs", "key-not-passed"]


def test_edited_verifier_and_manifest(manifest, tmp_path):
    path = manifest.file("verifier")
    path.write_text(path.read_text().replace("success := and(success, lt(instance, r))", ""))
    files = manifest["files"]
    files = files | {"verifier": files["verifier"] | {"sha256": sha256(path)}}
    assert found(manifest, tmp_path, files=files) == ["verifier-differs"]


def test_other_srs(manifest, tmp_path):
    path = manifest.file("srs")
    path.unlink()
    ezkl.make_srs(path, manifest["logrows"])
    assert found(manifest, tmp_path) == ["file-changed"]
    srs = manifest["srs"] | {"sha256": sha256(path)}
    assert found(manifest, tmp_path, srs=srs) == ["key-differs", "verifier-differs"]


def test_dev_srs_labelled_as_the_ceremonys(manifest, tmp_path):
    srs = manifest["srs"] | {"kind": "ceremony"}
    assert found(manifest, tmp_path, srs=srs) == ["srs-hash", "srs-secret"]

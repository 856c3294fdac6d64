"""Whatever is changed behind a deployment's back turns its audit red, with the right finding."""

import json
import shutil

import onnx
import pytest
from onnx import numpy_helper

from scripts import _audits, _deployments
from scripts._audits import audit_contracts, audit_deployment
from scripts._circuits import circuit
from zk.audit.build import audit_build
from zk.audit.findings import Report, Severity
from zk.manifest import Manifest, sha256
from zk.srs import _make


@pytest.fixture(scope="module")
def entry(manifest, clan, judge, bad_verifier) -> dict:
    return _deployments.entry_for(manifest, clan)


def named(report: Report) -> list[str]:
    return [finding.name for finding in report.findings if finding.severity > Severity.NOTE]


def rebuilt(artifacts, folder, **changes) -> list[str]:
    """What an audit finds of a damaged copy of the build, whose manifest says otherwise."""
    path = artifacts / "clan" / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    original = circuit("clan").model
    return named(audit_build(Manifest(artifacts / "clan"), original, folder))


def test_deployments_are_sound(manifest, entry, voice_manifest, judge):
    judged = _deployments.entry_for(voice_manifest, judge)
    for built, recorded in ((manifest, entry), (voice_manifest, judged)):
        reports = list(audit_deployment(built, recorded))
        assert [named(report) for report in reports] == [[]] * 5
        assert reports[-1].facts["calls"] > 100


def test_edited_constant_of_the_verifier(manifest, entry, chain):
    provider = chain.provider
    code = bytearray(provider.get_code(entry["verifier"]))
    digest = bytes.fromhex(find_digest(manifest))
    place = code.index(digest) + 5
    with chain.isolate():
        code[place] ^= 1
        provider.set_code(entry["verifier"], bytes(code))
        assert named(audit_contracts(manifest, entry)) == ["verifier-code"]
        attacked = _audits._attack(manifest, entry, bytes(code))
        assert named(attacked) == ["genuine-refused"]


def find_digest(manifest) -> str:
    line = next(x for x in manifest.file("verifier").read_text().split("\n") if "// vk_digest" in x)
    return line.split("0x")[2][:64]


def test_edited_code_of_the_application(manifest, entry, chain):
    code = bytearray(chain.provider.get_code(entry["contract"]))
    code[len(code) // 2] ^= 1
    with chain.isolate():
        chain.provider.set_code(entry["contract"], bytes(code))
        assert named(audit_contracts(manifest, entry)) == ["application-code"]


@pytest.mark.parametrize("changed", [(10, 24, 17), (10, 25, 18), (11, 24, 18)])
def test_edited_constructor_parameter(manifest, entry, project, deployer, changed):
    """Limbs, their bits, and the scale of the outputs."""
    assert (*manifest["key"].values(), manifest["output_scale"]) == (10, 24, 18)
    other = deployer.deploy(project.Clan, entry["verifier"], changed)
    found = audit_contracts(manifest, entry | {"contract": other.address})
    assert named(found) == ["parameter-differs"]


def test_other_verifier_of_the_application(manifest, entry, project, deployer, bad_verifier):
    other = deployer.deploy(project.Clan, bad_verifier.address, (10, 24, 18))
    found = audit_contracts(manifest, entry | {"contract": other.address})
    assert named(found) == ["parameter-differs"]
    found = audit_contracts(
        manifest, entry | {"contract": other.address, "verifier": bad_verifier.address}
    )
    assert "verifier-code" in named(found)


def test_other_build(manifest, entry):
    found = audit_contracts(manifest, entry | {"vk_sha256": "0" * 64})
    assert named(found) == ["other-build"]


def edit_weight(path) -> None:
    """One weight of an ONNX file, by one part in a hundred."""
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
    """Whoever can write to the folder can write the manifest, too."""
    path = copied / "clan" / "model.onnx"
    edit_weight(path)
    files = manifest["files"]
    files = files | {"model": files["model"] | {"sha256": sha256(path)}}
    assert rebuilt(copied, tmp_path, files=files) == ["model-differs", "binding-differs"]


def test_edited_bound_model_and_manifest(copied, tmp_path, manifest):
    """A key that is added to the input no longer passes by."""
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
    _make(path, manifest["logrows"])
    assert rebuilt(copied, tmp_path) == ["file-changed"]
    srs = manifest["srs"] | {"sha256": sha256(path)}
    assert rebuilt(copied, tmp_path, srs=srs) == ["key-differs", "verifier-differs"]


def test_dev_srs_that_is_called_the_ceremonys(copied, tmp_path, manifest):
    srs = manifest["srs"] | {"kind": "ceremony"}
    assert rebuilt(copied, tmp_path, srs=srs) == ["srs-hash", "srs-secret"]

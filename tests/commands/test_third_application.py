"""A third application: two new files in a copy of the project, and no other change."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.nodes import Node
from tests.tiny import write_model
from tests.typed import ape_in, copy_of_project, refused
from tests.warm import Result
from zk.files import ROOT

NEW = {"contracts/Gate.sol": "contracts/Gate.sol", "apps/gate.py": "gate.py"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    for name, source in NEW.items():
        shutil.copy(ROOT / "tests" / source, folder / name)
    return folder


def build(project: Path, name: str, scores: int, *words: str) -> Result:
    """Build a model with this number of outputs."""
    matrix = np.linspace(0.1, 1, 4 * scores).reshape(4, scores)
    model = write_model(project / f"{name}.onnx", matrix=matrix)
    numbers = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez(project / "samples.npz", x=numbers)
    np.save(project / "x.npy", np.ones(4, np.float32))
    given = ("--onnx", str(model), "--data", str(project / "samples.npz"), "--name", name)
    return ape_in(project, None, "build", *given, *words)


def test_it_is_found_by_its_name(project):
    choices = "'Tribe' is not one of 'Clan', 'Gate', 'VoiceJudge'"
    assert choices in refused(build(project, "mine", 1, "--app", "Tribe"))


def test_wrong_number_of_outputs_is_refused_before_building(project):
    message = refused(build(project, "wide", 3, "--app", "Gate"))
    assert "wide has 3 outputs, but Gate takes 1" in message
    assert not (project / "artifacts" / "wide").exists()


def test_its_first_user(project, node: Node):
    # 1. A build without an application is not deployed.
    result = build(project, "mine", 1)
    assert "mine built in" in result.stdout, result.stderr
    assert "application  none (see --app)" in result.stdout
    message = refused(ape_in(project, node, "deploy", "--only", "mine"))
    assert "mine was built without an application: build it again with" in message

    # 2. With one, the same build takes seconds, and is deployed.
    result = build(project, "mine", 1, "--app", "Gate")
    assert "mine is up to date" in result.stdout, result.stderr
    assert "application  Gate" in result.stdout
    result = ape_in(project, node, "deploy", "--only", "mine")
    assert f"Gate of mine on chain {node.chain_id}: 0x" in result.stdout, result.stderr

    # 3. It is proved and audited like the others.
    prove = ("prove", "--circuit", "mine", "--input", str(project / "x.npy"), "--account", "1")
    result = ape_in(project, node, *prove, "--out", str(project / "proof.json"))
    assert "the gate reads 2." in result.stdout, result.stderr
    assert "Next:" not in result.stdout  # there is no command `enter`
    audit = ("audit", "--only", "mine", "--network", "ethereum:local")
    result = ape_in(project, node, *audit)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the code of Gate is compiled from contracts/Gate.sol" in result.stdout


@pytest.mark.slow
def test_manifest_of_an_earlier_version(project):
    """It names no application; the next build records it in seconds."""
    assert build(project, "older", 1, "--app", "Gate").returncode == 0
    path = project / "artifacts" / "older" / "manifest.json"
    content = json.loads(path.read_text())
    del content["application"]
    path.write_text(json.dumps(content))
    message = refused(ape_in(project, None, "deploy", "--only", "older"))
    assert "older was built by an older version of Verdict: run `ape run build" in message
    assert "older is up to date" in build(project, "older", 1, "--app", "Gate").stdout
    assert json.loads(path.read_text())["application"] == "Gate"

"""The `verdict` command of the installed package."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.tiny import write_model
from verdict.main import cli

WORDS = ("--onnx", "model.onnx", "--data", "samples.npz", "--name", "my_model")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a build of an own model, and a proof."""
    folder = tmp_path_factory.mktemp("own")
    write_model(folder / "model.onnx", matrix=np.ones((4, 1)))
    np.savez(folder / "samples.npz", x=np.random.default_rng(1).normal(size=(20, 4)))
    (folder / "x.json").write_text("[1, 2, 3, 4.5]")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = verdict("build", *WORDS)
        assert "Next: `verdict prove my_model" in result.output, result.stderr
        result = verdict("prove", "my_model", "--input", "x.json", "--key", "0x123")
        assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def verdict(*words: str) -> Result:
    return CliRunner(mix_stderr=False).invoke(cli, words)


@pytest.mark.slow
def test_builds_proves_and_verifies(folder):
    assert (folder / "contracts" / "verifiers" / "MyModelVerifier.sol").is_file()
    assert "my_model is up to date" in verdict("build", *WORDS).output
    document = json.loads(verdict("verify", "proof.json", "--key", "291", "--json").stdout)
    assert document == {"circuit": "my_model", "key": "0x123", "outputs": [10.5]}


@pytest.mark.parametrize("command", ["audit", "build", "prove", "verify"])
def test_every_command_has_an_example(command):
    shown = verdict(command, "--help").output
    assert f"verdict {command}" in shown.split("Example:")[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["build", "--onnx", "model.onnx"], "Give --onnx, --data and --name."),
        (["build", *WORDS[:-1], "My"], "--name 'My' is not a free circuit name"),
        (["prove", "other", "--input", "x.json", "--key", "1", "--out", "p"], "`verdict build`"),
        (
            ["prove", "my_model", "--input", "x.json", "--key", "a"],
            "the number that `keyOf` returns",
        ),
        (["prove", "my_model", "--input", "x.json", "--key", "1"], "proof.json exists already"),
        (["verify", "nothing.json"], "No proof found at nothing.json"),
        (["verify", "proof.json", "--key", "2"], "is under the key 0x123, not 0x2"),
        (["audit"], "Give --circuit, --source or --app."),
    ],
)
def test_refusals(words, reason):
    result = verdict(*words)
    assert result.exit_code != 0
    assert reason in result.stderr


def test_a_changed_proof_is_refused(folder):
    proof = json.loads((folder / "proof.json").read_text())
    proof["instances"][-1] = hex(int(proof["instances"][-1], 16) + 1)
    (folder / "changed.json").write_text(json.dumps(proof))
    result = verdict("verify", "changed.json")
    assert result.exit_code == 1
    assert "accept the proof under the verification key of my_model" in result.stderr


@pytest.mark.slow
def test_audit_repeats_the_build(folder):
    assert "nothing wrong found" in verdict("audit", "--circuit", "my_model").output
    write_model(folder / "other.onnx", matrix=np.ones((4, 1)) * 2)
    result = verdict("audit", "--circuit", "my_model", "--onnx", "other.onnx", "--json")
    assert result.exit_code == 1
    (report,) = json.loads(result.stdout)
    assert [finding["name"] for finding in report["findings"]] == ["model-differs"]

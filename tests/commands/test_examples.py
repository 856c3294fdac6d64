"""The examples: each command of their READMEs, in a copy of the project or outside of it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.nodes import Node, own_node
from tests.typed import copy_of_project
from tests.warm import APE, Result, ape_run
from zk.files import ROOT

# Other tests run their commands on other models.
pytestmark = pytest.mark.full
EXAMPLES = ROOT / "examples"
PATIENCE = 300  # seconds for a command
# OpenBLAS rounds sums as its processor's kernels do, and training multiplies that.
KERNELS = {"OPENBLAS_CORETYPE": "Haswell"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    copy = copy_of_project(tmp_path_factory.mktemp("examples"))
    (copy / "node_modules").symlink_to(ROOT / "node_modules")
    return copy


@pytest.fixture(scope="module")
def chain():
    with own_node() as started:
        yield started


def commands(example: str) -> list[str]:
    """The commands in the README of an example, without those that a reader has typed before."""
    blocks = re.findall(
        r"```sh\n(.*?)```", (EXAMPLES / example / "README.md").read_text(), re.DOTALL
    )
    typed = [line for block in blocks for line in block.splitlines()]
    return [line for line in typed if not re.match("anvil|pip install -r", line)]


def run(folder: Path, command: str, environment: dict[str, str]) -> str:
    """Run a command as it is typed; return what it prints."""
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return printed(command, result)


def printed(command: str, result: Result) -> str:
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def run_all(folder: Path, example: str, environment: dict[str, str]) -> dict[str, str]:
    """Run the commands of an example. Those of Ape start fast, like in other tests."""
    shown = {}
    for command in commands(example):
        if command.startswith("ape run "):
            words = tuple(shlex.split(command)[2:])
            shown[command] = printed(command, ape_run(folder, words, environment))
        else:
            shown[command] = run(folder, command, environment)
    return shown


def require_reproduced(project: Path, example: str) -> None:
    """Raise unless train.py made the files in git again."""
    made, kept = (folder / "examples" / example for folder in (project, ROOT))
    assert (made / "samples.npz").read_bytes() == (kept / "samples.npz").read_bytes()
    again, model = (onnx.load(folder / "model.onnx") for folder in (made, kept))
    assert again.graph == model.graph  # the exporter lists versions in any order


def test_iris(project, chain: Node):
    path = f"{APE.parent}{os.pathsep}{os.environ['PATH']}"
    shown = run_all(project, "iris", {**os.environ, **chain.environment, **KERNELS, "PATH": path})
    assert "39 of the 50" in (EXAMPLES / "iris" / "README.md").read_text()
    assert "78% of the samples fulfil it" in shown[next(one for one in shown if " new " in one)]
    assert "Minted: account 0x7099" in shown[next(one for one in shown if " send " in one)]
    require_reproduced(project, "iris")


def test_credit(project, chain: Node):
    path = f"{APE.parent}{os.pathsep}{os.environ['PATH']}"
    shown = run_all(project, "credit", {**os.environ, **chain.environment, **KERNELS, "PATH": path})
    assert (
        "is attested as the input of 0x7099" in shown[next(one for one in shown if "attest" in one)]
    )
    assert "Unlocked: account 0x7099" in shown[next(one for one in shown if " send " in one)]
    require_reproduced(project, "credit")


def test_a_project_outside(project, tmp_path):
    """With an installed package, a package of contracts, and nothing else of this repository."""
    folder = tmp_path / "outside"
    shutil.copytree(EXAMPLES / "project", folder)
    site = tmp_path / "site"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "APE_FOUNDRY_HOST"},
        "HOME": str(tmp_path),  # Ape keeps packages there
        "PATH": f"{site / 'bin'}{os.pathsep}{APE.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(site),
        "SOLCX_BINARY_PATH": str(Path.home() / ".solcx"),
        "FOUNDRY_SOLC": str(Path.home() / ".solcx" / "solc-v0.8.30"),
        "VERDICT": str(project),
    }
    # The tests' own packages are those that the package depends on.
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    subprocess.run([*install, project], check=True, timeout=PATIENCE)
    first, *rest = commands("project")
    assert first == "pip install $VERDICT"
    shown = {command: run(folder, command, environment) for command in rest}
    assert "has class 1" in shown["ape run own --network ethereum:local:foundry"]
    assert "proof.json is valid" in shown["verdict verify proof.json"]
    assert "all 12 checks passed" in shown["verdict audit --app contracts/Own.sol"]
    assert not list(folder.glob("**/Clan.sol"))

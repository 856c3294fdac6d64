"""build and tune with models of users, and what build says and refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from apps.circuits import ARTIFACTS, OWN_RUN_ARGS, RUN_ARGS
from tests.tiny import write_model
from tests.typed import FULL, READ_ONLY, ape, ape_in, ape_on, copy_of_project, refused
from zk.circuit import RunArgs
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import prove, verify

pytestmark = pytest.mark.slow


def test_a_circuit_that_answers_something_else_is_not_built(tmp_path):
    """ezkl proves 0 for a mean over all axes. No keys are made."""
    folder = ARTIFACTS / "means"
    model = write_model(tmp_path / "m.onnx", matrix=np.full((4, 1), 0.001), operator="Sqrt")
    x = np.random.default_rng(1).uniform(0, 3, (40, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    given = ("--onnx", str(model), "--data", str(tmp_path / "x.npz"), "--name", "means")
    try:
        message = refused(ape(None, "build", *given))
        assert re.search(r"means differs from the model by up to .* with --accept-loss", message)
        assert not list(folder.rglob("pk.key"))
        result = ape(None, "build", *given, "--accept-loss")
        assert "means built in" in result.stdout, result.stderr
        assert Manifest(folder)["accepts_loss"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_build_says_up_to_date_and_its_figures(manifest):
    result = ape(None, "build", "--circuit", "clan")
    assert "clan is up to date" in result.stdout
    assert f"{manifest['accuracy']['quantised']:.2%} quantised" in result.stdout
    assert "SRS          insecure-dev" in result.stdout
    assert "application  Clan" in result.stdout


OWN = "--data, --name, --app, --output, --shape and --largest-input go with --onnx"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--onnx", "m.onnx"], "--onnx goes with --data and --name"),
        (["--name", "mine"], OWN),
        (["--circuit", "clan", "--app", "Clan"], OWN),
        (["--circuit", "clan", "--largest-input", "4"], OWN),
        (["--largest-input", "0"], "0 is not in the range x>=1"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "clan"], "'clan' is not a free"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "../up"], "'../up' is not a free"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "i"], "'i' is not a free"),
        (["--onnx", "m.onnx", "--data", "d.npz", "--name", "mine"], "d.npz"),
        (["--onnx", "m.onnx", "--app", "Tribe"], "'Tribe' is not one of 'Clan', 'VoiceJudge'"),
        (["--circuit", "nothing"], "'nothing' is not one of"),
    ],
)
def test_build_refuses(words, reason):
    assert reason in refused(ape(None, "build", *words))
    assert not (ARTIFACTS / "mine").exists()


@pytest.mark.parametrize(
    "disk, reason",
    [
        ("size=64k", FULL),
        pytest.param("size=2m", FULL, marks=pytest.mark.full),  # full later in the build
        ("ro", READ_ONLY),
    ],
)
def test_build_without_room(manifest, disk, reason):
    assert reason in refused(ape_on(ARTIFACTS, disk, None, "build"))
    assert Manifest(manifest.folder).content == manifest.content


def test_no_solc(copied, tmp_path, node):
    """The verifier cannot be compiled, and the last build stays as it was."""
    before = (copied / "clan" / "manifest.json").read_bytes()
    (copied.parent / "contracts" / "verifiers" / "ClanVerifier.sol").unlink()
    script = f"""
from pathlib import Path
from apps.circuits import circuit
from zk.build import build
here = Path({str(copied.parent)!r})
build(circuit("clan"), artifacts=here / "artifacts", verifiers=here / "contracts" / "verifiers")
"""
    (tmp_path / "empty").mkdir()
    nowhere = {"SOLCX_BINARY_PATH": str(tmp_path / "empty")}
    node.record.unlink()
    assert "solc 0.8.30 is not installed" in refused(ape(node, "deploy", **nowhere))
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )
    assert "solc 0.8.30 is not installed: run `make setup`" in result.stderr
    assert (copied / "clan" / "manifest.json").read_bytes() == before


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, whose record of knobs and artifacts are not the user's."""
    return copy_of_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)


def own_model(folder: Path, numbers: np.ndarray, name: str, **shape) -> list[str]:
    """The options of a user's model and its samples."""
    write_model(folder / "own.onnx", **shape)
    np.savez(folder / "own.npz", x=numbers)
    files = ["--onnx", str(folder / "own.onnx"), "--data", str(folder / "own.npz")]
    return [*files, "--name", name]


def test_own_model_is_built_and_proved(project, numbers, tmp_path):
    """From an ONNX file to a proof under its own key, without an application."""
    model = own_model(tmp_path, numbers, "ownmodel", operator="Sigmoid")
    result = ape_in(project, None, "build", *model)
    assert "ownmodel built in" in result.stdout, result.stderr
    assert "agrees with the float model" in result.stdout
    assert "ownmodel is up to date" in ape_in(project, None, "build", *model).stdout
    manifest = Manifest(project / "artifacts" / "ownmodel")
    verify(manifest, prove(manifest, 5, numbers[0]))


@pytest.mark.full  # test_tuner.py has the search
def test_own_model_is_tuned(project, numbers, node, tmp_path):
    """`build` uses the knobs that `tune` finds for a user's model."""
    tracked, knobs = (project / path.relative_to(ROOT) for path in (RUN_ARGS, OWN_RUN_ARGS))
    before = tracked.read_bytes()
    model = own_model(tmp_path, numbers, "tunedmodel")
    limits = ["--for", "gas", "--measure", "1", "--tolerance", "0.1"]
    small = refused(ape_in(project, node, "tune", *model, "--max-key", "0.001"))
    assert "needs a proving key of" in small
    assert not knobs.exists()
    result = ape_in(project, node, "tune", *model, *limits, "--json")
    assert "tunedmodel is tuned" in result.stderr, result.stderr
    assert f"Next: `ape run build {' '.join(model)}`" in result.stderr
    tuned = json.loads(result.stdout)
    assert tuned["recorded"] == str(knobs)
    assert [one["winner"] for one in tuned["measured"]] == [True]
    assert tracked.read_bytes() == before
    assert "the predictions were off by at most" in result.stderr
    picture = project / "artifacts" / "tune" / "tunedmodel" / "gas.png"
    assert picture.stat().st_size > 10_000
    assert ape_in(project, None, "build", *model).returncode == 0
    found = json.loads(knobs.read_text())["tunedmodel"]
    assert Manifest(project / "artifacts" / "tunedmodel")["run_args"] == found
    assert tuned["measured"][0]["run_args"] == found
    assert found != asdict(RunArgs())

"""build and tune with models of users, and what build says and refuses."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from apps.circuits import ARTIFACTS, RUN_ARGS, VERIFIERS
from tests.tiny import write_model
from tests.typed import FULL, READ_ONLY, ape, ape_on, refused
from zk.circuit import RunArgs
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import prove, verify


def test_build_says_up_to_date_and_its_figures(manifest):
    result = ape(None, "build", "--circuit", "clan")
    assert "clan is up to date" in result.stdout
    assert f"{manifest['accuracy']['quantised']:.2%} quantised" in result.stdout
    assert "SRS          insecure-dev" in result.stdout
    assert "application  Clan" in result.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--onnx", "m.onnx"], "--onnx goes with --data and --name"),
        (["--name", "mine"], "--data, --name and --app go with --onnx"),
        (["--circuit", "clan", "--app", "Clan"], "--data, --name and --app go with --onnx"),
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


@pytest.mark.parametrize("disk, reason", [("size=64k", FULL), ("size=2m", FULL), ("ro", READ_ONLY)])
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


@contextmanager
def own_model(folder: Path, name: str, **shape) -> Iterator[tuple[list[str], np.ndarray]]:
    """The options of a user's model, and its samples. Its build ends with the context."""
    write_model(folder / "own.onnx", **shape)
    numbers = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    np.savez(folder / "own.npz", x=numbers)
    files = ["--onnx", str(folder / "own.onnx"), "--data", str(folder / "own.npz")]
    try:
        yield [*files, "--name", name], numbers
    finally:
        for made in (name, f"tune/{name}"):
            shutil.rmtree(ARTIFACTS / made, ignore_errors=True)
        (VERIFIERS / f"{name.capitalize()}Verifier.sol").unlink(missing_ok=True)


def test_own_model_is_built_and_proved(tmp_path):
    """From an ONNX file to a proof under its own key, without an application."""
    with own_model(tmp_path, "ownmodel", operator="Sigmoid") as (model, numbers):
        result = ape(None, "build", *model)
        assert "ownmodel built in" in result.stdout, result.stderr
        assert "agrees with the float model" in result.stdout
        assert "ownmodel is up to date" in ape(None, "build", *model).stdout
        manifest = Manifest(ARTIFACTS / "ownmodel")
        verify(manifest, prove(manifest, 5, numbers[0]))


def test_own_model_is_tuned(tmp_path):
    """`build` uses the knobs that `tune` finds for a user's model."""
    before = RUN_ARGS.read_bytes()
    with own_model(tmp_path, "tunedmodel") as (model, _):
        try:
            limits = ["--for", "gas", "--measure", "1", "--tolerance", "0.1"]
            small = refused(ape(None, "tune", *model, "--max-key", "0.001"))
            assert "needs a proving key of" in small
            assert RUN_ARGS.read_bytes() == before
            result = ape(None, "tune", *model, *limits)
            assert "tunedmodel is tuned" in result.stdout, result.stderr
            assert "the predictions were off by at most" in result.stdout
            assert (ARTIFACTS / "tune" / "tunedmodel" / "gas.png").stat().st_size > 10_000
            assert ape(None, "build", *model).returncode == 0
            found = json.loads(RUN_ARGS.read_text())["tunedmodel"]
            assert Manifest(ARTIFACTS / "tunedmodel")["run_args"] == found
            assert found != asdict(RunArgs())
        finally:
            RUN_ARGS.write_bytes(before)

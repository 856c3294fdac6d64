"""Builds and proofs that are killed leave the old files or complete new ones."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from tests.scale import scaled
from zk.files import ROOT
from zk.manifest import Manifest
from zk.private import private_folder
from zk.proof import Proof, prove, prove_all, verify

pytestmark = pytest.mark.slow

KILLS = scaled(2, 20)  # of each kind; test_live.py kills deployments
PATIENCE = 300  # seconds for the first build or proof of a process


@pytest.fixture
def folder(tiny, samples, tmp_path, monkeypatch):
    """A folder with a finished build and a folder for temporary files."""
    np.save(tmp_path / "samples.npy", np.concatenate([samples.calibration, samples.test]))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def kill(what: str, folder, share: float, private: bool = False) -> None:
    """Start `tests.killed`, and kill it after its first round and a share of that round's time.

    `private` waits for a moment in which the process that proves for it has private files, and
    kills both.
    """
    words = [sys.executable, "-m", "tests.killed", what, str(folder)]
    with subprocess.Popen(words, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, f"the first {what} took more than {PATIENCE} seconds"
        time.sleep(share * float(process.stdout.readline()))
        prover = stop_with_private_files(process, folder) if private else None
        process.send_signal(signal.SIGKILL)
        if prover:
            prover.kill()
            psutil.wait_procs([prover], timeout=PATIENCE)
        assert process.wait() == -signal.SIGKILL


def stop_with_private_files(process: subprocess.Popen[bytes], folder) -> psutil.Process:
    (prover,) = psutil.Process(process.pid).children()
    limit = time.monotonic() + PATIENCE
    while True:
        prover.suspend()
        while prover.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < limit, f"it did not stop for {PATIENCE} seconds"
        if list((folder / "temporary").glob(f"verdict-{prover.pid}-*/*")):
            return prover
        assert time.monotonic() < limit, f"it had no private files for {PATIENCE} seconds"
        prover.resume()
        time.sleep(0.01)


def shares(seed: int) -> list[float]:
    numbers = random.Random(seed)
    return [numbers.random() for _ in range(KILLS)]


def test_killed_builds(folder, samples, tiny, run):
    for share in shares(1):
        kill("build", folder, share)
        manifest = Manifest(folder / "artifacts" / "tiny")
        for label in (*manifest["files"], "srs"):
            manifest.file(label)  # raises unless the hash is right
    manifest, _ = run(tiny)
    verify(manifest, prove(manifest, 7, samples.test[0]))
    assert run(tiny)[1] == []
    assert not list(folder.rglob("*.partial.*"))


def test_killed_proofs(folder, tiny, run):
    manifest, path = run(tiny)[0], folder / "proof.json"
    for share in shares(2):
        kill("prove", folder, share)
        verify(manifest, Proof.load(path))
        path.unlink()
    kill("prove", folder, 0, private=True)
    assert list((folder / "temporary").glob("verdict-*"))
    with private_folder() as private:
        assert list((folder / "temporary").glob("verdict-*")) == [private]
    assert not list((folder / "temporary").glob("verdict-*"))


def test_private_files_are_the_users_alone(folder, tiny, run, samples):
    with private_folder() as private:
        (private / "witness.json").write_text("{}")
        assert private.stat().st_mode & 0o777 == 0o700
        assert (private / "witness.json").stat().st_mode & 0o777 == 0o600
    manifest, kept = run(tiny)[0], folder / "kept" / "mine.private.json"
    prove_all(manifest, [(7, samples.test[0])], [kept])
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["mine.private.json"]


def test_others_that_come_and_go_meanwhile(folder):
    """Several processes prove in parallel and remove their folders while others list them."""

    def come_and_go(_: int) -> None:
        for _ in range(200):
            with private_folder() as private:
                assert private.is_dir()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))


def test_a_running_processs_private_files_stay(folder):
    with private_folder() as mine, private_folder() as other:
        assert mine.is_dir() and other.is_dir()

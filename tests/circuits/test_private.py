"""Folders for private files: for one user, for one moment, and gone after a kill."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from zk.files import ROOT
from zk.private import private_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_only_this_user_reads_what_is_made_inside(temporary):
    before = os.umask(0o022)
    try:
        with private_folder() as folder:
            (folder / "witness.json").write_text("{}")
            (folder / "inner").mkdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            assert (folder / "witness.json").stat().st_mode & 0o777 == 0o600
            assert (folder / "inner").stat().st_mode & 0o777 == 0o700
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_permissions_and_folder_are_as_before_after_an_error(temporary):
    before = os.umask(0o022)
    try:
        with pytest.raises(KeyError), private_folder():
            raise KeyError
        assert os.umask(0o022) == 0o022
        assert not list(temporary.iterdir())
    finally:
        os.umask(before)


def test_folder_names_its_process_and_is_removed(temporary):
    with private_folder() as folder:
        assert folder.parent == temporary
        assert folder.name.startswith(f"verdict-{os.getpid()}-")
        (folder / "witness.json").write_text("{}")
    assert not folder.exists()


def test_leftovers_of_dead_processes_are_removed(temporary, dead):
    left = temporary / f"verdict-{dead}-abc_1"
    left.mkdir()
    (left / "witness.json").write_text("{}")
    with private_folder():
        assert not left.exists()


def test_folders_of_running_processes_and_other_folders_stay(temporary, dead):
    """Process 1 always runs, and may belong to another user."""
    names = [
        f"verdict-{os.getpid()}-abc",
        "verdict-1-abc",
        f"verdict-{dead}",
        f"verdict-{dead}-abc-",
        "verdict-abc",
        f"other-{dead}-abc",
    ]
    for name in names:
        (temporary / name).mkdir()
    with private_folder() as folder:
        pass
    assert sorted(path.name for path in temporary.iterdir()) == sorted(names)
    assert not folder.exists()


def test_leftovers_of_other_users_stay(temporary, monkeypatch, dead):
    left = temporary / f"verdict-{dead}-abc"
    left.mkdir()
    for other in (-1, 1):
        monkeypatch.setattr(os, "getuid", lambda other=other: left.stat().st_uid + other)
        with private_folder():
            assert left.is_dir()


def test_process_of_another_user_counts_as_running(temporary, monkeypatch, dead):
    """The system does not allow signals to it."""
    left = temporary / f"verdict-{dead}-abc"
    left.mkdir()

    def refuse(process: int, number: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refuse)
        with private_folder():
            assert left.is_dir()


def test_killed_process_leaves_nothing_for_long(temporary):
    script = """
import signal
from zk.private import private_folder
with private_folder() as folder:
    (folder / "witness.json").write_text("{}")
    print("ready", flush=True)
    signal.pause()
"""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        watch = threading.Timer(60, process.kill)  # seconds, if it does not start
        watch.start()
        assert process.stdout and process.stdout.readline() == b"ready\n"
        watch.cancel()
        (left,) = temporary.iterdir()
        with private_folder():
            assert left.is_dir()  # its process runs
        process.send_signal(signal.SIGKILL)
        process.wait()
    with private_folder() as mine:
        assert list(temporary.iterdir()) == [mine]

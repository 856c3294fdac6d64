"""Processes that start fast: each is a fork of one that has imported libraries and the project."""

import atexit
import ctypes
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

APE = Path(sys.executable).with_name("ape")
PATIENCE = 900  # seconds for a command to end
PROJECT = str(Path(__file__).parents[1])
PACKAGES = {path.parent.name for path in Path(PROJECT).glob("*/*.py")} - {"tests"}
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000  # namespaces of Linux

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.preloaded"])
Result = subprocess.CompletedProcess[str]


def ape_run(
    folder: Path, words: tuple[str, ...], environment: dict[str, str], **options: Any
) -> Result:
    """Run a command in a folder, with the options of `_forked`."""
    with TemporaryDirectory() as made:
        texts = [Path(made, name) for name in ("stdout", "stderr")]
        given = (folder, words, environment, texts)
        process = forks.Process(target=_forked, args=given, kwargs=options)
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(["ape", "run", *words], PATIENCE)
        return Result(words, process.exitcode, *(text.read_text() for text in texts))


@dataclass(frozen=True)
class Started:
    """A command that keeps running, in a separate session. It behaves like a `subprocess.Popen`."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self.process.join(seconds)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), seconds or 0)
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()


def ape_start(
    folder: Path, words: tuple[str, ...], environment: dict[str, str], log: Path, **options: Any
) -> Started:
    """Start a command in a folder; it writes to the end of a log."""
    given = (folder, words, environment, [log, log])
    process = forks.Process(target=_forked, args=given, kwargs={"alone": True, **options})
    process.start()
    return Started(process)


def _forked(
    folder: Path,
    words: tuple[str, ...],
    environment: dict[str, str],
    texts: list[Path],
    alone: bool = False,
    disk: tuple[Path, str] | None = None,
    module: str = "",
) -> None:
    """Become the command, or a module of the project, with the files `texts` as its output.

    `alone` starts a separate session; `disk` mounts a file system at a folder, for this process.
    """
    from ape._cli import cli

    if alone:
        os.setsid()
    if disk:
        _mount(*disk)
    for stream, text in enumerate(texts, start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # The project reads XDG_CACHE_HOME when it is imported.
    if str(folder) != PROJECT or "XDG_CACHE_HOME" in environment:
        _forget_the_project()
    others = [path for path in sys.path if path not in ("", PROJECT)]
    sys.path[:] = [PROJECT if module else str(APE.parent), *others]
    sys.argv = [module, *words] if module else [str(APE), "run", *words]
    try:
        if module:
            runpy.run_module(module, run_name="__main__")
        else:
            cli()
    finally:  # forks leave this out
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _forget_the_project() -> None:
    """Import the project's packages again, from the folder of the command."""
    for name in [one for one in sys.modules if one.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


def _mount(folder: Path, disk: str) -> None:
    """Mount a disk at a folder, which only this process and those that it starts see."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_USER | NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "this machine allows no namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    subprocess.run(["mount", "-t", "tmpfs", "-o", disk, "none", folder], check=True)

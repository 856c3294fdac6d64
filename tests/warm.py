"""Processes of `ape` that start fast: each is a fork of one that has imported the libraries.

This module imports nothing of the project, because a command may run in a copy of it.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

APE = Path(sys.executable).with_name("ape")
PATIENCE = 900  # seconds for a command to end

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.preloaded"])
Result = subprocess.CompletedProcess[str]


def ape_run(folder: Path, words: tuple[str, ...], environment: dict[str, str]) -> Result:
    """Run a command in a folder."""
    with TemporaryDirectory() as made:
        texts = [Path(made, name) for name in ("stdout", "stderr")]
        process = forks.Process(target=_forked, args=(folder, words, environment, texts))
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
    folder: Path, words: tuple[str, ...], environment: dict[str, str], log: Path
) -> Started:
    """Start a command in a folder; it writes to the end of a log."""
    given = (folder, words, environment, [log, log])
    process = forks.Process(target=_forked, args=given, kwargs={"alone": True})
    process.start()
    return Started(process)


def _forked(
    folder: Path,
    words: tuple[str, ...],
    environment: dict[str, str],
    texts: list[Path],
    alone: bool = False,
) -> None:
    """Become the command, with the files `texts` as its output, or in a separate session."""
    from ape._cli import cli

    if alone:
        os.setsid()
    for stream, text in enumerate(texts, start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    project = str(Path(__file__).parents[1])
    sys.path[:] = [str(APE.parent), *(path for path in sys.path if path not in ("", project))]
    sys.argv = [str(APE), "run", *words]
    try:
        cli()
    finally:
        atexit._run_exitfuncs()  # forks leave these out

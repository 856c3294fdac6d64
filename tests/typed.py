"""The commands as people type them, each in a process."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.nodes import Node
from tests.warm import PATIENCE, Result, ape_run
from zk.files import ROOT

# The sentences of a command that finds no room, or a disk that it cannot write to.
FULL, READ_ONLY = "the disk is full; free some space", "read-only disk; make that writable"


def ape(node: Node | None, *words: str, **environment: str) -> Result:
    """Run a command, on a node's chain if it needs one."""
    return ape_run(ROOT, words, _environment(node, environment))


def ape_in(project: Path, node: Node | None, *words: str) -> Result:
    """Run a command of a copy of the project."""
    return ape_run(project, words, _environment(node, {}))


def ape_on(folder: Path, disk: str, node: Node | None, *words: str, **environment: str) -> Result:
    """Run a command with another disk mounted at a folder, which only this command sees."""
    return ape_run(ROOT, words, _environment(node, environment), disk=(folder, disk))


def new_process(
    environment: dict[str, str], *words: str, stdin: int = subprocess.DEVNULL
) -> Result:
    """Run a program that has not imported anything yet."""
    return subprocess.run(
        words,
        cwd=ROOT,
        env=environment,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def _environment(node: Node | None, more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **(node.environment if node else {}), **more}


def copy_of_project(folder: Path) -> Path:
    """Copy what a commit would hold to a folder, which commands may write to."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def refused(result: Result) -> str:
    """The one sentence of a command that failed in a foreseeable way."""
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr.strip().splitlines()[-1]


def all_refused(node: Node | None, cases: Iterable[tuple[str, ...]]) -> None:
    """Run commands that are refused. A case is a part of the sentence, then the words."""
    cases = list(cases)
    with ThreadPoolExecutor(2) as pool:
        messages = pool.map(lambda case: refused(ape(node, *case[1:])), cases)
        for case, message in zip(cases, messages, strict=True):
            assert case[0] in message


def open_round(node: Node, *words: str) -> int:
    """Open a round without a threshold, unless the words name one; return its number."""
    opened = ape(node, "open-round", "--threshold", "0", "--reward", "0.01", *words)
    assert opened.returncode == 0, opened.stderr
    return int(opened.stdout.split("round ")[1].split()[0])

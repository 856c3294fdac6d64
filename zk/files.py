"""Files that are written completely or not at all, hashes, and locks of folders."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zk.errors import CircuitError

ROOT = Path(__file__).parents[1]  # of the project
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verdict"  # of the user


@contextmanager
def whole(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` if the block succeeds.

    With `mode`, the file has these permissions before anything is written to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.partial.{path.name}")  # keeps the suffix
    try:
        if mode is not None:
            partial.touch(mode=mode)
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):  # the folder may be read-only
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file in one step, so that no reader sees part of it."""
    try:
        with whole(path, mode) as partial:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return the hash of a value of JSON's types."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def locked(folder: Path, busy: str | None = None) -> Iterator[None]:
    """Lock a folder against other processes. They wait, or fail with the message `busy`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise CircuitError(busy) from error
        yield

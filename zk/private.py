"""Temporary folders for private files: inputs, and the witnesses that contain them."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "verdict-"


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a temporary folder that only this user can read, like every file made in it."""
    remove_abandoned()
    mask = os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
            yield Path(folder)
    finally:
        os.umask(mask)


def remove_abandoned() -> None:
    """Remove the folders that killed processes left behind."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        process = re.fullmatch(rf"{PREFIX}(\d+)-\w+", left.name)
        with suppress(FileNotFoundError):  # another process may be removing it
            if process and left.stat().st_uid == os.getuid() and not _runs(int(process[1])):
                shutil.rmtree(left, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

"""A folder for what nobody else may see: a private input, and the witness that contains it."""

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
    """A temporary folder for this user alone, whose files are so, too.

    What a process that was killed left behind is removed by the next one.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = re.fullmatch(rf"{PREFIX}(\d+)-\w+", left.name)
        with suppress(FileNotFoundError):  # its own process may remove it now
            if owner and left.stat().st_uid == os.getuid() and not _runs(int(owner[1])):
                shutil.rmtree(left, ignore_errors=True)
    mask = os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
            yield Path(folder)
    finally:
        os.umask(mask)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

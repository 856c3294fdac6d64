"""The structured reference string (SRS): which setup a circuit's keys stand on."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from zk.errors import CircuitError, sentences

# ceremony:      the public perpetual powers of tau; nobody knows its secret.
# insecure-dev:  made on this machine in seconds; whoever made it can forge any proof.
Kind = Literal["ceremony", "insecure-dev"]


def srs_path(folder: Path, kind: Kind, logrows: int) -> Path:
    """Where an SRS lives: each kind in a folder of its own, so that none overwrites the other."""
    return folder / kind / f"k{logrows}.srs"


def ensure_srs(
    folder: Path, kind: Kind, logrows: int, report: Callable[[str], None] = lambda step: None
) -> Path:
    """The SRS of exactly that size, made or fetched if it is not there yet."""
    path = srs_path(folder, kind, logrows)
    if path.is_file():
        if kind == "ceremony":
            _fetch(path, logrows)  # only compares the hash of what is there
        return path
    report("srs")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    import ezkl

    try:
        if kind == "insecure-dev":
            with sentences(f"make a dev SRS of 2**{logrows} rows"):
                ezkl.gen_srs(str(partial), logrows)
        else:
            _fetch(partial, logrows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _fetch(path: Path, logrows: int) -> None:
    """Downloads the ceremony's SRS; ezkl compares it with the hash that it has pinned."""
    import ezkl

    async def fetch() -> None:
        await ezkl.get_srs(logrows=logrows, srs_path=str(path))

    with sentences(f"fetch the ceremony's SRS of 2**{logrows} rows (is this machine online?)"):
        asyncio.run(fetch())
    if not path.is_file():
        raise CircuitError(
            f"The ceremony's SRS of 2**{logrows} rows did not match its public hash."
        )

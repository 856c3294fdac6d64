"""Runs tasks in a process beside the hub, because ezkl would block the hub's threads."""

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

from models.data import sound
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.private import private_folder
from zk.processes import process_pool
from zk.proof import Proof, answer, verify
from zk.samples import Array

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

_pool: ProcessPoolExecutor | None = None
_making = Lock()


def aside(
    task: Callable[Parameters, Answer], *arguments: Parameters.args, **more: Parameters.kwargs
) -> Answer:
    """Run a task in the process beside the hub, which starts with the first."""
    global _pool
    for last in (False, True):
        with _making:
            pool = _pool = _pool or process_pool(1)
        try:
            return pool.submit(task, *arguments, **more).result()
        except BrokenProcessPool:
            _pool = None
            if last:
                raise CircuitError(
                    "The process that runs models was killed, perhaps for lack of memory: try "
                    "again."
                ) from None
    raise AssertionError


def answer_of(folder: Path, x: Array) -> Array:
    return answer(Manifest(folder), x)


def flaw_of(folder: Path, proof: Proof) -> str | None:
    try:
        verify(Manifest(folder), proof)
    except CircuitError as error:
        return str(error)
    return None


def hear(view: Callable[[Array], Array], clip: str) -> Array:
    return view(_samples(clip))


def levels_of(clip: str) -> Array:
    """Return the levels that a model hears in a recording, from 0 for silence to 255."""
    level = sound.onset_window(_samples(clip))
    levels: Array = np.rint(255 * (1 - np.clip(level / sound.QUIET, 0, 1))).astype(np.uint8)
    return levels


def _samples(clip: str) -> Array:
    try:
        content = base64.b64decode(clip, validate=True)
    except (binascii.Error, ValueError):
        raise CircuitError("The clip is not valid base64.") from None
    with private_folder() as folder:
        path = folder / "clip"
        path.write_bytes(content)
        try:
            samples: Array = sound.read(path)
        except sound.SoundError as error:
            raise CircuitError(str(error).replace(str(path), "The clip")) from None
    return samples

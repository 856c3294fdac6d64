"""The program that tests kill. It builds or proves a tiny circuit forever, or waits in processes.

Usage: killed.py build|prove|wait FOLDER

It prints the seconds that the first build or proof took.
"""

import os
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from tests.tiny import run_in, tiny_in, write_model
from zk.manifest import Manifest
from zk.processes import answer_all
from zk.proof import prove
from zk.samples import Samples


def build_forever(folder: Path) -> None:
    numbers = np.load(folder / "samples.npy")
    samples = Samples(numbers[:8], numbers[8:])
    for number in repeatedly():
        write_model(folder / "tiny.onnx", weight=number % 7 / 7)
        run_in(folder, tiny_in(folder, samples))


def prove_forever(folder: Path) -> None:
    manifest, x = Manifest(folder / "artifacts" / "tiny"), np.load(folder / "samples.npy")[0]
    for number in repeatedly():
        prove(manifest, number, x).save(folder / "proof.json")


def repeatedly() -> Iterator[int]:
    """Count, and print the seconds that the first round of the loop takes."""
    started = time.monotonic()
    yield 0
    print(time.monotonic() - started, flush=True)
    yield from count(1)


def wait_in_processes(folder: Path) -> None:
    answer_all(wait, [folder, folder], "wait", 2)


def wait(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(3600)


if __name__ == "__main__":
    tasks = {"build": build_forever, "prove": prove_forever, "wait": wait_in_processes}
    tasks[sys.argv[1]](Path(sys.argv[2]))

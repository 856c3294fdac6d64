"""The program that tests kill. It builds or proves a tiny circuit forever, or waits or hangs.

Usage: killed.py build|prove|wait|hang FOLDER

It prints the seconds that the first build or proof took.
"""

import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from pathlib import Path

import numpy as np

from tests.tiny import run_in, tiny_in, write_model
from zk import ezkl
from zk.manifest import Manifest
from zk.processes import answer_all
from zk.proof import prove
from zk.samples import Samples
from zk.witness import witness


def build_forever(folder: Path) -> None:
    numbers = np.load(folder / "samples.npy")
    samples = Samples(numbers[:8], numbers[8:])
    for number in repeatedly():
        # A killed process leaves the old model or the new one, never half of one.
        write_model(folder / "next.onnx", number % 7 / 7).replace(folder / "tiny.onnx")
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
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(3600)


def hang_in_a_process(folder: Path) -> None:
    answer_all(hang, [folder], "hang", 1, limit=5)


def hang(folder: Path) -> None:
    built, beyond = Manifest(folder / "artifacts" / "tiny"), np.load(folder / "beyond.npy")
    files = {label: built.file(label) for label in ("compiled", "pk", "srs")}
    run = folder / "witness.json"
    witness(files["compiled"], built.layout, built.layout.widest, beyond, run)
    (folder / f"{os.getpid()}.pid").touch()
    ezkl.prove(run, files["compiled"], files["pk"], files["srs"], folder / "proof.json")


TASKS = {
    "build": build_forever,
    "prove": prove_forever,
    "wait": wait_in_processes,
    "hang": hang_in_a_process,
}

if __name__ == "__main__":
    # Other processes know the functions by this name of their module.
    import_module("tests.killed").TASKS[sys.argv[1]](Path(sys.argv[2]))

"""Work on all cores, in processes: ezkl holds Python's lock, so threads would take turns."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from threading import Thread
from typing import TypeVar

from tqdm import tqdm

from zk.errors import CircuitError
from zk.ezkl import sentences
from zk.files import ROOT

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CORES = os.cpu_count() or 1


def answer_all(
    task: Callable[[Item], Answer], items: Sequence[Item], doing: str, processes: int
) -> list[Answer]:
    """Return the answer of `task` to each item; show a progress bar if there are several.

    At most `processes` share the cores, and with fewer than two the work stays in this process.
    `task` must be a function of a module, or a `partial` of one. `doing` completes the sentence
    "ezkl could not …" on failure.
    """
    attempt = partial(_attempt, task, doing)
    bar = partial(
        tqdm, desc=doing, total=len(items), leave=False, disable=True if len(items) == 1 else None
    )
    processes = min(processes, CORES)
    if processes < 2:
        return [attempt(item) for item in bar(items)]
    with process_pool(processes) as pool:
        try:
            chunk = -(-len(items) // (processes * 16))
            return list(bar(pool.map(attempt, items, chunksize=chunk)))
        except BrokenProcessPool as error:
            raise CircuitError(
                f"ezkl could not {doing}: one of {processes} processes was killed, perhaps because "
                "memory ran out: free some, then run the command again."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool of processes that share the cores and end when this process ends."""
    add_project_to_path()
    # A forked process would lack ezkl's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        processes, context, initializer=_begin, initargs=(CORES // processes,)
    )


def add_project_to_path() -> None:
    """Let spawned processes import this project. They copy `sys.path`, where Ape removes it."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))


def _attempt(task: Callable[[Item], Answer], doing: str, item: Item) -> Answer:
    with sentences(doing):
        return task(item)


def _begin(threads: int) -> None:
    """Start a process of the pool. Its parent handles interrupts and gives it some of the cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit with the parent. Otherwise a process whose parent was killed waits for work forever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)

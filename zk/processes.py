"""Work for all cores. ezkl holds Python's lock, so threads of one process would take turns."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TypeVar

from tqdm import tqdm

from zk.errors import CircuitError
from zk.ezkl import sentences

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CORES = os.cpu_count() or 1
ROOT = str(Path(__file__).parents[1])


def answer_all(
    task: Callable[[Item], Answer], items: Sequence[Item], doing: str, processes: int
) -> list[Answer]:
    """What `task` answers to each item, with a progress bar where there is more than one.

    Not more processes than cores, and none beside this one where that is enough; they share the
    cores. `task` is a function of a module, or a `partial` of one.
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
                "the memory was used up."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def process_pool(processes: int) -> ProcessPoolExecutor:
    """Processes that share the cores, and end with this one, however it ends."""
    if ROOT not in sys.path:  # Ape takes it away again, and the processes import from there
        sys.path.append(ROOT)
    # Never a fork: ezkl's threads would be missing in it.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        processes, context, initializer=_begin, initargs=(CORES // processes,)
    )


def _attempt(task: Callable[[Item], Answer], doing: str, item: Item) -> Answer:
    with sentences(doing):
        return task(item)


def _begin(threads: int) -> None:
    """Leaves an interrupt to the parent process, and the other cores to its other children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's process would wait for work of a parent that was killed for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)

"""Work in other processes.

There it uses all cores, although ezkl holds Python's lock, so that threads would take turns; and
it can be stopped, although some calls of ezkl never end.
"""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, TypeVar

from tqdm import tqdm

from zk.errors import KilledError, TimeLimitError
from zk.ezkl import sentences
from zk.files import ROOT
from zk.private import remove_abandoned

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CORES = os.cpu_count() or 1


class Child:
    """A process that answers one order at a time, with this many threads or as many as here."""

    def __init__(self, threads: int | None) -> None:
        self.pipe, its = Pipe()
        share = {"RAYON_NUM_THREADS": str(threads)} if threads else {}
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        # A process inherits which signals are blocked: this one handles interrupts for both.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zk.child", str(its.fileno())],
                env={**os.environ, "PYTHONPATH": paths, **share},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        its.close()
        self.number, self.ends = 0, math.inf

    def order(self, number: int, task: Callable[[Item], object], item: Item, limit: float) -> None:
        self.number, self.ends = number, time.monotonic() + limit
        # The second after which it ends itself, also if this process is gone by then. 0: none.
        alarm = 0 if limit == math.inf else math.ceil(limit) + 1
        self.pipe.send((alarm, task, item))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        remove_abandoned()


_idle: dict[int | None, list[Child]] = defaultdict(list)  # by their threads


def answer_all(
    task: Callable[[Item], Answer],
    items: Sequence[Item],
    doing: str,
    processes: int,
    limit: float = math.inf,
) -> list[Answer]:
    """Return the answer of `task` to each item; show a progress bar if there are several.

    At most `processes` share the cores. With fewer than two the work stays in this process, unless
    there is a `limit`: the seconds after which a process that has not answered is killed.
    `task` must be a function of a module, or a `partial` of one. `doing` completes the sentence
    "ezkl could not …" on failure.
    """
    attempt = partial(_attempt, task, doing)
    processes = min(processes, CORES, len(items))
    found: Iterator[tuple[int, Answer]]
    if processes < 2 and limit == math.inf:
        found = ((number, attempt(item)) for number, item in enumerate(items))
    else:
        found = _answers_aside(attempt, items, doing, max(processes, 1), limit)
    if len(items) > 1:  # a bar starts a process, which complains if this one is killed
        found = tqdm(found, desc=doing, total=len(items), leave=False, disable=None)
    answers = dict(found)
    return [answers[number] for number in range(len(items))]


def _answers_aside(
    attempt: Callable[[Item], Answer], items: Sequence[Item], doing: str, count: int, limit: float
) -> Iterator[tuple[int, Answer]]:
    """Yield numbers of items and their answers, which children find."""
    waiting = list(enumerate(items))[::-1]
    threads = CORES // count if count > 1 else None
    free, busy = [_child(threads) for _ in range(count)], dict[Any, Child]()
    try:
        while waiting or busy:
            while waiting and free:
                child = free.pop()
                busy[child.pipe] = child
                child.order(waiting[-1][0], attempt, waiting.pop()[1], limit)
            slowest = min(busy.values(), key=lambda child: child.ends)
            rest = max(slowest.ends - time.monotonic(), 0)
            for pipe in (ready := wait(busy, None if rest == math.inf else rest)):
                answer, error = busy[pipe].pipe.recv()
                free.append(busy.pop(pipe))
                if error:
                    raise error
                yield free[-1].number, answer
            if not ready:
                which = f"number {slowest.number + 1} of {len(items)}" if len(items) > 1 else "it"
                raise TimeLimitError(
                    f"ezkl could not {doing}: {which} had not ended after {limit:,.0f} seconds and "
                    "was stopped, as ezkl hangs on some inputs; try again, or give another input."
                )
    except (EOFError, ConnectionError) as error:
        one = f"one of {count} processes" if count > 1 else "its process"
        raise KilledError(
            f"ezkl could not {doing}: {one} was killed, perhaps because memory ran out: free some, "
            "then run the command again."
        ) from error
    finally:
        for child in busy.values():
            child.kill()
        _idle[threads] += free


def _child(threads: int | None) -> Child:
    """Return an idle child, or a new one."""
    while idle := _idle[threads]:
        child = idle.pop()
        if child.process.poll() is None:
            return child
    return Child(threads)


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

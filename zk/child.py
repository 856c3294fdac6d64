"""The program of a process that answers orders, and may be killed. See `zk.processes`."""

import ctypes
import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

from zk.errors import CircuitError

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def answer_orders(parent: Connection) -> None:
    """Answer each order: the longest time in seconds or 0, a task and its item."""
    if sys.platform == "linux":
        # `_receive` cannot notice the parent's end while ezkl holds Python's lock.
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    orders: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_receive, args=(parent, orders), daemon=True).start()
    while True:
        content, answer, error = orders.get(), None, None
        try:
            limit, task, item = pickle.loads(content)
            # Ends the process even where compiled code hangs, and where the parent is gone.
            signal.alarm(limit)
            answer = task(item)
        except Exception as raised:
            if not isinstance(raised, CircuitError):
                raised.add_note(traceback.format_exc())  # which pickling would lose
            error = raised
        signal.alarm(0)
        parent.send((answer, error))


def _receive(parent: Connection, orders: SimpleQueue[bytes]) -> None:
    """Pass on orders until the parent ends, and this process with it."""
    try:
        while True:
            orders.put(parent.recv_bytes())
    finally:
        os._exit(1)


if __name__ == "__main__":
    answer_orders(Connection(int(sys.argv[1])))

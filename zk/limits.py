"""Refusals of circuits that this machine cannot prove, or whose verifier no chain can hold."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from zk.circuit import Shape
from zk.errors import CircuitError
from zk.ezkl import fewest_logrows
from zk.tuning.costs import CostModel
from zk.verifier import LARGEST_CODE

LARGEST_LOGROWS = 20
# The predicted size of a verifier is at most this many times the real one.
OVERESTIMATE = 1.2
# A proof takes up to this many times the memory of its proving key, and these bytes more.
MEMORY_OF_KEY, MEMORY = 2.7, 100e6
CHEAPER = "Find cheaper knobs with `ape run tune`, or make the model smaller."


@dataclass(frozen=True)
class Estimate:
    """The cost of a circuit, from its shape."""

    code: float  # bytes of the verifier
    memory: float  # bytes to prove
    seconds: float  # to make the keys, about as many as to prove

    @classmethod
    def of(cls, shape: Shape) -> "Estimate":
        cost = CostModel.load().predict(shape)
        return cls(cost.code, MEMORY_OF_KEY * cost.proving_key + MEMORY, cost.seconds)


def require_rows(name: str, rows: int) -> None:
    """Raise if a circuit has more rows than any SRS that it could use soon."""
    if fewest_logrows(rows) > LARGEST_LOGROWS:
        raise CircuitError(
            f"{name} takes {rows:,} rows, and at most 2**{LARGEST_LOGROWS} are supported. {CHEAPER}"
        )


def require_memory(name: str, estimate: Estimate) -> None:
    """Raise if this machine has too little free memory to prove."""
    if estimate.memory > (free := free_memory()):
        raise CircuitError(
            f"A proof of {name} takes about {estimate.memory / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free. {CHEAPER}"
        )


def free_memory() -> float:
    """Return the bytes that new processes can take, where the system tells."""
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return 1024 * int(found[1]) if found else math.inf


def require_small_code(name: str, size: float) -> None:
    """Raise if a verifier of this size cannot be deployed."""
    if size > LARGEST_CODE:
        raise CircuitError(
            f"The verifier of {name} has about {size:,.0f} bytes, and a contract has at most "
            f"{LARGEST_CODE:,}. {CHEAPER}"
        )

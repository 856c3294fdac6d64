"""Guards that stop a proof from being used twice."""

from collections.abc import Iterator
from enum import Enum

from zk.audit.bound import Behaviour
from zk.audit.execution import Write
from zk.audit.values import EQUALITY, ORDER, Value, is_argument, overlap


class Guard(Enum):
    """The value by which a guard recognises a used proof."""

    STATEMENT = "the proved statement"
    PROOF = "the bytes of the proof"


def guards_of(behaviour: Behaviour) -> set[Guard]:
    """The guards of a function: what it writes, and requires or proves not to be written yet."""
    found = {guard for write in behaviour.trace.writes for guard in _guards(behaviour, write)}
    for call in behaviour.calls:
        changing = call.call.function.get("stateMutability") in ("nonpayable", "payable")
        if changing and call.call.name.startswith("validate"):
            found.add(Guard.STATEMENT)  # Semaphore records nullifiers itself
    return found


def _guards(behaviour: Behaviour, write: Write) -> Iterator[Guard]:
    required = [
        place
        for condition in behaviour.trace.conditions
        for place in condition.value.read
        if overlap(place.place, write.place.place)
    ]
    proved = any(
        overlap(place.place, write.place.place)
        for call in behaviour.calls
        for value in call.instances
        for place in value.read
    )
    if proved:
        yield Guard.STATEMENT
    if not required:
        return
    if not write.place.keys:
        if _grows(behaviour, write) or _happens_once(behaviour, write):
            yield Guard.STATEMENT
        return
    if _spends(write) and not _grows(behaviour, write):
        return
    keys = write.place.keys
    if any(overlap(p, proof) for k in keys for p in k.sources for proof in behaviour.proofs):
        yield Guard.PROOF
    elif _recognises(behaviour, write):
        yield Guard.STATEMENT


def _recognises(behaviour: Behaviour, write: Write) -> bool:
    """Return whether a key names the statement, or the account that profits from it."""
    for key in write.place.keys:
        proved = behaviour.is_bound(key) and any(map(is_argument, key.sources))
        if proved or behaviour.is_account(key):
            return not behaviour.is_balance(write.place, key)
    return False


def _grows(behaviour: Behaviour, write: Write) -> bool:
    """Return whether a bound value must exceed or equal the written number, which then changes."""
    for comparison in behaviour.comparisons:
        sides = comparison.value.parts
        for one, other in (sides, sides[::-1]):
            if not any(overlap(p.place, write.place.place) for p in one.read):
                continue
            if not behaviour.is_bound_argument(other):
                continue
            if comparison.value.name in EQUALITY or (
                comparison.value.name in ORDER and not _depends_on_itself(write)
            ):
                return True
    return False


def _happens_once(behaviour: Behaviour, write: Write) -> bool:
    """Return whether a flag is written once and never set back."""
    writes = [w for w in behaviour.trace.writes if w.place.place == write.place.place]
    return len(writes) == 1 and not _depends_on_itself(write)


def _depends_on_itself(write: Write) -> bool:
    return any(overlap(p.place, write.place.place) for p in write.value.read)


def _spends(write: Write) -> bool:
    """Return whether a written amount is what it was, plus or minus another that is no constant."""
    return _depends_on_itself(write) and not any(
        term.kind == "operation" and term.parts[-1].kind == "constant" for term in _top(write.value)
    )


def _top(value: Value) -> Iterator[Value]:
    yield value
    if value.kind in ("either", "choice", "conversion"):
        for part in value.parts:
            yield from _top(part)

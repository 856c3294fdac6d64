"""The audit finds each instruction that an execution can reach, and takes no data for one."""

import pytest

from zk.audit import reach
from zk.audit.code import selectors, strange

PLACE = 0x500  # of the data
TRAP = bytes.fromhex("5b33ff")  # JUMPDEST CALLER SELFDESTRUCT
SELECTOR = bytes.fromhex("6301020304")
REACHING = {
    "a jump": "61050056",
    "a branch": "3661050057",
    "the return of a function": "6105006006565b56",
    "a place below another value": "610500369056",
    "a copied place": "610500368156",
    "a computed jump": "60016104ff0156",
    "a place in the memory": "61050060005260005156",
    "a masked place": "61050063ffffffff1656",
    "a branch on an immutable value": "7f" + "00" * 32 + "61050057",
    "a branch on another word than the last": "36361561000857005b61050057",
    "a full stack": "5f" * 1023 + "61050056",
    "an unknown instruction": "0c",
    "no end before it": "5b" * PLACE,
}
UNREACHED = {
    "nothing": "",
    "a place that is not used": "61050050",
    "a jump behind the end": "0061050056",
    "a stack that is too small": "5061050056",
    "a stack that is too full": "5f" * 1024 + "61050056",
    "a branch that is never taken": "5f61050057",
    "a branch that is always taken": "6001610006575b0061050056",
    "a branch on a word that was 0": "36801561000857005b61050057",
    "a loop": "365b80600157",
}
# Each block leaves the size of the calldata or, by the other branch, a 1 on the stack.
BRANCHES = "".join(f"363661{10 * i + 9:04x}575060015b" for i in range(8))


def code_of(start: str, data: bytes) -> bytes:
    return bytes.fromhex(start).ljust(PLACE, b"\0") + data


@pytest.mark.parametrize("start", REACHING.values(), ids=REACHING)
def test_data_that_is_reached(start):
    assert strange(code_of(start, TRAP)) == ["SELFDESTRUCT"]


@pytest.mark.parametrize("start", UNREACHED.values(), ids=UNREACHED)
def test_data_that_is_not_reached(start):
    code = code_of(start, TRAP + b"\x5b" + SELECTOR)
    assert strange(code) == []
    assert selectors(code) == set()
    assert selectors(SELECTOR + code) == {SELECTOR[1:]}


def test_too_many_paths(monkeypatch):
    """Where not all paths can be followed, no JUMPDEST is left out."""
    assert strange(code_of(BRANCHES, TRAP)) == []
    monkeypatch.setattr(reach, "LONGEST", 1000)
    reach.reached.cache_clear()
    assert strange(code_of(BRANCHES, TRAP)) == ["SELFDESTRUCT"]

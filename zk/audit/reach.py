"""Finds the instructions that runtime code can reach, with the addresses that they concern.

Data behind the code, such as long constants and solc's metadata, is not reached, unless a jump
leads there. All branches are followed; on their stacks, only what can be the target of a jump or
the address of a contract is known. Where a jump can lead anywhere, each JUMPDEST is reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

PUSH0, PUSH20, PUSH32, DUP1, SWAP1, LOG0 = 0x5F, 0x73, 0x7F, 0x80, 0x90, 0xA0
JUMP, JUMPI, JUMPDEST, SUB, ISZERO, AND, SHL, ADDRESS = (
    0x56,
    0x57,
    0x5B,
    0x03,
    0x15,
    0x16,
    0x1B,
    0x30,
)
ENDS = {0x00, JUMP, 0xF3, 0xFD, 0xFE, 0xFF}  # STOP, RETURN, REVERT, INVALID, SELFDESTRUCT

# The words that each instruction takes from the stack, for each row of sixteen opcodes.
TAKES = {
    0x0: "022222223322....",
    0x1: "222221222122221.",
    0x2: "2...............",
    0x3: "0100010303014031",
    0x4: "10000000010.....",
    0x5: "1122121200001230",
    0x6: "0000000000000000",
    0x7: "0000000000000000",
    0xA: "23456...........",
    0xF: "377264....6..201",
}
# Instructions that leave no word on the stack; all others leave one.
LEAVES_NONE = {0x37, 0x39, 0x3C, 0x3E, 0x50, 0x52, 0x53, 0x55, JUMP, JUMPI, JUMPDEST, 0x5D, 0x5E}
LEAVES_NONE |= {*range(LOG0, LOG0 + 5), *ENDS}
# The depths of the addresses of BALANCE, EXTCODE…, CALL, CALLCODE, DELEGATECALL and STATICCALL.
CONCERNS = {0x31: 1, 0x3B: 1, 0x3C: 1, 0x3F: 1, 0xF1: 2, 0xF2: 2, 0xF4: 2, 0xFA: 2}

SELF = -1  # the address of the contract itself
ADDRESS_BITS = 160
ADDRESSES = 1 << ADDRESS_BITS
MASK = ADDRESSES - 1
FUNCTIONS = 0xFFFFFFFF  # the mask of the positions of internal functions
KEPT = {0, 1, ADDRESS_BITS, ADDRESSES, MASK, FUNCTIONS}  # constants from which solc makes masks
DEEPEST = 1024  # words on the stack
LONGEST = 1_000_000  # instructions on all paths, and words on the stacks between their blocks

Word = int | None  # None if unknown
Stack = tuple[Word, ...]


@dataclass(frozen=True)
class Instruction:
    """An opcode, its immediate value, and the addresses that it concerns."""

    code: int
    value: int  # the value that it pushes, or 0
    addresses: frozenset[Word] = frozenset()  # one for each path

    @property
    def pushed(self) -> int:
        """The number of bytes that it pushes."""
        return _size(self.code)


@lru_cache(64)
def reached(code: bytes) -> tuple[Instruction, ...]:
    """The instructions that an execution can reach, in the order of the code."""
    try:
        found = _Paths(code).found
    except _AnywhereError:
        return tuple(_after_each_jumpdest(code))
    return tuple(
        Instruction(code[place], _pushed(code, place), frozenset(addresses))
        for place, addresses in sorted(found.items())
    )


class _AnywhereError(Exception):
    """A jump can lead to any JUMPDEST."""


class _Paths:
    """All paths of an execution, each as far as its stack differs from those seen before."""

    def __init__(self, code: bytes) -> None:
        self.code, self.steps = code, 0
        self.found: dict[int, set[Word]] = {}
        self.targets = {place for place in _places(code) if code[place] == JUMPDEST}
        waiting: list[tuple[int, Stack]] = [(0, ())]
        seen = set(waiting)
        while waiting:
            for after in self._follow(*waiting.pop()):
                self.steps += len(after[1])
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)

    def _follow(self, place: int, before: Stack) -> Iterator[tuple[int, Stack]]:
        """Go to the next jump, or to the next JUMPDEST; yield what can follow."""
        stack, start, done = list(before), place, list[int]()
        while place < len(self.code):
            operation = self.code[place]
            if operation == JUMPDEST and place != start:
                yield place, tuple(stack)
                return
            self.steps += 1
            takes = _takes(operation)
            if self.steps > LONGEST:
                raise _AnywhereError
            addresses = self.found.setdefault(place, set())
            if takes > len(stack) or len(stack) > DEEPEST:
                return  # the EVM stops
            if operation in CONCERNS:
                addresses.add(stack[-CONCERNS[operation]])
            if operation in (JUMP, JUMPI):
                yield from self._jump(operation, stack, done)
                if operation == JUMPI and stack[-2] == 1:
                    return  # it always jumps
            self._step(place, operation, takes, stack)
            if operation in ENDS:
                return
            done.append(operation)
            place += 1 + _size(operation)

    def _jump(
        self, operation: int, stack: list[Word], done: list[int]
    ) -> Iterator[tuple[int, Stack]]:
        """Yield where a jump leads, after the instructions `done`."""
        target, after = stack[-1], stack[: -1 if operation == JUMP else -2]
        if operation == JUMPI and stack[-2] == 0:
            return
        if target is None:
            raise _AnywhereError
        if operation == JUMPI and done[-3:-1] == [DUP1, ISZERO] and PUSH0 <= done[-1] <= PUSH32:
            after[-1] = 0  # it jumps if a word is 0, of which this is the copy
        if target in self.targets:
            yield target, tuple(after)

    def _step(self, place: int, operation: int, takes: int, stack: list[Word]) -> None:
        if DUP1 <= operation < SWAP1:
            stack.append(stack[-takes])
        elif SWAP1 <= operation < LOG0:
            stack[-1], stack[-takes] = stack[-takes], stack[-1]
        else:
            taken = [stack.pop() for _ in range(takes)]
            if operation not in LEAVES_NONE:
                stack.append(self._result(place, operation, taken))

    def _result(self, place: int, operation: int, taken: list[Word]) -> Word:
        if operation == ADDRESS:
            return SELF
        if PUSH0 <= operation <= PUSH32:
            value = _pushed(self.code, place)
            if operation >= PUSH20:
                return value if 0 < value <= MASK else None  # solc writes 0 for an immutable value
            return value if value in KEPT or value in self.targets else None
        if (operation, taken) == (SHL, [ADDRESS_BITS, 1]):
            return ADDRESSES
        if (operation, taken) == (SUB, [ADDRESSES, 1]):
            return MASK
        if operation == ISZERO and taken[0] in (0, 1):
            return 1 - taken[0]
        if operation == AND:
            return _masked(*taken) or _masked(*taken[::-1])
        return None


def _masked(word: Word, mask: Word) -> Word:
    """Return a word that a mask does not change, or else None."""
    if word == SELF:
        return SELF if mask == MASK else None
    fits = mask in (MASK, FUNCTIONS) and word is not None and word <= mask
    return word if fits else None


def _after_each_jumpdest(code: bytes) -> Iterator[Instruction]:
    reachable = True
    for place in _places(code):
        operation = code[place]
        reachable = reachable or operation == JUMPDEST
        if reachable:
            anyone = frozenset[Word]([None] if operation in CONCERNS else [])
            yield Instruction(operation, _pushed(code, place), anyone)
        reachable = reachable and operation not in ENDS


def _places(code: bytes) -> Iterator[int]:
    """The positions of the instructions, as the EVM counts them."""
    place = 0
    while place < len(code):
        yield place
        place += 1 + _size(code[place])


def _size(operation: int) -> int:
    return operation - PUSH0 if PUSH0 <= operation <= PUSH32 else 0


def _pushed(code: bytes, place: int) -> int:
    size = _size(code[place])
    return int.from_bytes(code[place + 1 : place + 1 + size].ljust(size, b"\0"))


def _takes(operation: int) -> int:
    """The words of the stack that an instruction needs."""
    if DUP1 <= operation < SWAP1:
        return operation - DUP1 + 1
    if SWAP1 <= operation < LOG0:
        return operation - SWAP1 + 2
    row = TAKES.get(operation >> 4, "." * 16)
    if (digit := row[operation & 15]) == ".":
        raise _AnywhereError  # a newer instruction than those known here
    return int(digit)

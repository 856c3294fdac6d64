"""Runs a contract's code in an isolated EVM and records its reads, comparisons, hashes and calls.

The precompiled contracts of the curve can give fixed answers. With a pairing that always holds, a
verifier accepts every well-formed proof, which shows each of its other checks separately.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from eth_typing import Address, BlockNumber, Hash32

from zk.audit.code import libraries_of
from zk.audit.curve import Point1, Point2, in_g2, real_first
from zk.errors import CircuitError
from zk.groth16.curve import pairing_holds, point_of, to_bytes

ADD, MULTIPLY, PAIRING = 6, 7, 8  # the addresses of the curve's precompiled contracts
TRUE, FALSE, BASE = (1).to_bytes(32), bytes(32), (1).to_bytes(32) + (2).to_bytes(32)
Answers = dict[int, bytes]  # the fixed answers of precompiled contracts, by address
Site = tuple[int, int]  # the address of a library, or 0, and a position in its code

# Every sum and product is the base point, for speed, and the pairing always holds.
PERMISSIVE: Answers = {ADD: BASE, MULTIPLY: BASE, PAIRING: TRUE}

PAIR = 192  # bytes of a point of each group
CONTRACT, CALLER = Address(b"\x11" * 20), Address(b"\x22" * 20)
GAS = 50_000_000

Code = Callable[..., Any]  # an instruction or a precompiled contract of py-evm


@dataclass
class Run:
    """The output of a call, and a record of its execution."""

    output: bytes | None = None  # None if it reverted
    reads: set[int] = field(default_factory=set)  # offsets of words read from the calldata
    equal: set[tuple[int, int]] = field(default_factory=set)  # pairs compared by EQ
    below: set[tuple[int, int]] = field(default_factory=set)  # pairs compared as first < second
    hashed: list[bytes] = field(default_factory=list)
    calls: list[tuple[int, bytes]] = field(default_factory=list)  # addresses and calldata
    sites: set[Site] = field(default_factory=set)  # of the calls of precompiled contracts

    @property
    def accepted(self) -> bool:
        """It returned true, or nothing, as verifiers do that revert for an invalid proof."""
        return self.output is not None and (
            not self.output or int.from_bytes(self.output[:32]) == 1
        )

    def asked(self, address: int) -> list[bytes]:
        """The calldata of each call of a contract."""
        return [data for called, data in self.calls if called == address]

    @property
    def pairings(self) -> list[list[tuple[Point1, Point2]]]:
        """The pairs of points in each pairing."""
        return [
            [
                ((x, y), (a, b, c, d))
                for x, y, a, b, c, d in zip(*(words(data)[i::6] for i in range(6)), strict=False)
            ]
            for data in self.asked(PAIRING)
        ]

    @property
    def computed_with(self) -> list[Point1]:
        """The points that were added or multiplied."""
        return [
            point
            for address, count in ((MULTIPLY, 1), (ADD, 2))
            for data in self.asked(address)
            for point in zip(words(data)[0 : 2 * count : 2], words(data)[1::2], strict=False)
        ]


def run(
    code: bytes,
    calldata: bytes,
    answers: Answers | None = None,
    *,
    failing: Site | None = None,
    stored: bool = False,
) -> Run:
    """Call the code on a chain that has nothing else but its libraries.

    Calls from the site `failing` fail. `stored` puts 1 into the whole storage.
    """
    from eth.constants import BLANK_ROOT_HASH
    from eth.db.atomic import AtomicDB
    from eth.vm.execution_context import ExecutionContext
    from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
    from eth.vm.forks.prague.state import PragueState
    from eth.vm.message import Message

    seen = Run()
    block = ExecutionContext(CALLER, 1, BlockNumber(1), 0, Hash32(bytes(32)), GAS, [], 1, 0, 0)
    state = PragueState(AtomicDB(), block, BLANK_ROOT_HASH)
    state.set_code(CONTRACT, code)
    for address, library in libraries_of(code).items():
        state.set_code(Address(address.to_bytes(20)), library)
    message = Message(GAS, CONTRACT, CALLER, 0, calldata, code)
    context = CancunTransactionContext(0, CALLER)
    machine = _machine(_Recorder(seen, answers or {}, failing, libraries_of(code)), stored)
    ended = machine.apply_message(state, message, context)
    if ended.is_success:
        seen.output = bytes(ended.output)
    return seen


@dataclass
class _Recorder:
    """Wrap instructions and precompiled contracts to record their arguments in a `Run`."""

    seen: Run
    answers: Answers
    failing: Site | None
    libraries: Collection[int]
    site: Site = (0, 0)  # of the last call

    def instruction(self, original: Code, note: Callable[..., None], operands: int) -> Code:
        def recorded(computation: Any) -> None:
            stack = computation._stack.values
            if len(stack) >= operands:  # or else the instruction ends the call
                note(computation, *map(_number, stack[: -operands - 1 : -1]))
            original(computation=computation)

        return recorded

    def precompiled(self, address: int, original: Code) -> Code:
        from eth.exceptions import Revert

        def recorded(computation: Any) -> Any:
            data = bytes(computation.msg.data)
            self.seen.calls.append((address, data))
            self.seen.sites.add(self.site)
            if self.site == self.failing:
                raise Revert("made to fail")  # keeps the gas: a site may be in a loop
            if address in self.answers:
                computation.output = self.answers[address]
            elif address in (ADD, MULTIPLY, PAIRING):
                computation.output = _computed(address, data)
            else:
                return original(computation)
            return computation

        return recorded

    def hash(self, computation: Any, start: int, size: int) -> None:
        self.seen.hashed.append(bytes(computation.memory_read_bytes(start, size)))

    def call(self, computation: Any, _gas: int, address: int) -> None:
        caller = int.from_bytes(computation.msg.code_address)
        library = caller if caller in self.libraries else 0
        self.site = library, computation.code.program_counter
        called = address % 2**160
        if called.to_bytes(20) not in computation._precompiles and called not in self.libraries:
            self.seen.calls.append((address, b""))

    def read(self, computation: Any, offset: int) -> None:
        if not computation.msg.depth:  # a library has other calldata
            self.seen.reads.add(offset)


def _machine(recorder: _Recorder, stored: bool) -> Any:
    """An EVM by the rules of Prague that tells the recorder of each step."""
    from eth.vm import opcode_values as op
    from eth.vm.forks.prague.computation import PragueComputation

    opcodes, seen = PragueComputation.opcodes, recorder.seen
    calls = (op.CALL, op.STATICCALL, op.DELEGATECALL, op.CALLCODE)
    notes: dict[int, tuple[Callable[..., None], int]] = {  # and the number of operands they take
        op.CALLDATALOAD: (recorder.read, 1),
        op.EQ: (lambda _, left, right: seen.equal.add((left, right)), 2),
        op.LT: (lambda _, left, right: seen.below.add((left, right)), 2),
        op.GT: (lambda _, left, right: seen.below.add((right, left)), 2),
        op.SHA3: (recorder.hash, 2),
        **dict.fromkeys(calls, (recorder.call, 2)),
    }
    recorded: dict[int, Any] = {
        code: recorder.instruction(opcodes[code], *note) for code, note in notes.items()
    }
    if stored:
        recorded |= {code: _pushing_one(opcodes[code]) for code in (op.SLOAD, op.TLOAD)}
    contracts = {
        address: recorder.precompiled(int.from_bytes(address), original)
        for address, original in PragueComputation._precompiles.items()
    }
    return type(
        "Machine", (PragueComputation,), {"opcodes": opcodes | recorded, "_precompiles": contracts}
    )


def _pushing_one(original: Code) -> Code:
    def replaced(computation: Any) -> None:
        original(computation=computation)
        computation.stack_pop1_any()
        computation.stack_push_int(1)

    return replaced


def _computed(address: int, data: bytes) -> bytes:
    """Answer as a precompiled contract of the curve; py-evm takes ten times as long."""
    from eth.exceptions import VMError

    try:
        if address == PAIRING:
            return TRUE if pairing_holds(_pairs(data)) else FALSE
        numbers = words(data[:128].ljust(128, b"\0"))
        point = point_of(numbers[:2])
        if address == ADD:
            return to_bytes([point + point_of(numbers[2:])])
        return to_bytes([point * numbers[2]])
    except CircuitError as error:
        raise VMError(str(error)) from None


def _pairs(data: bytes) -> list[tuple[Any, Any]]:
    if len(data) % PAIR:
        raise CircuitError(f"{len(data)} bytes are no pairs of points.")
    found = []
    for place in range(0, len(data), PAIR):
        x, y, a, b, c, d = words(data[place : place + PAIR])
        second = (a, b, c, d)
        if any(second) and not in_g2(second):
            raise CircuitError(f"{second} are those of a point outside the group.")
        found.append((point_of((x, y)), point_of(real_first(second))))
    return found


def _number(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value)


def words(data: bytes) -> list[int]:
    """The whole words of calldata."""
    return [int.from_bytes(data[place : place + 32]) for place in range(0, len(data) - 31, 32)]

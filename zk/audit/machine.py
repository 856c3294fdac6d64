"""Runs a contract's code in a machine of its own, and notes what the code looks at.

The curve's precompiled contracts can answer otherwise, so that the checks around them show: with a
pairing that always holds, a verifier accepts every proof that is formed as it should be.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from eth_typing import Address, BlockNumber, Hash32

ADD, MULTIPLY, PAIRING = 6, 7, 8  # the addresses of the curve's contracts
TRUE, FALSE, BASE = (1).to_bytes(32), bytes(32), (1).to_bytes(32) + (2).to_bytes(32)
Answers = dict[int, bytes]  # what such a contract answers, whatever it is asked

# Every sum and product is the base point, for speed, and the pairing always holds.
PERMISSIVE: Answers = {ADD: BASE, MULTIPLY: BASE, PAIRING: TRUE}

CONTRACT, CALLER = Address(b"\x11" * 20), Address(b"\x22" * 20)
GAS = 50_000_000


@dataclass
class Run:
    """What a call did: how it ended, and what it looked at on the way."""

    output: bytes | None = None  # none if it reverted
    reads: set[int] = field(default_factory=set)  # where it read words of the calldata
    equal: set[tuple[int, int]] = field(default_factory=set)  # what was compared
    below: set[tuple[int, int]] = field(default_factory=set)  # the first with the second
    hashed: list[bytes] = field(default_factory=list)
    calls: list[tuple[int, bytes]] = field(default_factory=list)  # whom, with what
    sites: set[int] = field(
        default_factory=set
    )  # where in the code precompiled contracts are called

    @property
    def accepted(self) -> bool:
        return self.output is not None and int.from_bytes(self.output[:32]) == 1

    def asked(self, address: int) -> list[bytes]:
        """What a contract was called with."""
        return [data for called, data in self.calls if called == address]


def run(
    code: bytes, calldata: bytes, answers: Answers | None = None, failing: int | None = None
) -> Run:
    """Calls the code on a chain that has nothing else; calls from the `failing` site fail."""
    from eth.constants import BLANK_ROOT_HASH
    from eth.db.atomic import AtomicDB
    from eth.vm.execution_context import ExecutionContext
    from eth.vm.forks.prague.state import PragueState
    from eth.vm.message import Message
    from eth.vm.transaction_context import BaseTransactionContext

    seen = Run()
    block = ExecutionContext(CALLER, 1, BlockNumber(1), 0, Hash32(bytes(32)), GAS, [], 1, 0, 0)
    state = PragueState(AtomicDB(), block, BLANK_ROOT_HASH)
    state.set_code(CONTRACT, code)
    message = Message(GAS, CONTRACT, CALLER, 0, calldata, code)
    context = BaseTransactionContext(0, CALLER)
    machine = _machine(seen, answers or {}, failing)
    ended = machine.apply_message(state, message, context)
    if ended.is_success:
        seen.output = bytes(ended.output)
    return seen


def _machine(seen: Run, answers: Answers, failing: int | None) -> Any:
    """The machine of the rules of Prague, which notes what it does."""
    from eth.exceptions import VMError
    from eth.vm import opcode_values as op
    from eth.vm.forks.prague.computation import PragueComputation

    def noting(code: int, note: Callable) -> Callable:
        original = PragueComputation.opcodes[code]

        def instruction(computation: Any) -> None:
            stack = computation._stack.values
            note(*(_number(value) for value in reversed(stack[-6:])), computation=computation)
            original(computation=computation)

        return instruction

    site = 0  # of the last call

    def precompiled(address: int, original: Callable) -> Callable:
        def contract(computation: Any) -> Any:
            data = bytes(computation.msg.data)
            seen.calls.append((address, data))
            seen.sites.add(site)
            if site == failing:
                raise VMError("as asked for")
            if address not in answers:
                return original(computation)
            computation.output = answers[address]
            return computation

        return contract

    def hashes(start: int, size: int, *_: int, computation: Any) -> None:
        seen.hashed.append(bytes(computation.memory_read_bytes(start, size)))

    def calls(_gas: int, address: int, *_: int, computation: Any) -> None:
        nonlocal site
        site = computation.code.program_counter
        if (address % 2**160).to_bytes(20) not in PragueComputation._precompiles:
            seen.calls.append((address, b""))

    notes = {
        op.CALLDATALOAD: lambda offset, *_, computation: seen.reads.add(offset),
        op.EQ: lambda a, b, *_, computation: seen.equal.add((a, b)),
        op.LT: lambda a, b, *_, computation: seen.below.add((a, b)),
        op.GT: lambda a, b, *_, computation: seen.below.add((b, a)),
        op.SHA3: hashes,
        **dict.fromkeys((op.CALL, op.STATICCALL, op.DELEGATECALL, op.CALLCODE), calls),
    }
    instructions: dict[int, Any] = {code: noting(code, note) for code, note in notes.items()}
    contracts = {
        address: precompiled(int.from_bytes(address), original)
        for address, original in PragueComputation._precompiles.items()
    }
    return type(
        "Machine",
        (PragueComputation,),
        {"opcodes": PragueComputation.opcodes | instructions, "_precompiles": contracts},
    )


def _number(value: int | bytes) -> int:
    return value if isinstance(value, int) else int.from_bytes(value)

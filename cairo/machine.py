"""A virtual machine for compiled Cairo programs (CASM).

It runs a program and counts its steps. It proves nothing: no trace is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_utils import keccak

from cairo.arithmetic import ONE, Integers
from zk.errors import CircuitError

PRIME = 2**251 + 17 * 2**192 + 1
GAS = 10**14  # at the start
# A segment is a part of the memory that grows on its own. Its addresses are numbers, of which the
# program knows nothing but their differences.
DISTANCE = 2**64
RETURN = 0x208B7FFF7FFF7FFE  # the instruction `ret`, after the program
COSTS = 20  # entries in the table of prices of builtins, which this machine has for free
RANGE = 2**128
REPORTED = 50_000  # steps between two reports

Hint = dict[str, Any]
Report = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """The outcome of a run."""

    output: list[int]
    steps: int
    gas: int


@dataclass(frozen=True)
class Inference:
    """The output of a model: FP16x16 numbers, and what they stand for."""

    integers: list[int]
    numbers: list[float]
    steps: int
    gas: int


@dataclass(frozen=True)
class Instruction:
    """The fields of an instruction word, as the Cairo white paper names them."""

    dst: int
    op0: int
    op1: int
    dst_fp: bool
    op0_fp: bool
    source: int  # of op1: 0 the cell at op0, 1 the next word, 2 fp, 4 ap
    logic: int  # of the result: 0 op1, 1 a sum, 2 a product
    jump: int  # 0 none, 1 to, 2 by, 4 by if dst is not 0
    grow: int  # of ap: 0 none, 1 by the result, 2 by one
    opcode: int  # 0 none, 1 call, 2 ret, 4 assert

    @classmethod
    def of(cls, word: int) -> "Instruction":
        dst, op0, op1 = ((word >> shift & 0xFFFF) - 0x8000 for shift in (0, 16, 32))
        flags = word >> 48
        fields = (flags >> 2 & 7, flags >> 5 & 3, flags >> 7 & 7, flags >> 10 & 3, flags >> 12 & 7)
        return cls(dst, op0, op1, bool(flags & 1), bool(flags & 2), *fields)

    @property
    def size(self) -> int:
        return 2 if self.source == 1 else 1


class Machine:
    """The memory and the registers of a run."""

    def __init__(self, program: dict[str, Any]) -> None:
        self.memory: dict[int, int] = {}
        self.segments = 0
        self.start = self.segment()
        code = [int(word, 16) for word in program["bytecode"]]
        prices = self.segment()
        self.memory |= dict(enumerate([*code, RETURN, prices], self.start))
        self.memory |= dict.fromkeys(range(prices, prices + COSTS), 0)
        self.hints: dict[int, list[Hint]] = {
            self.start + place: hints for place, hints in program["hints"]
        }
        self.entries = {
            int(entry["selector"], 16): entry
            for entry in program["entry_points_by_type"]["EXTERNAL"]
        }
        self.decoded: dict[int, Instruction] = {}
        self.pc = self.ap = self.fp = self.steps = 0

    def segment(self) -> int:
        self.segments += 1
        return self.segments * DISTANCE

    def infer(self, x: Integers | None, report: Report = lambda steps: None) -> Inference:
        """Run the model on FP16x16 numbers, or on the input in the project.

        `report` gets the number of steps again and again.
        """
        arguments = [] if x is None else [x.size, *(int(value) % PRIME for value in x.flat)]
        run = self.run("main" if x is None else "infer", arguments, report)
        _, *values = (value - PRIME if value > PRIME // 2 else value for value in run.output)
        return Inference(values, [value / ONE for value in values], run.steps, run.gas)

    def run(self, function: str, arguments: list[int], report: Report = lambda steps: None) -> Run:
        """Call a function of the contract; raise if it ends with an error."""
        entry = self.entries.get(int.from_bytes(keccak(text=function)) % 2**250)
        if entry is None:
            raise CircuitError(
                "The project has no input: give --input, or transpile the model with --input."
            )
        if entry["builtins"] != ["range_check"]:
            raise CircuitError(f"The program needs the builtins {', '.join(entry['builtins'])}.")
        checks, system, data, stop = (self.segment() for _ in range(4))
        self.memory |= dict(enumerate(arguments, data))
        stack = [checks, GAS, system, data, data + len(arguments), stop, stop]
        self.ap = self.segment()
        for value in stack:
            self.memory[self.ap] = value
            self.ap += 1
        self.fp, self.pc = self.ap, self.start + entry["offset"]
        while self.pc != stop:
            for hint in self.hints.get(self.pc, ()):
                self._give(hint)
            self._step()
            if not self.steps % REPORTED:
                report(self.steps)
        end, gas, _, failed, first, last = (self.memory[self.ap - back] for back in range(6, 0, -1))
        if not all(0 <= self.memory[cell] < RANGE for cell in range(checks, end)):
            raise CircuitError("The program took a number for smaller than 2**128 that is not.")
        output = [self.memory[cell] for cell in range(first, last)]
        if failed:
            raise CircuitError(f"The Cairo program ended with an error: {_text(output)}.")
        return Run(output, self.steps, GAS - gas)

    def _step(self) -> None:
        memory, here = self.memory, self.pc
        given = self.decoded.get(here)
        if given is None:
            given = self.decoded[here] = Instruction.of(memory[here])
        self.steps += 1
        dst = (self.fp if given.dst_fp else self.ap) + given.dst
        op0 = (self.fp if given.op0_fp else self.ap) + given.op0
        source = given.source
        base = here if source == 1 else self.fp if source == 2 else self.ap
        op1 = (base if source else memory[op0]) + given.op1
        if given.opcode == 4:
            self._assert(given.logic, dst, op0, op1)
            self.pc = here + given.size
        elif given.opcode == 2:
            self.pc, self.fp = memory[self.fp - 1], memory[self.fp - 2]
            return
        else:
            self._jump(given, dst, op0, op1)
        if given.grow == 2:
            self.ap += 1

    def _jump(self, given: Instruction, dst: int, op0: int, op1: int) -> None:
        memory, after = self.memory, self.pc + given.size
        if given.opcode == 1:
            memory[self.ap], memory[self.ap + 1] = self.fp, after
        if given.logic == 0:
            result = memory.get(op1, 0)
        elif given.logic == 1:
            result = memory[op0] + memory[op1]
        else:
            result = memory[op0] * memory[op1]
        if given.jump == 1:
            after = result
        elif given.jump == 2:
            after = self.pc + result
        elif given.jump == 4 and memory[dst]:
            after = self.pc + memory[op1]
        self.pc = after % PRIME
        if given.opcode == 1:
            self.ap += 2
            self.fp = self.ap
        elif given.grow == 1:
            self.ap = (self.ap + result) % PRIME

    def _assert(self, logic: int, dst: int, op0: int, op1: int) -> None:
        """Require an equation; fill in the one cell of it that is not known yet."""
        memory = self.memory
        left, one, other = memory.get(dst), memory.get(op0), memory.get(op1)
        if logic == 0:
            if left is None:
                left = memory[dst] = _given(other)
            elif other is None:
                other = memory[op1] = left
            holds = left == other
        elif logic == 1:
            if left is None:
                left = memory[dst] = (_given(one) + _given(other)) % PRIME
            elif other is None:
                other = memory[op1] = (left - _given(one)) % PRIME
            elif one is None:
                one = memory[op0] = (left - other) % PRIME
            holds = left == (_given(one) + _given(other)) % PRIME
        else:
            if left is None:
                left = memory[dst] = _given(one) * _given(other) % PRIME
            elif other is None:
                other = memory[op1] = left * pow(_given(one), -1, PRIME) % PRIME
            elif one is None:
                one = memory[op0] = left * pow(other, -1, PRIME) % PRIME
            holds = left == _given(one) * _given(other) % PRIME
        if not holds:
            raise CircuitError(
                f"The Cairo program is wrong: a check fails at {self.pc - self.start}."
            )

    def _give(self, hint: Hint) -> None:
        """Put what a hint computes into memory; the program itself checks it."""
        ((name, given),) = hint.items()
        if name == "AllocSegment":
            self.memory[self._cell(given["dst"])] = self.segment()
            return
        if name not in ("TestLessThan", "TestLessThanOrEqual", "DivMod"):
            raise CircuitError(f"The program needs the hint {name}, which this machine lacks.")
        one, other = self._value(given["lhs"]), self._value(given["rhs"])
        if name == "DivMod":
            cells = (self._cell(given["quotient"]), self._cell(given["remainder"]))
            self.memory |= dict(zip(cells, divmod(one, other), strict=True))
        else:
            less = one < other if name == "TestLessThan" else one <= other
            self.memory[self._cell(given["dst"])] = int(less)

    def _cell(self, cell: dict[str, Any]) -> int:
        return (self.ap if cell["register"] == "AP" else self.fp) + int(cell["offset"])

    def _value(self, operand: Hint) -> int:
        ((kind, given),) = operand.items()
        if kind == "Immediate":
            return int(given, 16)
        if kind == "Deref":
            return self.memory[self._cell(given)]
        if kind == "DoubleDeref":
            return self.memory[self.memory[self._cell(given[0])] + int(given[1])]
        one, other = self.memory[self._cell(given["a"])], self._value(given["b"])
        return (one + other if given["op"] == "Add" else one * other) % PRIME


def _given(value: int | None) -> int:
    if value is None:
        raise CircuitError("The Cairo program is wrong: it reads a cell that nothing has set.")
    return value


def _text(output: list[int]) -> str:
    """Return the short texts that a failed program gives."""
    return " ".join(_letters(value) for value in output) or "no reason"


def _letters(value: int) -> str:
    return value.to_bytes(32).lstrip(b"\0").decode("ascii", "replace")

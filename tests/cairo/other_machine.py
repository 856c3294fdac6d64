"""Runs a compiled Cairo program in StarkWare's own machine, with the hints of their compiler.

The test starts it as a separate program: it reads a run as JSON, and writes how the run ended.
It uses no module of this project, and copies nothing of StarkWare's package.
"""

import hashlib
import json
import sys
from types import SimpleNamespace
from typing import Any

from starkware.cairo.lang.builtins.range_check.range_check_builtin_runner import (
    RangeCheckBuiltinRunner,
)
from starkware.cairo.lang.compiler.identifier_manager import IdentifierManager
from starkware.cairo.lang.compiler.preprocessor.flow import FlowTrackingDataActual, ReferenceManager
from starkware.cairo.lang.compiler.preprocessor.reg_tracking import RegTrackingData
from starkware.cairo.lang.compiler.program import CairoHint, Program
from starkware.cairo.lang.compiler.scoped_name import ScopedName
from starkware.cairo.lang.vm.memory_dict import MemoryDict
from starkware.cairo.lang.vm.memory_segments import MemorySegmentManager
from starkware.cairo.lang.vm.vm_core import RunContext, VirtualMachine

RETURN = 0x208B7FFF7FFF7FFE  # what follows the program: `ret`, and the prices of builtins


def program_of(compiled: dict[str, Any]) -> Program:
    tracking = FlowTrackingDataActual(RegTrackingData(0, 0))
    return Program(
        prime=int(compiled["prime"], 16),
        data=[int(word, 16) for word in compiled["bytecode"]],
        builtins=["range_check"],
        hints={
            place: [CairoHint(code, [], tracking) for code in codes]
            for place, codes in compiled["pythonic_hints"]
        },
        compiler_version=None,
        main_scope=ScopedName(),
        identifiers=IdentifierManager(),
        reference_manager=ReferenceManager(),
    )


def run(program: Program, place: int, data: list[int], gas: int, prices: int) -> dict[str, Any]:
    """Call the function at a place of the program."""
    memory = MemoryDict()
    segments = MemorySegmentManager(memory, program.prime)
    # In the order of this project's machine, so that addresses can be compared.
    start, costs = segments.add(), segments.add()
    checks = RangeCheckBuiltinRunner(True, ratio=1, inner_rc_bound=2**16, n_parts=8)
    checks.initialize_segments(SimpleNamespace(segments=segments))
    system, first, stop, stack = (segments.add() for _ in range(4))
    segments.load_data(start, [*program.data, RETURN, costs])
    segments.load_data(costs, [0] * prices)
    last = segments.load_data(first, data)
    top = segments.load_data(stack, [checks.base, gas, system, first, last, stop, stop])
    machine = VirtualMachine(
        program,
        RunContext(memory, start + place, top, top, program.prime),
        hint_locals={},
        static_locals={"segments": segments},
        program_base=start,
    )
    checks.add_validation_rules(SimpleNamespace(vm=machine))
    while machine.run_context.pc != stop:
        machine.step()
    machine.end_run()
    _, left, _, failed, begin, end = memory.get_range(machine.run_context.ap - 6, 6)
    return {
        "output": memory.get_range(begin, end - begin),
        "failed": failed,
        "steps": machine.current_step,
        "gas": gas - left,
        "cells": len(memory),
        "memory": digest(memory),
    }


def digest(memory: MemoryDict) -> str:
    """Hash all cells; an address is written as in this project, 2**64 times its segment."""
    cells = sorted((plain(address), plain(value)) for address, value in memory.items())
    return hashlib.sha256(repr(cells).encode()).hexdigest()


def plain(value: Any) -> int:
    return value if isinstance(value, int) else (value.segment_index + 1) * 2**64 + value.offset


if __name__ == "__main__":
    given = json.load(sys.stdin)
    (entry,) = given["program"]["entry_points_by_type"]["EXTERNAL"]
    program = program_of(given["program"])
    json.dump(
        run(program, entry["offset"], given["data"], given["gas"], given["prices"]), sys.stdout
    )

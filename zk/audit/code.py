"""Static analysis of runtime bytecode."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zk.verifier import METADATA

PUSH0, PUSH32, JUMPDEST = 0x5F, 0x7F, 0x5B
ENDS = {0x00, 0x56, 0xF3, 0xFD, 0xFE, 0xFF}  # STOP, JUMP, RETURN, REVERT, INVALID, SELFDESTRUCT

# Instructions that no verifier needs.
STRANGE = {
    0x31: "BALANCE",
    0x3B: "EXTCODESIZE",
    0x3C: "EXTCODECOPY",
    0x54: "SLOAD",
    0x55: "SSTORE",
    0x5C: "TLOAD",
    0x5D: "TSTORE",
    0xF0: "CREATE",
    0xF1: "CALL",
    0xF2: "CALLCODE",
    0xF4: "DELEGATECALL",
    0xF5: "CREATE2",
    0xFF: "SELFDESTRUCT",
}


# Minimal proxies (EIP-1167, and Solady's), which call the code at one address for ever.
PROXIES = (
    rb"\x36\x3d\x3d\x37\x3d\x3d\x3d\x36\x3d[\x60-\x73](.{1,20})\x5a\xf4\x3d\x82\x80\x3e\x90\x3d\x91\x60.\x57\xfd\x5b\xf3",
    rb"\x3d\x3d\x3d\x3d\x36\x3d\x3d\x37\x36\x3d[\x60-\x73](.{1,20})\x5a\xf4\x3d\x3d\x93\x80\x3e\x60.\x57\xfd\x5b\xf3",
)
DELEGATION = bytes.fromhex("ef0100")  # an account with the code of a contract (EIP-7702)


def proxied(code: bytes) -> int | None:
    """The address whose code a minimal proxy calls."""
    for pattern in PROXIES:
        if found := re.fullmatch(pattern, code, re.DOTALL):
            return int.from_bytes(found[1])
    return None


@dataclass(frozen=True)
class Instruction:
    """An opcode and its immediate value."""

    code: int
    value: int  # the value that it pushes, or 0

    @property
    def pushed(self) -> int:
        """The number of bytes that it pushes."""
        return self.code - PUSH0 if PUSH0 <= self.code <= PUSH32 else 0


def instructions(code: bytes) -> Iterator[Instruction]:
    """The reachable instructions: those after an end and before the next JUMPDEST are data.

    solc's metadata is data too, unless the code pushes the position of a JUMPDEST in it: the
    metadata could hide instructions.
    """
    if found := METADATA.search(code):
        body = list(_reached(code[: found.start()]))
        targets = {start for start in range(found.start(), len(code)) if code[start] == JUMPDEST}
        if targets.isdisjoint(instruction.value for instruction in body if instruction.pushed):
            yield from body
            return
    yield from _reached(code)


def _reached(code: bytes) -> Iterator[Instruction]:
    position, reachable = 0, True
    while position < len(code):
        operation = code[position]
        size = operation - PUSH0 if PUSH0 < operation <= PUSH32 else 0
        reachable = reachable or operation == JUMPDEST
        if reachable:
            value = code[position + 1 : position + 1 + size]
            yield Instruction(operation, int.from_bytes(value))
        reachable = reachable and operation not in ENDS
        position += 1 + size


def selectors(code: bytes) -> set[bytes]:
    """The 4-byte constants of the code, among them the selectors of its functions."""
    return {i.value.to_bytes(4) for i in instructions(code) if i.pushed in (3, 4)}


def strange(code: bytes) -> list[str]:
    """The names of its instructions that no verifier needs."""
    return sorted({STRANGE[i.code] for i in instructions(code) if i.code in STRANGE})

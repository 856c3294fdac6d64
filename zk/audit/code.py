"""Static analysis of runtime bytecode."""

import re
from collections.abc import Callable

from zk.audit.reach import SELF, reached

EXTCODESIZE, DELEGATECALL = 0x3B, 0xF4
LINKING = {EXTCODESIZE, DELEGATECALL}  # harmless where it concerns fixed code

# Instructions that no verifier needs.
STRANGE = {
    0x31: "BALANCE",
    EXTCODESIZE: "EXTCODESIZE",
    0x3C: "EXTCODECOPY",
    0x54: "SLOAD",
    0x55: "SSTORE",
    0x5C: "TLOAD",
    0x5D: "TSTORE",
    0xF0: "CREATE",
    0xF1: "CALL",
    0xF2: "CALLCODE",
    DELEGATECALL: "DELEGATECALL",
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


class Linked(bytes):
    """Runtime code, with the code of the libraries that it calls."""

    libraries: dict[int, bytes]  # by their addresses

    def __new__(cls, code: bytes, libraries: dict[int, bytes]) -> "Linked":
        made = super().__new__(cls, code)
        made.libraries = libraries
        return made


def linked(code: bytes, code_at: Callable[[int], bytes], own: int = 0) -> Linked:
    """Add the libraries that the code at the address `own` calls, and those that they call.

    A library has its address in the code that calls it. An account with the code of a contract is
    none: its owner can exchange the code.
    """
    libraries: dict[int, bytes] = {}
    waiting = [code]
    while waiting:
        for address in _delegates(waiting.pop()) - {own, *libraries}:
            library = code_at(address)
            if library and not library.startswith(DELEGATION):
                libraries[address] = library
                waiting.append(library)
    return Linked(code, libraries)


def libraries_of(code: bytes) -> dict[int, bytes]:
    """The libraries that the code was linked with, by their addresses."""
    return code.libraries if isinstance(code, Linked) else {}


def _delegates(code: bytes) -> set[int]:
    """The addresses in the code to whose code it delegates calls."""
    found = {address for i in reached(code) if i.code == DELEGATECALL for address in i.addresses}
    return {address for address in found if address is not None} - {SELF}


def selectors(code: bytes) -> set[bytes]:
    """The 4-byte constants of the code, among them the selectors of its functions."""
    return {i.value.to_bytes(4) for i in reached(code) if i.pushed in (3, 4)}


def strange(code: bytes) -> list[str]:
    """The names of the instructions that no verifier needs, in the code and its libraries.

    A contract that calls itself asks for the size of its code, and calls of a library delegate.
    """
    libraries = libraries_of(code)
    known = {SELF, *libraries}
    return sorted(
        {
            STRANGE[i.code]
            for part in (code, *libraries.values())
            for i in reached(part)
            if i.code in STRANGE and not (i.code in LINKING and i.addresses <= known)
        }
    )

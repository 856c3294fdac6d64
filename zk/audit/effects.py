"""Effects of a function: values that it writes, pays or passes to another contract."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zk.audit.execution import Call, Write
from zk.audit.values import Value

INBOUND = ("transferFrom", "safeTransferFrom")
SENDER = "sender"


@dataclass(frozen=True)
class Effect:
    """A value that a function uses: it writes it, pays it or passes it on."""

    value: Value
    role: str  # "key", "value", "target", "contract", "amount" or "data"


def accounts_in(value: Value) -> Iterator[Value]:
    """The addresses in a term, without those that they are made of."""
    seen, waiting = set[int](), [value]
    while waiting:
        term = waiting.pop()
        if id(term) not in seen:
            seen.add(id(term))
            if is_account(term):
                yield term
            else:
                waiting += term.parts


def is_account(value: Value) -> bool:
    return value.kind == SENDER or value.type.startswith("address")


def is_amount(effect: Effect, kind: str) -> bool:
    """Return whether an effect counts even if the prover itself calls: it could send any number."""
    return effect.role in ("amount", "value") and bool(re.match(r"u?int|bytes\d", kind))


def of_write(write: Write) -> Iterator[Effect]:
    for key in write.place.keys:
        yield Effect(key, "key")
    yield Effect(write.value, "value")


def of_call(call: Call) -> Iterator[Effect]:
    passes_on = any(argument.kind == "encoded" for argument in call.arguments)
    pays = call.name in ("call", "transfer", "send") and not passes_on
    yield Effect(call.callee, "target" if pays else "contract")
    if call.ether:
        yield Effect(call.ether, "amount")
    for argument in call.arguments:
        for value in _passed(argument):
            yield Effect(value, _role(value))


def _passed(argument: Value) -> Iterator[Value]:
    """The arguments of a call, without the encoding and the name of the function."""
    if argument.kind in ("encoded", "tuple"):
        selects = argument.kind == "encoded" and argument.name != "encode"
        for part in argument.parts[selects:]:
            yield from _passed(part)
    else:
        yield argument


def _role(value: Value) -> str:
    if value.type.startswith(("address", "contract")):
        return "target"
    return "amount" if value.type.startswith(("uint", "int")) else "data"


def takes_from_sender(call: Call) -> bool:
    """Return whether the call moves tokens of the caller's own to the contract."""
    arguments = call.arguments
    encoded = arguments[0] if arguments and arguments[0].kind == "encoded" else None
    if encoded and len(encoded.parts) > 1:
        names = {term.name for term in encoded.parts[0].walk()}
        inner = encoded.parts[1]
        arguments = inner.parts if inner.kind == "tuple" else encoded.parts[1:]
    else:
        names = {call.name}
    return bool(
        (names & set(INBOUND) or any("transferFrom" in name for name in names))
        and len(arguments) > 1
        and SENDER in arguments[0].direct
        and "this" in arguments[1].direct
    )

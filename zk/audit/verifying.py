"""Finds the calls of a verifier among the calls of a function, and what they prove."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zk.audit.execution import Call, Trace
from zk.audit.syntax import Program, of_type
from zk.audit.values import Value, member

VERIFYING = re.compile(r"verif(?!ie[dr])|verifier|validateProof|checkProof", re.IGNORECASE)
SIGNATURES = re.compile(r"signature|sig\b|ecdsa|permit|merkle|multiproof", re.IGNORECASE)
PROOF = re.compile(
    r"proof|^_?(seal|p|pi|points|a|b|c|p[ABC]|pi_[abc])_?$|transcript", re.IGNORECASE
)
PUBLIC = re.compile(r"public|input|instance|signal|journal", re.IGNORECASE)
PROGRAM = re.compile(
    r"(image|program|circuit)_?(id|hash|key|vkey)|^_?p?v_?k(ey|hash)?$|verif\w*key", re.I
)

DECLARED = ("state", "immutable", "parameter")


@dataclass(frozen=True)
class VerifierCall:
    """A call of a verifier."""

    call: Call
    proofs: list[Value]
    instances: list[Value]
    programs: list[Value]  # name the circuit among several
    raw: bool  # the application does not encode the calldata


def verifier_calls(program: Program, trace: Trace) -> list[VerifierCall]:
    return [found for call in trace.calls if (found := _as_verifier_call(program, trace, call))]


def _as_verifier_call(program: Program, trace: Trace, call: Call) -> VerifierCall | None:
    if call.name in ("call", "staticcall", "delegatecall") and call.arguments:
        return _low_level(program, call, trace.arguments)
    parameters = call.function.get("parameters", {}).get("parameters", [])
    named = VERIFYING.search(call.name) and not SIGNATURES.search(call.name)
    if not (named or program.is_verifier(call.function) if call.function else named):
        return None
    names = [parameter["name"] for parameter in parameters]
    return _classified(program, call, list(call.arguments), names)


def _low_level(program: Program, call: Call, arguments: list[Value]) -> VerifierCall | None:
    """A low-level call, if its callee or its data can be a verifier's."""
    data = call.arguments[0]
    asked = _names(call.callee, VERIFYING)
    encoded = next((value for value in _choices(data) if value.kind == "encoded"), None)
    if encoded is None or encoded.name in ("encodePacked", "concat"):
        parts = encoded.parts if encoded else (data,)
        inner = [part for part in parts if part.kind == "encoded"]
        if encoded and inner and any(_names(part, VERIFYING) for part in encoded.parts[:1]):
            return _classified(program, call, list(inner[0].parts), [])
        given = [
            part for part in parts if any(p.startswith("msg.data") or "#" in p for p in part.direct)
        ]
        is_proof = call.name == "staticcall" and any(_names(part, PROOF) for part in given)
        if (asked or is_proof) and any(_from_arguments(part) for part in given):
            whole = any(term.name == "msg.data" for part in given for term in part.walk())
            return VerifierCall(call, given, given + (arguments if whole else []), [], raw=True)
        return None
    function = encoded.parts[0] if encoded.parts else Value("name")
    given = list(encoded.parts[1:])
    if encoded.name == "encodeCall" and given and given[0].kind == "tuple":
        given = list(given[0].parts)
    if not _names(function, VERIFYING) and not (asked and function.kind in ("constant", "state")):
        return None
    return _classified(program, call, given, [])


def _choices(value: Value) -> Iterator[Value]:
    """The values that one can be."""
    if value.kind in ("either", "choice", "conversion"):
        for part in value.parts:
            yield from _choices(part)
    else:
        yield value


def _from_arguments(value: Value) -> bool:
    return any(term.kind == "parameter" for term in value.walk())


def _names(value: Value, pattern: re.Pattern[str]) -> bool:
    """Return whether a callee, a selector or a signature is named like this."""
    return any(
        pattern.search(term.name) or (term.kind in DECLARED and pattern.search(term.type))
        for term in value.walk()
        if term.kind in ("name", "constant", "member", *DECLARED)
    )


def _classified(
    program: Program, call: Call, arguments: list[Value], names: list[str]
) -> VerifierCall | None:
    """Tell the proof from what it proves, by the names of the parameters, or by their types."""
    given = [
        (name, part)
        for place, argument in enumerate(arguments)
        for name, part in _fields(program, names[place] if place < len(names) else "", argument)
    ]
    proofs, instances, programs = list[Value](), list[Value](), list[Value]()
    last = len(given) - 1
    for place, (name, value) in enumerate(given):
        label = name or _label(value)
        if PROGRAM.search(label):
            programs.append(value)
        elif _is_proof(label, value, place == last) and not (place == last and not instances):
            proofs.append(value)
        else:
            instances.append(value)
    looks = any(_large(value.type) or value.kind in ("encoded", "array") for _, value in given)
    if not looks:
        return None
    return VerifierCall(call, proofs, instances + programs, programs, raw=False)


def _label(value: Value) -> str:
    """The name of an argument or of a member, if a value is one."""
    return value.name if value.kind in ("member", *DECLARED) else ""


def _is_proof(label: str, value: Value, last: bool) -> bool:
    if PUBLIC.search(label):
        return False
    if PROOF.search(label) and _large(value.type):
        return True
    return value.type == "bytes" or (value.type.startswith("uint256[2]") and not last)


def _large(kind: str) -> bool:
    """Return whether a type has room for a proof."""
    return kind == "bytes" or kind.startswith("struct ") or "[" in kind


def _fields(program: Program, name: str, value: Value) -> list[tuple[str, Value]]:
    """A struct's members with their names, or the value itself."""
    if not value.type.startswith("struct "):
        return [(name, value)]
    members = program.members(value.type)
    scalars = [m for m in members if not PROOF.search(m["name"]) or not _large(of_type(m))]
    if not scalars or not any(PROOF.search(m["name"]) for m in members):
        return [(name, value)]  # the points of a proof
    return [(m["name"], member(value, m["name"], of_type(m))) for m in members]

"""Values that a proof binds, effects of the function, and checks of its caller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from zk.audit.effects import (
    SENDER,
    Effect,
    accounts_in,
    is_account,
    is_amount,
    of_call,
    of_write,
    takes_from_sender,
)
from zk.audit.execution import Call, Trace, Write
from zk.audit.syntax import Node, Program, of_type
from zk.audit.values import EQUALITY, Value, is_argument, overlap, within
from zk.audit.verifying import VerifierCall

COUNTED = re.compile(r"balance|allowance|supply", re.IGNORECASE)
MOVING = ("transfer", "transferFrom", "safeTransferFrom")


@dataclass(frozen=True)
class Comparison:
    """A comparison in a condition. The function continues if it holds, fails, or in either case."""

    value: Value
    holds: bool | None

    @property
    def operator(self) -> str:
        """Return the operator that holds where the function continues."""
        opposite = {"==": "!=", "!=": "==", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}
        return self.value.name if self.holds is not False else opposite[self.value.name]

    @property
    def ordered(self) -> list[tuple[Value, Value]]:
        """The side that must be smaller and the one that must be larger; or both ways."""
        if self.value.name in EQUALITY:
            return []
        left, right = self.value.parts
        ways = [(left, right), (right, left)]
        return ways if self.holds is None else [ways[self.operator in (">", ">=")]]


@dataclass(frozen=True)
class Surroundings:
    """The places in the storage that other functions of the contract write."""

    open: frozenset[str] = frozenset()  # anyone can write them, for nothing
    moving: frozenset[str] = frozenset()  # holders of a token can


class Behaviour:
    """An execution that calls a verifier, seen as requirements and effects."""

    def __init__(
        self, program: Program, entry: Node, trace: Trace, calls: list[VerifierCall]
    ) -> None:
        self.program, self.entry, self.trace, self.calls = program, entry, trace, calls
        self.around = Surroundings()
        self.proofs = {p for call in calls for value in call.proofs for p in value.direct}
        self._verifying = [found.call for found in calls]
        self.comparisons = [
            comparison
            for condition in trace.conditions
            for comparison in _comparisons(condition.value, condition.holds)
        ]
        self.written = {write.place.place for write in trace.writes}

    # What the proof binds

    @cached_property
    def bound(self) -> set[str]:
        """The paths that the proof binds: they are in an instance, or compared with one that is."""
        found: set[str] = set()
        for call in self.calls:
            for value in call.instances:
                found |= set(value.sources)
        while more := set(self._compared_with(found)) - found:
            found |= more
        return found

    def _compared_with(self, found: set[str]) -> Iterator[str]:
        for comparison in self.comparisons:
            for one, other in _both_ways(comparison.value):
                if not _among(self._fixed(one), found):
                    continue
                if comparison.operator == "==":
                    yield from self._fixed(other)
                elif comparison.operator != "!=":
                    yield from other.direct
        for condition in self.trace.conditions:
            for place in condition.value.read:  # a key beside a bound one, as in roots[group][root]
                keys = {path for key in place.keys for path in key.sources}
                if not self._changes(place) and _among(keys, found):
                    yield from keys

    def _fixed(self, value: Value) -> set[str]:
        """The paths behind a value, without the keys of what the function itself changes."""
        changing = [place for place in value.read if self._changes(place)]
        keys = {path for place in changing for key in place.keys for path in key.sources}
        others = {path for path in value.direct if path not in keys}
        return (set(value.sources) - keys) | others

    def _changes(self, place: Value) -> bool:
        return any(overlap(place.place, other) for other in self.written)

    def is_bound(self, value: Value) -> bool:
        return _among(value.sources, self.bound)

    def binds(self, path: str) -> bool:
        return _among([path], self.bound)

    # What the function does

    @cached_property
    def effects(self) -> list[Effect]:
        found = [effect for write in self.trace.writes for effect in of_write(write)]
        return found + [effect for call in self.others for effect in of_call(call)]

    @cached_property
    def others(self) -> list[Call]:
        """The calls that can change something, other than those of the verifier."""
        return [
            call
            for call in self.trace.calls
            if not (call.reads_only or call in self._verifying or takes_from_sender(call))
        ]

    @property
    def pays(self) -> bool:
        return bool(self.others)

    @cached_property
    def accounts(self) -> list[Value]:
        """The accounts that profit: those that the caller names, or else points to."""
        found = [
            account
            for effect in self.effects
            if effect.role != "contract"
            for account in accounts_in(effect.value)
        ]
        named = [account for account in found if any(map(is_argument, account.direct))]
        return named or [a for a in found if any(map(is_argument, a.sources))]

    @cached_property
    def unbound_values(self) -> set[str]:
        """The arguments that are paid or written, and that the proof does not bind."""
        named = {path for account in self.accounts for path in account.sources}
        anyone = not any(map(self.is_bound, self.accounts))
        return {
            path
            for effect in self.effects
            for whole, whole_kind in effect.value.sources.items()
            for path, kind in self._members(whole, whole_kind)
            if is_argument(path)
            and path != SENDER
            and not self.binds(path)
            and not any(overlap(path, proof) for proof in self.proofs)
            and not (anyone and path in named)
            and not (self.sender_is_bound and not is_amount(effect, kind))
        }

    def _members(self, path: str, kind: str) -> Iterator[tuple[str, str]]:
        """The members of an argument that is a struct, or the argument itself."""
        members = [] if self.binds(path) else self.program.members(kind)
        for one in members:
            yield from self._members(f"{path}.{one['name']}", of_type(one))
        if not members:
            yield path, kind

    def is_bound_argument(self, value: Value) -> bool:
        return any(is_argument(path) and self.binds(path) for path in value.direct)

    def is_limited(self, path: str) -> bool:
        """Return whether a condition compares an argument with, or looks it up in, the storage."""
        compared = any(
            path in one.direct and not any(map(is_argument, other.direct)) and not _is_zero(other)
            for comparison in self.comparisons
            if comparison.operator == "=="
            for one, other in _both_ways(comparison.value)
        )
        return compared or any(
            path in key.sources
            for condition in self.trace.conditions
            for place in condition.value.read
            if not self._is_open(place)
            for key in place.keys
        )

    def _is_open(self, place: Value) -> bool:
        return any(overlap(place.place, other) for other in self.around.open)

    def is_account(self, key: Value) -> bool:
        return any(map(is_account, key.walk()))

    def is_balance(self, place: Value, key: Value) -> bool:
        """Return whether a place in the storage is what an account holds of a token."""
        moves = any(overlap(place.place, other) for other in self.around.moving)
        return self.is_account(key) and (moves or bool(COUNTED.search(place.place)))

    def is_counter(self, value: Value) -> bool:
        """Return whether a value is a time, or one that the function itself moves on."""
        return any(term.kind == "environment" for term in value.walk()) or any(
            map(self._changes, value.read)
        )

    # Who may call it

    @cached_property
    def caller_is_checked(self) -> bool:
        """Return whether the storage, or another contract, decides who may call."""
        return any(self._checks_caller(c) for c in self.comparisons) or any(
            condition.holds is not None and self._is_listed(condition.value)
            for condition in self.trace.conditions
        )

    def _checks_caller(self, comparison: Comparison) -> bool:
        if comparison.operator != "==":
            return False
        return any(
            SENDER in one.direct
            and any(
                term.kind in ("state", "immutable", "constant", "answer") for term in other.walk()
            )
            and not {"parameter", "environment"} & {term.kind for term in other.bases}
            and not _is_zero(other)
            for one, other in _both_ways(comparison.value)
        )

    def _is_listed(self, value: Value) -> bool:
        """Return whether a condition asks the storage or another contract about the caller."""
        listed = [
            place
            for place in value.read
            if any(SENDER in key.direct for key in place.keys)
            and not self._changes(place)
            and not self._is_open(place)
            and not COUNTED.search(place.place)
        ]
        answers = {id(term) for term in value.walk() if term.kind == "answer"}
        asked = [
            call
            for call in self.trace.calls
            if id(call.answer) in answers
            and call.reads_only
            and any(argument.bases[-1].kind == SENDER for argument in call.arguments)
            and call not in self._verifying
            and not COUNTED.search(call.name)
        ]
        within_slot = value.kind == "assembly" and {"sender", "slot"} <= {
            term.kind if term.kind == "sender" else term.name for term in value.parts
        }
        return bool(listed or asked or within_slot)

    @property
    def runs_once(self) -> bool:
        """Return whether the function stands for a constructor, behind a proxy."""
        used = (modifier["modifierName"]["name"] for modifier in self.entry["modifiers"])
        return any(name.endswith("nitializer") for name in used)

    @property
    def is_free(self) -> bool:
        """Return whether anyone can call the function, without a payment or a proof."""
        paid = any(
            "msg.value" in condition.value.sources for condition in self.trace.conditions
        ) or any(map(takes_from_sender, self.trace.calls))
        return not (self.calls or self.runs_once or self.caller_is_checked or paid)

    @property
    def sender_is_bound(self) -> bool:
        return self.binds(SENDER)


def surroundings(behaviours: list[Behaviour]) -> Surroundings:
    """Find the storage that anyone can write, and that holders of a token can write."""
    free = [b for b in behaviours if b.is_free]
    moving = [b for b in behaviours if b.entry["name"] in MOVING]
    return Surroundings(
        frozenset(w.place.place for b in free for w in b.trace.writes if not _clears(w)),
        frozenset(w.place.place for b in moving for w in b.trace.writes),
    )


def _clears(write: Write) -> bool:
    return write.value.kind == "constant" and write.value.name in ("false", "0")


def _among(paths: Iterable[str], bound: Iterable[str]) -> bool:
    return any(within(path, other) for path in paths for other in bound)


def _both_ways(value: Value) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    left, right = value.parts
    return (left, right), (right, left)


def _comparisons(value: Value, holds: bool | None) -> Iterator[Comparison]:
    """The comparisons in a condition; those behind `||` and in choices need not hold."""
    match value.kind, value.name:
        case "operation", ("==" | "!=" | "<" | ">" | "<=" | ">="):
            yield Comparison(value, holds)
        case "operation", "!":
            yield from _comparisons(value.parts[0], None if holds is None else not holds)
        case "operation", ("&&" | "||"):
            for part in value.parts:
                yield from _comparisons(part, holds)
        case (("either" | "choice"), _):
            for part in value.parts:
                yield from _comparisons(part, holds)


def _is_zero(value: Value) -> bool:
    while value.kind == "conversion":
        value = value.parts[0]
    return value.kind == "constant" and value.name in ("0", "0x0")

"""Values that a Solidity function computes, as terms over its arguments and its storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

# Terms that stand for something from outside of the function.
ROOTS = ("parameter", "sender", "state", "immutable", "environment", "fresh")
KEY = re.compile(r"\[\w+\]")
ORDER, EQUALITY = ("<", ">", "<=", ">="), ("==", "!=")


@dataclass(frozen=True, eq=False)
class Value:
    """An operation on other values, or one of `ROOTS`."""

    kind: str
    name: str = ""
    parts: tuple[Value, ...] = ()
    type: str = ""
    declared: int = 0  # of a parameter or a state variable

    @cached_property
    def path(self) -> str:
        """Names a part of an argument or of the storage: `x.a[2]`, or "" for other terms.

        A key that is no constant is `*`.
        """
        if self.kind in ROOTS:
            mark = "#" if self.kind == "parameter" else "@"
            return f"{self.name}{mark}{self.declared}" if self.declared else self.name or self.kind
        base = self.parts[0].path if self.parts else ""
        if not base:
            return ""
        match self.kind:
            case "member":
                return f"{base}.{self.name}"
            case "index":
                key = self.parts[1]
                return f"{base}[{key.name if key.kind == 'constant' else '*'}]"
            case "slice" | "conversion" | "decoded":
                return base
        return ""

    @cached_property
    def sources(self) -> dict[str, str]:
        """The paths that the value depends on, each with its type."""
        return self._sources(keys=True)

    @cached_property
    def direct(self) -> dict[str, str]:
        """The same without the keys under which the storage is read."""
        return self._sources(keys=False)

    def _sources(self, keys: bool) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.path and self.kind not in ("conversion", "decoded", "slice"):
            found[self.path] = self.type
        if self.path and self.kind in ("member", "index") and not (keys or not self.in_storage):
            return found
        for place, part in enumerate(self.parts):
            if place or not self.path or self.kind in ("conversion", "decoded", "slice"):
                found |= part.sources if keys else part.direct
            else:
                found |= {k: t for k, t in part.sources.items() if k not in part.prefixes}
        return found

    @cached_property
    def prefixes(self) -> set[str]:
        """The paths of the value and of what it is a part of."""
        return {value.path for value in self.bases}

    @cached_property
    def bases(self) -> list[Value]:
        """The value, what it is a part of, and so on."""
        inner = self.kind in ("member", "index", "slice", "conversion", "decoded") and self.parts
        return [self, *(self.parts[0].bases if inner else [])]

    @property
    def in_storage(self) -> bool:
        return self.bases[-1].kind == "state"

    @property
    def keys(self) -> list[Value]:
        """The keys on the path to the value."""
        return [base.parts[1] for base in self.bases if base.kind == "index"]

    @cached_property
    def place(self) -> str:
        """The path in the storage, with `*` for each key."""
        names = []
        for base in reversed(self.bases):
            if base.kind in ROOTS:
                names.append(base.path)
            elif base.kind in ("member", "index"):
                names.append(f".{base.name}" if base.kind == "member" else "[*]")
        return "".join(names)

    def walk(self) -> Iterator[Value]:
        """Yield the value and all terms below it, each once."""
        seen, waiting = set[int](), [self]
        while waiting:
            value = waiting.pop()
            if id(value) not in seen:
                seen.add(id(value))
                yield value
                waiting += value.parts

    @cached_property
    def read(self) -> list[Value]:
        """The places in the storage that the value is computed from."""
        found = {}
        inner = set[int]()
        for value in self.walk():
            if value.kind in (*ROOTS, "member", "index") and value.in_storage:
                found[id(value)] = value
                inner |= {id(base) for base in value.bases[1:]}
        return [value for number, value in found.items() if number not in inner]


def constant(text: str, kind: str = "") -> Value:
    return Value("constant", text, type=kind)


def either(*values: Value) -> Value:
    """One of several values."""
    flat = [v for value in values for v in (value.parts if value.kind == "either" else (value,))]
    different = list({id(value): value for value in flat}.values())
    return different[0] if len(different) == 1 else Value("either", "", tuple(different))


def member(base: Value, name: str, kind: str) -> Value:
    """A member of a struct, looked up where the struct is known."""
    if base.kind == "struct" and name in (names := base.name.split(",")):
        return base.parts[names.index(name)]
    if base.kind == "with" and base.name and not base.in_storage:
        return base.parts[1] if base.name == name else member(base.parts[0], name, kind)
    if base.kind == "either":
        return either(*(member(part, name, kind) for part in base.parts))
    return Value("member", name, (base,), kind)


def element(base: Value, key: Value, kind: str) -> Value:
    """An element of an array or a mapping, looked up where array and key are known."""
    if key.kind == "constant":
        if base.kind == "array" and key.name.isdigit() and int(key.name) < len(base.parts):
            return base.parts[int(key.name)]
        if base.kind == "with" and not base.name and base.parts[2].kind == "constant":
            known = base.parts[2].name == key.name
            return base.parts[1] if known else element(base.parts[0], key, kind)
    if base.kind == "either":
        return either(*(element(part, key, kind) for part in base.parts))
    return Value("index", "", (base, key), kind)


def is_argument(path: str) -> bool:
    """Return whether the caller chooses what a path names."""
    return "#" in path or path.startswith(("sender", "msg.data"))


def similar(path: str, other: str) -> bool:
    """Return whether two paths can name the same, as far as their keys are known."""
    if "[*]" in path + other:
        path, other = KEY.sub("[*]", path), KEY.sub("[*]", other)
    return overlap(path, other)


def overlap(path: str, other: str) -> bool:
    """Return whether one path is a part of the other."""
    return within(path, other) or within(other, path)


def within(path: str, whole: str) -> bool:
    """Return whether a path is, or is a part of, another path."""
    rest = path.removeprefix(whole)
    return path.startswith(whole) and (not rest or rest[0] in ".[")

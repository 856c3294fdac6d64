"""A system of rank-one constraints, and the rules by which a witness follows from the inputs.

Every wire but the first, which is 1, has exactly one rule. Two rules suffice: a wire is the product
of two sums, or a bit of a sum that is known not to be negative.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from zk.errors import CircuitError, RangeError
from zk.layout import FIELD, Key
from zk.samples import Array

Sum = dict[int, int]  # wires, each times a whole number
Constraint = tuple[Sum, Sum, Sum]  # the product of the first two equals the third

ONE = 0  # the wire that is 1
KEY = 1  # the wire of the first key, which is the first public one
MAX_BITS = 252  # of a sum that is cut into bits: below the order of the field, they are unique


@dataclass
class System:
    """Constraints in the order of a model's layers.

    The wires are 1, the key, the public outputs, the bits of the inputs, and then those that
    follow, in the order of `rules`. A system for a batch has a key for each input of the model.
    """

    outputs: int  # public wires after the keys
    inputs: list[list[int]]  # the values of the bits of each input
    lowest: int  # of an input: its bits are those of the difference
    scale: int  # inputs are the model's times 2**scale
    layers: list[tuple[str, int]] = field(default_factory=list)  # with their first constraints
    constraints: list[Constraint] = field(default_factory=list)
    rules: list[tuple[Any, ...]] = field(default_factory=list)
    results: list[Sum] = field(default_factory=list)  # of the public outputs
    wires: int = 0
    keys: int = 1

    @classmethod
    def taking(
        cls, outputs: int, inputs: int, values: list[int], lowest: int, scale: int
    ) -> "System":
        """Return a system that checks the bits of its inputs, and that uses the key."""
        system = cls(outputs, [values] * inputs, lowest, scale)
        system.wires = 2 + outputs
        system.layer("x")
        for _ in range(inputs):
            for _ in values:
                system._check_bit(system._wire())
        system.layer("key")
        system.product({KEY: 1}, {KEY: 1})
        return system

    @classmethod
    def load(cls, path: Path) -> "System":
        content = json.loads(gzip.decompress(path.read_bytes()))
        system = cls(**content)
        system.constraints = [(_sum(a), _sum(b), _sum(c)) for a, b, c in content["constraints"]]
        system.rules = [_rule(rule) for rule in content["rules"]]
        system.results = [_sum(one) for one in content["results"]]
        system.layers = [tuple(layer) for layer in content["layers"]]
        return system

    def save(self, path: Path) -> None:
        """Write the system as JSON in gzip, the same bytes for the same system."""
        content = {
            "outputs": self.outputs,
            "inputs": self.inputs,
            "lowest": self.lowest,
            "scale": self.scale,
            "wires": self.wires,
            "layers": self.layers,
            "constraints": [[_pairs(one) for one in three] for three in self.constraints],
            "rules": [[rule[0], *map(_written, rule[1:])] for rule in self.rules],
            "results": [_pairs(one) for one in self.results],
            **({"keys": self.keys} if self.keys > 1 else {}),
        }
        text = json.dumps(content, separators=(",", ":"))
        path.write_bytes(gzip.compress(text.encode(), mtime=0))

    @property
    def public(self) -> int:
        """The number of public wires, without the 1."""
        return self.keys + self.outputs

    @property
    def first_input(self) -> int:
        return 1 + self.public

    def layer(self, name: str) -> None:
        """Begin a layer: the constraints that follow belong to it."""
        self.layers.append((name, len(self.constraints)))

    def input_sums(self) -> list[Sum]:
        """Return each input as the sum of its bits."""
        wire, sums = self.first_input, list[Sum]()
        for values in self.inputs:
            sums.append(plain({ONE: self.lowest} | {wire + i: v for i, v in enumerate(values)}))
            wire += len(values)
        return sums

    def product(self, one: Sum, other: Sum) -> Sum:
        """Return a new wire that is the product of two sums."""
        wire = self._wire()
        self.rules.append(("product", len(self.constraints)))
        self.constraints.append((one, other, {wire: 1}))
        return {wire: 1}

    def bits(self, number: Sum, count: int) -> list[Sum]:
        """Return new wires that are the bits of a sum from 0 to 2**count - 1, the lowest first."""
        if not 0 < count <= MAX_BITS:
            raise CircuitError(f"A value of {count} bits does not fit the field: lower the scales.")
        wires = [self._wire() for _ in range(count)]
        self.rules.append(("bits", number, count))
        for wire in wires:
            self._check_bit(wire)
        whole = {wire: 2**place for place, wire in enumerate(wires)}
        self.constraints.append((whole, {ONE: 1}, number))
        return [{wire: 1} for wire in wires]

    def publish(self, results: Sequence[Sum]) -> None:
        """Make sums the public outputs."""
        self.layer("public")
        self.results = list(results)
        for place, result in enumerate(results):
            self.constraints.append((result, {ONE: 1}, {2 + place: 1}))

    def repeated(self, count: int) -> "System":
        """Return a system for several inputs: copies of this one, which share the wire 1 only."""
        bits = sum(map(len, self.inputs))
        groups = [*pairwise([KEY, 2, self.first_input, self.first_input + bits, self.wires])]
        found = System(count * self.outputs, self.inputs * count, self.lowest, self.scale)
        found.keys, found.wires = count, 1 + count * (self.wires - 1)
        for place in range(count):
            wires = [ONE]
            for start, end in groups:
                first = 1 + count * (start - 1) + place * (end - start)
                wires += range(first, first + end - start)
            found._copy(self, wires)
        return found

    def _copy(self, other: "System", wires: list[int]) -> None:
        """Add another system, each of whose wires becomes the one at its place in `wires`."""

        def moved(sum_: Sum) -> Sum:
            return {wires[wire]: factor for wire, factor in sum_.items()}

        first = len(self.constraints)
        self.layers += [(name, first + start) for name, start in other.layers]
        self.constraints += [(moved(a), moved(b), moved(c)) for a, b, c in other.constraints]
        for kind, *rest in other.rules:
            product = kind == "product"
            self.rules.append(
                (kind, first + rest[0]) if product else (kind, moved(rest[0]), rest[1])
            )
        self.results += map(moved, other.results)

    def numbers(self, inputs: Array) -> list[Array]:
        """Return the whole numbers of a model's inputs, one array for each place in an input."""
        whole = np.rint(inputs.reshape(-1, len(self.inputs)).astype(np.float64) * 2.0**self.scale)
        highest = self.lowest + sum(self.inputs[0])
        exact = self.scale or (whole == inputs.reshape(whole.shape)).all()
        if not exact or not ((whole >= self.lowest) & (whole <= highest)).all():
            # The numbers may be private.
            kind = "whole numbers" if self.scale == 0 else f"numbers, times 2**{self.scale},"
            raise RangeError(
                f"The circuit takes {kind} from {self.lowest} to {highest}, and the input has "
                "others: give it the model's inputs themselves."
            )
        return list(whole.astype(np.int64).T)

    def witness(self, key: Key, numbers: Sequence[int]) -> list[int]:
        """Return the value of every wire, as field elements, for a key and whole-number inputs."""
        return [value % FIELD for value in self.values(key, numbers)]

    def values(self, key: Key, numbers: Sequence[Any]) -> list[Any]:
        """Return the value of every wire as a whole number; with arrays, for several witnesses."""
        keys = [key] * self.keys if isinstance(key, int) else list(key)
        if len(keys) != self.keys:
            raise CircuitError(f"The circuit takes {self.keys} keys at once, not {len(keys)}.")
        wires: list[Any] = [1, *keys, *[0] * self.outputs]
        for number, values in zip(numbers, self.inputs, strict=True):
            wires += _bits_of(number - self.lowest, values)
        for kind, *rest in self.rules:
            if kind == "product":
                one, other, _ = self.constraints[rest[0]]
                wires.append(total(one, wires) * total(other, wires))
            else:
                number, count = total(rest[0], wires), rest[1]
                wires += [number >> place & 1 for place in range(count)]
        for place, result in enumerate(self.results):
            wires[1 + self.keys + place] = total(result, wires)
        return wires

    def broken(self, witness: Sequence[int]) -> Iterator[str]:
        """Yield the layer of each constraint that a witness breaks."""
        ends = [first for _, first in self.layers[1:]] + [len(self.constraints)]
        for (name, first), end in zip(self.layers, ends, strict=True):
            for one, other, result in self.constraints[first:end]:
                if (total(one, witness) * total(other, witness) - total(result, witness)) % FIELD:
                    yield name

    def _wire(self) -> int:
        self.wires += 1
        return self.wires - 1

    def _check_bit(self, wire: int) -> None:
        """Require that a wire is 0 or 1."""
        self.constraints.append(({wire: 1}, {ONE: 1, wire: -1}, {}))


def total(sum_: Sum, wires: Sequence[Any]) -> Any:
    """The value of a sum."""
    return sum(factor * wires[wire] for wire, factor in sum_.items())


def plain(sum_: Sum) -> Sum:
    """A sum without wires that are multiplied by 0."""
    return {wire: factor for wire, factor in sum_.items() if factor}


def weighted(terms: Iterator[tuple[Sum, int]], constant: int = 0) -> Sum:
    """Add sums, each times a factor, and a constant."""
    found: Sum = {ONE: constant}
    for sum_, factor in terms:
        if factor:
            for wire, times in sum_.items():
                found[wire] = found.get(wire, 0) + times * factor
    return plain(found)


def _bits_of(number: Any, values: list[int]) -> list[Any]:
    """The bits of a number whose sum it is: the highest first, as much as fits."""
    bits: list[Any] = []
    for value in reversed(values):
        bit = (number >= value) * 1
        bits.append(bit)
        number = number - value * bit
    return bits[::-1]


def _pairs(sum_: Sum) -> list[list[int]]:
    return [list(sum_), list(sum_.values())]


def _sum(pairs: list[list[int]]) -> Sum:
    return dict(zip(*pairs, strict=True))


def _written(part: Any) -> Any:
    return _pairs(part) if isinstance(part, dict) else part


def _rule(rule: list[Any]) -> tuple[Any, ...]:
    kind, *rest = rule
    return ("bits", _sum(rest[0]), rest[1]) if kind == "bits" else (kind, *rest)

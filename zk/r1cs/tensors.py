"""Tensors of a circuit: sums of wires, with the smallest and the largest value of each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zk.errors import RangeError
from zk.r1cs.system import ONE, Sum, System, weighted
from zk.samples import Array

LARGEST = 2**250  # of the absolute values in a circuit, which the field holds with their signs


@dataclass(frozen=True)
class Number:
    """A sum of wires that is a whole number from `low` to `high` for each input."""

    sum: Sum
    low: int
    high: int

    @classmethod
    def constant(cls, value: int) -> "Number":
        return cls({ONE: value} if value else {}, value, value)

    def plus(self, other: "Number", factor: int = 1) -> "Number":
        return added([(self, 1), (other, factor)])


@dataclass(frozen=True)
class Tensor:
    """Numbers, each times 2**-scale a value of the model."""

    numbers: Array  # of `Number`
    scale: int

    @property
    def flat(self) -> list[Number]:
        return list(self.numbers.reshape(-1))

    @property
    def span(self) -> list[int]:
        """The smallest and the largest value of all."""
        return [min(one.low for one in self.flat), max(one.high for one in self.flat)]

    def shifted(self, bits: int) -> "Tensor":
        """Return the same values at a finer scale."""
        if not bits:
            return self
        return Tensor(each(lambda one: added([(one, 2**bits)]), self.numbers), self.scale + bits)


def each(change: Callable[..., Number], *arrays: Array) -> Array:
    """Apply a function to the elements of arrays, after broadcasting."""
    wide = np.broadcast_arrays(*arrays)
    return collected((change(*ones) for ones in zip(*map(np.ravel, wide), strict=True)), wide[0])


def collected(numbers: Iterable[Number], like: Array) -> Array:
    """Return an array of these numbers in the shape of another."""
    found = np.empty(like.size, object)
    found[:] = list(numbers)
    return found.reshape(like.shape)


def added(terms: list[tuple[Number, int]], constant: int = 0) -> Number:
    """Add numbers, each times a factor, and a constant."""
    low = high = constant
    for number, factor in terms:
        low += factor * (number.low if factor > 0 else number.high)
        high += factor * (number.high if factor > 0 else number.low)
    if max(-low, high) >= LARGEST:
        raise RangeError(
            f"A value can reach {max(-low, high).bit_length()} bits, and the field holds "
            f"{LARGEST.bit_length() - 1}: lower param_scale."
        )
    return Number(weighted(((one.sum, factor) for one, factor in terms), constant), low, high)


def multiplied(system: System, one: Number, other: Number) -> Number:
    """Multiply two numbers, by a constraint."""
    ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    low, high = min(ends), max(ends)
    if one.sum == other.sum and one.low < 0 < one.high:  # a square
        low = 0
    if max(-low, high) >= LARGEST:
        raise RangeError(
            f"A product can exceed {LARGEST.bit_length() - 1} bits: lower param_scale."
        )
    return Number(system.product(one.sum, other.sum), low, high)


def split(system: System, number: Number) -> tuple[Number, list[Sum]]:
    """Return a number's indicator of not being negative, and the other bits, the lowest first.

    The number is the sum of those bits if it is not negative.
    """
    bits = max((-1 - number.low).bit_length(), number.high.bit_length(), 1)
    if number.low >= 0:
        return Number.constant(1), system.bits(number.sum, bits)
    *rest, sign = system.bits(weighted(iter([(number.sum, 1)]), 2**bits), bits + 1)
    return Number(sign, 0, 1), rest


def positive(system: System, number: Number, drop: int = 0) -> Number:
    """Return a number, or 0 if it is negative, without its lowest bits after rounding."""
    rounded = added([(number, 1)], 2**drop >> 1)
    if rounded.high <= 0:
        return Number.constant(0)
    if rounded.low >= 0 and not drop:
        return rounded
    sign, bits = split(system, rounded)
    kept = rounded
    if drop:
        places = [(bit, 2**place) for place, bit in enumerate(bits[drop:])]
        kept = Number(weighted(iter(places)), 0, rounded.high >> drop)
    if rounded.low >= 0:
        return kept
    return Number(system.product(sign.sum, kept.sum), 0, rounded.high >> drop)


def largest(system: System, numbers: list[Number]) -> Number:
    """Return the largest of numbers."""
    found, *others = numbers
    for other in others:
        lead = positive(system, other.plus(found, -1))
        low, high = max(found.low, other.low), max(found.high, other.high)
        found = Number(found.plus(lead).sum, low, high)
    return found


def place_of_largest(system: System, numbers: list[Number]) -> Number:
    """Return the place of the largest number, the first of equal ones."""
    found, place = numbers[0], Number.constant(0)
    for index, other in enumerate(numbers[1:], start=1):
        lead = other.plus(found, -1)
        more, _ = split(system, added([(lead, 1)], -1))
        step = multiplied(system, more, lead)
        low, high = max(found.low, other.low), max(found.high, other.high)
        found = Number(found.plus(step).sum, low, high)
        moved = multiplied(system, more, added([(place, -1)], index))
        place = Number(place.plus(moved).sum, 0, index)
    return place


def within(system: System, number: Number, low: int, bits: int) -> Number:
    """Return a number, which a constraint keeps from `low` to `low + 2**bits - 1` if needed."""
    high = low + 2**bits - 1
    if number.low >= low and number.high <= high:
        return number
    system.bits(weighted(iter([(number.sum, 1)]), -low), bits)
    return Number(number.sum, max(number.low, low), min(number.high, high))


def windows(
    shape: list[int], window: list[int], strides: list[int], dilations: list[int], pads: list[int]
) -> tuple[Array, list[int]]:
    """Return the places in a flattened image of each window's elements, and the windows' shape.

    An element of the padding has the place -1.
    """
    sides = len(window)
    before, after = pads[:sides], pads[sides:]
    grid = np.arange(int(np.prod(shape))).reshape(shape)
    grid = np.pad(grid, [(0, 0), *zip(before, after, strict=True)], constant_values=-1)
    reach = [(size - 1) * gap + 1 for size, gap in zip(window, dilations, strict=True)]
    slide: Any = np.lib.stride_tricks.sliding_window_view
    view = slide(grid, tuple(reach), axis=tuple(range(1, sides + 1)))
    step = (slice(None), *(slice(None, None, stride) for stride in strides))
    gaps = tuple(slice(None, None, gap) for gap in dilations)
    view = view[(*step, *gaps)]
    return view.reshape(*view.shape[: sides + 1], -1), list(view.shape[1 : sides + 1])

"""The arithmetic of `fixed/src/lib.cairo` in Python: the same integers, to the last bit.

A number is stored as the integer `number * 2**16`. Arrays hold Python's integers where 64 bits
could be too few.
"""

from typing import Any

import numpy as np

from zk.errors import CircuitError

Integers = np.ndarray[Any, np.dtype[Any]]

ONE = 2**16
LIMIT = 2**31  # of a number's magnitude
FINE = 2**30  # 1 in the 2.30 format of powers
LOG2_E = 6196328018  # in the format 32.32
LN_2 = 2977044471
POLYNOMIAL = (2034856, 9605925, 59982743, 257849188, 744269106, 1073741712)  # of 2**u
DIGITS = 20  # binary digits of a logarithm


class BeyondError(CircuitError):
    """A number does not fit FP16x16."""


def quantised(numbers: Integers) -> Integers:
    """Return the nearest FP16x16 numbers."""
    return checked(np.rint(np.asarray(numbers, np.float64) * ONE).astype(object))


def real(integers: Integers) -> Integers:
    """Return the numbers that integers stand for."""
    return np.asarray(integers, np.float64) / ONE


def checked(integers: Integers) -> Integers:
    """Return integers that fit 64 bits, if each is an FP16x16 number."""
    most = np.abs(integers).max(initial=0)
    if most >= LIMIT:
        raise BeyondError(f"the number {most / ONE:,.0f} does not fit FP16x16, below 32,768")
    return integers.astype(np.int64)


def divided(integers: Integers, divisor: int) -> Integers:
    """Divide toward zero."""
    return checked(np.sign(integers) * (np.abs(integers) // divisor))


def summed(x: Integers, weights: Integers, bias: Integers) -> Integers:
    """Weight the rows of `x` by the columns of a matrix; round each sum once."""
    most = int(np.abs(x).max(initial=0)) * int(np.abs(weights).sum(axis=0).max(initial=0))
    if most + int(np.abs(bias).max(initial=0)) * ONE >= 2**63:
        x, weights = x.astype(object), weights.astype(object)
    return divided(x @ weights + bias * ONE, ONE)


def product(x: Integers, y: Integers) -> Integers:
    return divided(x * y, ONE)  # of two numbers below 2**31


def power(magnitude: Integers) -> Integers:
    """Return e**-x in the format 2.30."""
    exponent = magnitude.astype(object) * LOG2_E // 2**32
    u = ONE - exponent % ONE
    total = 0 * u
    for coefficient in POLYNOMIAL:
        total = total * u // ONE + coefficient
    halved: Integers = total >> np.minimum(exponent // ONE + 1, 63)
    return halved


def logarithm(number: int) -> int:
    """Return the natural logarithm of a number from 1 on in the format 2.30, as FP16x16."""
    digits = 0
    while number >= 2 * FINE:
        number, digits = number // 2, digits + 1
    for _ in range(DIGITS):
        number, digits = number * number // FINE, 2 * digits
        if number >= 2 * FINE:
            number, digits = number // 2, digits + 1
    return digits * LN_2 >> DIGITS + 16


def sigmoid(x: Integers) -> Integers:
    share = ONE * FINE // (FINE + power(np.abs(x)))
    return checked(np.where(x < 0, ONE - share, share))


def softmax(x: Integers) -> Integers:
    powers = power(x.max(axis=-1, keepdims=True) - x)
    return checked(powers * ONE // powers.sum(axis=-1, keepdims=True))


def log_softmax(x: Integers) -> Integers:
    most = x.max(axis=-1, keepdims=True)
    sums = power(most - x).sum(axis=-1, keepdims=True)
    return checked(x - most - np.vectorize(logarithm, otypes=[object])(sums))

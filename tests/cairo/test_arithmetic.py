"""FP16x16 arithmetic in Python: its rounding, its ends, and its functions."""

import numpy as np
import pytest

from cairo import arithmetic
from cairo.arithmetic import (
    FINE,
    LIMIT,
    ONE,
    BeyondError,
    checked,
    divided,
    quantised,
    real,
    summed,
)

NUMBERS = np.random.default_rng(1).normal(scale=4, size=500)


def test_a_sum_is_rounded_once_and_toward_zero():
    x, weights = np.array([[ONE // 2, ONE // 2]]), np.array([[1], [1]])
    assert summed(x, weights, np.zeros(1, np.int64)).tolist() == [[1]]  # each product rounds to 0
    assert summed(-x, weights, np.zeros(1, np.int64)).tolist() == [[-1]]
    assert divided(np.array([7, -7]), 4).tolist() == [1, -1]


def test_sums_beyond_64_bits_are_exact():
    x, weights = np.full((1, 8), LIMIT - 1), np.full((8, 1), LIMIT - 1)
    weights[::2] *= -1
    weights[0] += 1
    assert summed(x, weights, np.zeros(1, np.int64)).tolist() == [[(LIMIT - 1) // ONE]]


def test_the_ends_of_the_range():
    assert checked(np.array([LIMIT - 1, 1 - LIMIT])).tolist() == [LIMIT - 1, 1 - LIMIT]
    for beyond in (LIMIT, -LIMIT):
        with pytest.raises(BeyondError, match="32,768 does not fit FP16x16"):
            checked(np.array([0, beyond]))
    with pytest.raises(BeyondError):
        quantised(np.array([32768.0]))


def test_powers():
    x = np.abs(quantised(NUMBERS))
    assert np.abs(arithmetic.power(x) / FINE - np.exp(-real(x))).max() < 2**-16
    assert arithmetic.power(np.array([LIMIT])).tolist() == [0]


@pytest.mark.parametrize("number", [1, 1.25, 2, 10, 1000])
def test_logarithms(number):
    found = arithmetic.logarithm(int(number * FINE)) / ONE
    assert abs(found - np.log(number)) < 2**-15


def test_functions_are_those_of_real_numbers():
    x = quantised(NUMBERS.reshape(50, 10))
    exact = np.exp(real(x))
    assert np.abs(real(arithmetic.sigmoid(x)) - exact / (1 + exact)).max() < 2**-15
    shares = exact / exact.sum(axis=1, keepdims=True)
    assert np.abs(real(arithmetic.softmax(x)) - shares).max() < 2**-15
    assert np.abs(real(arithmetic.log_softmax(x)) - np.log(shares)).max() < 2**-14


def test_confident_inputs():
    """The largest number is subtracted first: nothing overflows."""
    x = quantised(np.array([[30_000.0, -2_000.0, 0.0]]))
    assert real(arithmetic.softmax(x)).tolist() == [[1, 0, 0]]
    assert real(arithmetic.log_softmax(x)).tolist() == [[0, -32_000, -30_000]]


def test_zero_has_no_sign():
    assert arithmetic.product(np.array([-1]), np.array([1])).tolist() == [0]

"""The only module that imports zksnake: BN254's groups and pairing, and transforms over its field.

Points at infinity have the coordinates 0, as in the EVM.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from zksnake._algebra import ec_bn254, polynomial_bn254

from zk.errors import CircuitError
from zk.layout import FIELD

VERSION = version("zksnake")
BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583
WORD = 32  # bytes of a coordinate

Point = Any  # of G1 or G2
G1: Point = ec_bn254.g1()
G2: Point = ec_bn254.g2()
SIZE1, SIZE2 = 2 * WORD, 4 * WORD  # bytes of a point


def times(points: Sequence[Point], factors: Iterable[int]) -> list[Point]:
    """Multiply each point by a factor."""
    reduced = [factor % FIELD for factor in factors]
    if not reduced:
        return []
    group = ec_bn254.batch_multi_scalar_g1 if is_g1(points[0]) else ec_bn254.batch_multi_scalar_g2
    return list(group(list(points), reduced))


def weighted(points: Sequence[Point], factors: Iterable[int], zero: Point) -> Point:
    """Add points, each times a factor; without any, the result is `zero` times 0."""
    reduced = [factor % FIELD for factor in factors]
    if not reduced:
        return zero * 0
    group = ec_bn254.multiscalar_mul_g1 if is_g1(points[0]) else ec_bn254.multiscalar_mul_g2
    return group(list(points), reduced)


def pairing_holds(pairs: Sequence[tuple[Point, Point]]) -> bool:
    """Return whether the product of the pairings is 1."""
    one = ec_bn254.multi_pairing([G1, -G1], [G2, G2])
    firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
    return bool(ec_bn254.multi_pairing(firsts, seconds) == one)


def is_g1(point: Point) -> bool:
    return isinstance(point, ec_bn254.PointG1)


def coordinates(point: Point) -> tuple[int, ...]:
    """Return x and y, in G2 as the parts of 1 and of u."""
    if is_g1(point):
        return point.x, point.y
    return (*point.x, *point.y)


def point_of(words: Sequence[int]) -> Point:
    """Return the point with these coordinates; raise unless it is in its group.

    zksnake panics at a point outside the group, and prints why: ask `in_subgroup` first where
    somebody else chose the point.
    """
    if not any(words):
        return (G1 if len(words) == 2 else G2) * 0
    if not on_curve(words):
        raise CircuitError(f"{tuple(words)} are not the coordinates of a point of BN254.")
    try:
        return (ec_bn254.PointG1 if len(words) == 2 else ec_bn254.PointG2)(*words)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CircuitError(f"{tuple(words)} are those of a point outside the group.") from None


def on_curve(words: Sequence[int]) -> bool:
    """Return whether coordinates are those of a point, other than the one at infinity."""
    if max(words) >= BASE:
        return False
    if len(words) == 2:
        return (words[1] ** 2 - words[0] ** 3 - 3) % BASE == 0
    from py_ecc.optimized_bn128 import FQ2, b2

    x, y = FQ2(words[:2]), FQ2(words[2:])
    return bool(y * y - x * x * x == b2)


def in_subgroup(words: Sequence[int]) -> bool:
    """Return whether a point on the curve of G2 has the order of the field. Takes milliseconds."""
    from py_ecc.optimized_bn128 import FQ2, is_inf, multiply

    return bool(is_inf(multiply((FQ2(words[:2]), FQ2(words[2:]), FQ2.one()), FIELD)))


def to_bytes(points: Iterable[Point]) -> bytes:
    """Return the coordinates of points, the highest byte of each first."""
    return b"".join(word.to_bytes(WORD) for point in points for word in coordinates(point))


def from_bytes(data: bytes, size: int) -> list[Point]:
    """Read points that have `size` bytes each."""
    words = [int.from_bytes(data[at : at + WORD]) for at in range(0, len(data), WORD)]
    step = size // WORD
    return [point_of(words[at : at + step]) for at in range(0, len(words), step)]


def root_of_unity(size: int) -> int:
    """Return the root of unity on whose powers polynomials have values."""
    return int(polynomial_bn254.get_all_root_of_unity(size)[1]) if size > 1 else 1


def coefficients(values: list[int]) -> list[int]:
    """Return the coefficients of the polynomial with these values at the roots of unity."""
    return list(polynomial_bn254.ifft(values, len(values)))


def values_of(coefficients_: list[int]) -> list[int]:
    """Return the values of a polynomial at the roots of unity."""
    return list(polynomial_bn254.fft(coefficients_, len(coefficients_)))

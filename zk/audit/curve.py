"""The curve BN254, and the points of the public ceremony's SRS."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from zk.layout import FIELD

BASE_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
TWO_ADICITY = 28  # FIELD - 1 is divisible by 2**28
ROOT = pow(7, (FIELD - 1) >> TWO_ADICITY, FIELD)

Point1 = tuple[int, int]
# A point of G2 as verifiers hold it: the imaginary part of x, its real part, and the same of y.
Point2 = tuple[int, int, int, int]
GENERATOR: Point2 = (
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
)
# The generator times the unknown secret of the perpetual powers of tau, negated.
CEREMONY: Point2 = (
    0x186282957DB913ABD99F91DB59FE69922E95040603EF44C0BD7AA3ADEEF8F5AC,
    0x17944351223333F260DDC3B4AF45191B856689EDA9EAB5CBCDDBBE570CE860D2,
    0x06D971FF4A7467C3EC596ED6EFC674572E32FD6F52B721F97E35B0B3D3546753,
    0x06ECDB9F9567F59ED2EEE36E1E1D58797FD13CC97FAFC2910F5E8A12F202FA9A,
)


def on_curve(point: Point1) -> bool:
    """Return whether a point is on the curve of G1. (0, 0) stands for the point at infinity."""
    x, y = point
    return point == (0, 0) or (max(point) < BASE_FIELD and (y * y - x**3 - 3) % BASE_FIELD == 0)


def multiples(first: int, count: int) -> list[Point1]:
    """Consecutive multiples of the base point of G1, beginning with the `first`."""
    from py_ecc.optimized_bn128 import optimized_curve as bn

    point, found = bn.multiply(bn.G1, first), []
    for _ in range(count):
        x, y = bn.normalize(point)
        found.append((int(x), int(y)))
        point = bn.add(point, bn.G1)
    return found


def scaled(point: Point1, scalar: int) -> Point1:
    """A point of G1 times a number."""
    from py_ecc.optimized_bn128 import optimized_curve as bn

    x, y = bn.normalize(bn.multiply(_first(point), scalar % FIELD))
    return int(x), int(y)


def scaled_second(point: Point2, scalar: int) -> Point2:
    """A point of G2 times a number."""
    from py_ecc.optimized_bn128 import optimized_curve as bn

    return _words(bn.multiply(_second(point), scalar % FIELD))


def negated(point: Point2) -> Point2:
    return (*point[:2], -point[2] % BASE_FIELD, -point[3] % BASE_FIELD)


def written(point: Point2) -> list[str]:
    return [f"0x{number:064x}" for number in point]


@cache
def in_g2(point: Point2) -> bool:
    """Return whether a point is on the curve of G2 and in the subgroup of prime order."""
    from py_ecc.optimized_bn128 import optimized_curve as bn

    if max(point) >= BASE_FIELD:
        return False
    candidate = _second(point)
    return bn.is_on_curve(candidate, bn.b2) and bn.is_inf(bn.multiply(candidate, bn.curve_order))


@cache
def small_multiple(point: Point2, base: Point2) -> int:
    """The number, of 16 at most, by which a point of G2 is a multiple of another, or 0."""
    from py_ecc.optimized_bn128 import optimized_curve as bn

    candidate = bn.Z2
    for factor in range(1, 17):
        candidate = bn.add(candidate, _second(base))
        found = _words(candidate)
        if point in (found, negated(found)):
            return factor if point == found else -factor
    return 0


def logrows_among(constants: Iterable[int]) -> int | None:
    """The logrows of a circuit, derived from the root of unity among its verifier's constants."""
    roots = {pow(ROOT, 1 << (TWO_ADICITY - k), FIELD): k for k in range(2, TWO_ADICITY + 1)}
    return next((roots[constant] for constant in constants if constant in roots), None)


def real_first(point: Point2) -> Point2:
    """Return the coordinates of a point of G2 in the order of `zk.groth16.curve`."""
    return point[1], point[0], point[3], point[2]


def _first(point: Point1) -> Any:
    from py_ecc.fields import optimized_bn128_FQ

    return optimized_bn128_FQ(point[0]), optimized_bn128_FQ(point[1]), optimized_bn128_FQ(1)


def _second(point: Point2) -> Any:
    from py_ecc.fields import optimized_bn128_FQ2

    x, y = optimized_bn128_FQ2([point[1], point[0]]), optimized_bn128_FQ2([point[3], point[2]])
    return x, y, optimized_bn128_FQ2.one()


def _words(point: Any) -> Point2:
    from py_ecc.optimized_bn128 import optimized_curve as bn

    x, y = ([int(part) for part in axis.coeffs] for axis in bn.normalize(point))
    return x[1], x[0], y[1], y[0]

"""A tiny Groth16 circuit, its keys with known secrets, and its proofs.

The circuit proves that some w has the square x and the cube y; x and y are the instances.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from zk.audit.curve import GENERATOR, Point1, Point2, scaled, scaled_second
from zk.layout import FIELD

BASE = (1, 2)
# A point on the curve of G2 that is not in the subgroup.
OUTSIDE: Point2 = (
    0,
    1,
    0x0D1271953ED9EA0836846E70A1934187998C7F790CB4D7511B7F8DA82DE048A4,
    0x2869111D5381F072F8E2728FDB825A51AADD70E52C9830E9AB4B871C0531F1BB,
)
# The variables are 1, x, y, w. In each row, left times right is out: w * w = x and x * w = y.
LEFT = ({3: 1}, {1: 1})
RIGHT = ({3: 1}, {3: 1})
OUT = ({1: 1}, {2: 1})
INSTANCES = 2


def moved_out(words: list[int]) -> list[int]:
    """A point of G2 plus one of another order: outside the group, with the same pairings."""
    from py_ecc.optimized_bn128 import FQ2, add, multiply, normalize

    inside, outside = (
        (FQ2([one[1], one[0]]), FQ2([one[3], one[2]]), FQ2.one()) for one in (words, OUTSIDE)
    )
    x, y = normalize(add(inside, multiply(outside, FIELD)))
    return [int(part) for axis in (x, y) for part in (axis.coeffs[1], axis.coeffs[0])]


@dataclass(frozen=True)
class Secrets:
    """The secrets of a set-up. gamma is 1, as in snarkjs, unless it is given."""

    alpha: int = 0xA1A1
    beta: int = 0xB2B2
    gamma: int = 1
    delta: int = 0xD4D4
    tau: int = 0x7777

    def point_of(self, variable: int) -> int:
        """beta u + alpha v + w, of the polynomials of a variable."""
        u, v, w = (self._at_tau(rows, variable) for rows in (LEFT, RIGHT, OUT))
        return self.beta * u + self.alpha * v + w

    def _at_tau(self, rows: tuple[dict[int, int], ...], variable: int) -> int:
        """The polynomial with a variable's factors at 1 and 2, at tau."""
        first, second = (row.get(variable, 0) for row in rows)
        return first * (2 - self.tau) + second * (self.tau - 1)

    def proof(self, w: int) -> tuple[list[int], list[int]]:
        """A proof, as words, and its instances."""
        values = [1, w**2 % FIELD, w**3 % FIELD, w]
        u, v, out = (
            sum(value * self._at_tau(rows, i) for i, value in enumerate(values))
            for rows in (LEFT, RIGHT, OUT)
        )
        remainder, zero = u * v - out, (self.tau - 1) * (self.tau - 2)
        a, b, quotient = self.alpha + u, self.beta + v, remainder * pow(zero, -1, FIELD)
        private = values[3] * self.point_of(3) + quotient * zero
        c = private * pow(self.delta, -1, FIELD)
        points = [*scaled(BASE, a), *scaled_second(GENERATOR, b), *scaled(BASE, c)]
        return points, values[1 : 1 + INSTANCES]


@dataclass(frozen=True)
class VerificationKey:
    """The points of a key, in the order of tests/contracts/verifiers/Groth16.sol."""

    alpha: Point1
    beta: Point2
    gamma: Point2
    delta: Point2
    points: tuple[Point1, ...]

    @property
    def words(self) -> list[int]:
        points = [word for point in self.points for word in point]
        return [*self.alpha, *self.beta, *self.gamma, *self.delta, *points]


def key_of(secrets: Secrets) -> VerificationKey:
    """The verification key of a set-up."""
    inverse = pow(secrets.gamma, -1, FIELD)
    return VerificationKey(
        alpha=scaled(BASE, secrets.alpha),
        beta=scaled_second(GENERATOR, secrets.beta),
        gamma=scaled_second(GENERATOR, secrets.gamma),
        delta=scaled_second(GENERATOR, secrets.delta),
        points=tuple(scaled(BASE, secrets.point_of(i) * inverse) for i in range(1 + INSTANCES)),
    )


def source_for_keys(path: Path) -> str:
    """The source of a verifier with a number in place of each word of its key."""
    source = path.read_text()
    (count,) = re.findall(r"uint256\[(\d+)\] memory key\) \{", source)
    lines = (f"key[{i}] = {int.from_bytes(_stand_in(i))};" for i in range(int(count)))
    return source.replace("key[0] = 0;", " ".join(lines))


def with_key(code: bytes, words: list[int]) -> bytes:
    """The compiled code of such a source with a key: one compilation serves all keys."""
    for place, word in enumerate(words):
        assert _stand_in(place) in code
        code = code.replace(_stand_in(place), word.to_bytes(32))
    return code


def _stand_in(place: int) -> bytes:
    return hashlib.sha256(f"word {place}".encode()).digest()

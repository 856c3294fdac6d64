"""Keys of a circuit: made of powers of tau, then changed by each contribution to its ceremony."""

import json
import struct
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from zk.groth16 import curve
from zk.groth16.curve import G1, G2, SIZE1, SIZE2, Point
from zk.groth16.powers import (
    ALPHA1,
    ALPHA_LAGRANGE,
    BETA1,
    BETA2,
    BETA_LAGRANGE,
    LAGRANGE1,
    LAGRANGE2,
    TAU1,
    Powers,
)
from zk.layout import FIELD
from zk.r1cs.system import System

Column = list[tuple[int, int]]  # rows, and the wire's factors in them
SMALL = 2**32  # below it, a multiplication takes microseconds


@dataclass(frozen=True)
class VerificationKey:
    """The points that a verifier needs. Gamma is the generator of G2."""

    alpha: Point
    beta: Point
    delta: Point
    instances: list[Point]  # of 1, and of each instance

    @classmethod
    def load(cls, path: Path) -> "VerificationKey":
        content = json.loads(path.read_text())
        return cls(
            _point1(content["vk_alpha_1"]),
            _point2(content["vk_beta_2"]),
            _point2(content["vk_delta_2"]),
            [_point1(one) for one in content["IC"]],
        )

    def save(self, path: Path) -> None:
        """Write the key as snarkjs does."""
        content = {
            "protocol": "groth16",
            "curve": "bn128",
            "nPublic": len(self.instances) - 1,
            "vk_alpha_1": _written(self.alpha),
            "vk_beta_2": _written(self.beta),
            "vk_gamma_2": _written(G2),
            "vk_delta_2": _written(self.delta),
            "IC": [_written(one) for one in self.instances],
        }
        path.write_text(json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class ProvingKey:
    """The points of a proof, for the wires that need them."""

    logrows: int
    verification: VerificationKey
    beta1: Point
    delta1: Point
    a: dict[int, Point]  # of the wires in the first sums of the constraints
    b1: dict[int, Point]  # and in the second
    b2: dict[int, Point]
    private: list[Point]  # of each wire that is not public
    quotient: list[Point]

    @property
    def content(self) -> bytes:
        """The wires as JSON, and then the coordinates of all points."""
        key = self.verification
        header = {
            "logrows": self.logrows,
            "instances": len(key.instances),
            "private": len(self.private),
            "a": list(self.a),
            "b": list(self.b1),
        }
        first = [key.alpha, self.beta1, self.delta1, *key.instances, *self.a.values()]
        first += [*self.b1.values(), *self.private, *self.quotient]
        second = [key.beta, key.delta, *self.b2.values()]
        text = json.dumps(header, separators=(",", ":")).encode()
        content = struct.pack(">I", len(text)) + text
        return content + curve.to_bytes(first) + curve.to_bytes(second)

    @classmethod
    def load(cls, path: Path) -> "ProvingKey":
        """Read a key, which stays in memory: reading takes ten times as long as proving."""
        return _loaded(path, path.stat().st_mtime_ns)

    @classmethod
    def of(cls, content: bytes) -> "ProvingKey":
        """Read the `content` of a key."""
        (length,) = struct.unpack(">I", content[:4])
        header: dict[str, Any] = json.loads(content[4 : 4 + length])
        place = 4 + length

        def read(count: int, size: int) -> list[Point]:
            nonlocal place
            place += count * size
            return curve.from_bytes(content[place - count * size : place], size)

        alpha, beta1, delta1 = read(3, SIZE1)
        instances = read(header["instances"], SIZE1)
        a, b1 = (dict(zip(header[n], read(len(header[n]), SIZE1), strict=True)) for n in ("a", "b"))
        private = read(header["private"], SIZE1)
        quotient = read(2 ** header["logrows"] - 1, SIZE1)
        beta, delta = read(2, SIZE2)
        b2 = dict(zip(header["b"], read(len(header["b"]), SIZE2), strict=True))
        key = VerificationKey(alpha, beta, delta, instances)
        return cls(header["logrows"], key, beta1, delta1, a, b1, b2, private, quotient)

    def contributed(self, secret: int) -> "ProvingKey":
        """Return the key with delta times a secret."""
        key, inverse = self.verification, pow(secret, -1, FIELD)
        (delta1,), (delta2,) = (curve.times([one], [secret]) for one in (self.delta1, key.delta))
        new = VerificationKey(key.alpha, key.beta, delta2, key.instances)
        points = [*self.private, *self.quotient]
        points = curve.times(points, [inverse] * len(points))
        private, quotient = points[: len(self.private)], points[len(self.private) :]
        return ProvingKey(
            self.logrows, new, self.beta1, delta1, self.a, self.b1, self.b2, private, quotient
        )


def logrows_of(system: System) -> int:
    """Return the logarithm of the rows that a system needs: each instance has one, and so has 1."""
    return (len(system.constraints) + system.public).bit_length()


def first_key(system: System, powers: Powers) -> ProvingKey:
    """Return the key of a circuit before any contribution: its delta is the generator."""
    logrows = logrows_of(system)
    rows = 2**logrows
    a, b, c = columns(system)
    one, two = (powers.lagrange(section, logrows) for section in (LAGRANGE1, LAGRANGE2))
    alpha, beta = (powers.lagrange(s, logrows) for s in (ALPHA_LAGRANGE, BETA_LAGRANGE))
    wires = [
        _sum([(beta, a.get(wire, [])), (alpha, b.get(wire, [])), (one, c.get(wire, []))])
        for wire in range(system.wires)
    ]
    tau = powers.powers(TAU1, 2 * rows - 1)
    key = VerificationKey(
        powers.powers(ALPHA1, 1)[0], powers.powers(BETA2, 1)[0], G2, wires[: system.public + 1]
    )
    return ProvingKey(
        logrows,
        key,
        powers.powers(BETA1, 1)[0],
        G1,
        {wire: _sum([(one, column)]) for wire, column in a.items()},
        {wire: _sum([(one, column)]) for wire, column in b.items()},
        {wire: _sum([(two, column)]) for wire, column in b.items()},
        wires[system.public + 1 :],
        [tau[rows + place] + -tau[place] for place in range(rows - 1)],
    )


def columns(system: System) -> list[dict[int, Column]]:
    """Return, for each of the three sums, the wires with their factors in all constraints.

    Each public wire also has a separate row, in the first sums: without it, an instance that is
    in no constraint could be changed in a proof.
    """
    found: list[dict[int, Column]] = [defaultdict(list) for _ in range(3)]
    for row, constraint in enumerate(system.constraints):
        for column, sum_ in zip(found, constraint, strict=True):
            for wire, factor in sum_.items():
                column[wire].append((row, factor))
    for wire in range(system.public + 1):
        found[0][wire].append((len(system.constraints) + wire, 1))
    return [dict(sorted(column.items())) for column in found]


def _sum(parts: list[tuple[list[Point], Column]]) -> Point:
    """Add points, each times a factor. Most factors are small, also those below 0."""
    terms = [(points[row], factor) for points, column in parts for row, factor in column]
    large = [(point, factor) for point, factor in terms if abs(factor) >= SMALL]
    total = curve.weighted([point for point, _ in large], [f for _, f in large], parts[0][0][0])
    for point, factor in terms:
        if abs(factor) < SMALL:
            total += point * factor if factor > 0 else -(point * -factor)
    return total


@lru_cache(maxsize=2)
def _loaded(path: Path, changed: int) -> ProvingKey:
    return ProvingKey.of(path.read_bytes())


def _written(point: Point) -> list[Any]:
    words = [str(word) for word in curve.coordinates(point)]
    return [*words, "1"] if len(words) == 2 else [words[:2], words[2:], ["1", "0"]]


def _point1(words: list[str]) -> Point:
    return curve.point_of([int(word) for word in words[:2]])


def _point2(words: list[list[str]]) -> Point:
    return curve.point_of([int(word) for pair in words[:2] for word in pair])

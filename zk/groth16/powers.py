"""Powers of tau: the first phase of a set-up, which all circuits share.

The files have the format of snarkjs (.ptau): numbered sections of points, whose coordinates are in
Montgomery form, the lowest byte first. Beside the powers they hold Lagrange polynomials at tau, for
each number of rows up to their own. A dev file holds those for its own number of rows only.
"""

import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from zk.downloads import fetch
from zk.errors import CircuitError
from zk.groth16 import curve
from zk.groth16.curve import BASE, G1, G2, SIZE1, SIZE2, WORD, Point
from zk.layout import FIELD
from zk.srs import POWERS_SHA256, Kind, ensure_file, powers_hash

URL = "https://storage.googleapis.com/zkevm/ptau"
MONTGOMERY = 2**256
TAU1, TAU2, ALPHA1, BETA1, BETA2 = range(2, 7)  # sections of powers: of tau, and times a secret
LAGRANGE1, LAGRANGE2, ALPHA_LAGRANGE, BETA_LAGRANGE = range(12, 16)


class Powers:
    """A file of powers of tau."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            magic, _, count = struct.unpack("<4sII", file.read(12))
            if magic != b"ptau":
                raise CircuitError(f"{path} holds no powers of tau: delete it and build again.")
            self._sections = dict(_section(file) for _ in range(count))
        header = self._read(1, 0, 44)
        self.logrows = int.from_bytes(header[36:40], "little")

    def powers(self, section: int, count: int) -> list[Point]:
        """Return the first points of a section of powers."""
        size = SIZE2 if section in (TAU2, BETA2) else SIZE1
        return _points(self._read(section, 0, count * size), size)

    def lagrange(self, section: int, logrows: int) -> list[Point]:
        """Return the Lagrange polynomials for 2**logrows rows, at tau."""
        size, rows = SIZE2 if section == LAGRANGE2 else SIZE1, 2**logrows
        return _points(self._read(section, (rows - 1) * size, rows * size), size)

    def _read(self, section: int, start: int, size: int) -> bytes:
        offset, length = self._sections.get(section, (0, 0))
        if start + size > length:
            raise CircuitError(f"{self.path} is too small: section {section} has {length} bytes.")
        with self.path.open("rb") as file:
            file.seek(offset + start)
            return file.read(size)


def ensure_powers(
    folder: Path,
    kind: Kind,
    logrows: int,
    report: Callable[[str], None] = lambda step: None,
    mirror: str = URL,
) -> Path:
    """Return the path of the powers for 2**logrows rows; make or download them if missing."""
    return ensure_file(
        folder / kind / f"k{logrows}.ptau",
        powers_hash(logrows) if kind == "ceremony" else None,
        make=lambda partial: write_dev_powers(partial, logrows),
        download=(lambda path: _fetch(path, logrows, mirror)) if kind == "ceremony" else None,
        announce=lambda: report("powers of tau"),
        again="`ape run build` again",
    )


def _fetch(path: Path, logrows: int, mirror: str) -> None:
    expected = powers_hash(logrows)
    if expected is None:
        raise CircuitError(
            f"The ceremony's powers of tau for 2**{logrows} rows are not known here: choose a "
            f"model with 2**{min(POWERS_SHA256)} to 2**{max(POWERS_SHA256)} rows."
        )
    name = f"powersOfTau28_hez_final_{logrows:02}.ptau"
    fetch(f"{mirror}/{name}", path, expected, "ask a participant of the ceremony for the file")


def write_dev_powers(path: Path, logrows: int) -> None:
    """Write powers of secrets that only this call knows, for local chains."""
    rows = 2**logrows
    tau, alpha, beta = (1 + secrets.randbelow(FIELD - 1) for _ in range(3))
    powers = [pow(tau, exponent, FIELD) for exponent in range(2 * rows - 1)]
    lagrange = _lagrange(tau, rows)

    def first(factors: list[int], factor: int = 1) -> bytes:
        return _bytes(curve.times([G1] * len(factors), [factor * one for one in factors]))

    def second(factors: list[int]) -> bytes:
        return _bytes(curve.times([G2] * len(factors), factors))

    skipped1, skipped2 = bytes((rows - 1) * SIZE1), bytes((rows - 1) * SIZE2)
    header = struct.pack("<I", WORD) + BASE.to_bytes(WORD, "little")
    sections = {
        1: header + struct.pack("<II", logrows, logrows),
        TAU1: first(powers),
        TAU2: second(powers[:rows]),
        ALPHA1: first(powers[:rows], alpha),
        BETA1: first(powers[:rows], beta),
        BETA2: second([beta]),
        LAGRANGE1: skipped1 + first(lagrange),
        LAGRANGE2: skipped2 + second(lagrange),
        ALPHA_LAGRANGE: skipped1 + first(lagrange, alpha),
        BETA_LAGRANGE: skipped1 + first(lagrange, beta),
    }
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"ptau", 1, len(sections)))
        for number, data in sections.items():
            file.write(struct.pack("<IQ", number, len(data)) + data)


def _lagrange(tau: int, rows: int) -> list[int]:
    """The values at tau of the polynomials that are 1 at one root of unity, 0 at the others."""
    root = curve.root_of_unity(rows)
    roots = [pow(root, place, FIELD) for place in range(rows)]
    common = (pow(tau, rows, FIELD) - 1) * pow(rows, -1, FIELD)
    return [common * one * pow(tau - one, -1, FIELD) % FIELD for one in roots]


def _section(file: BinaryIO) -> tuple[int, tuple[int, int]]:
    """Read the number, offset and size of a section, and skip it."""
    number, size = struct.unpack("<IQ", file.read(12))
    offset = file.tell()
    file.seek(size, 1)
    return number, (offset, size)


def _points(data: bytes, size: int) -> list[Point]:
    inverse = pow(MONTGOMERY, -1, BASE)
    words = [
        int.from_bytes(data[at : at + WORD], "little") * inverse % BASE
        for at in range(0, len(data), WORD)
    ]
    step = size // WORD
    return [curve.point_of(words[at : at + step]) for at in range(0, len(words), step)]


def _bytes(points: list[Point]) -> bytes:
    return b"".join(
        (word * MONTGOMERY % BASE).to_bytes(WORD, "little")
        for point in points
        for word in curve.coordinates(point)
    )

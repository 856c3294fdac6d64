"""Audits an SRS (structured reference string): its origin, and that it holds powers of one secret.

The file holds `2**k` powers of a secret times the base point of G1, the same in the Lagrange basis,
the generator of G2, and the secret times this generator. Coordinates are in Montgomery form.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from zk.audit import curve
from zk.audit.curve import Point1, Point2
from zk.audit.findings import Finding, Report, Severity
from zk.audit.powers import WEIGHT_BITS, are_powers
from zk.errors import CircuitError
from zk.files import sha256
from zk.groth16.curve import G1, point_of, weighted
from zk.layout import FIELD
from zk.srs import CEREMONY_SHA256

BYTES = 32
UNMADE = pow(2**256, -1, curve.BASE_FIELD)  # converts from Montgomery form
AGAIN = "Remove the file and fetch or make it again with `ape run srs`."


@dataclass(frozen=True)
class Srs:
    """The content of an SRS."""

    logrows: int
    powers: list[Point1]
    lagrange: list[Point1]
    generator: Point2
    secret: Point2  # the secret times the generator of G2

    @classmethod
    def read(cls, path: Path) -> "Srs":
        content = path.read_bytes()
        logrows = int.from_bytes(content[:4], "little")
        if logrows > 28 or len(content) != size_of(logrows):
            raise CircuitError(
                f"{path} is not an SRS: its {len(content):,} bytes do not fit 2**{logrows} rows. "
                f"{AGAIN}"
            )
        numbers = [
            int.from_bytes(content[place : place + BYTES], "little") * UNMADE % curve.BASE_FIELD
            for place in range(4, len(content), BYTES)
        ]
        rows = 2**logrows
        points = list(zip(numbers[: 4 * rows : 2], numbers[1 : 4 * rows : 2], strict=True))
        second = numbers[4 * rows :]
        generator, secret = (
            (second[place + 1], second[place], second[place + 3], second[place + 2])
            for place in (0, 4)
        )
        return cls(logrows, points[:rows], points[rows:], generator, secret)


def size_of(logrows: int) -> int:
    """The size of an SRS in bytes."""
    rows: int = 2**logrows
    return 4 + 2 * rows * 2 * BYTES + 2 * 4 * BYTES


def audit_srs(path: Path, kind: str, logrows: int) -> Report:
    """Check the kind, the size and the points of an SRS."""
    report = Report(str(path), {"kind": kind})
    srs = Srs.read(path)
    found = sha256(path)
    report.facts |= {"logrows": srs.logrows, "sha256": found}
    _check(
        report,
        srs.logrows == logrows,
        f"the SRS has 2**{logrows} rows, like the circuit",
        "srs-size",
        f"The SRS has 2**{srs.logrows} rows, but the circuit has 2**{logrows}.",
    )
    if kind == "ceremony":
        _check(
            report,
            found == CEREMONY_SHA256.get(logrows),
            "the SRS has the hash of the public ceremony's",
            "srs-hash",
            f"The hash is not that of the ceremony's SRS of 2**{logrows} rows.",
        )
        _check(
            report,
            srs.secret in (curve.CEREMONY, curve.negated(curve.CEREMONY)),
            "the secret of the SRS is that of the perpetual powers of tau",
            "srs-secret",
            "The secret of the SRS is not that of the perpetual powers of tau.",
        )
    _check_points(report, srs)
    return report


def _check_points(report: Report, srs: Srs) -> None:
    field = curve.BASE_FIELD
    stray = [
        place
        for place, point in enumerate([*srs.powers, *srs.lagrange])
        if (point[1] ** 2 - point[0] ** 3 - 3) % field
    ]
    on_curve = _check(
        report,
        not stray and srs.powers[0] == (1, 2),
        "all points of the SRS are on the curve, and the first is the base point",
        "srs-points",
        f"{len(stray)} points are off the curve, or the first is not the base point.",
    )
    second = _check(
        report,
        srs.generator == curve.GENERATOR and curve.in_g2(srs.secret),
        "the SRS has the generator of G2 and another point of G2",
        "srs-second-group",
        "The SRS does not have the generator of G2 and another point of G2.",
    )
    if on_curve and second:
        _check_powers(report, srs)


def _check_powers(report: Report, srs: Srs) -> None:
    rows = 2**srs.logrows
    read = [*srs.powers, *srs.lagrange]
    points = [point_of(one) for one in tqdm(read, "verifying the SRS", leave=False, disable=None)]
    powers, lagrange = points[:rows], points[rows:]
    weights = [secrets.randbits(WEIGHT_BITS) for _ in powers]
    _check(
        report,
        are_powers(powers, weights, point_of(curve.real_first(srs.secret))),
        "the points are the powers of the secret of the point in G2",
        "srs-powers",
        "The points are not the powers of the secret of the point in G2.",
    )
    values = _evaluated(weights, pow(curve.ROOT, 2 ** (28 - srs.logrows), FIELD))
    _check(
        report,
        weighted(lagrange, values, G1) == weighted(powers, weights, G1),
        "the Lagrange basis matches the powers",
        "srs-lagrange",
        "The Lagrange basis does not match the powers.",
    )


def _evaluated(coefficients: list[int], root: int) -> list[int]:
    """The values of a polynomial at all powers of a root of unity."""
    if len(coefficients) == 1:
        return coefficients
    square = root * root % FIELD
    even, odd = _evaluated(coefficients[::2], square), _evaluated(coefficients[1::2], square)
    factor, first, second = 1, [], []
    for left, right in zip(even, odd, strict=True):
        turned = factor * right % FIELD
        first.append((left + turned) % FIELD)
        second.append((left - turned) % FIELD)
        factor = factor * root % FIELD
    return first + second


def _check(report: Report, holds: bool, passed: str, name: str, what: str) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, f"in {report.subject}", AGAIN)
    return report.check(holds, passed, finding)

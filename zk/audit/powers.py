"""Audits powers of tau: their origin, and that they are powers of one secret, in both bases."""

import secrets
from pathlib import Path

from zk.audit.findings import Finding, Report, Severity
from zk.files import sha256
from zk.groth16 import curve
from zk.groth16.curve import G1, G2, Point
from zk.groth16.powers import (
    ALPHA1,
    ALPHA_LAGRANGE,
    BETA1,
    BETA2,
    BETA_LAGRANGE,
    LAGRANGE1,
    LAGRANGE2,
    TAU1,
    TAU2,
    Powers,
)
from zk.srs import powers_hash

AGAIN = "Remove the file and build the circuit again with `ape run build`."
WEIGHT_BITS = 128  # of random weights: a wrong power passes with probability 2**-128


def audit_powers(path: Path, kind: str, logrows: int) -> Report:
    """Check the kind, the size and the points of a file of powers."""
    report, powers = Report(str(path), {"kind": kind}), Powers(path)
    if kind == "ceremony":
        _check(
            report,
            sha256(path) == powers_hash(logrows),
            "the powers of tau have the hash of the public ceremony's",
            "powers-hash",
            f"The hash is not that of the ceremony's powers for 2**{logrows} rows.",
        )
    for what, holds in _relations(powers, logrows):
        _check(report, holds, what, "powers", f"It does not hold that {what}.")
    return report


def _relations(powers: Powers, logrows: int) -> list[tuple[str, bool]]:
    """The relations between the points, each checked for all points at once."""
    rows = 2**logrows
    tau1, tau2 = powers.powers(TAU1, 2 * rows - 1), powers.powers(TAU2, rows)
    alpha, beta = (powers.powers(section, rows) for section in (ALPHA1, BETA1))
    (beta2,) = powers.powers(BETA2, 1)
    secret = tau2[1]
    weights = [secrets.randbits(WEIGHT_BITS) for _ in tau1]
    sections = {
        LAGRANGE1: tau1[:rows],
        LAGRANGE2: tau2,
        ALPHA_LAGRANGE: alpha,
        BETA_LAGRANGE: beta,
    }
    coefficients = curve.coefficients(weights[:rows])
    return [
        ("the first powers are the generators", (tau1[0], tau2[0]) == (G1, G2)),
        (
            "the points of G1 are powers of one tau, also times alpha and beta",
            all(are_powers(points, weights, secret) for points in (tau1, alpha, beta)),
        ),
        (
            "the points of G2 are powers of the same tau",
            curve.pairing_holds(
                [
                    (G1, curve.weighted(tau2[1:], weights[: rows - 1], G2)),
                    (-tau1[1], curve.weighted(tau2[:-1], weights[: rows - 1], G2)),
                ]
            ),
        ),
        ("beta is the same in both groups", curve.pairing_holds([(beta[0], G2), (-G1, beta2)])),
        (
            "the Lagrange polynomials match the powers",
            all(
                curve.weighted(powers.lagrange(section, logrows), weights[:rows], points[0])
                == curve.weighted(points, coefficients, points[0])
                for section, points in sections.items()
            ),
        ),
    ]


def are_powers(points: list[Point], weights: list[int], secret: Point) -> bool:
    """Return whether each point is the one before times the secret of a point of G2."""
    count = len(points) - 1
    lower, upper = (curve.weighted(p, weights[:count], G1) for p in (points[:-1], points[1:]))
    return curve.pairing_holds([(upper, G2), (-lower, secret)])


def _check(report: Report, holds: bool, passed: str, name: str, what: str) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, f"in {report.subject}", AGAIN)
    return report.check(holds, passed, finding)

"""Proofs: three points, made of a witness, and checked by one equation of pairings."""

import secrets
from collections.abc import Sequence

from zk.errors import CircuitError, InvalidProofError
from zk.groth16 import curve
from zk.groth16.curve import G1, G2, WORD, Point
from zk.groth16.keys import ProvingKey, VerificationKey
from zk.layout import FIELD
from zk.r1cs.system import System, total

PROOF_BYTES = 8 * WORD
GENERATOR = 5  # of the field: its coset of the roots of unity avoids the zeros of the divisor


def prove(key: ProvingKey, system: System, witness: Sequence[int]) -> bytes:
    """Return a proof of a witness, as the EVM takes it."""
    r, s = secrets.randbelow(FIELD), secrets.randbelow(FIELD)
    verification = key.verification
    a = verification.alpha + _weighted(key.a, witness, G1) + _times(key.delta1, r)
    b1 = key.beta1 + _weighted(key.b1, witness, G1) + _times(key.delta1, s)
    b2 = verification.beta + _weighted(key.b2, witness, G2) + _times(verification.delta, s)
    points = [*key.private, *key.quotient, a, b1, key.delta1]
    factors = [*witness[system.public + 1 :], *_quotient(key.logrows, system, witness)]
    c = curve.weighted(points, [*factors, s, r, -r * s], G1)
    words = (*curve.coordinates(a), *evm_words(b2), *curve.coordinates(c))
    return b"".join(word.to_bytes(WORD) for word in words)


def verify(key: VerificationKey, proof: bytes, instances: Sequence[int]) -> None:
    """Raise an `InvalidProofError` unless a proof holds for these instances."""
    if len(instances) != len(key.instances) - 1 or len(proof) != PROOF_BYTES:
        raise InvalidProofError(
            f"A proof of this circuit has {PROOF_BYTES} bytes and {len(key.instances) - 1} "
            f"instances, not {len(proof)} and {len(instances)}."
        )
    if not all(0 <= instance < FIELD for instance in instances):
        raise InvalidProofError(f"An instance is not a field element, which is below {FIELD}.")
    words = [int.from_bytes(proof[at : at + WORD]) for at in range(0, PROOF_BYTES, WORD)]
    a, b, c = words[:2], [words[3], words[2], words[5], words[4]], words[6:]
    try:
        if any(b) and curve.on_curve(b) and not curve.in_subgroup(b):
            raise CircuitError("Its second point is outside the group.")
        points = [curve.point_of(one) for one in (a, b, c)]
    except CircuitError as error:
        raise InvalidProofError(
            f"The proof has other points than those of BN254: {error}"
        ) from None
    shown = curve.weighted(key.instances, [1, *instances], G1)
    first, second, third = points
    pairs = [(-first, second), (key.alpha, key.beta), (shown, G2), (third, key.delta)]
    if not curve.pairing_holds(pairs):
        raise InvalidProofError("The equation of the proof does not hold.")


def _quotient(logrows: int, system: System, witness: Sequence[int]) -> list[int]:
    """The coefficients of the quotient of the constraints' polynomial and the one that is 0 on
    all rows."""
    rows = 2**logrows
    sides = [
        [total(three[side], witness) % FIELD for three in system.constraints] for side in range(3)
    ]
    sides[0] += witness[: system.public + 1]
    shift = [pow(GENERATOR, place, FIELD) for place in range(rows)]
    moved = []
    for values in sides:
        found = curve.coefficients(values + [0] * (rows - len(values)))
        moved.append(curve.values_of([c * f % FIELD for c, f in zip(found, shift, strict=True)]))
    divisor = pow(pow(GENERATOR, rows, FIELD) - 1, -1, FIELD)
    values = [(a * b - c) * divisor % FIELD for a, b, c in zip(*moved, strict=True)]
    back = pow(GENERATOR, -1, FIELD)
    found = curve.coefficients(values)
    return [c * pow(back, place, FIELD) % FIELD for place, c in enumerate(found)][:-1]


def _weighted(points: dict[int, Point], witness: Sequence[int], zero: Point) -> Point:
    return curve.weighted(list(points.values()), (witness[wire] for wire in points), zero)


def _times(point: Point, factor: int) -> Point:
    return curve.times([point], [factor])[0]


def evm_words(point: Point) -> tuple[int, int, int, int]:
    """The coordinates of a point of G2 as the EVM takes them: the part of u before that of 1."""
    x0, x1, y0, y1 = curve.coordinates(point)
    return x1, x0, y1, y0

"""Audits a Groth16 verifier by running its code.

The verification key is in the points that the code gives to the curve's precompiled contracts,
whichever compiler wrote the code. It is read as the points of the equation

    e(A, B) = e(alpha, beta) e(total, gamma) e(C, delta)

for a proof (A, B, C), where the total is the sum of one point per instance, times the instance.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zk.audit import curve
from zk.audit.calldata import SELECTOR, WORD, Call, FlatCall, random_call
from zk.audit.checks import Checks, accepts_anything, listed, not_understood
from zk.audit.curve import BASE_FIELD, Point1, Point2
from zk.audit.findings import Finding, Report, Severity
from zk.audit.interfaces import Interface
from zk.audit.machine import MULTIPLY, PAIRING, PERMISSIVE, TRUE, Run, run
from zk.groth16.curve import G1, coordinates, point_of, weighted
from zk.layout import FIELD

INFINITY, INFINITY2 = (0, 0), (0, 0, 0, 0)
AGAIN = "Do not use it. Make the key with a finished ceremony and deploy the verifier again."


@dataclass(frozen=True)
class Key:
    """The points of the equation, but for the total's."""

    alpha: Point1
    beta: Point2
    gamma: Point2
    delta: Point2

    @property
    def sha256(self) -> str:
        words = (*self.alpha, *self.beta, *self.gamma, *self.delta)
        return hashlib.sha256(b"".join(word.to_bytes(WORD) for word in words)).hexdigest()


def audit(report: Report, code: bytes, interface: Interface, live: bool) -> None:
    """Audit one function of a Groth16 verifier."""
    good = _calls_of(code, interface, 1)
    baseline = run(code, good.usual(), PERMISSIVE)
    report.facts |= {"instances": interface.instances, "proof_bytes": interface.words * WORD}
    if not baseline.accepted:
        not_understood(
            report,
            code,
            good,
            "This is no Groth16 verifier of a known form.",
            f"{interface.signature} refuses proofs of valid points even if the pairing holds",
        )
        return
    _Checks(report, code, interface, good, baseline, live).all()


def _calls_of(code: bytes, interface: Interface, seed: int) -> Call:
    """A well-formed call; each seed makes other numbers."""
    a, c, *others = curve.multiples(2 + 1000 * seed, 2 + max(0, interface.words - 8) // 2)
    b = curve.CEREMONY if seed % 2 else curve.negated(curve.CEREMONY)
    instances = random_call(0, interface.instances, seed).instances
    if interface.words > 4:
        proof = [*a, *b, *c, *(word for point in others for word in point)]
        form = Call if interface.selector == SELECTOR else FlatCall
        return form(proof, instances, interface.selector)
    tried = [
        FlatCall([_short(a), b[0], b[1] << 2 | bits, _short(c)], instances, interface.selector)
        for bits in range(4)
    ]
    return next((call for call in tried if _decompressed(code, call, b)), tried[0])


def _short(point: Point1) -> int:
    """A point of G1 as gnark compresses it: its x, and a bit for the sign of its y."""
    x, y = point
    root = pow(x**3 + 3, (BASE_FIELD + 1) // 4, BASE_FIELD)
    return x << 1 | (y != root)


def _decompressed(code: bytes, call: Call, b: Point2) -> bool:
    return any(second == b for _, second in _pairs(run(code, call.usual(), PERMISSIVE)))


def _pairs(seen: Run) -> list[tuple[Point1, Point2]]:
    """The pairs of the last pairing of four pairs."""
    return next((pairs for pairs in reversed(seen.pairings) if len(pairs) == 4), [])


def _sign(point: Point1, known: Point1) -> int:
    """1 or -1 if a point is the known one or its negative, and else 0."""
    return (point == known) - (point == _negated(known))


def _negated(point: Point1) -> Point1:
    return point[0], -point[1] % BASE_FIELD


def _signed(sign: int, point: Point2) -> Point2:
    return point if sign > 0 else curve.negated(point)


class _Checks(Checks):
    """The checks of a verifier that accepts well-formed proofs if the pairing holds."""

    def __init__(
        self,
        report: Report,
        code: bytes,
        interface: Interface,
        good: Call,
        baseline: Run,
        live: bool,
    ) -> None:
        super().__init__(report, code, good, baseline, live)
        self.other = _calls_of(code, interface, 2)
        full = interface if interface.words > 4 else replace(interface, words=8)
        words = _calls_of(code, full, 1).proof  # not compressed
        self.a, self.c = (words[0], words[1]), (words[6], words[7])
        self.b = (words[2], words[3], words[4], words[5])

    def all(self) -> None:
        if not self._equation(self.other):
            return
        self._results()
        self._calls()
        self._instances()
        self._count()
        if not self._key_points(self.b):
            return
        found = self._read(self.good)
        if not found:
            self._unread()
            return
        key, total = found
        self.report.facts["key_sha256"] = key.sha256
        self._used(total)
        self._secrets(key, total)
        if len(self.good.proof) > 4:
            self._malleable()

    def _unread(self) -> None:
        moved = replace(self.good, instances=self.other.instances)
        asked = [run(self.code, c.usual(), {PAIRING: TRUE}) for c in (self.good, moved)]
        if _pairs(asked[0]) == _pairs(asked[1]):
            evidence = "its pairing does not depend on the instances"
            self.report.findings.append(accepts_anything(evidence))
            return
        not_understood(
            self.report,
            self.code,
            self.good,
            "The pairing is not that of Groth16.",
            "its pairs of points are not those of a proof, a key and the instances",
        )

    def _count(self) -> None:
        """Check that words after the declared instances change nothing."""
        longer = replace(self.good, instances=[*self.good.instances, *self.other.instances])
        more = run(self.code, longer.usual(), PERMISSIVE)
        self.report.check(
            not more.accepted or more.calls == self.baseline.calls,
            "it reads no more instances than it declares",
            Finding(
                "instance-count",
                Severity.HIGH,
                "The verifier reads more instances than it declares.",
                f"words after instance {len(self.good.instances) - 1} change the equation",
                "Generate the verifier again from the circuit's own key, and deploy it again.",
            ),
        )

    def _read(self, call: Call) -> tuple[Key, Point1] | None:
        """The key, and the total for the call's instances."""
        pairs = _pairs(run(self.code, call.usual(), {PAIRING: TRUE}))
        changed = replace(call, instances=call.raised().instances)
        moved = _pairs(run(self.code, changed.usual(), {PAIRING: TRUE}))
        of_proof = [p for p in pairs if p[1] == self.b and _sign(p[0], self.a)]
        of_c = [p for p in pairs if p not in of_proof and _sign(p[0], self.c)]
        of_total = [p for p in pairs if p not in [*moved, *of_proof, *of_c]]
        of_key = [p for p in pairs if p not in [*of_proof, *of_c, *of_total]]
        if not all(len(found) == 1 for found in (of_proof, of_c, of_total, of_key)):
            return None
        sign = -_sign(of_proof[0][0], self.a)
        key = Key(
            alpha=of_key[0][0],
            beta=_signed(sign, of_key[0][1]),
            gamma=_signed(sign, of_total[0][1]),
            delta=_signed(sign * _sign(of_c[0][0], self.c), of_c[0][1]),
        )
        return key, of_total[0][0]

    def _used(self, total: Point1) -> None:
        """Check that the total depends on each instance, by a point of each."""
        points = self._points_of_instances()
        places = range(len(self.good.instances))
        if self._is_sum(points, total):
            unused = [place for place in places if points.get(place, INFINITY) == INFINITY]
        else:
            unused = [place for place in places if self._total_with(place) == total]
        self.report.check(
            not unused,
            "the equation depends on each instance",
            Finding(
                "instance-unused",
                Severity.CRITICAL,
                "The proof does not depend on all instances.",
                f"instances {listed(unused)} can have any value: the key has no point for them",
                "Do not use it: generate the verifier again from the circuit's own key.",
            ),
        )
        shared = sorted(
            place
            for place, point in points.items()
            if point != INFINITY and any(_sign(point, points[o]) for o in points if o != place)
        )
        self.report.check(
            not shared,
            "each instance has a point that no other has",
            Finding(
                "shared-key-point",
                Severity.CRITICAL,
                "A proof is valid for several statements.",
                f"instances {listed(shared)} have the same point: what one gains the other loses",
                "Do not use it: generate the verifier again from the circuit's own key.",
            ),
        )

    def _points_of_instances(self) -> dict[int, Point1]:
        """The point that is multiplied by each instance."""
        multiplied = {}
        for data in run(self.code, self.good.usual(), {PAIRING: TRUE}).asked(MULTIPLY):
            x, y, factor = (int.from_bytes(data[i : i + WORD]) for i in (0, WORD, 2 * WORD))
            multiplied[factor % FIELD] = x, y
            multiplied[-factor % FIELD] = _negated((x, y))
        instances = self.good.instances
        return {i: multiplied[x] for i, x in enumerate(instances) if x in multiplied}

    def _is_sum(self, points: dict[int, Point1], total: Point1) -> bool:
        """Return whether other instances change the total by their points and nothing else."""
        found = self._read(replace(self.good, instances=self.other.instances))
        if not found:
            return False
        used = {place: point for place, point in points.items() if point != INFINITY}
        weights = [
            (self.good.instances[place] - self.other.instances[place]) % FIELD for place in used
        ]
        if not all(map(curve.on_curve, [*used.values(), total, found[1]])):
            return False
        difference = _sum([total, found[1]], [1, -1])
        return bool(_sign(difference, _sum(list(used.values()), weights)))

    def _total_with(self, place: int) -> Point1 | None:
        other = self.other.instances[place]
        found = self._read(self.good.with_instance(place, other))
        return found[1] if found else None

    def _secrets(self, key: Key, total: Point1) -> None:
        """Check that no two points of the key have a known ratio, and that none has a known log."""
        ratios = {
            f"{one} is {_times(factor)}{other}"
            for one, other in (("beta", "gamma"), ("beta", "delta"), ("delta", "gamma"))
            if (factor := _ratio(getattr(key, one), getattr(key, other)))
        } | {
            f"{name} is the point at infinity"
            for name in ("alpha", "beta", "gamma")
            if not any(getattr(key, name))
        }
        forged = [
            call
            for call in (self._forgeries(key, total) if ratios else [])
            if run(self.code, call.usual()).accepted
        ]
        if forged:
            self.report.facts["forgery"] = f"0x{forged[0].usual().hex()}"
        self.report.check(
            not ratios,
            "beta, gamma and delta are not known multiples of one another",
            Finding(
                "related-key",
                Severity.CRITICAL,
                "Anyone can prove any statement: points of the key depend on one another.",
                "; ".join(sorted(ratios))
                + "; it accepts the forgery, a proof of invented instances" * bool(forged),
                AGAIN,
            ),
        )
        known = [
            f"{name} is {_times(factor)}the generator"
            for name in ("beta", "delta")
            if (factor := _ratio(getattr(key, name), curve.GENERATOR))
            and not any(name in ratio for ratio in ratios)
        ]
        multiples = curve.multiples(1, 16)
        known += ["alpha is a known multiple of the generator"] * any(
            _sign(key.alpha, point) for point in multiples
        )
        self.report.check(
            not known,
            "alpha, beta and delta are not known multiples of the generator",
            Finding(
                "known-secret",
                Severity.CRITICAL,
                "A secret of the key's set-up is public: a phase of it has no contribution.",
                f"{', '.join(known)}: with the circuit and its powers of tau, anyone can prove "
                "any statement",
                AGAIN,
            ),
        )
        generator = _ratio(key.gamma, curve.GENERATOR) != 0
        self.report.facts["gamma"] = "the generator" if generator else "another point"

    def _forgeries(self, key: Key, total: Point1) -> Iterator[Call]:
        """Proofs of this call's invented instances, for keys whose points are related."""
        if len(self.good.proof) == 4:
            return  # compressed: the function for whole proofs shows the forgery
        alpha, beta, gamma, delta = key.alpha, key.beta, key.gamma, key.delta
        made: list[tuple[Point1, Point2, Point1]] = []
        if not any(gamma):
            made.append((alpha, beta, INFINITY))
        if not any(alpha) or not any(beta):
            made.append((total, gamma, INFINITY))
        if factor := _ratio(delta, gamma):
            made.append((alpha, beta, curve.scaled(total, -pow(factor, -1, FIELD))))
        if (factor := _ratio(beta, gamma)) and all(map(curve.on_curve, (alpha, total))):
            made.append((_sum([alpha, total], [factor, 1]), gamma, INFINITY))
        if factor := _ratio(beta, delta):
            made.append((total, gamma, curve.scaled(alpha, -factor)))
        for a, b, c in made:
            yield self.good.with_word(0, *a, *b, *c)

    def _malleable(self) -> None:
        self.report.findings.append(
            Finding(
                "proof-malleable",
                Severity.NOTE,
                "Anyone can turn a proof into another valid proof of the same statement.",
                "Groth16: A times r and B divided by r are as valid as A and B",
                "Recognise replays by the statement, such as account and round, and not by the "
                "bytes of the proof.",
            )
        )


def _ratio(one: Point2, other: Point2) -> int:
    return curve.small_multiple(one, other) if any(one) and any(other) else 0


def _times(factor: int) -> str:
    return "" if factor == 1 else f"{factor} times "


def _sum(points: list[Point1], weights: list[int]) -> Point1:
    """Add points, each times a weight."""
    x, y = coordinates(weighted([point_of(one) for one in points], weights, G1))
    return x, y

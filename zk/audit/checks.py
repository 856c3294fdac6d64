"""The checks that all verifiers have in common."""

from collections.abc import Iterable

from zk.audit import curve
from zk.audit.calldata import WORD, Call
from zk.audit.curve import Point2
from zk.audit.findings import Finding, Report, Severity
from zk.audit.machine import ADD, FALSE, MULTIPLY, PAIRING, PERMISSIVE, Answers, Run, run
from zk.layout import FIELD

PRECOMPILED = range(1, 0x12)
AGAIN = "Generate the verifier with a tool that adds this check, and deploy it again."
REVIEW = "Do not use it before an expert has reviewed it."
TWICE = (  # the base point plus itself
    0x030644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD3,
    0x15ED738C0E0A7C92E7845F96B2AE9C0A68A6A449E3538FC7FF3EBF7A5A18A2C4,
)


class Checks:
    """Checks of a verifier by a call that it accepts if the pairing holds."""

    def __init__(self, report: Report, code: bytes, good: Call, baseline: Run, live: bool) -> None:
        self.report, self.code, self.live = report, code, live
        self.good, self.baseline = good, baseline

    def _accepts(self, call: Call, answers: Answers = PERMISSIVE) -> bool:
        return run(self.code, call.usual(), answers).accepted

    def _equation(self, other: Call) -> bool:
        """Check that the pairing depends on the proof and the instances: `other` has others."""
        ignored = []
        if not self.baseline.asked(PAIRING):
            ignored.append("it asks for no pairing")
        else:
            doubled = b"".join(number.to_bytes(WORD) for number in TWICE)
            answers = PERMISSIVE | {ADD: doubled, MULTIPLY: doubled}
            changed = run(self.code, self.good.usual(), answers)
            if changed.asked(PAIRING) == self.baseline.asked(PAIRING):
                ignored.append("its pairing takes no computed point")
            for part in ("proof", "instances"):
                call = self.good.with_other(other, part)
                if run(self.code, call.usual(), PERMISSIVE).calls == self.baseline.calls:
                    ignored.append(f"its pairing does not depend on the {part}")
        return self.report.check(
            not ignored,
            "the pairing depends on the proof and the instances",
            accepts_anything(", and ".join(ignored)),
        )

    def _instances(self) -> None:
        good = self.good.instances
        suspects = {
            place
            for place, instance in enumerate(good)
            if place in (0, len(good) - 1) or (instance, FIELD) not in self.baseline.below
        }
        unchecked = {
            place
            for place in suspects
            if self._accepts(self.good.with_instance(place, good[place] + FIELD))
        }
        self.report.check(
            not unchecked,
            "an instance of the field's order or more is refused",
            Finding(
                "instance-range",
                Severity.HIGH,
                "An instance plus the field's order is accepted in place of the instance.",
                f"instances {listed(unchecked)} are not compared with the order: one statement "
                "has several forms",
                f"{AGAIN} Until then, compare each instance with the order in the application.",
            ),
        )

    def _results(self) -> None:
        calldata = self.good.usual()
        false = self._accepts(self.good, PERMISSIVE | {PAIRING: FALSE})
        failing = [
            site
            for site in sorted(self.baseline.sites)
            if run(self.code, calldata, PERMISSIVE, failing=site).accepted
        ]
        ignored = ["a pairing that does not hold"] * false + [
            f"a failed call at {place:#x}" + f" of library {library:#042x}" * bool(library)
            for library, place in failing
        ]
        self.report.check(
            not ignored,
            "a pairing that does not hold and a failed computation of a point are refused",
            Finding(
                "result-ignored",
                Severity.CRITICAL,
                "The verifier ignores a result of the proof's equation.",
                f"ignored: {', '.join(ignored)}",
                "Do not use it: it accepts invalid proofs.",
            ),
        )

    def _calls(self) -> None:
        others = sorted({address for address, _ in self.baseline.calls} - set(PRECOMPILED))
        self.report.check(
            not others,
            "it calls precompiled contracts only",
            Finding(
                "external-call",
                Severity.HIGH,
                "The verifier calls other contracts.",
                f"it calls {', '.join(f'0x{address:040x}' for address in others)}",
                "Find out how they can influence it, or deploy a verifier without such calls.",
            ),
        )

    def _key_points(self, *proof: Point2) -> bool:
        """Check the points that the code computes with, but for the proof's points of G2."""
        pairs = [pair for pairing in self.baseline.pairings for pair in pairing]
        firsts = dict.fromkeys([*self.baseline.computed_with, *(first for first, _ in pairs)])
        seconds = dict.fromkeys(second for _, second in pairs if any(second))
        wrong = [f"({x:#x}, …)" for x, y in firsts if not curve.on_curve((x, y))] + [
            f"({second[0]:#x}, …) of G2"
            for second in seconds
            if second not in proof and not curve.in_g2(second)
        ]
        return self.report.check(
            not wrong,
            "the points of its key are on the curve and in the subgroup",
            Finding(
                "bad-key-point",
                Severity.HIGH,
                "A point of the verification key is not on the curve or not in its subgroup.",
                f"{', '.join(wrong)}: the precompiled contract refuses every proof",
                "Generate the verifier again from the circuit's key, and deploy it again.",
            ),
        )

    def _srs(self) -> None:
        report, pairings = self.report, self.baseline.pairings
        points = {second for pairing in pairings for _, second in pairing}
        secret = [point for point in points if point != curve.GENERATOR]
        if len(points) != 2 or len(secret) != 1 or not curve.in_g2(secret[0]):
            report.findings.append(
                Finding(
                    "bad-srs-point",
                    Severity.CRITICAL,
                    "The SRS point in the pairing is not a point of G2.",
                    f"it pairs with {len(points)} points of G2, {len(secret)} of them other than "
                    "the generator",
                    "Generate the verifier again from a verified SRS (`ape run srs --verify`).",
                )
            )
            return
        report.facts["srs_point"] = curve.written(secret[0])
        public = secret[0] in (curve.CEREMONY, curve.negated(curve.CEREMONY))
        report.facts["srs"] = "perpetual powers of tau" if public else "unknown"
        if curve.small_multiple(secret[0], curve.GENERATOR):
            report.findings.append(
                Finding(
                    "known-secret",
                    Severity.CRITICAL,
                    "The secret of the SRS is public.",
                    "its point in G2 is a small multiple of the generator",
                    "Do not use it: anyone can forge a proof of any statement.",
                )
            )
        elif not public:
            report.findings.append(
                Finding(
                    "unknown-srs",
                    Severity.HIGH if self.live else Severity.NOTE,
                    "The SRS is not the public ceremony's.",
                    f"the point in its pairing is 0x{secret[0][0]:064x}…",
                    "Ask who made it: anyone who knows its secret can forge proofs.",
                )
            )
        else:
            report.passed.append("the SRS is that of the perpetual powers of tau")


def accepts_unasked(code: bytes, call: Call) -> str:
    """Evidence that the code accepts calls whose proof no pairing checks, or nothing."""
    for stored in (False, True):
        tried = call
        for _ in range(3):
            seen = run(code, tried.usual(), PERMISSIVE, stored=stored)
            other = run(code, tried.raised().usual(), PERMISSIVE, stored=stored)
            if seen.accepted and (not seen.asked(PAIRING) or seen.calls == other.calls):
                size = f"{len(call.proof)} words and {len(call.instances)} instances"
                condition = " if its storage says so" * stored
                return f"it accepts any {size}{condition}, and no pairing depends on them"
            tried = tried.satisfying(seen.equal)
    return ""


def not_understood(report: Report, code: bytes, call: Call, what: str, evidence: str) -> None:
    """Report a verifier that refuses well-formed proofs even if the pairing holds."""
    if unasked := accepts_unasked(code, call):
        report.findings.append(accepts_anything(unasked))
        return
    report.findings.append(Finding("not-understood", Severity.HIGH, what, evidence, REVIEW))


def accepts_anything(evidence: str) -> Finding:
    return Finding(
        "accepts-anything",
        Severity.CRITICAL,
        "The verifier accepts proofs that it does not check.",
        evidence,
        "Do not use it: anyone can make it accept any statement.",
    )


def listed(numbers: Iterable[int]) -> str:
    some = sorted(numbers)
    return ", ".join(map(str, some[:6])) + (" and more" if len(some) > 6 else "")

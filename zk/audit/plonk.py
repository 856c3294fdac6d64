"""Audits PLONK and fflonk verifiers of snarkjs by running their code.

It checks what surrounds the equation: the ranges, the challenges, the points of the key and the
pairing. It does not check the equation of the gates itself.
"""

from zk.audit import curve
from zk.audit.calldata import WORD, Call, FlatCall, random_call
from zk.audit.checks import AGAIN, Checks, listed, not_understood
from zk.audit.findings import Finding, Report, Severity
from zk.audit.interfaces import PLONK, Interface
from zk.audit.machine import PERMISSIVE, Answers, run
from zk.layout import FIELD

POINTS = {True: 9, False: 4}  # of a proof of PLONK, or else of fflonk: its first words
INVERSE = 23  # the word of an fflonk proof that inverts a number which the code computes


def audit(report: Report, code: bytes, interface: Interface, live: bool) -> None:
    """Audit a function of a PLONK or fflonk verifier."""
    report.facts |= {
        "instances": interface.instances,
        "proof_bytes": interface.words * WORD,
        "unchecked": f"the equation of {interface.family}'s gates, and its key against the circuit",
    }
    good = _call(code, interface, 1)
    baseline = run(code, good.usual(), PERMISSIVE)
    if not baseline.accepted:
        not_understood(
            report,
            code,
            good,
            f"This is no {interface.family} verifier of a known form.",
            f"{interface.signature} refuses proofs of valid points even if the pairing holds",
        )
        return
    checks = (_Checks if interface.family == PLONK else _FflonkChecks)(
        report, code, good, baseline, live
    )
    checks.all(_call(code, interface, 2))


def _call(code: bytes, interface: Interface, seed: int) -> Call:
    """A well-formed call; each seed makes other numbers."""
    points = curve.multiples(2 + 1000 * seed, POINTS[interface.family == PLONK])
    made = random_call(interface.words, interface.instances, seed)
    proof = [word for point in points for word in point] + made.proof[2 * len(points) :]
    call = FlatCall(proof, made.instances, interface.selector)
    return call if interface.family == PLONK else _with_inverse(code, call)


def _with_inverse(code: bytes, call: Call) -> Call:
    """The call with the inverse that the code compares with 1 after a multiplication."""
    seen = run(code, call.usual(), PERMISSIVE)
    if seen.accepted:
        return call
    products = {a * b for a, b in seen.equal if 1 in (a, b)} - {0, 1}
    for product in products:
        inverse = call.proof[INVERSE] * pow(product, -1, FIELD) % FIELD
        tried = call.with_word(INVERSE, inverse)
        if run(code, tried.usual(), PERMISSIVE).accepted:
            return tried
    return call


class _Checks(Checks):
    """The checks of a verifier that accepts well-formed proofs if the pairing holds."""

    last: frozenset[int] = frozenset()  # the words that no challenge depends on

    def all(self, other: Call) -> None:
        if not self._equation(other):
            return
        self._results()
        self._calls()
        self._instances()
        self._challenges()
        if self._key_points():
            self._srs()

    def _challenges(self) -> None:
        """Check that all words are hashed, but for the last ones."""
        hashed = b"".join(self.baseline.hashed)
        for name, part, words, free in (
            ("instances-not-absorbed", "all instances", self.good.instances, frozenset[int]()),
            ("proof-not-absorbed", "the whole proof", self.good.proof, self.last),
        ):
            hidden = {i for i, word in enumerate(words) if word.to_bytes(WORD) not in hashed}
            missing = hidden - free
            self.report.check(
                not missing,
                f"the challenges depend on {part}",
                Finding(
                    name,
                    Severity.CRITICAL,
                    f"The challenges do not depend on {part}.",
                    f"words {listed(missing)} are not hashed: they can be chosen after the "
                    "challenges",
                    AGAIN,
                ),
            )


class _FflonkChecks(_Checks):
    last = frozenset({6, 7, INVERSE})

    def _accepts(self, call: Call, answers: Answers = PERMISSIVE) -> bool:
        """Return whether the code accepts a call with the inverse that belongs to it."""
        return super()._accepts(_with_inverse(self.code, call), answers)

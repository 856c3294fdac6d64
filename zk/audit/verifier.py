"""Audits an EVM verifier of halo2 proofs by running its code, without source or artifacts.

The code runs in an EVM that records its reads, comparisons, hashes and calls. The record shows the
form of a proof. With a pairing that always holds, the verifier accepts every proof of this form,
and each of its other checks can be tested by the proofs that it refuses.
"""

from collections.abc import Iterable
from functools import cache

from zk.audit import curve
from zk.audit.calldata import FIRST_WORD, SELECTOR, WORD, Call, Shape, random_call
from zk.audit.code import instructions, selectors, strange
from zk.audit.findings import Finding, Report, Severity
from zk.audit.machine import FALSE, MULTIPLY, PAIRING, PERMISSIVE, TRUE, Answers, Run, run
from zk.witness import FIELD

# No proof has these lengths: the code compares them with the expected ones.
STRANGE_WORDS, STRANGE_INSTANCES = 1009, 503
PRECOMPILED = range(1, 0x12)
AGAIN = "Generate the verifier with a tool that adds this check, and deploy it again."

# Instructions by which other code takes the place of a contract's.
REPLACING = {"DELEGATECALL", "CALLCODE", "SELFDESTRUCT"}
REPLACED = ": other code can take its place, and applications believe all that it accepts"

# Functions of verifiers that also take the verification key.
KEY_FROM_CALLER = (
    "verifyProof(address,bytes,uint256[])",
    "verifyProof(bytes,uint256[],bytes32[])",
)


def audit_verifier(code: bytes, subject: str, *, live: bool = False) -> Report:
    """Audit the runtime code of a verifier. `live` means that the network carries value."""
    report = Report(subject, {"bytes": len(code)})
    _check_instructions(report, code)
    if not _is_known(report, code):
        return report
    shape = find_shape(code)
    baseline = run(code, shape.call(1).usual(), PERMISSIVE) if shape else Run()
    if shape is None or not baseline.accepted:
        report.findings.append(
            Finding(
                "not-understood",
                Severity.HIGH,
                "This is no halo2 verifier of a known form.",
                "it refuses proofs of the form that its own reads and comparisons suggest",
                "Do not use it before an expert has reviewed it.",
            )
        )
        return report
    _read_facts(report, code, shape, baseline)
    _Checks(code, shape, baseline, report, live).all()
    return report


@cache
def find_shape(code: bytes) -> Shape | None:
    """Derive the form of a proof from the lengths that the code compares and the words it reads."""
    words, instances = STRANGE_WORDS, STRANGE_INSTANCES
    for _ in range(3):  # some verifiers look at the second length only if the first is right
        odd = run(code, random_call(words, instances).usual(), PERMISSIVE)
        words = _compared(odd, words * WORD) // WORD or words
        instances = _compared(odd, instances) or instances
    probe = random_call(words, instances)
    seen = run(code, probe.usual(), PERMISSIVE)
    read = [(place - FIRST_WORD) // WORD for place in sorted(seen.reads) if place >= FIRST_WORD]
    words = len([word for word in read if word < words])
    instances = len([word for word in read if word > len(probe.proof)])
    if not words:
        return None
    points: list[int] = []
    scalars: list[int] = []
    word = 0
    while word < words:
        is_point = word + 1 < words and _is_point(seen, *probe.proof[word : word + 2])
        (points if is_point else scalars).append(word)
        word += 2 if is_point else 1
    return Shape(words, instances, points, scalars)


def _is_point(seen: Run, x: int, y: int) -> bool:
    """Return whether the code checks that (x, y) is on the curve, or at least that both fit."""
    field = curve.BASE_FIELD
    square = y * y % field
    on_curve = any(square in pair for pair in seen.equal)
    return on_curve or {(x, field), (y, field)} <= seen.below


def _compared(seen: Run, length: int) -> int:
    """Return the number that a length is compared with, or 0."""
    others = {a + b - length for a, b in seen.equal if length in (a, b)}
    return max(others - {length, 0, 1}, default=0)


def _check_instructions(report: Report, code: bytes) -> None:
    found = strange(code)
    state = sorted({"SLOAD", "SSTORE", "TLOAD", "TSTORE"} & set(found))
    away = sorted(set(found) - set(state) - {"BALANCE"})
    report.check(
        not state,
        "it keeps no state",
        Finding(
            "changeable",
            Severity.HIGH,
            "The verifier has state that can change.",
            f"its code contains {', '.join(state)}",
            "Deploy a verifier whose key is in its code, or find out who can change the state.",
        ),
    )
    report.check(
        not away,
        "it contains no CALL, DELEGATECALL, CREATE or SELFDESTRUCT",
        Finding(
            "strange-instructions",
            Severity.CRITICAL if {"DELEGATECALL", "CALLCODE"} & set(away) else Severity.HIGH,
            "The verifier has instructions that no verifier needs.",
            f"its code contains {', '.join(away)}{REPLACED if REPLACING & set(away) else ''}",
            "Deploy a verifier without these instructions.",
        ),
    )


def _is_known(report: Report, code: bytes) -> bool:
    from eth_utils.abi import function_signature_to_4byte_selector

    found = selectors(code)
    for signature in KEY_FROM_CALLER:
        if function_signature_to_4byte_selector(signature) in found:
            report.facts["interface"] = signature
            report.findings.append(
                Finding(
                    "key-from-caller",
                    Severity.HIGH,
                    "The caller chooses the verification key.",
                    f"it has the function {signature}",
                    "Pin the key's digest in the application, or use a verifier with a fixed key.",
                )
            )
            return False
    if SELECTOR in found:
        report.facts["interface"] = "verifyProof(bytes,uint256[])"
        return True
    report.findings.append(
        Finding(
            "unknown-interface",
            Severity.HIGH,
            "The code has no known function of a halo2 verifier.",
            f"none of its {len(found)} selectors is {SELECTOR.hex()}",
            "Audit a halo2 verifier with the function verifyProof(bytes,uint256[]).",
        )
    )
    return False


def _read_facts(report: Report, code: bytes, shape: Shape, baseline: Run) -> None:
    constants = [i.value for i in instructions(code) if i.pushed > 20]
    report.facts |= {
        "logrows": curve.logrows_among(constants),
        "instances": shape.instances,
        "proof_bytes": shape.words * WORD,
        "vk_digest": f"0x{baseline.hashed[0][:WORD].hex()}" if baseline.hashed else None,
    }


class _Checks:
    """The checks of a verifier whose form of proofs is known."""

    def __init__(
        self, code: bytes, shape: Shape, baseline: Run, report: Report, live: bool
    ) -> None:
        self.code, self.shape, self.baseline = code, shape, baseline
        self.report, self.live = report, live
        self.good = shape.call(1)

    def all(self) -> None:
        self._lengths()
        self._instances()
        self._points()
        self._scalars()
        self._transcript()
        self._results()
        self._calls()
        self._srs()
        self._layout()

    def _accepts(self, call: Call, answers: Answers = PERMISSIVE) -> bool:
        return run(self.code, call.usual(), answers).accepted

    def _lengths(self) -> None:
        good = self.good
        longer = Call([*good.proof, 1, 2], good.instances)
        shorter = Call(good.proof[:-2], good.instances)
        self.report.check(
            not self._accepts(longer) and not self._accepts(shorter),
            "a proof of another length is refused",
            Finding(
                "proof-length",
                Severity.MEDIUM,
                "The length of the proof is not checked.",
                f"{len(longer.proof)} or {len(shorter.proof)} words are accepted instead of "
                f"{len(good.proof)}",
                AGAIN,
            ),
        )
        more = Call(good.proof, [*good.instances, 1])
        fewer = Call(good.proof, good.instances[:-1])
        self.report.check(
            not self._accepts(more) and not self._accepts(fewer),
            "another number of instances is refused",
            Finding(
                "instance-count",
                Severity.HIGH,
                "The number of instances is not checked.",
                f"{len(more.instances)} or {len(fewer.instances)} instances are accepted instead "
                f"of {len(good.instances)}",
                AGAIN,
            ),
        )

    def _instances(self) -> None:
        good = self.good.instances
        unchecked = {
            place
            for place, instance in enumerate(good)
            if (instance, FIELD) not in self.baseline.below
        } | {
            place
            for place in {0, len(good) - 1}
            if self._accepts(self.good.with_instance(place, good[place] + FIELD))
        }
        self.report.check(
            not unchecked,
            "an instance of the field's order or more is refused",
            Finding(
                "instance-range",
                Severity.HIGH,
                "An instance plus the field's order is accepted in place of the instance.",
                f"instances {_listed(unchecked)} are not compared with the order: one proof is "
                "valid for several statements",
                f"{AGAIN} Until then, compare each instance with the order in the application.",
            ),
        )

    def _points(self) -> None:
        unchecked = [
            place
            for place in self.shape.points
            if not self._is_checked(self.good.proof[place], self.good.proof[place + 1])
        ]
        for place in self.shape.points[:1] + self.shape.points[-1:]:
            x, y = self.good.proof[place : place + 2]
            for other in ((x, y + 1), (x + curve.BASE_FIELD, y), (0, 0)):
                if place not in unchecked and self._accepts(self.good.with_word(place, *other)):
                    unchecked.append(place)
        self.report.check(
            not unchecked,
            "points off the curve, at infinity or with coordinates above the field are refused",
            Finding(
                "point-checks",
                Severity.MEDIUM,
                "The verifier does not check that all points of the proof are on the curve.",
                f"the points at words {_listed(unchecked)} are used unchecked",
                AGAIN,
            ),
        )

    def _is_checked(self, x: int, y: int) -> bool:
        """Return whether the code compares both coordinates with the field and checks the curve."""
        field, below = curve.BASE_FIELD, self.baseline.below
        square = y * y % field
        return {(x, field), (y, field)} <= below and (square, square) in self.baseline.equal

    def _scalars(self) -> None:
        unchecked = [
            place
            for place in self.shape.scalars
            if (self.good.proof[place], FIELD) not in self.baseline.below
        ]
        for place in self.shape.scalars[:1] + self.shape.scalars[-1:]:
            raised = self.good.with_word(place, self.good.proof[place] + FIELD)
            if place not in unchecked and self._accepts(raised):
                unchecked.append(place)
        self.report.check(
            not unchecked,
            "an evaluation of the field's order or more is refused",
            Finding(
                "evaluation-range",
                Severity.LOW,
                "Evaluations in the proof are not compared with the field's order.",
                f"those at words {_listed(unchecked)} are not: a proof has several valid encodings",
                AGAIN,
            ),
        )

    def _transcript(self) -> None:
        hashed = b"".join(self.baseline.hashed)
        missing = [
            place
            for place, instance in enumerate(self.good.instances)
            if instance.to_bytes(WORD) not in hashed
        ]
        self.report.check(
            not missing,
            "the challenges depend on every instance",
            Finding(
                "instances-not-absorbed",
                Severity.CRITICAL,
                "The challenges do not depend on all instances.",
                f"instances {_listed(missing)} are not hashed: chosen after the challenges, they "
                "make a false statement pass",
                AGAIN,
            ),
        )
        last = self.shape.points[-1]  # no challenge follows it
        missing = [
            place
            for place, word in enumerate(self.good.proof)
            if place not in (last, last + 1) and word.to_bytes(WORD) not in hashed
        ]
        self.report.check(
            not missing,
            "the challenges depend on the whole proof",
            Finding(
                "proof-not-absorbed",
                Severity.CRITICAL,
                "The challenges do not depend on the whole proof.",
                f"words {_listed(missing)} are not hashed: they can be chosen after the challenges",
                AGAIN,
            ),
        )
        first = self.baseline.hashed[0][:WORD] if self.baseline.hashed else b""
        calldata = [*self.good.proof, *self.good.instances]
        self.report.check(
            any(first) and int.from_bytes(first) not in calldata,
            "the challenges depend on the verification key",
            Finding(
                "key-not-absorbed",
                Severity.HIGH,
                "The challenges do not depend on the verification key.",
                "the first hashed word is not a constant of the code",
                AGAIN,
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
            f"a failed call at {site:#x}" for site in failing
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

    def _srs(self) -> None:
        report, points = self.report, _pairing_points(self.baseline)
        secret = [point for point in points if point != curve.GENERATOR]
        if len(points) != 2 or len(secret) != 1 or not curve.in_g2(secret[0]):
            report.findings.append(
                Finding(
                    "bad-srs-point",
                    Severity.CRITICAL,
                    "The SRS point in the pairing is not a point of G2.",
                    f"the pairing takes {len(points)} points of G2, {len(secret)} of them other "
                    "than the generator",
                    "Generate the verifier again from a verified SRS (`ape run srs --verify`).",
                )
            )
            return
        report.facts["srs_point"] = curve.written(secret[0])
        public = secret[0] in (curve.CEREMONY, curve.negated(curve.CEREMONY))
        report.facts["srs"] = "perpetual powers of tau" if public else "unknown"
        if curve.has_small_secret(secret[0]):
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

    def _layout(self) -> None:
        decoy = self.shape.call(2)
        moved = run(self.code, self.good.behind(decoy), PERMISSIVE)
        self.report.facts["generation"] = _generation(moved, decoy)
        instances = run(self.code, self.good.instances_behind(decoy), PERMISSIVE)
        fixed, unhashed = set[int](), set[int]()
        for seen, first in ((moved, 0), (instances, FIRST_WORD + self.shape.words * WORD)):
            if seen.accepted:
                read = {place for place in seen.reads & set(decoy.usual_places) if place >= first}
                fixed |= read
                unhashed |= self._unhashed(seen, decoy, read)
        forged = forge(self.code, self.shape) if unhashed and moved.accepted else None
        if forged:
            severity = Severity.CRITICAL
            evidence = "it accepts a proof of arbitrary instances that was made without a witness"
        elif unhashed:
            severity = Severity.HIGH
            evidence = f"the challenges do not depend on {len(unhashed)} of them"
        else:
            severity = Severity.MEDIUM
            evidence = "it also hashes them there, but a caller can decode other words"
        self.report.check(
            not fixed,
            "a proof at an unusual calldata offset is refused, or read from that offset",
            Finding(
                "fixed-offsets",
                severity,
                "The verifier reads calldata from fixed positions and ignores its offsets.",
                f"{len(fixed)} words, the first at {min(fixed, default=0):#x}; {evidence}",
                "Call it only from contracts that encode the arguments themselves. Better: check "
                "the offsets in the verifier.",
            ),
        )

    def _unhashed(self, seen: Run, decoy: Call, read: set[int]) -> set[int]:
        """The places whose words are read and not hashed. No challenge follows the last point."""
        last = FIRST_WORD + self.shape.points[-1] * WORD
        hashed, words = b"".join(seen.hashed), decoy.usual()
        return {
            place
            for place in read - {last, last + WORD}
            if words[place : place + WORD] not in hashed
        }


def forge(code: bytes, shape: Shape) -> bytes | None:
    """Calldata with invented instances that a verifier with fixed offsets accepts, or None.

    The challenges come from a proof behind the usual place. The usual place holds zeros and points
    at infinity, except for one point: it is multiplied by a known number in the proof's equation
    and is chosen to cancel the remaining terms.
    """
    honest, blank = shape.call(3), Call([0] * shape.words, [0] * shape.instances)
    answers: Answers = {PAIRING: TRUE}
    start = run(code, honest.behind(blank), answers)
    if not (start.accepted and start.asked(PAIRING)):
        return None
    left = start.asked(PAIRING)[-1][: 2 * WORD]
    rest = int.from_bytes(left[:WORD]), int.from_bytes(left[WORD:])
    mark = curve.multiples(12_345, 1)[0]
    marked = b"".join(number.to_bytes(WORD) for number in mark)
    for place in reversed(shape.points[-4:]):
        tried = run(code, honest.behind(blank.with_word(place, *mark)), answers)
        for data in tried.asked(MULTIPLY):
            if data[: 2 * WORD] == marked:
                factor = int.from_bytes(data[2 * WORD :])
                point = curve.scaled(rest, -pow(factor, -1, FIELD))
                calldata = honest.behind(blank.with_word(place, *point))
                if run(code, calldata).accepted:
                    return calldata
    return None


def _generation(moved: Run, decoy: Call) -> str:
    """Describe the generator of a verifier by how it reads a moved proof."""
    if not moved.accepted:
        return "key in its code; refuses unusual calldata offsets"
    if decoy.proof[0].to_bytes(WORD) in b"".join(moved.hashed):
        return "key in its code; reads all calldata from fixed positions (ezkl up to 20, halo2)"
    if moved.reads & set(decoy.usual_places):
        return "key in its code; hashes by offsets, reads from fixed positions (ezkl 21 to 23)"
    return "key in its code; reads calldata by its offsets"


def _pairing_points(seen: Run) -> list[curve.Point2]:
    """The points of G2 in the last pairing."""
    data = seen.asked(PAIRING)[-1] if seen.asked(PAIRING) else b""
    words = [int.from_bytes(data[place : place + WORD]) for place in range(0, len(data), WORD)]
    return [
        (words[pair + 2], words[pair + 3], words[pair + 4], words[pair + 5])
        for pair in range(0, len(words), 6)
    ]


def _listed(numbers: Iterable[int]) -> str:
    some = sorted(numbers)
    return ", ".join(map(str, some[:6])) + (" and more" if len(some) > 6 else "")

"""Audits an EVM verifier of halo2 proofs by running its code, without source or artifacts.

The code runs in an EVM that records its reads, comparisons, hashes and calls. The record shows the
form of a proof. With a pairing that always holds, the verifier accepts every proof of this form,
and each of its other checks can be tested by the proofs that it refuses.
"""

from dataclasses import replace
from functools import cache

from zk.audit import curve
from zk.audit.calldata import FIRST_WORD, SELECTOR, WORD, Accumulator, Call, Shape, random_call
from zk.audit.checks import AGAIN, Checks, listed, not_understood
from zk.audit.findings import Finding, Report, Severity
from zk.audit.interfaces import Interface
from zk.audit.machine import MULTIPLY, PAIRING, PERMISSIVE, TRUE, Answers, Run, run
from zk.audit.reach import reached
from zk.layout import FIELD

# No proof has these lengths: the code compares them with the expected ones.
STRANGE_WORDS, STRANGE_INSTANCES = 1009, 503


def audit(report: Report, code: bytes, interface: Interface, live: bool) -> None:
    """Audit a verifier with the function verifyProof(bytes,uint256[])."""
    shape = find_shape(code)
    baseline = run(code, shape.call(1).usual(), PERMISSIVE) if shape else Run()
    if shape and baseline.accepted:
        _read_facts(report, code, shape, baseline)
        _Checks(report, code, shape, baseline, live).all()
        return
    not_understood(
        report,
        code,
        random_call(*lengths(code)),
        "This is no halo2 verifier of a known form.",
        "it refuses proofs of the form that its own reads and comparisons suggest",
    )


@cache
def find_shape(code: bytes) -> Shape | None:
    """Derive the form of a proof from the lengths that the code compares and the words it reads."""
    words, instances = lengths(code)
    probe = random_call(words, instances)
    seen = run(code, probe.usual(), PERMISSIVE)
    read = [(place - FIRST_WORD) // WORD for place in sorted(seen.reads) if place >= FIRST_WORD]
    words = len([word for word in read if word < words])
    after = len(probe.proof) + 1  # the number of instances is between them and the proof
    instances = len([word for word in read if after <= word < after + instances])
    if not words:
        return None
    points: list[int] = []
    scalars: list[int] = []
    word = 0
    while word < words:
        is_point = word + 1 < words and _is_point(seen, *probe.proof[word : word + 2])
        (points if is_point else scalars).append(word)
        word += 2 if is_point else 1
    accumulator = _accumulator(seen, probe.instances[:instances])
    return Shape(words, instances, points, scalars, accumulator)


def lengths(code: bytes, selector: bytes = SELECTOR) -> tuple[int, int]:
    """The numbers of words and instances that the code compares with those of a call."""
    words, instances = STRANGE_WORDS, STRANGE_INSTANCES
    for _ in range(3):  # some verifiers look at the second length only if the first is right
        call = replace(random_call(words, instances), selector=selector)
        odd = run(code, call.usual(), PERMISSIVE)
        words = _compared(odd, words * WORD) // WORD or words
        instances = _compared(odd, instances) or instances
    return words, instances


def _is_point(seen: Run, x: int, y: int) -> bool:
    """Return whether the code checks that (x, y) is on the curve, or at least that both fit."""
    field = curve.BASE_FIELD
    square = y * y % field
    on_curve = any(square in pair for pair in seen.equal)
    return on_curve or {(x, field), (y, field)} <= seen.below


def _accumulator(seen: Run, instances: list[int]) -> Accumulator | None:
    """Find the instances whose points the code compares with the curve."""
    field, equal = curve.BASE_FIELD, seen.equal | {(b, a) for a, b in seen.equal}
    for limbs in range(2, 6):
        for bits in range(-(-254 // limbs), 129):
            for first in range(len(instances) - 4 * limbs + 1):
                found = Accumulator(first, limbs, bits)
                points = found.points_in(instances)
                if all((y * y % field, (x**3 + 3) % field) in equal for x, y in points):
                    return found
    return None


def _compared(seen: Run, length: int) -> int:
    """Return the number that a length is compared with, or 0."""
    others = {a + b - length for a, b in seen.equal if length in (a, b)}
    return max(others - {length, 0, 1}, default=0)


def _read_facts(report: Report, code: bytes, shape: Shape, baseline: Run) -> None:
    constants = [i.value for i in reached(code) if i.pushed > 20]
    report.facts |= {
        "logrows": curve.logrows_among(constants),
        "instances": shape.instances,
        "proof_bytes": shape.words * WORD,
        "vk_digest": f"0x{baseline.hashed[0][:WORD].hex()}" if baseline.hashed else None,
    }


class _Checks(Checks):
    """The checks of a verifier whose form of proofs is known."""

    def __init__(
        self, report: Report, code: bytes, shape: Shape, baseline: Run, live: bool
    ) -> None:
        super().__init__(report, code, shape.call(1), baseline, live)
        self.shape = shape

    def all(self) -> None:
        if not self._equation(self.shape.call(2)):
            return
        self._lengths()
        self._instances()
        self._accumulated()
        self._points()
        self._scalars()
        self._transcript()
        self._results()
        self._calls()
        self._srs()
        self._layout()

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

    def _accumulated(self) -> None:
        if not (held := self.shape.accumulator):
            return
        places = f"instances {held.first} to {held.places[-1]}"
        self.report.facts["accumulator"] = (
            f"{places}: two points of other proofs, in limbs of {held.bits} bits"
        )
        self.report.check(
            set(held.points_in(self.good.instances)) <= set(self.baseline.computed_with),
            f"the pairing includes the accumulator in {places}",
            Finding(
                "accumulator-ignored",
                Severity.CRITICAL,
                "The verifier does not finish the proofs that it aggregates.",
                f"the points in {places} are checked and not computed with",
                "Do not use it: the aggregated proofs can be invalid.",
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
                f"the points at words {listed(unchecked)} are used unchecked",
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
                f"those at words {listed(unchecked)} are not: a proof has several valid encodings",
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
                f"instances {listed(missing)} are not hashed: chosen after the challenges, they "
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
                f"words {listed(missing)} are not hashed: they can be chosen after the challenges",
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

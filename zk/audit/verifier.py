"""Audits an EVM verifier of halo2 proofs by asking its code, without source or artifacts.

The code runs in a machine that notes what it reads, compares, hashes and calls. First that tells
how a proof has to look; then, with a pairing that always holds, a proof which looks so is accepted,
and each of the other checks shows by what it refuses.
"""

from collections.abc import Iterable

from zk.audit import curve
from zk.audit.calldata import FIRST_WORD, SELECTOR, WORD, Call, Shape, strangers
from zk.audit.code import instructions, selectors, strange
from zk.audit.findings import Finding, Report, Severity
from zk.audit.machine import FALSE, MULTIPLY, PAIRING, PERMISSIVE, TRUE, Answers, Run, run
from zk.witness import FIELD

# Lengths that no proof has, to see what the code compares them with.
STRANGE_WORDS, STRANGE_INSTANCES = 1009, 503
PRECOMPILED = range(1, 0x12)
AGAIN = "Generate the verifier with a tool that makes this check, and deploy that one."

# Functions of verifiers that are given the verification key, too.
KEY_FROM_CALLER = (
    "verifyProof(address,bytes,uint256[])",
    "verifyProof(bytes,uint256[],bytes32[])",
)


def audit_verifier(code: bytes, subject: str, *, live: bool = False) -> Report:
    """Everything that can be said of a verifier's runtime code, on a network of value or not."""
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
                "This is no verifier of halo2 proofs that could be understood.",
                "it refuses whatever is formed as its own reads and comparisons suggest",
                "Do not trust it; have it read by somebody.",
            )
        )
        return report
    _read_facts(report, code, shape, baseline)
    _Checks(code, shape, baseline, report, live).all()
    return report


def find_shape(code: bytes) -> Shape | None:
    """How a proof has to look, from what the code compares lengths with, and what it reads."""
    words, instances = STRANGE_WORDS, STRANGE_INSTANCES
    for _ in range(3):  # some verifiers look at the second length only if the first is right
        odd = run(code, strangers(words, instances).usual(), PERMISSIVE)
        words = _compared(odd, words * WORD) // WORD or words
        instances = _compared(odd, instances) or instances
    probe = strangers(words, instances)
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
    """Whether the code looks if these are on the curve, or at least coordinates."""
    field = curve.BASE_FIELD
    square = y * y % field
    on_curve = any(square in pair for pair in seen.equal)
    return on_curve or {(x, field), (y, field)} <= seen.below


def _compared(seen: Run, length: int) -> int:
    """What a length is compared with, if with anything."""
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
            "The verifier has state, which somebody may be able to change.",
            f"its code has {', '.join(state)}",
            "Deploy a verifier whose key is in its code, or find out who can change what.",
        ),
    )
    report.check(
        not away,
        "it can neither call nor create other contracts nor destroy itself",
        Finding(
            "strange-instructions",
            Severity.CRITICAL if {"DELEGATECALL", "CALLCODE"} & set(away) else Severity.HIGH,
            "The verifier can do what no verifier has to.",
            f"its code has {', '.join(away)}",
            "Deploy a verifier without them.",
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
                    "Whoever calls it says which verification key it uses.",
                    f"it has {signature}",
                    "Have the application pin the key's digest, or deploy a verifier with its key.",
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
            "This has no function that verifiers of halo2 proofs are known to have.",
            f"none of its {len(found)} selectors is {SELECTOR.hex()}",
            "Give a halo2 verifier with verifyProof(bytes,uint256[]).",
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
        self._setup()
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
                f"with {len(longer.proof)} words or {len(shorter.proof)} instead of "
                f"{len(good.proof)}, a proof that is well formed else is accepted",
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
                f"with {len(more.instances)} or {len(fewer.instances)} instead of "
                f"{len(good.instances)}, a proof that is well formed else is accepted",
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
            "an instance that is not below the field's order is refused",
            Finding(
                "instance-range",
                Severity.HIGH,
                "An instance may be replaced by itself plus the field's order.",
                f"instances {_listed(unchecked)} are not compared with the order, so that two "
                "statements have one proof",
                f"{AGAIN} Until then, the application has to compare each instance with the order.",
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
                "Points of the proof are not checked to lie on the curve.",
                f"the points at words {_listed(unchecked)} are not, before they are used",
                AGAIN,
            ),
        )

    def _is_checked(self, x: int, y: int) -> bool:
        """Whether both coordinates are compared with the field, and the curve's equation holds."""
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
            "an evaluation that is not below the field's order is refused",
            Finding(
                "evaluation-range",
                Severity.LOW,
                "Evaluations in the proof are not compared with the field's order.",
                f"those at words {_listed(unchecked)} are not, so that a proof has many forms",
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
            "every instance goes into the challenges",
            Finding(
                "instances-not-absorbed",
                Severity.CRITICAL,
                "The challenges do not depend on all instances.",
                f"instances {_listed(missing)} are not hashed: whoever chooses them after the "
                "challenges can make a false statement pass",
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
            "the whole proof goes into the challenges",
            Finding(
                "proof-not-absorbed",
                Severity.CRITICAL,
                "The challenges do not depend on the whole proof.",
                f"its words {_listed(missing)} are not hashed, so they can be chosen afterwards",
                AGAIN,
            ),
        )
        first = self.baseline.hashed[0][:WORD] if self.baseline.hashed else b""
        calldata = [*self.good.proof, *self.good.instances]
        self.report.check(
            any(first) and int.from_bytes(first) not in calldata,
            "the verification key goes into the challenges",
            Finding(
                "key-not-absorbed",
                Severity.HIGH,
                "The challenges do not depend on the verification key.",
                "the first word that is hashed is no constant of the code",
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
            f"the failure of the call at {site:#x}" for site in failing
        ]
        self.report.check(
            not ignored,
            "a pairing that does not hold, or a point that cannot be computed, is refused",
            Finding(
                "result-ignored",
                Severity.CRITICAL,
                "A result of the proof's own equation is ignored.",
                f"{' and '.join(ignored)} makes no difference",
                "Do not use it: it accepts what it should refuse.",
            ),
        )

    def _calls(self) -> None:
        others = sorted({address for address, _ in self.baseline.calls} - set(PRECOMPILED))
        self.report.check(
            not others,
            "it calls nothing but the precompiled contracts",
            Finding(
                "external-call",
                Severity.HIGH,
                "The verifier asks other contracts.",
                f"it calls {', '.join(f'0x{address:040x}' for address in others)}",
                "Find out what they can make it do, or deploy a verifier that calls nobody.",
            ),
        )

    def _setup(self) -> None:
        report, points = self.report, _pairing_points(self.baseline)
        secret = [point for point in points if point != curve.GENERATOR]
        if len(points) != 2 or len(secret) != 1 or not curve.in_g2(secret[0]):
            report.findings.append(
                Finding(
                    "bad-setup-point",
                    Severity.CRITICAL,
                    "The point of the setup is not one of the curve's second group.",
                    f"its pairing takes {len(points)} points of that group, {len(secret)} of "
                    "them other than the generator",
                    "Generate the verifier again from a setup that was verified.",
                )
            )
            return
        report.facts["setup_point"] = curve.written(secret[0])
        public = secret[0] in (curve.CEREMONY, curve.negated(curve.CEREMONY))
        report.facts["setup"] = "perpetual powers of tau" if public else "unknown"
        if curve.has_small_secret(secret[0]):
            report.findings.append(
                Finding(
                    "known-secret",
                    Severity.CRITICAL,
                    "The secret of the setup is known to everybody.",
                    "its point is a small multiple of the generator",
                    "Do not use it: anybody can prove anything.",
                )
            )
        elif not public:
            report.findings.append(
                Finding(
                    "unknown-setup",
                    Severity.HIGH if self.live else Severity.NOTE,
                    "The setup is not that of the public ceremony, so perhaps a private one.",
                    f"the point of its pairing is 0x{secret[0][0]:064x}…",
                    "Ask who made it: whoever knows its secret can prove anything.",
                )
            )
        else:
            report.passed.append("the setup is that of the perpetual powers of tau")

    def _layout(self) -> None:
        decoy = self.shape.call(2)
        moved = run(self.code, self.good.behind(decoy), PERMISSIVE)
        self.report.facts["generation"] = _generation(moved, decoy)
        instances = run(self.code, self.good.instances_behind(decoy), PERMISSIVE)
        first = FIRST_WORD + self.shape.words * WORD
        fixed = {place for place in moved.reads & set(decoy.usual_places) if moved.accepted} | {
            place
            for place in instances.reads & set(decoy.usual_places)
            if instances.accepted and place >= first
        }
        forged = forge(self.code, self.shape) if fixed and moved.accepted else None
        evidence = (
            "it accepted a proof of instances of our choice that was made without any witness"
            if forged
            else "the words that it uses need not be those which a caller decodes"
        )
        self.report.check(
            not fixed,
            "a proof that lies elsewhere in the calldata than usual is refused, or read from there",
            Finding(
                "fixed-offsets",
                Severity.CRITICAL if forged else Severity.HIGH,
                "Parts of the calldata are read from fixed places, whatever the offsets say.",
                f"{len(fixed)} words are, from {min(fixed, default=0):#x} on; {evidence}",
                "Call it only from a contract that encodes the arguments itself, never with bytes "
                "from outside; better, check in it that the arguments lie in their usual places.",
            ),
        )


def forge(code: bytes, shape: Shape) -> bytes | None:
    """Calldata with which a verifier that reads from fixed places accepts made-up instances.

    The challenges are drawn from a proof behind the usual place. In it lie points at infinity and
    zeros; whatever is left over of the proof's equation, one point multiplied by a known number
    makes good.
    """
    honest, blank = shape.call(3), Call([0] * shape.words, [0] * shape.instances)
    answers: Answers = {PAIRING: TRUE}
    start = run(code, honest.behind(blank), answers)
    if not start.accepted:
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
    """Which kind of template made a verifier, by where it looks for a proof that was moved."""
    if not moved.accepted:
        return "key in its code; refuses calldata that is laid out unusually"
    if decoy.proof[0].to_bytes(WORD) in b"".join(moved.hashed):
        return "key in its code; reads all calldata from fixed places (ezkl before 22, halo2)"
    if moved.reads & set(decoy.usual_places):
        return "key in its code; hashes calldata where it lies, uses fixed places (ezkl 22, 23)"
    return "key in its code; reads calldata where it lies"


def _pairing_points(seen: Run) -> list[curve.Point2]:
    """The points of the second group in a pairing."""
    data = seen.asked(PAIRING)[-1] if seen.asked(PAIRING) else b""
    words = [int.from_bytes(data[place : place + WORD]) for place in range(0, len(data), WORD)]
    return [
        (words[pair + 2], words[pair + 3], words[pair + 4], words[pair + 5])
        for pair in range(0, len(words), 6)
    ]


def _listed(numbers: Iterable[int]) -> str:
    some = sorted(numbers)
    return ", ".join(map(str, some[:6])) + (" and more" if len(some) > 6 else "")

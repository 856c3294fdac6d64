"""Audits the source of an application: its checks around each call of a verifier."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from zk.audit.bound import Behaviour, surroundings
from zk.audit.execution import Execution, Trace
from zk.audit.findings import Finding, Report, Severity
from zk.audit.replays import Guard, guards_of
from zk.audit.syntax import Node, Program, parsed
from zk.audit.values import EQUALITY, Value, is_argument, overlap, similar
from zk.audit.verifying import VERIFYING, VerifierCall, verifier_calls
from zk.errors import CircuitError

HUGE = 2**64  # a comparison with a larger constant tests for a negative output
ATTESTED, COMMITMENTS = "AttestedApplication", "commitmentOf"  # base contract, and its storage


def audit_application(path: Path) -> Report:
    """Audit each function in a file's contracts that changes state after a call of a verifier."""
    report = Report(os.path.relpath(path))
    program = Program(parsed(path))
    functions: list[str] = []
    for contract in program.contracts(path):
        try:
            functions += _audit_contract(report, program, contract)
        except RecursionError:
            raise CircuitError(
                f"{contract['name']} in {path} nests its terms too deeply for the audit: review it "
                "by hand."
            ) from None
    report.facts["functions"] = functions
    report.check(
        bool(functions),
        f"{', '.join(functions)} calls a verifier",
        Finding(
            "no-verifier",
            Severity.HIGH,
            "No function of this file changes state after a call of a verifier.",
            "there is no call of a function verify… with a proof and instances",
            "Audit the contract that calls the verifier.",
        ),
    )
    return report


def _audit_contract(report: Report, program: Program, contract: Node) -> list[str]:
    """Audit the functions of a contract that call a verifier; return their names."""
    behaviours = []
    for entry in program.entries(contract):
        trace = Execution(program, contract).run(entry)
        behaviours.append(Behaviour(program, entry, trace, verifier_calls(program, trace)))
    around = surroundings(behaviours)
    found, replacing, callees = list[str](), list[str](), set[str]()
    for behaviour in behaviours:
        if behaviour.calls:
            found.append(_name(contract, behaviour.entry))
            callees |= {p.place for c in behaviour.calls for p in c.call.callee.read}
            behaviour.around = around
            checks = _Checks(report, found[-1], behaviour)
            checks.all()
            if ATTESTED in {program.nodes[base]["name"] for base in _bases(contract)}:
                checks.attestation()
    for behaviour in behaviours:
        if not behaviour.runs_once and _replaces_verifier(behaviour.trace, callees):
            replacing.append(_name(contract, behaviour.entry))
    if replacing:
        report.findings.append(
            Finding(
                "changeable-verifier",
                Severity.HIGH,
                "The verifier can be replaced.",
                f"by {', '.join(replacing)}",
                "Make the verifier immutable.",
            )
        )
    return found


def _bases(contract: Node) -> list[int]:
    """Return the contract itself and the contracts that it inherits from."""
    found: list[int] = contract["linearizedBaseContracts"]
    return found


def _name(contract: Node, entry: Node) -> str:
    return f"{contract['name']}.{entry['name'] or entry['kind']}"


def _replaces_verifier(trace: Trace, callees: set[str]) -> bool:
    """Return whether a function assigns to the address of a verifier that is in use."""
    return any(
        any(overlap(write.place.place, callee) for callee in callees)
        or (
            VERIFYING.search(write.place.bases[-1].name)
            and write.place.type.startswith(("address", "contract"))
        )
        for write in trace.writes
        if not any(key.kind == "fresh" for key in write.place.keys)
    )


class _Checks:
    """The checks of one function that calls a verifier."""

    def __init__(self, report: Report, name: str, behaviour: Behaviour) -> None:
        self.report, self.name, self.behaviour = report, name, behaviour
        self.calls, self.trace = behaviour.calls, behaviour.trace

    def all(self) -> None:
        self._calldata()
        self._caller_chooses()
        self._instance_count()
        self._account()
        self._values()
        self._replays()
        self._negative_outputs()
        self._revert_reason()
        self._answer()

    def attestation(self) -> None:
        """Check that an instance must be what the issuer signed for the account of the proof."""
        shown = [
            other
            for comparison in self.behaviour.comparisons
            if comparison.operator == "=="
            for one, other in (comparison.value.parts, comparison.value.parts[::-1])
            if self._shows(one)
        ]
        signed = [place for value in shown for place in value.read if _is_commitment(place)]
        others = [value for value in shown if not any(map(_is_commitment, value.read))]
        proved = {path for value in others for path in value.sources}
        self._check(
            any(path in proved for place in signed for key in place.keys for path in key.sources),
            "requires the input that the issuer attested",
            "attestation-ignored",
            Severity.CRITICAL,
            "The proof may be about any input: nothing compares it with what the issuer attested.",
            "Call _requireAttested for the account of the proof before acting on the outputs.",
        )

    def _shows(self, value: Value) -> bool:
        """Return whether a value is an instance."""
        instances = [path for c in self.calls for shown in c.instances for path in shown.direct]
        return any(overlap(path, instance) for path in value.direct for instance in instances)

    def _check(
        self,
        holds: bool,
        passed: str,
        name: str,
        severity: Severity,
        what: str,
        remedy: str,
        evidence: str = "",
    ) -> bool:
        where = f"in {self.name}{': ' if evidence else ''}{evidence}"
        finding = Finding(name, severity, what, where, remedy)
        return self.report.check(holds, f"{self.name} {passed}", finding)

    def _calldata(self) -> None:
        self._check(
            not any(call.raw for call in self.calls),
            "encodes the calldata for the verifier",
            "raw-calldata",
            Severity.CRITICAL,
            "The caller supplies the calldata for the verifier.",
            "Take the proof and the instances as arguments and call the verifier's function with "
            "them: crafted calldata can make a false proof pass.",
        )

    def _caller_chooses(self) -> None:
        self._check(
            not any(self._is_chosen(call.call.callee) for call in self.calls),
            "calls a verifier that it knows",
            "verifier-from-caller",
            Severity.CRITICAL,
            "The caller names the verifier: one that accepts everything will do.",
            "Make the verifier immutable, or compare it with those that are allowed.",
        )
        programs = [value for call in self.calls for value in call.programs]
        self._check(
            not any(self._is_chosen(value) for value in programs),
            "knows the circuit of the proof",
            "key-from-caller",
            Severity.CRITICAL,
            "The caller chooses the verification key, and thereby what is proved.",
            "Make the key a constant, or compare it with those that are allowed.",
        )

    def _is_chosen(self, value: Value) -> bool:
        """Return whether the caller's value is used as it is: nothing limits it."""
        chosen = [path for path in value.direct if is_argument(path)]
        return any(not self.behaviour.is_limited(path) for path in chosen)

    def _instance_count(self) -> None:
        given = [
            value.path
            for call in self.calls
            for value in call.instances
            if value.type.endswith("[]") and is_argument(value.path)
        ]
        counted = {
            term.parts[0].path
            for comparison in self.behaviour.comparisons
            if comparison.value.name in EQUALITY
            for term in comparison.value.walk()
            if term.kind == "member" and term.name == "length"
        }
        self._check(
            set(given) <= counted,
            "checks the number of instances",
            "instance-count",
            Severity.HIGH,
            "The number of instances is not checked.",
            "Require that instances.length is the circuit's before reading an instance.",
        )

    def _account(self) -> None:
        behaviour = self.behaviour
        severity = Severity.NOTE
        if not behaviour.effects:
            what = "The proof names no account. Nothing is written or paid: does anyone rely on it?"
        elif behaviour.caller_is_checked:
            what = "The proof names no account, but callers are checked: are they trusted?"
        elif not behaviour.accounts:
            what = "No account is written or paid: does anyone profit from using a copied proof?"
        else:
            severity = Severity.CRITICAL
            what = "The proof does not name the account that profits: anyone can copy it."
        self._check(
            any(map(behaviour.is_bound, behaviour.accounts)),
            "binds the credited account to the proof",
            "beneficiary-not-bound",
            severity,
            what,
            "Make the account a public output of the circuit and compare it with the credited "
            "account.",
        )

    def _values(self) -> None:
        names = sorted({re.sub(r"#\d+", "", path) for path in self.behaviour.unbound_values})
        self._check(
            not names,
            "uses only values that the proof binds",
            "value-not-bound",
            Severity.LOW if self.behaviour.caller_is_checked else Severity.HIGH,
            "A value that is paid or written is not in the proof: anyone can send another one.",
            "Make the value an instance, or compute it from instances and the storage.",
            ", ".join(names),
        )

    def _replays(self) -> None:
        behaviour = self.behaviour
        if not behaviour.effects:
            return
        guards = guards_of(behaviour)
        trusted = behaviour.caller_is_checked and not behaviour.pays
        if not self._check(
            bool(guards),
            "records the proved statement",
            "no-replay-guard",
            Severity.NOTE if trusted else Severity.HIGH,
            "The same proof can be used again.",
            "Record the account and the round, and refuse them the second time.",
        ):
            return
        self._check(
            Guard.STATEMENT in guards,
            "recognises replays by the proved statement",
            "replay-by-proof",
            Severity.HIGH,
            "Replays are recognised by the proof's bytes, but a statement has many proofs.",
            "Record the account and the round instead.",
        )

    def _negative_outputs(self) -> None:
        outputs = {
            path
            for call in self.calls
            for value in call.instances
            for path, kind in value.sources.items()
            if is_argument(path) and re.match(r"u?int256|bytes$", kind)
        }
        wanted = {
            path
            for comparison in self.behaviour.comparisons
            for small, large in comparison.ordered
            if not self.behaviour.is_counter(small)
            for path in large.direct
            if any(overlap(path, output) for output in outputs) and not path.endswith(".length")
        }
        self._check(
            all(self._has_largest(output) for output in wanted),
            "distinguishes negative outputs from large ones",
            "negative-output",
            Severity.HIGH,
            "A negative output passes as a large one: it is the field's order minus its size.",
            "Refuse outputs above 2**127, or read those above the order minus 2**127 as negative.",
        )

    def _has_largest(self, output: str) -> bool:
        """Return whether a condition refuses an output that is too large, or asks for its sign."""
        return any(
            any(similar(output, path) for path in small.direct)
            and (comparison.holds is not None or _largest(large) > HUGE)
            for comparison in self.behaviour.comparisons
            for one, other in comparison.ordered
            for small, large in [(one, other)] + [(other, one)] * (_largest(one) > HUGE)
        )

    def _revert_reason(self) -> None:
        self._check(
            all(call.call.guarded or not _reverts(call) for call in self.calls),
            "reverts with a custom error for an invalid proof",
            "verifier-revert",
            Severity.LOW,
            "An invalid proof reverts without a reason, because the verifier does.",
            "Call the verifier in a try and revert with a custom error in its catch.",
        )

    def _answer(self) -> None:
        used = {
            id(term)
            for value in (*(c.value for c in self.trace.conditions), *self.trace.returned)
            for term in value.walk()
        }
        self._check(
            all(
                (id(call.call.answer) in used or not (call.call.guarded or _answers(call)))
                and call.call.node not in self.trace.unhandled
                for call in self.calls
            ),
            "uses the verifier's answer",
            "answer-ignored",
            Severity.CRITICAL,
            "The verifier's answer is ignored.",
            "Revert unless the call succeeded and returned true.",
        )


def _is_commitment(place: Value) -> bool:
    return place.bases[-1].name == COMMITMENTS


def _answers(found: VerifierCall) -> bool:
    """Return whether the verifier returns its answer, instead of reverting."""
    return found.call.answer.type not in ("", "tuple()")


def _reverts(found: VerifierCall) -> bool:
    """Return whether the verifier is of a kind that reverts: halo2's, for a list of instances."""
    return (
        found.call.name == "verifyProof"
        and any(value.type == "bytes" for value in found.proofs)
        and any(value.type == "uint256[]" for value in found.instances)
    )


def _largest(value: Value) -> int:
    """The largest constant in a term."""
    return max(_constants(value), default=0)


def _constants(value: Value) -> Iterator[int]:
    for term in value.walk():
        if term.kind == "constant" and term.name.isdigit():
            yield int(term.name)

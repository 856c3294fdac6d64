"""Audits a verifier by its runtime code, without source or artifacts."""

from collections.abc import Callable
from dataclasses import replace

from zk.audit import groth16, halo2, plonk
from zk.audit.calldata import random_call
from zk.audit.checks import not_understood
from zk.audit.code import libraries_of, selectors, strange
from zk.audit.findings import Finding, Report, Severity
from zk.audit.interfaces import (
    FFLONK,
    GROTH16,
    GROTH16_WORDS,
    HALO2,
    KEY_FROM_CALLER,
    NO_EQUATION,
    PLONK,
    Interface,
    interfaces_of,
    wrappers_of,
)

# Instructions by which other code takes the place of a contract's.
REPLACING = {"DELEGATECALL", "CALLCODE", "SELFDESTRUCT"}
NOTHING_STRANGE = "it contains no CALL, DELEGATECALL, CREATE or SELFDESTRUCT"
BUT_LIBRARIES = ", but for calls of libraries with fixed addresses, which contain none either"
REPLACED = ": other code can take its place, and applications believe all that it accepts"


def audit_verifier(code: bytes, subject: str, *, live: bool = False) -> Report:
    """Audit the runtime code of a verifier. `live` means that the network carries value."""
    report = Report(subject, {"bytes": len(code)})
    _check_instructions(report, code)
    found = [_with_family(code, interface) for interface in interfaces_of(code)]
    report.facts["interface"] = [interface.signature for interface in found]
    for interface in found:
        part = Report(interface.signature)
        AUDITS[interface.family](part, code, interface, live)
        _add(report, part, several=len(found) > 1)
    for signature, tool in wrappers_of(code).items():
        report.findings.append(
            Finding(
                "wrapper-unchecked",
                Severity.NOTE,
                "Applications call a function that this audit does not run.",
                f"{signature} of {tool} computes the instances from its arguments",
                "Compare it with the tool's published source.",
            )
        )
    if not found:
        report.findings.append(
            Finding(
                "unknown-interface",
                Severity.HIGH,
                "The code has no known function of a verifier.",
                f"none of its {len(selectors(code))} selectors is that of such a function",
                f"Audit a verifier of {HALO2}, {GROTH16}, {PLONK} or {FFLONK}.",
            )
        )
    return report


def _with_family(code: bytes, interface: Interface) -> Interface:
    """Tell Groth16 from halo2, which share a function: a proof of the former has three points."""
    if interface.family != HALO2:
        return interface
    words, instances = halo2.lengths(code, interface.selector)
    if words != GROTH16_WORDS:
        return interface
    return replace(interface, family=GROTH16, words=words, instances=instances)


def _add(report: Report, part: Report, several: bool) -> None:
    """Add the report of one function to the verifier's."""
    before = f"{part.subject.split('(')[0]}: " if several else ""
    report.passed += [f"{before}{passed}" for passed in part.passed]
    report.findings += [
        replace(finding, evidence=f"{before}{finding.evidence}") for finding in part.findings
    ]
    key, other = report.facts.get("key_sha256"), part.facts.get("key_sha256")
    if key and other and key != other:
        report.findings.append(
            Finding(
                "other-key",
                Severity.CRITICAL,
                "Two functions check proofs with different keys.",
                f"{part.subject} has the key {other}",
                "Find out which circuit each key is for.",
            )
        )
    for name, value in part.facts.items():
        report.facts.setdefault(name, value)


def _audit_without_equation(report: Report, code: bytes, interface: Interface, live: bool) -> None:
    call = random_call(*halo2.lengths(code, interface.selector))
    not_understood(
        report,
        code,
        replace(call, selector=interface.selector),
        "This audit does not know the equation of this verifier.",
        f"for {interface.signature}, it checks the instructions, and that a pairing is needed",
    )


def _audit_key_from_caller(report: Report, code: bytes, interface: Interface, live: bool) -> None:
    report.findings.append(
        Finding(
            "key-from-caller",
            Severity.HIGH,
            "The caller chooses the verification key.",
            f"it has the function {interface.signature}",
            "Pin the key's digest in the application, or use a verifier with a fixed key.",
        )
    )


AUDITS: dict[str, Callable[[Report, bytes, Interface, bool], None]] = {
    HALO2: halo2.audit,
    GROTH16: groth16.audit,
    PLONK: plonk.audit,
    FFLONK: plonk.audit,
    NO_EQUATION: _audit_without_equation,
    KEY_FROM_CALLER: _audit_key_from_caller,
}


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
        NOTHING_STRANGE + BUT_LIBRARIES * bool(libraries_of(code)),
        Finding(
            "strange-instructions",
            Severity.CRITICAL if {"DELEGATECALL", "CALLCODE"} & set(away) else Severity.HIGH,
            "The verifier has instructions that no verifier needs.",
            f"its code contains {', '.join(away)}{REPLACED if REPLACING & set(away) else ''}",
            "Deploy a verifier without these instructions.",
        ),
    )

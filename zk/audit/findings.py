"""The report of an audit: facts, passed checks and findings."""

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """The severity of a finding. A note is information, not a fault."""

    NOTE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True)
class Finding:
    """A failed check, its evidence and its remedy."""

    name: str  # identifies the kind of fault in all reports
    severity: Severity
    what: str
    evidence: str
    remedy: str


@dataclass
class Report:
    """The audit of one subject."""

    subject: str
    facts: dict[str, Any] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> list[Finding]:
        """The findings that are more than notes."""
        return [finding for finding in self.findings if finding.severity > Severity.NOTE]

    @property
    def sound(self) -> bool:
        return not self.wrong

    def check(self, holds: bool, passed: str, finding: Finding) -> bool:
        """Record a check as passed or as a finding, and return `holds`."""
        if holds:
            self.passed.append(passed)
        else:
            self.findings.append(finding)
        return holds

    def as_json(self) -> dict[str, Any]:
        content = asdict(self) | {"sound": self.sound}
        content["findings"] = [
            asdict(finding) | {"severity": finding.severity.name.lower()}
            for finding in self.findings
        ]
        return content

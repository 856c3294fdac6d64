"""Audit reports on the terminal."""

from collections.abc import Iterator
from pathlib import Path

import click

from zk.audit.findings import Finding, Report, Severity

MARKS = {
    Severity.NOTE: ("note", None),
    Severity.LOW: ("LOW", "yellow"),
    Severity.MEDIUM: ("MEDIUM", "yellow"),
    Severity.HIGH: ("HIGH", "red"),
    Severity.CRITICAL: ("CRITICAL", "red"),
}


def audit_files(source: Path | None, app: Path | None) -> Iterator[Report]:
    """Audit the verifiers in a source file, and a contract that calls one."""
    from zk.audit.application import audit_application
    from zk.audit.syntax import verifiers_of
    from zk.audit.verifier import audit_verifier

    if source:
        for name, code in verifiers_of(source).items():
            yield audit_verifier(code, f"{name} in {source}")
    if app:
        yield audit_application(app)


def show(report: Report) -> None:
    click.secho(report.subject, bold=True)
    for name, value in report.facts.items():
        click.echo(f"  {name.replace('_', ' '):14} {_written(value)}")
    for passed in report.passed:
        click.echo(f"  {click.style('ok', fg='green')}  {passed}")
    for finding in sorted(report.findings, key=lambda finding: -finding.severity):
        _show_finding(finding)
    wrong = len(report.wrong)
    verdict = f"{wrong} finding{'s' * (wrong != 1)}" if wrong else "nothing wrong found"
    click.secho(f"  verdict: {verdict}\n", bold=True, fg="red" if wrong else "green")


def show_verdict(reports: list[Report]) -> None:
    """Summarise all reports in one line."""
    wrong = [finding for report in reports for finding in report.wrong]
    checks = sum(len(report.passed) for report in reports) + len(wrong)
    if wrong:
        worst = max(finding.severity for finding in wrong).name.lower()
        click.secho(f"{len(wrong)} of {checks} checks failed, the worst: {worst}", fg="red")
    else:
        click.secho(f"all {checks} checks passed", fg="green")


def _show_finding(finding: Finding) -> None:
    word, colour = MARKS[finding.severity]
    click.echo(f"  {click.style(word, fg=colour, bold=True)}  {finding.what} [{finding.name}]")
    click.echo(f"      evidence: {finding.evidence}")
    click.echo(f"      to do:    {finding.remedy}")


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    return f"{value:,}" if isinstance(value, int) else str(value)

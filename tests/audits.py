"""Audit reports, as tests compare them."""

from zk.audit.findings import Report


def named(report: Report) -> list[str]:
    """The names of the findings that are more than notes."""
    return [finding.name for finding in report.wrong]

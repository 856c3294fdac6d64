"""What commands measure, noted where people read it."""

from scripts._circuits import ROOT
from zk.manifest import write_whole

BENCHMARKS = ROOT / "docs" / "benchmarks.md"


def note(section: str, text: str) -> None:
    """Replaces what the last run measured, between two comments of docs/benchmarks.md."""
    begin, end = f"<!-- measured: {section} -->", "<!-- end -->"
    before, rest = BENCHMARKS.read_text().split(begin)
    after = rest.split(end, maxsplit=1)[1]
    write_whole(BENCHMARKS, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

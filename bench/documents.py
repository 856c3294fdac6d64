"""The measured sections of docs/benchmarks.md."""

from zk.files import ROOT, write_whole

BENCHMARKS = ROOT / "docs" / "benchmarks.md"


def record(section: str, text: str) -> str:
    """Replace a measured section, between two comments of docs/benchmarks.md."""
    begin, end = f"<!-- measured: {section} -->", "<!-- end -->"
    before, rest = BENCHMARKS.read_text().split(begin)
    after = rest.split(end, maxsplit=1)[1]
    write_whole(BENCHMARKS, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
    return text


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

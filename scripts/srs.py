import re
from pathlib import Path

import click

from apps.circuits import ARTIFACTS
from scripts._cli import Command, suggest
from verdict.commands import UnsoundError, json_option
from verdict.reports import show
from zk.audit.findings import Finding, Report, Severity
from zk.errors import CircuitError
from zk.files import ROOT, sha256
from zk.srs import CEREMONY_SHA256, CEREMONY_URL, KINDS, ensure_srs, srs_path

FOLDER = ARTIFACTS / "srs"


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--fetch",
    "wanted",
    type=click.IntRange(1, 26),
    help="Download the ceremony's SRS of 2**N rows.",
    metavar="N",
)
@click.option("--mirror", default=CEREMONY_URL, show_default=True, help="Server to download from.")
@click.option(
    "--dev",
    type=click.IntRange(4, 26),
    help="Make a dev SRS of 2**N rows, for local chains.",
    metavar="N",
)
@click.option(
    "--verify", is_flag=True, help="Check that FILE, or each SRS, is powers of one secret."
)
@json_option
def cli(
    file: Path | None, wanted: int | None, mirror: str, dev: int | None, verify: bool
) -> list[dict]:
    """Show the SRS files of circuits, download the public ceremony's, or make one for tests.

    \b
    Example:
        ape run srs --fetch 13
        ape run srs --verify
        ape run srs --verify k13.srs --json
    """
    if file and (wanted or dev or not verify):
        raise click.UsageError(f"{file} is given, which only --verify takes: add it alone.")
    if wanted:
        ensure_srs(FOLDER, "ceremony", wanted, mirror=mirror)
    if dev:
        ensure_srs(FOLDER, "insecure-dev", dev)
    found = [_given(file)] if file else [(kind, *each) for kind in KINDS for each in _sizes(kind)]
    if not found:
        click.echo(
            "No SRS yet: download one with --fetch, or let `ape run build` make one for tests."
        )
    listed: list[dict] = []
    for kind, k, path in found:
        size, name = path.stat().st_size, str(file or path.relative_to(ROOT))
        click.echo(f"{kind:13}  2**{k:<2} rows  {size / 1e6:8.1f} MB  {name}")
        listed.append({"kind": kind, "logrows": k, "bytes": size, "path": name})
    if verify:
        reports = [_verified(*each) for each in found]
        listed = [
            one | {"report": report.as_json()} for one, report in zip(listed, reports, strict=True)
        ]
        if not all(report.sound for report in reports):
            raise UnsoundError(listed)
    suggest("build --srs ceremony" if wanted else "build")
    return listed


def _sizes(kind) -> list[tuple[int, Path]]:
    """The SRS files of a kind, by size."""
    sizes = [int(path.stem[1:]) for path in (FOLDER / kind).glob("k*.srs")]
    return [(k, srs_path(FOLDER, kind, k)) for k in sorted(sizes)]


def _given(file: Path) -> tuple[str, int, Path]:
    """A file with its kind and size, by its folder and name, or else by its content."""
    if not file.is_file():
        raise CircuitError(f"{file} is no file: give the path of an SRS, such as k13.srs.")
    with file.open("rb") as content:
        rows = int.from_bytes(content.read(4), "little")
    named = re.fullmatch(r"k(\d+)\.srs", file.name)
    logrows = int(named[1]) if named else rows
    public = sha256(file) == CEREMONY_SHA256.get(logrows)
    folder = file.resolve().parent.name
    kind = folder if folder in KINDS else "ceremony" if public else "insecure-dev"
    return kind, logrows, file


def _verified(kind: str, k: int, path: Path) -> Report:
    from zk.audit.srs import AGAIN, audit_srs

    try:
        report = audit_srs(path, kind, k)
    except CircuitError as error:
        report = Report(str(path), {"kind": kind})
        wrong = "The file is not an SRS."
        report.findings.append(Finding("srs-size", Severity.CRITICAL, wrong, str(error), AGAIN))
    show(report)
    return report

from pathlib import Path

import click

from scripts._cli import Command


@click.command(cls=Command)
@click.argument("kind", type=click.Choice(["digits", "voice"]))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder of voices. Default: VOICE_DATA_DIR."
)
def cli(kind, data: Path | None) -> None:
    """Compare networks that cost the same to prove; record the best in docs/benchmarks.md.

    Each network is as large as its circuit allows. Takes half an hour; rerun it to resume.

    \b
    Example:
        ape run search digits
        ape run search voice --data path/to/corpora
    """
    from bench.search import search

    search(kind, data, click.echo)

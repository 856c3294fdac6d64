import click

from scripts._cli import Command


@click.command(cls=Command)
def cli() -> None:
    """Compare digit readers that cost the same to prove; record the best in docs/benchmarks.md.

    Each network is as large as its circuit allows. Takes half an hour; rerun it to resume.

    \b
    Example:
        ape run search
    """
    from bench.search import search

    search(click.echo)

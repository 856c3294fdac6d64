import click

from scripts import _deployments
from scripts._clan import table
from scripts._cli import ChainCommand


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
def cli(circuit: str) -> None:
    """Show the clans as bars, and the leader.

    \b
    Example:
        ape run clans --network ethereum:local
    """
    click.echo(table(_deployments.contract(circuit, "Clan")))

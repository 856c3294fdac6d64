import click

from apps import clan
from scripts._cli import ChainCommand


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
def cli(circuit: str) -> None:
    """Show the clans as bars, and the leader.

    \b
    Example:
        ape run clans --network ethereum:local
    """
    click.echo(clan.table(clan.application.contract_of(circuit)))

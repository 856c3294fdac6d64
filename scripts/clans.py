import click

from apps import clan
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@json_option
def cli(circuit: str) -> dict:
    """Show the clans as bars, and the leader.

    \b
    Example:
        ape run clans --network ethereum:local
    """
    contract = clan.application.contract_of(circuit)
    click.echo(clan.table(contract))
    suggest(f"prove --circuit {circuit} --image drawing.png --account ACCOUNT")
    leader, most = contract.leader()
    return {"members": list(contract.counts()), "leader": leader if most else None}

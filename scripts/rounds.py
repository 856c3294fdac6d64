import click

from apps import voice
from chain.deployments import entry_of
from scripts._cli import ChainCommand


@click.command(cls=ChainCommand)
@click.option("--circuit", default="voice", show_default=True)
def cli(circuit: str) -> None:
    """Show the rounds: threshold, reward, rewards left, deadline, best scores.

    \b
    Example:
        ape run rounds --network ethereum:local
    """
    contract = voice.application.contract_of(circuit)
    click.echo(voice.table(contract, entry_of(circuit)["block"]))

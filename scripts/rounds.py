import click

from scripts import _deployments
from scripts._cli import ChainCommand
from scripts._voice import table


@click.command(cls=ChainCommand)
@click.option("--circuit", default="voice", show_default=True)
def cli(circuit: str) -> None:
    """Show the rounds of VoiceJudge: threshold, reward, rewards left, deadline, best singers.

    \b
    Example:
        ape run rounds --network ethereum:local
    """
    judge = _deployments.contract(circuit, "VoiceJudge")
    click.echo(table(judge, _deployments.read()[circuit]["block"]))

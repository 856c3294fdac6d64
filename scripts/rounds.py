import click

from apps import voice
from chain.deployments import entry_of
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.option("--circuit", default="voice", show_default=True)
@json_option
def cli(circuit: str) -> list[dict]:
    """Show the rounds: threshold, reward, rewards left, deadline, best scores.

    \b
    Example:
        ape run rounds --network ethereum:local
    """
    contract = voice.application.contract_of(circuit)
    first = entry_of(circuit)["block"]
    found = voice.rounds(contract, first)
    click.echo(voice.table(found))
    if any(one["open"] for one in found):
        suggest(f"prove --circuit {circuit} --clip song.wav --account ACCOUNT")
    else:
        suggest("open-round --threshold 0.25 --reward 0.01")
    return found

from pathlib import Path

import click

from apps.singers import Singers
from apps.voice import admit, application
from chain.accounts import signer
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.argument("path", metavar="SINGERS", type=click.Path(path_type=Path))
@click.option("--round", "number", type=click.IntRange(0), required=True, help="Round number.")
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Sender, who pays for gas; on a dev network test account 0.")
@json_option
def cli(path: Path, number: int, circuit: str, account: str | None) -> dict:
    """Admit the chosen singers of a round. The file is the list that the round was opened with.

    \b
    Example:
        ape run admit singers.txt --round 0 --network ethereum:local
    """
    contract, chosen = application.contract_of(circuit), Singers.read(path)
    new = admit(contract, number, chosen, signer(account))
    click.echo(f"round {number}: {len(new)} newly admitted, {len(chosen.accounts)} in all")
    suggest(f"prove --circuit {circuit} --clip song.wav --account ACCOUNT --round {number}")
    return {"round": number, "singers": chosen.accounts, "new": new}

from pathlib import Path

import click

from apps.voice import application, exactly, written
from chain.accounts import name_of, signer
from scripts._cli import ChainCommand, suggest
from scripts._submit import check, submit
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Sender, who pays for gas; on a dev network test account 0.")
@json_option
def cli(path: Path, account: str | None) -> dict:
    """Submit a proof of a score. The account inside it earns the reward; anyone can send it.

    \b
    Example:
        ape run judge proofs/voice-0-0x7099….json --account 2 --network ethereum:local
    """
    checked = check(application, path)
    sent = submit(application, checked, signer(account))
    score = written(sent.contract.scoreOf(sent.round_number, sent.account))
    credit = exactly(sent.contract.creditOf(sent.account))
    click.echo(
        f"{sent.account} scored {score} in round {sent.round_number} and has a credit of {credit} "
        f"ether{sent.note}"
    )
    suggest(f"withdraw --account {name_of(sent.account)}")
    return {**sent.as_json(), "score": score, "credit": credit}

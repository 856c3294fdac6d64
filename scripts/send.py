from pathlib import Path

import click

from apps.registry import named
from chain import deployments
from chain.accounts import require_holder, signer
from scripts._cli import ChainCommand
from scripts._submit import call, check, submit
from verdict.commands import json_option
from zk.proof import Proof


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Sender, who pays for gas. Default: the account in the proof.")
@click.option("--call", "function", help="Function of the contract. Default: the application's.")
@json_option
def cli(path: Path, account: str | None, function: str | None) -> dict:
    """Send a proof to the application of its circuit.

    \b
    Example:
        ape run send proofs/badge-0x7099….json --network ethereum:local
        ape run send proofs/badge-0x7099….json --call mint --account 1
    """
    application = named(deployments.entry_of(Proof.load(path).circuit)["application"])
    checked = check(application, path)
    sender = signer(account) if account else require_holder(checked.account)
    sent = call(checked, function, sender) if function else submit(application, checked, sender)
    for event in sent.receipt.events:
        values = ", ".join(f"{name} {value}" for name, value in event.event_arguments.items())
        click.echo(f"{event.event_name}: {values}")
    click.echo(f"{application.name} accepted the proof of {sent.account}{sent.note}")
    return sent.as_json()

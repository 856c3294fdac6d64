import click

from apps.voice import application, exactly
from chain.accounts import signer
from chain.sending import send
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option
from zk.errors import CircuitError


@click.command(cls=ChainCommand)
@click.option(
    "--round",
    "number",
    type=click.IntRange(min=0),
    help="As a sponsor, first take back this round's unclaimed rewards.",
)
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Account to pay out; on a dev network test account 0.")
@json_option
def cli(number: int | None, circuit: str, account: str | None) -> dict:
    """Withdraw an account's credit; a sponsor can first take back unclaimed rewards.

    \b
    Example:
        ape run withdraw --account 1 --network ethereum:local
        ape run withdraw --round 0 --account 0 --network ethereum:local
    """
    contract = application.contract_of(circuit)
    sender = signer(account)
    if number is not None:
        send(contract.takeBack, number, sender=sender)
    credit = contract.creditOf(sender)
    if not credit:
        raise CircuitError(f"{sender.address} has no credit at {contract.address} to withdraw.")
    send(contract.withdraw, sender=sender)
    click.echo(f"{exactly(credit)} ether for {sender.address}")
    suggest("rounds")
    return {"account": sender.address, "ether": exactly(credit)}

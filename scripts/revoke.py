import click

from apps.clan import application
from chain.accounts import signer
from chain.contracts import ask
from chain.sending import send
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@click.option("--account", help="Account that revokes; on a dev network test account 0.")
@json_option
def cli(circuit: str, account: str | None) -> dict:
    """Revoke every consent that an account has signed and that nobody has used.

    \b
    Example:
        ape run revoke --account 1 --network ethereum:local
    """
    contract, sender = application.contract_of(circuit), signer(account)
    send(contract.revokeConsents, sender=sender)
    nonce = ask(contract, "nonceOf", sender.address)
    click.echo(f"the consents of {sender.address} at {contract.address} are void (nonce {nonce})")
    suggest("clans")
    return {"account": sender.address, "nonce": nonce}

import click

from scripts import _deployments
from scripts._cli import ChainCommand, signer
from scripts._voice import exactly
from zk.errors import CircuitError


@click.command(cls=ChainCommand)
@click.option(
    "--round", "number", type=click.IntRange(min=0), help="Of a sponsor: take back first."
)
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Whose credit; on a dev network test account 0.")
def cli(number: int | None, circuit: str, account: str | None) -> None:
    """Withdraw what VoiceJudge owes an account; a sponsor first takes back what nobody won.

    \b
    Example:
        ape run withdraw --account 1 --network ethereum:local
        ape run withdraw --round 0 --account 0 --network ethereum:local
    """
    judge = _deployments.contract(circuit, "VoiceJudge")
    owner = signer(account)
    if number is not None:
        judge.takeBack(number, sender=owner)
    credit = judge.creditOf(owner)
    if not credit:
        raise CircuitError(f"{judge.address} owes {owner.address} nothing.")
    judge.withdraw(sender=owner)
    click.echo(f"{exactly(credit)} ether for {owner.address}")

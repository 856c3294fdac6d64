from pathlib import Path

import click

from scripts import _deployments
from scripts._clan import read_digit
from scripts._cli import ChainCommand, signer
from scripts._contracts import key_of
from zk.errors import CircuitError
from zk.proof import Proof


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Who sends and pays, the member or a relayer; dev default: test 0.")
def cli(path: Path, account: str | None) -> None:
    """Join the clan that a proof shows. Whoever sends it, the account inside the proof joins.

    \b
    Example:
        ape run join proofs/clan-0x7099….json --account 2 --network ethereum:local
    """
    proof = Proof.load(path)
    clan = _deployments.contract(proof.circuit, "Clan")
    key, member = key_of(clan, proof)
    if clan.keyOf(member) != key:
        raise CircuitError(
            f"{path} was made for another chain or contract than {clan.address} on chain "
            f"{clan.provider.chain_id}: run `ape run prove` again."
        )
    if clan.isMember(member):
        raise CircuitError(f"{member} is in clan {clan.clanOf(member)} already, for good.")
    read_digit(clan, member, proof)  # refuses now what would be refused after paying for gas
    sender = signer(account)
    receipt = clan.join(member, proof.proof, proof.instances, sender=sender)
    relayed = "" if sender.address == member else f", relayed by {sender.address}"
    click.echo(f"{member} joined clan {clan.clanOf(member)}{relayed} ({receipt.gas_used:,} gas)")

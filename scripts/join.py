from contextlib import suppress
from pathlib import Path

import click

from apps.batches import Batch, joined
from apps.clan import application, digit_of
from apps.consents import NO_CONSENT, Consent
from apps.registry import RefusedError
from chain.accounts import require_holder, signer
from chain.contracts import layout_of
from chain.deployments import single_of
from scripts._cli import ChainCommand, suggest
from scripts._submit import check, submit
from verdict.commands import json_option
from zk.errors import CircuitError
from zk.files import ROOT
from zk.layout import Layout
from zk.proof import Proof


@click.command(cls=ChainCommand)
@click.argument("path", metavar="[PROOF]", required=False, type=click.Path(path_type=Path))
@click.option("--batch", type=click.Path(path_type=Path), help="A proof of several accounts.")
@click.option("--account", help="Sender, who pays for gas. Default: the account in the proof.")
@click.option(
    "--consent",
    "given",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The consent of an account, if another one sends. Made by `ape run consent`.",
)
@json_option
def cli(path, batch, account, given) -> dict:
    """Join the clan that a proof shows. Its account sends the proof, or consents that another does.

    \b
    Example:
        ape run join proofs/clan-0x7099….json --network ethereum:local
        ape run join proofs/clan-0x7099….json --account 2 --consent consent.json
        ape run join --batch proofs/clan-batch-0x7099….json --account 2
    """
    consents = list(map(Consent.load, given))
    if batch and not path:
        return _join_batch(Batch.load(batch), signer(account), consents)
    if batch or not path or len(given) > 1:
        raise click.UsageError("Give one PROOF with one consent, or --batch with several.")
    with suppress(ValueError):  # no digit, which the contract refuses below
        _compare_with_the_last(path)
    checked = check(application, path)
    sender = signer(account) if account else require_holder(checked.account)
    sent = submit(application, checked, sender, consent=consents[0] if consents else None)
    clan = sent.contract.clanOf(sent.account)
    click.echo(f"{sent.account} joined clan {clan}{sent.note}")
    suggest(f"clans --circuit {checked.proof.circuit}")
    return {**sent.as_json(), "clan": clan}


def _join_batch(batch: Batch, sender, given: list[Consent]) -> dict:
    consents, missing = batch.consents(sender, given)
    for account in missing:
        click.echo(f"no consent of {account}: it will be skipped; it can sign `ape run consent`")
    if max(consents) == NO_CONSENT and sender.address not in batch.digits:
        raise RefusedError(
            "No account of this batch would join: each is a member, or has not consented."
        )
    receipt = batch.join(sender, consents)
    clans, skipped = joined(batch, receipt)
    for account, clan in clans.items():
        click.echo(f"{account} joined clan {clan}")
    for account, why in skipped.items():
        click.echo(f"{account} was skipped: {why}")
    of = f"{len(clans)} of {len(batch.digits)} accounts"
    click.echo(f"{of} joined, sent by {sender.address} ({receipt.gas_used:,} gas)")
    suggest(f"clans --circuit {single_of(batch.proof.circuit)}")
    return {
        "joined": clans,
        "skipped": skipped,
        "sender": sender.address,
        "transaction": receipt.txn_hash,
        "gas": receipt.gas_used,
    }


def _compare_with_the_last(path: Path) -> None:
    """Say if the newest proof of the same key, beside `path` or in proofs/, has another digit."""
    proof = Proof.load(path)
    layout = layout_of(application.contract_of(proof.circuit), application.outputs)
    circuit, key, digit = _reading(proof, layout)
    files = {*path.resolve().parent.glob("*.json"), *(ROOT / "proofs").glob("*.json")}
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        with suppress(CircuitError, ValueError, OSError):  # it is no proof
            *same, last = _reading(Proof.load(file), layout)
            if same == [circuit, key]:
                if last != digit:
                    click.echo(f"this proof shows a {digit}; the last one, {file}, a {last}")
                return


def _reading(proof: Proof, layout: Layout) -> tuple[str, int, int]:
    """The circuit, the key and the digit of a proof."""
    return proof.circuit, proof.key(layout), digit_of(proof.outputs(layout))

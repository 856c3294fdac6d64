from contextlib import suppress
from pathlib import Path

import click

from apps.clan import application, digit_of
from apps.consents import Consent
from chain.accounts import require_holder, signer
from chain.contracts import layout_of
from scripts._cli import ChainCommand, json_option, suggest
from scripts._submit import check, submit
from zk.errors import CircuitError
from zk.files import ROOT
from zk.layout import Layout
from zk.proof import Proof


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Sender, who pays for gas. Default: the account in the proof.")
@click.option(
    "--consent",
    "given",
    type=click.Path(path_type=Path),
    help="The consent of the account, if another one sends. Made by `ape run consent`.",
)
@json_option
def cli(path: Path, account: str | None, given: Path | None) -> dict:
    """Join the clan that a proof shows. Its account sends the proof, or consents that another does.

    \b
    Example:
        ape run join proofs/clan-0x7099….json --network ethereum:local
        ape run join proofs/clan-0x7099….json --account 2 --consent consent.json
    """
    with suppress(ValueError):  # no digit, which the contract refuses below
        _compare_with_the_last(path)
    checked = check(application, path)
    sender = signer(account) if account else require_holder(checked.account)
    consent = Consent.load(given) if given else None
    sent = submit(application, checked, sender, consent=consent)
    clan = sent.contract.clanOf(sent.account)
    click.echo(f"{sent.account} joined clan {clan}{sent.note}")
    suggest("clans")
    return {**sent.as_json(), "clan": clan}


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

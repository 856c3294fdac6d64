from contextlib import suppress
from pathlib import Path

import click

from apps.clan import application, digit_of
from scripts._cli import ChainCommand, json_option, suggest
from scripts._submit import submit
from zk.errors import CircuitError
from zk.files import ROOT
from zk.proof import Proof
from zk.witness import signed


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Sender, who pays for gas; on a dev network test account 0.")
@json_option
def cli(path: Path, account: str | None) -> dict:
    """Join the clan that a proof shows. The account inside the proof joins; anyone can send it.

    \b
    Example:
        ape run join proofs/clan-0x7099….json --account 2 --network ethereum:local
    """
    with suppress(ValueError):  # no digit, which the contract refuses below
        _compare_with_the_last(path)
    sent = submit(application, path, account)
    clan = sent.contract.clanOf(sent.account)
    click.echo(f"{sent.account} joined clan {clan}{sent.note}")
    suggest("clans")
    return {**sent.as_json(), "clan": clan}


def _compare_with_the_last(path: Path) -> None:
    """Say if the newest proof of the same key, beside `path` or in proofs/, has another digit."""
    circuit, key, digit = _reading(path)
    files = {*path.resolve().parent.glob("*.json"), *(ROOT / "proofs").glob("*.json")}
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        with suppress(CircuitError, ValueError, OSError):  # it is no proof
            *same, last = _reading(file)
            if same == [circuit, key]:
                if last != digit:
                    click.echo(f"this proof shows a {digit}; the last one, {file}, a {last}")
                return


def _reading(path: Path) -> tuple[str, list[int], int]:
    """The circuit of a proof, the instances of its key, and its digit."""
    proof, outputs = Proof.load(path), application.outputs
    logits = [signed(instance) for instance in proof.instances[-outputs:]]
    return proof.circuit, proof.instances[:-outputs], digit_of(logits)

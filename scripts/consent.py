from dataclasses import asdict
from pathlib import Path

import click

from apps.batches import Batch
from apps.clan import application
from apps.consents import sign
from chain.accounts import require_holder, signer
from chain.network import moment
from scripts._cli import ChainCommand, suggest
from scripts._submit import check
from verdict.commands import json_option


@click.command(cls=ChainCommand)
@click.argument("path", metavar="[PROOF]", required=False, type=click.Path(path_type=Path))
@click.option("--batch", type=click.Path(path_type=Path), help="A proof of several accounts.")
@click.option("--account", help="With --batch: the account that signs.")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: PROOF with the ending .consent.json."
)
@json_option
def cli(path, batch, account, days, out) -> dict:
    """Sign that the account in a proof joins its clan, for another account that pays for gas.

    \b
    Example:
        ape run consent proofs/clan-0x7099….json --days 1 --network ethereum:local
        ape run consent --batch proofs/clan-batch-0x7099….json --account 2
    """
    if batch and account and not path:
        several, holder = Batch.load(batch), signer(account)
        contract, digit = several.contract, several.digit_of(holder.address)
        which, file = f"--batch {batch}", batch.with_suffix(f".{holder.address}.consent.json")
    elif path and not batch and not account:
        checked = check(application, path)
        contract, holder = checked.contract, require_holder(checked.account)
        digit, which, file = checked.result, str(path), path.with_suffix(".consent.json")
    else:
        raise click.UsageError("Give one PROOF, or --batch with the --account that signs.")
    file = out or file
    consent = sign(contract, holder, digit, days)
    consent.save(file)
    until = moment(consent.deadline)
    click.echo(f"{consent.account} agrees to join clan {consent.digit} until {until}: {file}")
    suggest(f"join {which} --consent {file} --account RELAYER")
    return asdict(consent)

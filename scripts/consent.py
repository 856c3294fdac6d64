from dataclasses import asdict
from pathlib import Path

import click

from apps.clan import application
from apps.consents import sign
from chain.accounts import require_holder
from chain.network import moment
from scripts._cli import ChainCommand, json_option, suggest
from scripts._submit import check


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: PROOF with the ending .consent.json."
)
@json_option
def cli(path: Path, days: int, out: Path | None) -> dict:
    """Sign that the account in a proof joins its clan, for another account that pays for gas.

    \b
    Example:
        ape run consent proofs/clan-0x7099….json --days 1 --network ethereum:local
    """
    checked = check(application, path)
    holder = require_holder(checked.account)
    consent = sign(checked.contract, holder, checked.result, days)
    consent.save(out := out or path.with_suffix(".consent.json"))
    until = moment(consent.deadline)
    click.echo(f"{consent.account} agrees to join clan {consent.digit} until {until}: {out}")
    suggest(f"join {path} --consent {out} --account RELAYER")
    return asdict(consent)

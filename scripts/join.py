from pathlib import Path

import click

from apps.clan import application
from scripts._cli import ChainCommand
from scripts._submit import submit


@click.command(cls=ChainCommand)
@click.argument("path", metavar="PROOF", type=click.Path(path_type=Path))
@click.option("--account", help="Sender, who pays for gas; on a dev network test account 0.")
def cli(path: Path, account: str | None) -> None:
    """Join the clan that a proof shows. The account inside the proof joins; anyone can send it.

    \b
    Example:
        ape run join proofs/clan-0x7099….json --account 2 --network ethereum:local
    """
    sent = submit(application, path, account)
    clan = sent.contract.clanOf(sent.account)
    click.echo(f"{sent.account} joined clan {clan}{sent.note}")
    click.echo("Next: `ape run clans`.")

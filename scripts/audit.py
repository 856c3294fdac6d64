import json
from collections.abc import Iterator
from pathlib import Path

import ape
import click

from apps.audit import audit_address, audit_deployment
from apps.circuits import ARTIFACTS
from apps.registry import applications
from chain import deployments
from chain.accounts import checked_address
from chain.contracts import code_at
from scripts._cli import Command
from verdict.reports import audit_files, show, show_verdict
from zk.audit.findings import Report
from zk.errors import CircuitError
from zk.manifest import Manifest


@click.command(cls=Command)
@click.option("--only", metavar="CIRCUIT", help="Default: every deployed circuit.")
@click.option(
    "--source", type=click.Path(path_type=Path), help="Audit a verifier by its source, FILE.sol."
)
@click.option("--address", "where", help="Audit a verifier on the network, without its source.")
@click.option(
    "--app",
    type=click.Path(path_type=Path),
    help="Audit a contract that calls a verifier, FILE.sol.",
)
@click.option("--network", default="ethereum:local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a list of reports as JSON.")
def cli(
    only: str | None,
    source: Path | None,
    where: str | None,
    app: Path | None,
    network: str,
    as_json: bool,
) -> None:
    """Audit deployments, or any verifier. Exits with 0 only if nothing is wrong.

    Without --source, --address and --app, audits the deployed circuits from the model to the code
    on chain, and sends forgeries to it.

    \b
    Example:
        ape run audit --network ethereum:local
        ape run audit --source Verifier.sol --app Application.sol
        ape run audit --address 0x5FbD… --network ethereum:local
    """
    if only and (source or where or app):
        raise click.UsageError("--only excludes --source, --address and --app.")
    reports = []
    for report in _reports(only, source, where, app, network):
        reports.append(report)
        if not as_json:
            show(report)
    if as_json:
        click.echo(json.dumps([report.as_json() for report in reports], indent=2))
    else:
        show_verdict(reports)
    if not all(report.sound for report in reports):
        raise SystemExit(1)


def _reports(
    only: str | None, source: Path | None, where: str | None, app: Path | None, network: str
) -> Iterator[Report]:
    yield from audit_files(source, app)
    if where:
        with ape.networks.parse_network_choice(network):
            yield from audit_address(_checked(where))
    if source or where or app:
        return
    with ape.networks.parse_network_choice(network):
        for name in [only] if only else _deployed():
            entry = deployments.entry_of(name)
            deployments.require_code(name, entry["contract"], entry["verifier"])
            yield from audit_deployment(Manifest(ARTIFACTS / name), entry)


def _deployed() -> list[str]:
    found = [
        name for name, one in deployments.read().items() if one["application"] in applications()
    ]
    if not found:
        raise CircuitError(
            f"{deployments.path().name} records no deployment: run `ape run deploy --network "
            f"{ape.networks.provider.network.choice}`, or give --source, --address or --app."
        )
    return found


def _checked(where: str) -> str:
    checked = checked_address(where)
    if not code_at(checked):
        raise CircuitError(
            f"{checked} has no code on {ape.networks.provider.network.choice}: give the address "
            "of a verifier, and its network with --network."
        )
    return checked

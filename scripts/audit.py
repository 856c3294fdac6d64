import json
from pathlib import Path

import ape
import click

from scripts._cli import Command, address, is_dev
from scripts._reports import show
from zk.audit.findings import Report
from zk.errors import CircuitError


@click.command(cls=Command)
@click.option("--source", type=click.Path(path_type=Path), help="A verifier's source: FILE.sol.")
@click.option("--address", "where", help="A verifier on the network, without its source.")
@click.option(
    "--app", type=click.Path(path_type=Path), help="A contract that believes a verifier: FILE.sol."
)
@click.option("--network", default="ethereum:local", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For machines: an object a report.")
def cli(
    source: Path | None, where: str | None, app: Path | None, network: str, as_json: bool
) -> None:
    """Audit verifiers and the contracts that believe them. Exits with 0 only if nothing is wrong.

    \b
    Example:
        ape run audit --source Verifier.sol --app Application.sol
        ape run audit --address 0x5FbD… --network ethereum:local
    """
    from zk.audit.application import audit_application
    from zk.audit.syntax import verifiers_of
    from zk.audit.verifier import audit_verifier

    reports: list[Report] = []
    if source:
        reports += [audit_verifier(code, name) for name, code in verifiers_of(source).items()]
    if where:
        with ape.networks.parse_network_choice(network):
            reports.append(audit_verifier(_code_at(where), where, live=not is_dev()))
    if app:
        reports.append(audit_application(app))
    if not reports:
        raise click.UsageError("Give --source, --address or --app.")
    if as_json:
        click.echo(json.dumps([report.as_json() for report in reports], indent=2))
    else:
        for report in reports:
            show(report)
    if not all(report.sound for report in reports):
        raise SystemExit(1)


def _code_at(where: str) -> bytes:
    checked = address(where)
    code = bytes(ape.networks.provider.get_code(checked))
    if not code:
        raise CircuitError(
            f"{checked} has no code on {ape.networks.provider.network.choice}: give the address "
            "of a verifier, and its network with --network."
        )
    return code

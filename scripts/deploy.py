import ape
import click

from scripts import _deployments
from scripts._circuits import ARTIFACTS
from scripts._cli import ChainCommand, signer
from zk.manifest import Manifest


@click.command(cls=ChainCommand)
@click.option(
    "--only",
    metavar="CIRCUIT",
    help="clan, voice, or a circuit of your own with 10 outputs or 1. Default: clan and voice.",
)
@click.option("--account", help="Who pays; on a dev network test account 0 unless said otherwise.")
def cli(only: str | None, account: str | None) -> None:
    """Deploy circuits' verifiers with Clan or VoiceJudge; note them in deployments/<chain id>.json.

    \b
    Example:
        ape run deploy --network ethereum:local
        ape run deploy --only voice --network ethereum:local
    """
    manifests = [Manifest(ARTIFACTS / name) for name in ([only] if only else ["clan", "voice"])]
    provider, sender = ape.networks.provider, signer(account)
    for manifest in manifests:
        _deployments.deploy_once(manifest, sender)
    click.echo(f"noted in {_deployments.path().relative_to(_deployments.FOLDER.parent)}")
    if getattr(provider, "process", None) is not None:
        click.echo(
            "This anvil was started for this command and ends with it. To go on with it, run "
            "`anvil` in another terminal and deploy again."
        )

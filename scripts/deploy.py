import ape
import click

from scripts import _deployments
from scripts._circuits import ARTIFACTS
from scripts._cli import ChainCommand, signer
from scripts._contracts import application, deploy
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
        name, contract = manifest["circuit"], application(manifest)
        entry = _deployments.read().get(name)
        vk = manifest["files"]["vk"]["sha256"]
        if entry and entry["vk_sha256"] == vk and _deployments.stands(entry):
            there = entry["contract"]
            click.echo(f"{name} stands on chain {provider.chain_id} already: {there}")
            continue
        sending = _deployments.sending(manifest)
        deployed = deploy(manifest, sender, sending)
        _deployments.write(manifest, deployed)
        sending.finish()
        click.echo(f"{contract} of {name} on chain {provider.chain_id}: {deployed.address}")
    click.echo(f"noted in {_deployments.path().relative_to(_deployments.FOLDER.parent)}")
    if getattr(provider, "process", None) is not None:
        click.echo(
            "This anvil was started for this command and ends with it. To go on with it, run "
            "`anvil` in another terminal and deploy again."
        )

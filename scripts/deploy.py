import ape
import click

from scripts import _deployments
from scripts._circuits import ARTIFACTS
from scripts._clan import deploy_clan
from scripts._cli import ChainCommand, signer
from zk.manifest import Manifest


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True, help="A circuit of 10 outputs.")
@click.option("--account", help="Who pays; on a dev network test account 0 unless said otherwise.")
def cli(circuit: str, account: str | None) -> None:
    """Deploy a circuit's verifier and its Clan, and note both in deployments/<chain id>.json.

    \b
    Example:
        ape run deploy --network ethereum:local
    """
    manifest = Manifest(ARTIFACTS / circuit)
    provider = ape.networks.provider
    entry = _deployments.read().get(circuit)
    vk = manifest["files"]["vk"]["sha256"]
    if entry and entry["vk_sha256"] == vk and _deployments.stands(entry):
        click.echo(f"{circuit} stands on chain {provider.chain_id} already: {entry['contract']}")
        return
    clan = deploy_clan(manifest, signer(account))
    _deployments.write(manifest, clan)
    click.echo(f"Clan of {circuit} on chain {provider.chain_id}: {clan.address}")
    click.echo(f"noted in {_deployments.path().relative_to(_deployments.FOLDER.parent)}")
    if getattr(provider, "process", None) is not None:
        click.echo(
            "This anvil was started for this command and ends with it. To go on with it, run "
            "`anvil` in another terminal and deploy again."
        )

import click
from ape import networks, project

from scripts import _deployments
from scripts._circuits import ARTIFACTS
from scripts._cli import ChainCommand, signer
from zk.errors import CircuitError
from zk.manifest import Manifest


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True, help="Any built circuit of 10 outputs.")
@click.option("--account", help="Who pays; on a dev network test account 0 unless said otherwise.")
def cli(circuit: str, account: str | None) -> None:
    """Deploy a circuit's verifier and its Clan, and note both in deployments/<chain id>.json.

    \b
    Example:
        ape run deploy --network ethereum:local
    """
    manifest = Manifest(ARTIFACTS / circuit)
    provider = networks.provider
    entry = _deployments.read().get(circuit)
    vk = manifest["files"]["vk"]["sha256"]
    if entry and entry["vk_sha256"] == vk and _deployments.stands(entry):
        click.echo(f"{circuit} stands on chain {provider.chain_id} already: {entry['contract']}")
        return
    clan = deploy_clan(manifest, signer(account))
    click.echo(f"Clan of {circuit} on chain {provider.chain_id}: {clan.address}")
    click.echo(f"noted in {_deployments.path().relative_to(_deployments.FOLDER.parent)}")
    if getattr(provider, "process", None) is not None:
        click.echo(
            "This anvil was started for this command and ends with it. To go on with it, run "
            "`anvil` in another terminal and deploy again."
        )


def deploy_clan(manifest: Manifest, sender):
    """Deploys the verifier and Clan of a build, and records them. Gives the Clan contract."""
    network = networks.provider.network
    if not network.is_dev and manifest["srs"]["kind"] != "ceremony":
        raise CircuitError(
            f"{manifest['circuit']} stands on a dev SRS, whose maker can forge any proof, so it is "
            f"not deployed to {network.choice}: run `ape run build --srs ceremony` first."
        )
    if manifest["outputs"] != 10:
        raise CircuitError(
            f"Clan needs the 10 logits of the digits, {manifest['circuit']} has "
            f"{manifest['outputs']} outputs."
        )
    verifier = deploy_verifier(manifest, sender)
    layout = (manifest["key"]["limbs"], manifest["key"]["bits"], manifest["output_scale"])
    clan = sender.deploy(project.Clan, verifier.address, layout)
    _deployments.write(
        manifest["circuit"],
        {
            "contract": clan.address,
            "verifier": verifier.address,
            "limbs": layout[0],
            "limb_bits": layout[1],
            "output_scale": layout[2],
            "srs": manifest["srs"],
            "vk_sha256": manifest["files"]["vk"]["sha256"],
            "onnx_sha256": manifest["files"]["model"]["sha256"],
            "verifier_runtime_sha256": manifest["verifier"]["runtime_sha256"],
        },
    )
    return clan


def deploy_verifier(manifest: Manifest, sender):
    """Deploys the verifier of a build, once its source is the one that the manifest knows."""
    manifest.file("verifier")
    return sender.deploy(project.get_contract(manifest["verifier"]["contract"]))

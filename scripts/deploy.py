import ape
import click

from apps.circuits import ARTIFACTS, defaults
from apps.registry import application_of
from chain import deployments
from chain.accounts import signer
from chain.contracts import deploy
from scripts._cli import ChainCommand
from zk.manifest import Manifest


@click.command(cls=ChainCommand)
@click.option("--only", metavar="CIRCUIT", help="Default: the circuit of each application.")
@click.option("--account", help="Account that pays; on a dev network test account 0.")
def cli(only: str | None, account: str | None) -> None:
    """Deploy circuits' verifiers with their applications; record them in deployments/.

    \b
    Example:
        ape run deploy --network ethereum:local
        ape run deploy --only voice --network ethereum:local
    """
    manifests = [Manifest(ARTIFACTS / name) for name in ([only] if only else defaults())]
    for manifest in manifests:
        application_of(manifest)  # refuses before anything is sent
    provider, sender = ape.networks.provider, signer(account)
    if getattr(provider, "process", None) is not None:
        for manifest in manifests:
            deploy(manifest, sender, report=click.echo)
        click.echo(
            "Nothing is recorded: this anvil ends with this command. Keep one running with `anvil "
            "--silent &`, and deploy again."
        )
        return
    for manifest in manifests:
        deployments.deploy_once(manifest, sender, click.echo)
    click.echo(f"recorded in {deployments.path().relative_to(deployments.FOLDER.parent)}")
    click.echo("Next: `ape run prove --help`.")

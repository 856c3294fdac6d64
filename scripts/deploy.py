import ape
import click

from apps.circuits import ARTIFACTS, defaults, sources
from apps.registry import application_of
from chain import deployments
from chain.accounts import signer
from chain.contracts import deploy
from chain.network import is_dev
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option
from zk.batches import require_batch_of
from zk.manifest import Manifest


@click.command(cls=ChainCommand)
@click.option("--only", metavar="CIRCUIT", help="Default: the circuit of each application.")
@click.option("--batch", metavar="CIRCUIT", help="With --only: its circuit for batches.")
@click.option("--account", help="Account that pays; on a dev network test account 0.")
@json_option
def cli(only: str | None, batch: str | None, account: str | None) -> list[dict]:
    """Deploy circuits' verifiers with their applications; record them in deployments/.

    \b
    Example:
        ape run deploy --network ethereum:local
        ape run deploy --only voice --network ethereum:local
        ape run deploy --only clan --batch clan-batch --network ethereum:local
    """
    if batch and not only:
        raise click.UsageError("--batch goes with --only, which names the single circuit.")
    several = Manifest(ARTIFACTS / batch) if batch else None
    manifests = [Manifest(ARTIFACTS / name) for name in ([only] if only else defaults())]
    for manifest in manifests:
        application_of(manifest)  # refuses before anything is sent
        if several:
            require_batch_of(manifest, several)
    provider, sender = ape.networks.provider, signer(account)
    if getattr(provider, "process", None) is not None:
        made = [
            deploy(manifest, sender, report=click.echo, batch=several) for manifest in manifests
        ]
        click.echo(
            "Nothing is recorded: this anvil ends with this command. Keep one running with `anvil "
            "--silent &`, and deploy again."
        )
        entries = [
            deployments.entry_for(manifest, contract, several)
            for manifest, contract in zip(manifests, made, strict=True)
        ]
    else:
        for manifest in manifests:
            deployments.deploy_once(manifest, sender, click.echo, several)
        click.echo(f"recorded in {deployments.path().relative_to(deployments.FOLDER.parent)}")
        suggest(_first_words(manifests[0]["circuit"]))
        entries = [deployments.entry_of(manifest["circuit"]) for manifest in manifests]
    names = [manifest["circuit"] for manifest in manifests]
    return [{"circuit": name, **entry} for name, entry in zip(names, entries, strict=True)]


def _first_words(circuit: str) -> str:
    """The first command for the application of a circuit."""
    source = sources().get(circuit)
    if source and source.medium == "clip":
        return "open-round --threshold 0.25 --reward 0.01"
    account = "1" if is_dev() else "ACCOUNT"
    if application_of(Manifest(ARTIFACTS / circuit)).issuer:
        return f"attest --circuit {circuit} --input x.json --account {account}"
    own = "--sample 0" if source else "--input x.npy"
    given = "--test-image 0" if source and source.medium == "drawing" else own
    return f"prove --circuit {circuit} {given} --account {account}"

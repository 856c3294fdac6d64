from pathlib import Path

import click

from scripts import _deployments
from scripts._circuits import ARTIFACTS, READS, ROOT
from scripts._clan import logits
from scripts._cli import ChainCommand, address
from zk.manifest import Manifest
from zk.proof import prove


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@click.option(
    "--image", type=click.Path(path_type=Path), help="A 28x28 picture or .npy, light on dark."
)
@click.option("--test-image", type=click.IntRange(0, 9999), help="A drawing of MNIST's test set.")
@click.option(
    "--input", "tensor", type=click.Path(path_type=Path), help=".npy, for a circuit of your own."
)
@click.option(
    "--account", required=True, help="For whom: an address, alias or test account number."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: proofs/CIRCUIT-ACCOUNT.json."
)
def cli(circuit, image, test_image, tensor, account, out) -> None:
    """Prove what the model reads in a drawing, for one account on one chain and contract.

    \b
    Example:
        ape run prove --circuit clan --test-image 7 --account 1 --network ethereum:local
    """
    manifest = Manifest(ARTIFACTS / circuit)
    x = _input(circuit, image, test_image, tensor)
    owner = address(account)
    key = _deployments.clan(circuit, manifest).keyOf(owner)
    proof = prove(manifest, key, x)
    out = out or ROOT / "proofs" / f"{circuit}-{owner}.json"
    proof.save(out)
    click.echo(logits(manifest, proof))
    click.echo(f"proof for {owner}: {out}")


def _input(circuit: str, image: Path | None, test_image: int | None, tensor: Path | None):
    """The circuit's input from the one source that was given."""
    from models.data import arrays, drawing, mnist

    given = [source for source in (image, test_image, tensor) if source is not None]
    if len(given) != 1:
        raise click.UsageError("Give one of --image, --test-image and --input.")
    if tensor is not None:
        return arrays.read(tensor)["x"]
    if circuit not in READS:
        raise click.UsageError(
            f"{circuit} is no digit reader of this project: give --input FILE.npy."
        )
    if image is not None:
        pixels = drawing.read(image)
    else:
        pixels = mnist.drawings("test")[test_image]
        click.echo(f"test image {test_image}, labelled {mnist.labels('test')[test_image]}:")
    click.echo(drawing.as_text(pixels))
    return drawing.VIEWS[READS[circuit]](pixels)

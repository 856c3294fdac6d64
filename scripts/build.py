from pathlib import Path

import click

from scripts._circuits import CIRCUITS, chosen_circuit, circuit, run_build
from scripts._cli import Command


@click.command(cls=Command)
@click.option(
    "--circuit", "name", type=click.Choice(list(CIRCUITS)), help="Default: clan and voice."
)
@click.option("--onnx", type=click.Path(path_type=Path), help="A model of your own.")
@click.option("--data", type=click.Path(path_type=Path), help="Its samples: .npz with x [labels].")
@click.option("--name", "own_name", help="What to call its circuit.")
@click.option(
    "--srs",
    type=click.Choice(["insecure-dev", "ceremony"]),
    default="insecure-dev",
    show_default=True,
    help="A dev SRS is made here, for local chains only; the ceremony's is fetched.",
)
def cli(name: str | None, onnx: Path | None, data: Path | None, own_name: str | None, srs) -> None:
    """Build circuits: from ONNX to keys and a Solidity verifier. Redoes only what changed.

    \b
    Example:
        ape run build
        ape run build --onnx model.onnx --data samples.npz --name mine
    """
    if name or onnx or data or own_name:
        circuits = [chosen_circuit(name, onnx, data, own_name)]
    else:
        circuits = [circuit(name) for name in ("clan", "voice")]
    for chosen in circuits:
        run_build(chosen, srs)

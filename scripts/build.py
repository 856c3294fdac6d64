import re
from pathlib import Path

import click

from scripts._circuits import CIRCUITS, circuit, own_circuit, run_build
from scripts._cli import Command
from zk.circuit import Circuit


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
    for chosen in _chosen(name, onnx, data, own_name):
        run_build(chosen, srs)


def _chosen(
    name: str | None, onnx: Path | None, data: Path | None, own: str | None
) -> list[Circuit]:
    if not onnx:
        if data or own:
            raise click.UsageError("--data and --name go with --onnx.")
        return [circuit(name) for name in ([name] if name else ["clan", "voice"])]
    if name or not data or not own:
        raise click.UsageError("--onnx goes with --data and --name, and without --circuit.")
    if not re.fullmatch(r"[a-z][a-z0-9]+", own) or own in CIRCUITS or own == "srs":
        raise click.UsageError(
            f"--name {own!r} should be two or more small letters and digits, a letter first, "
            f"and none of {', '.join(CIRCUITS)} and srs."
        )
    return [own_circuit(own, onnx, data)]

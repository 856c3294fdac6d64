import re
import time
from pathlib import Path

import click

from scripts._circuits import ARTIFACTS, CIRCUITS, VERIFIERS, circuit, own_circuit
from scripts._cli import Command
from zk.circuit import Circuit, build
from zk.manifest import Manifest


@click.command(cls=Command)
@click.option("--circuit", "name", type=click.Choice(list(CIRCUITS)), help="Default: clan.")
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
    """Build a circuit: from ONNX to keys and a Solidity verifier. Redoes only what changed.

    \b
    Example:
        ape run build
        ape run build --onnx model.onnx --data samples.npz --name mine
    """
    run_build(_chosen(name, onnx, data, own_name), srs)


def run_build(chosen: Circuit, srs="insecure-dev") -> Manifest:
    """Builds a circuit and prints its steps and figures."""
    started = time.monotonic()

    def report(step: str) -> None:
        click.echo(f"  {time.monotonic() - started:6.1f} s  {step}")

    manifest, redone = build(
        chosen, artifacts=ARTIFACTS, verifiers=VERIFIERS, srs=srs, report=report
    )
    seconds = time.monotonic() - started
    if redone:
        click.echo(f"{chosen.name} built in {seconds:.1f} s: {', '.join(redone)}")
    else:
        click.echo(f"{chosen.name} is up to date ({seconds:.1f} s)")
    show(manifest)
    return manifest


def show(manifest: Manifest) -> None:
    accuracy, files = manifest["accuracy"], manifest["files"]
    samples = f"{accuracy['samples']:,} test samples"
    if "quantised" in accuracy:
        right = f"{accuracy['quantised']:.2%} quantised, {accuracy['float']:.2%} float, {samples}"
    else:
        right = f"no labels; agrees with the float model on {accuracy['agreement']:.2%} of {samples}"
    rows = f"2**{manifest['logrows']} rows, {manifest['rows']:,} used, {manifest['cells']:,} cells"
    verifier = f"{manifest['verifier']['contract']}, {manifest['verifier']['runtime_bytes']:,} bytes"
    click.echo(f"  accuracy     {right}")
    click.echo(f"  circuit      {rows}")
    click.echo(f"  proving key  {files['pk']['bytes'] / 1e6:.1f} MB")
    click.echo(f"  verifier     {verifier}")
    click.echo(f"  SRS          {manifest['srs']['kind']}")


def _chosen(name: str | None, onnx: Path | None, data: Path | None, own: str | None) -> Circuit:
    if not onnx:
        if data or own:
            raise click.UsageError("--data and --name go with --onnx.")
        return circuit(name or "clan")
    if name or not data or not own:
        raise click.UsageError("--onnx goes with --data and --name, and without --circuit.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", own) or own in CIRCUITS or own == "srs":
        raise click.UsageError(
            f"--name {own!r} should be lower-case words joined by hyphens, and none of "
            f"{', '.join(CIRCUITS)} or srs."
        )
    return own_circuit(own, onnx, data)

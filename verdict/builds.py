"""Builds of circuits, with their steps and figures on the terminal."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from zk.build import build
from zk.circuit import Circuit, Prover
from zk.downloads import fetch
from zk.errors import CircuitError
from zk.files import CACHE, sha256
from zk.layout import Layout
from zk.manifest import Manifest
from zk.srs import Kind

Function = TypeVar("Function", bound=Callable[..., Any])
HASHED = re.compile(r"(?P<url>https?://[^#]*/(?P<name>[^/#?]+))(#sha256=(?P<hash>[0-9a-f]{64}))?")


def fetched(where: str | None) -> Path | None:
    """The path of a file, which is downloaded first if it is given as URL#sha256=HASH."""
    if not (found := HASHED.fullmatch(where or "")):
        return Path(where) if where else None
    url, name, expected = found["url"], found["name"], found["hash"]
    if not expected:
        raise CircuitError(f"{url} has no hash: append #sha256=HASH, which the file must have.")
    path = CACHE / "downloads" / expected / name
    if not path.is_file() or sha256(path) != expected:
        fetch(url, path, expected, "ask for the right hash where you got the URL")
    return path


class Sizes(click.ParamType):
    """The sizes of a tensor, with commas between them."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", str(value)):
            self.fail(f"{value!r} is not a list of whole numbers, such as 1,3,32.", param, ctx)
        return tuple(map(int, str(value).split(",")))


def choice_options(command: Function) -> Function:
    """The options that choose a part of an ONNX file."""
    shape = click.option(
        "--shape", type=Sizes(), help="Sizes of the model's input, if it leaves some open: 1,3,32."
    )
    output = click.option("--output", help="The output to take, if there are several of float32.")
    return output(shape(command))


def own_model_options(command: Function) -> Function:
    """The options of a circuit that is made of a user's ONNX file."""

    file = "FILE|URL#sha256=HASH"
    for option in (
        click.option(
            "--largest-input",
            type=click.IntRange(1),
            help="Takes whole numbers from 0 to this, which the circuit checks: it is smaller.",
        ),
        click.option("--name", "own_name", help="Name of the circuit of your model."),
        click.option("--data", metavar=file, help="Its samples: .npz with x [labels]."),
        click.option("--onnx", metavar=file, help="A model of your own."),
    ):
        command = option(command)
    return choice_options(command)


prover_option = click.option(
    "--prover",
    type=click.Choice(get_args(Prover)),
    help="groth16 is faster and proves in browsers, but its keys need a ceremony.",
)


def prover_options(command: Function) -> Function:
    """The options that choose who proves, and what only Groth16 needs to know."""
    smallest = click.option(
        "--smallest-input", type=int, default=0, help="With groth16 and --largest-input."
    )
    return prover_option(smallest(command))


def proved_by(circuit: Circuit, prover: Prover | None, smallest_input: int) -> Circuit:
    """Return a circuit of a user's model for a prover. Raise unless the options go together."""
    args, prover = circuit.run_args, prover or circuit.run_args.prover
    if smallest_input and (prover != "groth16" or args.largest_input is None):
        raise click.UsageError("--smallest-input goes with --prover groth16 and --largest-input.")
    smallest = smallest_input or args.smallest_input
    return replace(circuit, run_args=replace(args, prover=prover, smallest_input=smallest))


srs_option = click.option(
    "--srs",
    type=click.Choice(["insecure-dev", "ceremony"]),
    default="insecure-dev",
    show_default=True,
    help="insecure-dev is made here, for local chains only; ceremony is downloaded.",
)
loss_option = click.option(
    "--accept-loss", is_flag=True, help="Build it even if it answers unlike the model."
)


def run_build(
    chosen: Circuit, artifacts: Path, verifiers: Path, srs: Kind = "insecure-dev"
) -> Manifest:
    """Build a circuit; print its steps and figures."""
    started = time.monotonic()

    def report(step: str) -> None:
        click.echo(f"  {time.monotonic() - started:6.1f} s  {step}")

    manifest, redone = build(
        chosen, artifacts=artifacts, verifiers=verifiers, srs=srs, report=report
    )
    seconds = time.monotonic() - started
    if redone:
        click.echo(f"{chosen.name} built in {seconds:.1f} s: {', '.join(redone)}")
    else:
        click.echo(f"{chosen.name} is up to date ({seconds:.1f} s)")
    _show(manifest)
    return manifest


def facts_of(manifest: Manifest) -> dict[str, Any]:
    """A build in JSON's types."""
    sizes = ("logrows", "rows", "cells")
    names = ("circuit", "application", *sizes, "layout", "srs", "verifier", "accuracy")
    key = manifest["files"]["pk"]["bytes"]
    return {name: manifest[name] for name in names} | {
        "proving_key_bytes": key,
        "prover": manifest.prover,
    }


def _show(manifest: Manifest) -> None:
    files, verifier = manifest["files"], manifest["verifier"]
    rows = f"2**{manifest['logrows']} rows, {manifest['rows']:,} used, {manifest['cells']:,} "
    rows += "terms" if manifest.prover == "groth16" else "cells"
    click.echo(f"  accuracy     {accuracy_in_words(manifest['accuracy'])}")
    click.echo(f"  circuit      {rows}")
    click.echo(f"  instances    {_instances(manifest.layout)}")
    click.echo(f"  proving key  {files['pk']['bytes'] / 1e6:.1f} MB")
    click.echo(f"  verifier     {verifier['contract']}, {verifier['runtime_bytes']:,} bytes")
    click.echo(f"  SRS          {manifest['srs']['kind']}")
    if manifest.prover == "groth16":
        click.echo(f"  ceremony     {_ceremony(manifest)}")
    if manifest["application"]:
        click.echo(f"  application  {manifest['application']}")


def _ceremony(manifest: Manifest) -> str:
    held = manifest["ceremony"]
    if not held["beacon"]:
        return "none: keys for local chains only; see `ape run ceremony`"
    return f"{held['contributions']} contributions and a beacon"


def _instances(layout: Layout) -> str:
    key = "the key" if layout.limbs == 1 else f"the key in {layout.limbs} limbs"
    key = key if layout.batch == 1 else f"{layout.batch} keys"
    outputs = "1 output" if layout.outputs == 1 else f"{layout.outputs} outputs"
    outputs += "" if layout.batch == 1 else " for each"
    lanes = f", {layout.lanes} in each" if layout.lanes > 1 else ""
    largest = layout.largest_input
    checked = f"; inputs from {layout.smallest_input} to {largest}, each checked"
    checked = checked if largest is not None else ""
    return f"{layout.instances}: {key}, {outputs}{lanes}{checked}"


def accuracy_in_words(measured: dict[str, Any]) -> str:
    """The accuracy of a model, by the measure that fits its outputs."""
    on = f"{measured['samples']:,} {measured['source']}"
    if "correlation" in measured:
        kinds = ", ".join(
            f"{measured['correlation'][kind]:.3f} and {measured['error'][kind]:.3f} {kind}"
            for kind in ("quantised", "float")
        )
        worse = measured["error"]["quantised"] >= 1
        verdict = "; WORSE than always answering the mean" if worse else ""
        return f"correlation, and squared error relative to the mean's: {kinds}{verdict}, on {on}"
    if "quantised" in measured:
        return f"{measured['quantised']:.2%} quantised, {measured['float']:.2%} float, on {on}"
    if "agreement" in measured:
        return f"no labels; agrees with the float model on {measured['agreement']:.2%} of {on}"
    return (
        f"no labels; differs from the float model by at most {measured['max_error']:.4f}, on {on}"
    )

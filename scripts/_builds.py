"""The project's builds, and the options that choose them."""

from pathlib import Path

import click

from apps.circuits import ARTIFACTS, VERIFIERS, circuit, own_circuit
from apps.registry import applications, named, require_outputs
from verdict import builds
from zk.arrays import own_samples
from zk.binding import read_model
from zk.circuit import EVERYTHING, Choice, Circuit
from zk.manifest import Manifest
from zk.srs import Kind

app_option = click.option(
    "--app",
    type=click.Choice(list(applications()), case_sensitive=False),
    help="Application that believes your model.",
)


def chosen_circuit(
    name: str | None,
    onnx: Path | None,
    data: Path | None,
    own: str | None,
    largest_input: int | None,
    choice: Choice,
    app: str | None = None,
) -> Circuit:
    """The circuit that --circuit names, or that --onnx, --data and --name make."""
    if not onnx:
        if data or own or app or largest_input or choice != EVERYTHING:
            raise click.UsageError(
                "--data, --name, --app, --output, --shape and --largest-input go with --onnx."
            )
        if not name:
            raise click.UsageError("Give --circuit, or --onnx with --data and --name.")
        return circuit(name)
    if name or not data or not own:
        raise click.UsageError("--onnx goes with --data and --name, and without --circuit.")
    if app:
        model = read_model(onnx, choice, own_samples(data).constants)
        require_outputs(named(app), own, model.outputs)
    return own_circuit(own, onnx, data, app, largest_input, choice)


def run_build(chosen: Circuit, srs: Kind = "insecure-dev") -> Manifest:
    """Build a circuit into the project's folders; print its steps and figures."""
    return builds.run_build(chosen, ARTIFACTS, VERIFIERS, srs)

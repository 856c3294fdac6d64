from dataclasses import replace

import click

from apps.circuits import circuit, defaults, deploying, of_groth16, sources
from scripts._builds import app_option, chosen_circuit, run_build
from scripts._cli import Command, suggest
from verdict.builds import (
    facts_of,
    fetched,
    loss_option,
    own_model_options,
    proved_by,
    prover_options,
    srs_option,
)
from verdict.commands import json_option
from zk.circuit import EVERYTHING, Choice


@click.command(cls=Command)
@click.option(
    "--circuit",
    "name",
    type=click.Choice(list(sources())),
    help="Default: the circuit of each application.",
)
@own_model_options
@prover_options
@app_option
@srs_option
@loss_option
@json_option
def cli(
    name, onnx, data, own_name, output, shape, largest_input,
    prover, smallest_input, app, srs, accept_loss,
) -> list[dict]:  # fmt: skip
    """Build circuits: from ONNX to keys and a Solidity verifier. Redoes only what changed.

    \b
    Example:
        ape run build
        ape run build --prover groth16
        ape run build --onnx model.onnx --data samples.npz --name mine --app APPLICATION
    """
    onnx, data = fetched(onnx), fetched(data)
    choice = Choice(output, shape)
    if name or onnx or data or own_name or choice != EVERYTHING or largest_input or app:
        chosen = chosen_circuit(name, onnx, data, own_name, largest_input, choice, app)
        circuits = [proved_by(chosen, prover, smallest_input) if onnx else chosen]
    else:
        circuits = [circuit(name) for name in (of_groth16() if prover else defaults())]
    if not onnx and (smallest_input or (prover and circuits[0].run_args.prover != prover)):
        raise click.UsageError(
            f"--prover groth16 goes with --onnx, or builds {' and '.join(of_groth16())}; "
            "--smallest-input goes with --onnx."
        )
    if accept_loss:
        circuits = [replace(one, accept_loss=True) for one in circuits]
    built = [run_build(chosen, srs) for chosen in circuits]
    if own_name and not app:
        suggest(f"build --onnx {onnx} --data {data} --name {own_name} --app APPLICATION")
    else:
        suggest(f"deploy --only {deploying(name or own_name)}" if name or own_name else "deploy")
    return [facts_of(manifest) for manifest in built]

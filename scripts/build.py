import click

from apps.circuits import circuit, defaults, sources
from scripts._builds import app_option, chosen_circuit, own_model_options, run_build
from scripts._cli import Command


@click.command(cls=Command)
@click.option(
    "--circuit",
    "name",
    type=click.Choice(list(sources())),
    help="Default: the circuit of each application.",
)
@own_model_options
@app_option
@click.option(
    "--srs",
    type=click.Choice(["insecure-dev", "ceremony"]),
    default="insecure-dev",
    show_default=True,
    help="insecure-dev is made here, for local chains only; ceremony is downloaded.",
)
def cli(name, onnx, data, own_name, app, srs) -> None:
    """Build circuits: from ONNX to keys and a Solidity verifier. Redoes only what changed.

    \b
    Example:
        ape run build
        ape run build --onnx model.onnx --data samples.npz --name mine --app APPLICATION
    """
    if name or onnx or data or own_name or app:
        circuits = [chosen_circuit(name, onnx, data, own_name, app)]
    else:
        circuits = [circuit(name) for name in defaults()]
    for chosen in circuits:
        run_build(chosen, srs)
    click.echo("Next: `ape run deploy --network ethereum:local`.")

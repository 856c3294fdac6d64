from pathlib import Path

import click

from cairo.inputs import read_input, read_samples
from cairo.network import read_network
from cairo.project import checked_name, require_room, write_project
from scripts._cli import Command, suggest


@click.command(cls=Command)
@click.argument("onnx", type=click.Path(path_type=Path))
@click.option(
    "--output-path",
    "folder",
    type=click.Path(path_type=Path),
    default="cairo_model",
    show_default=True,
    help="The new folder of the Cairo project.",
)
@click.option("--name", help="Name of the project. Default: that of the ONNX file.")
@click.option(
    "--input",
    "given",
    type=click.Path(path_type=Path),
    help="An .npy file: the project then has a `main` that runs on it.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="An .npz file with real inputs `x`. Overflow is searched for between their smallest and "
    "largest numbers. Default: between -1 and 1.",
)
@click.option("--force", is_flag=True, help="Replace a Cairo project at the output path.")
def cli(
    onnx: Path, folder: Path, name: str | None, given: Path | None, data: Path | None, force: bool
) -> None:
    """Write an ONNX model as a Cairo project with FP16x16 arithmetic.

    \b
    Example:
        ape run transpile models/exports/dense-10.onnx --output-path mnist_cairo
    """
    name = checked_name(name or onnx.stem.lower().replace("-", "_"))
    require_room(folder, force)
    network = read_network(onnx)
    x = None if given is None else read_input(given, network.shape)
    low, high = network.output_bounds(read_samples(data, network.shape))
    write_project(folder, name, network, x)
    for step in network.steps:
        if step.operator.constants:
            sizes = [f"{c.size:,} {part}" for part, c in step.operator.constants.items()]
            click.echo(f"  crates/layer{step.number}  {step.name}: {', '.join(sizes)}")
    click.echo(f"No number overflows; the output lies between {low:.4f} and {high:.4f}.")
    click.echo(f"{onnx} is the Cairo project {name} in {folder}.")
    suggest(f"infer {folder}{'' if given else ' --input x.npy'}")

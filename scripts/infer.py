import time
from pathlib import Path

import click
from tqdm import tqdm

from cairo import compiler
from cairo.inputs import read_input
from cairo.machine import Machine
from cairo.project import name_of
from scripts._cli import Command, require_yes, yes_option
from verdict.commands import json_option


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "given",
    type=click.Path(path_type=Path),
    help="An .npy file. Default: the input in the project.",
)
@yes_option
@json_option
def cli(folder: Path, given: Path | None, yes: bool) -> dict:
    """Compile a Cairo project of `ape run transpile`, and run it. Nothing is proved.

    \b
    Example:
        ape run infer mnist_cairo --input x.npy
    """
    name = name_of(folder)
    x = None if given is None else read_input(given)
    if not compiler.is_installed():
        problem = f"The Cairo compiler is not installed, and {compiler.LICENCE}"
        require_yes(yes, problem, "Install it?", "run the command with --yes to install it")
        click.echo(f"Installing it into {compiler.FOLDER} (a minute, once)")
        compiler.install()
    click.echo(f"Compiling {folder}", err=True)
    started = time.monotonic()
    program = compiler.compiled(folder, name)
    compiling, started = time.monotonic() - started, time.monotonic()
    with tqdm(desc="run", unit=" steps", unit_scale=True, leave=False, disable=None) as bar:
        run = Machine(program).infer(x, lambda steps: bar.update(steps - bar.n))
    running = time.monotonic() - started
    document = {"output": run.numbers, "steps": run.steps, "gas": run.gas}
    if len(run.numbers) > 1:
        document["class"] = max(range(len(run.numbers)), key=run.numbers.__getitem__)
        click.secho(f"class {document['class']}", bold=True)
    click.echo("output " + "  ".join(f"{number:.4f}" for number in run.numbers))
    click.echo(f"{run.steps:,} steps, {run.gas:,} gas")
    click.echo(f"compiled in {compiling:.1f} s, ran in {running:.1f} s; nothing was proved")
    return document

from pathlib import Path

import click

from apps.circuits import ARTIFACTS, of_groth16, sources
from scripts._cli import Command, suggest
from verdict.commands import UnsoundError, json_option
from zk.errors import CircuitError
from zk.files import write_whole
from zk.groth16.build import CEREMONY
from zk.groth16.ceremony import Ceremony, begun, require_sound
from zk.manifest import FEWEST_CONTRIBUTIONS, Manifest

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def cli() -> None:
    """Make the keys of a circuit for Groth16 together, so that nobody can forge its proofs.

    A live network needs at least three contributions and a beacon. Each participant gets the
    file from the one before, and passes it on.

    \b
    Example:
        ape run ceremony start clan-groth16 clan.json
        ape run ceremony contribute clan.json --name Ada
        ape run ceremony finish clan.json
    """


@cli.command(cls=Command)
@click.argument("name", metavar="CIRCUIT")
@FILE
@json_option
def start(name: str, file: Path) -> dict:
    """Begin a ceremony for a circuit that is built.

    \b
    Example:
        ape run ceremony start clan-groth16 clan.json
    """
    manifest = _manifest(name)
    if file.exists():
        raise CircuitError(f"{file} exists already: give a new file.")
    held = begun(name, manifest.file("constraints"), manifest.file("srs"))
    held.save(file)
    return _told(held, file, f"ceremony contribute {file} --name NAME")


@cli.command(cls=Command)
@FILE
@click.option("--name", required=True, help="Who you are, in the transcript.")
@json_option
def contribute(file: Path, name: str) -> dict:
    """Add a contribution. Its secret is drawn here, and forgotten.

    \b
    Example:
        ape run ceremony contribute clan.json --name Ada
    """
    held = Ceremony.load(file).contributed(name)
    held.save(file)
    return _told(held, file, f"ceremony verify {file}")


@cli.command(cls=Command)
@FILE
@click.option("--value", required=True, help="A public number that nobody knew before, in hex.")
@json_option
def beacon(file: Path, value: str) -> dict:
    """Add the last contribution, which follows from a number such as the hash of a later block.

    \b
    Example:
        ape run ceremony beacon clan.json --value 0x5c1f…
    """
    held = Ceremony.load(file).with_beacon(value)
    held.save(file)
    return _told(held, file, f"ceremony finish {file}")


@cli.command(cls=Command)
@FILE
@json_option
def verify(file: Path) -> dict:
    """Check all contributions, from the powers of tau and the constraints of the circuit alone.

    \b
    Example:
        ape run ceremony verify clan.json
    """
    held = Ceremony.load(file)
    manifest = _manifest(held.circuit)
    if problems := held.problems(manifest.file("constraints"), manifest.file("srs")):
        click.echo(f"wrong: {'; '.join(problems)}")
        raise UnsoundError({**held.facts, "problems": problems})
    click.echo("Every contribution holds, and the key follows from them.")
    enough = held.participants >= FEWEST_CONTRIBUTIONS
    open_ = f"beacon {file} --value HEX" if enough else f"contribute {file} --name NAME"
    return _told(held, file, f"ceremony {f'finish {file}' if held.finished else open_}")


@cli.command(cls=Command)
@FILE
@json_option
def finish(file: Path) -> dict:
    """Check a ceremony, and keep it: the next build of the circuit takes its key.

    \b
    Example:
        ape run ceremony finish clan.json
    """
    held = Ceremony.load(file)
    manifest = _manifest(held.circuit)
    if not held.finished:
        raise CircuitError(f"{file} has no beacon yet: add one with `ape run ceremony beacon`.")
    require_sound(held, manifest.file("constraints"), manifest.file("srs"), file)
    write_whole(manifest.folder / CEREMONY, file.read_bytes())
    words = f"--circuit {held.circuit}" if held.circuit in sources() else "…, as before,"
    suggest(f"build {words} --srs {manifest['srs']['kind']}")
    return held.facts


def _manifest(name: str) -> Manifest:
    manifest = Manifest(ARTIFACTS / name)
    if manifest.prover != "groth16":
        others = ", ".join(of_groth16())
        raise CircuitError(f"{name} is built with ezkl, which needs no ceremony: name {others}.")
    return manifest


def _told(held: Ceremony, file: Path, next_words: str) -> dict:
    names = ", ".join(one.name for one in held.contributions) or "none yet"
    click.echo(f"{file}: the contributions to {held.circuit} are {names}")
    suggest(next_words)
    return held.facts

from pathlib import Path

import click

from apps.circuits import sources
from models.data import drawing, sound
from scripts._cli import Command, suggest
from zk.files import write_whole

DIGITS, VOICES = tuple(drawing.VIEWS), tuple(sound.VIEWS)


@click.command(cls=Command)
@click.argument("name", type=click.Choice(DIGITS + VOICES))
@click.option("--epochs", type=click.IntRange(min=1), help="Default: the model's recipe.")
@click.option("--seed", type=int, help="Default: the seed of the committed export.")
@click.option("--bad", is_flag=True, help="Stop after one epoch: the impostor of `ape run swap`.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder of voices. Default: VOICE_DATA_DIR."
)
def cli(name: str, epochs: int | None, seed: int | None, bad: bool, data: Path | None) -> None:
    """Train a digit reader on MNIST, or a voice judge on recordings; export to models/exports.

    \b
    Example:
        ape run train swift
        ape run train voice --data path/to/corpora
    """
    if bad and epochs:
        raise click.UsageError("--bad means one epoch: leave --epochs out.")
    if name in VOICES and bad:
        raise click.UsageError("--bad applies to digit readers only.")
    if name in DIGITS and data:
        raise click.UsageError("--data applies to voice judges: digit readers learn from MNIST.")
    from models.export import TrainingError

    try:
        if name in VOICES:
            _train_voice(name, epochs, seed, data)
        else:
            _train_digits(name, epochs, seed, bad)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error


def _train_digits(name: str, epochs: int | None, seed: int | None, bad: bool) -> None:
    from models import digits
    from models.export import EXPORTS

    def report(epoch: int, loss: float, accuracy: float) -> None:
        click.echo(f"epoch {epoch:3}  loss {loss:.4f}  accuracy {accuracy:.2%}")

    network, accuracy = digits.train(name, epochs=epochs, seed=seed, bad=bad, report=report)
    path = EXPORTS / f"{name}{'-bad' if bad else ''}.onnx"
    write_whole(path, network)
    click.echo(f"{name} reads {accuracy:.2%} of 10,000 test images: {path}")
    _suggest_build(path.stem)


def _train_voice(name: str, epochs: int | None, seed: int | None, data: Path | None) -> None:
    from models import voices
    from models.data.voices import find
    from models.export import EXPORTS

    network, figures = voices.train(name, find(data), epochs=epochs, seed=seed)
    path = EXPORTS / f"{name}.onnx"
    write_whole(path, network)
    for corpus, measured in figures.items():
        click.echo(f"{corpus}, speakers never heard in training: {measured}")
    click.echo(f"{name} is exported: {path}")
    _suggest_build(name)


def _suggest_build(model: str) -> None:
    """Name the command that builds the circuit of a model, or one for models without a circuit."""
    of_model = [name for name, source in sources().items() if source.model == model]
    suggest(
        f"build --circuit {of_model[0]}"
        if of_model
        else f"transpile models/exports/{model}.onnx --output-path {model.replace('-', '_')}"
    )

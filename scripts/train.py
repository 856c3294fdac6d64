import click

from scripts._cli import Command

MODELS = ("swift", "lenet", "dense")


@click.command(cls=Command)
@click.argument("name", type=click.Choice(MODELS))
@click.option("--epochs", type=click.IntRange(min=1), help="Default: the model's own recipe.")
@click.option("--seed", default=0, show_default=True)
@click.option("--bad", is_flag=True, help="Stop after one epoch: the impostor of `ape run swap`.")
def cli(name: str, epochs: int | None, seed: int, bad: bool) -> None:
    """Train a digit reader on MNIST and export it to models/exports.

    \b
    Example:
        ape run train swift
        ape run train swift --bad
    """
    if bad and epochs:
        raise click.UsageError("--bad means one epoch: leave --epochs out.")
    from models import digits

    def report(epoch: int, accuracy: float) -> None:
        click.echo(f"epoch {epoch:3}  accuracy {accuracy:.2%}")

    try:
        path, accuracy = digits.train(name, epochs=epochs, seed=seed, bad=bad, report=report)
    except digits.TrainingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name} reads {accuracy:.2%} of 10,000 test images: {path}")

from decimal import Decimal, InvalidOperation

import click

from apps import drafts
from chain.accounts import checked_account
from scripts._cli import Command, suggest
from verdict.builds import choice_options, fetched, prover_option
from verdict.commands import json_option
from zk.arrays import own_samples, read
from zk.binding import read_model
from zk.circuit import Choice
from zk.files import ROOT
from zk.samples import check_samples
from zk.witness import float_answers

SAMPLES = 1000  # that try the rule
FILE = "FILE|URL#sha256=HASH"


class Number(click.ParamType):
    """A decimal number, kept exactly."""

    name = "number"

    def convert(self, value, param, ctx) -> Decimal:
        try:
            return Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is not a number.", param, ctx)


@click.command(cls=Command)
@click.argument("name")
@click.option("--onnx", metavar=FILE, required=True, help="The model.")
@click.option(
    "--data",
    metavar=FILE,
    required=True,
    help="Its samples: .npz with x [labels feature_names target_names].",
)
@choice_options
@prover_option
@click.option(
    "--rule",
    type=click.Choice(["argmax", "threshold"]),
    help="Default: threshold for a model with one output, else argmax.",
)
@click.option("--margin", type=Number(), help="By which the largest output leads. Default: 1.")
@click.option("--issuer", metavar="ADDRESS", help="Believe only inputs that this account attests.")
@click.option("--threshold", type=Number(), help="The lowest score that unlocks. Default: 0.5.")
@json_option
def cli(name, onnx, data, output, shape, prover, rule, margin, threshold, issuer) -> dict:
    """Write a new application for a model: its contract, its entry in apps/, and its tests.

    With --rule argmax, an account mints the class that the model chooses. With --rule threshold, an
    account is unlocked by a score. Every command then knows the application by its name.

    \b
    Example:
        ape run new badge --onnx model.onnx --data samples.npz --margin 1 --prover groth16
        ape run new credit --onnx model.onnx --data samples.npz --threshold 0.7 --issuer 0x7099…
    """
    drafts.require_new(name)
    onnx, data = fetched(onnx), fetched(data)
    samples, names = own_samples(data), read(data)
    model = read_model(onnx, Choice(output, shape), samples.constants)
    check_samples(name, samples, onnx, model.input_shape)
    issuer = checked_account(issuer) if issuer else None
    draft = drafts.draft(name, model, names, rule, margin, threshold, prover, issuer)
    share = drafts.share(draft, float_answers(model.content, samples.test[:SAMPLES]))
    written = drafts.write(draft, model, data)
    click.echo(f"the model's output {model.output} has {model.outputs} numbers")
    click.echo("\n".join(f"  {path.relative_to(ROOT)}" for path in written))
    rules = f"the rule is in contracts/{draft.name}.sol"
    click.echo(f"{draft.name} is written: {rules}; to remove it, delete these files")
    click.echo(f"{share:.0%} of the samples fulfil it")
    suggest(f"build --circuit {name}")
    return {"name": draft.name, "files": [str(path) for path in written]}

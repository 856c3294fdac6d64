"""The commands of the installed package. They need neither Ape nor a chain."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import zk.proof
from verdict.builds import (
    choice_options,
    facts_of,
    fetched,
    loss_option,
    own_model_options,
    proved_by,
    prover_options,
    run_build,
    srs_option,
)
from verdict.commands import Command, UnsoundError, json_option
from verdict.reports import audit_files, show, show_verdict
from zk.arrays import own_samples, read_input
from zk.binding import Model, read_model
from zk.circuit import Choice, Circuit, RunArgs
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
WORDS = re.compile("`ape run (build|prove|verify|audit)")  # of commands that are here, too

artifacts_option = click.option(
    "--artifacts", type=FOLDER, default="artifacts", show_default=True, help="Folder of builds."
)


class Standalone(Command):
    """A command that names this package's commands in its errors."""

    def invoke_in_sentences(self, ctx: click.Context) -> Any:
        try:
            return super().invoke_in_sentences(ctx)
        except click.ClickException as error:
            error.message = WORDS.sub(r"`verdict \1", error.message)
            raise


class Key(click.ParamType):
    """The number that a contract's `keyOf` returns."""

    name = "key"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            return int(value, 0)
        except ValueError:
            self.fail(f"{value!r} is not a key: give the number that `keyOf` returns.", param, ctx)


@click.group()
@click.version_option(package_name="verdict")
def cli() -> None:
    """Turn ONNX models into circuits, proofs and Solidity verifiers, and audit verifiers."""


@cli.command(cls=Standalone)
@own_model_options
@prover_options
@srs_option
@loss_option
@artifacts_option
@click.option(
    "--verifiers",
    type=FOLDER,
    default="contracts/verifiers",
    show_default=True,
    help="Folder of the Solidity verifiers.",
)
@json_option
def build(
    onnx: str | None,
    data: str | None,
    own_name: str | None,
    output: str | None,
    shape: tuple[int, ...] | None,
    largest_input: int | None,
    prover: Any,
    smallest_input: int,
    srs: Any,
    accept_loss: bool,
    artifacts: Path,
    verifiers: Path,
) -> dict[str, Any]:
    """Build a circuit: from ONNX to keys and a Solidity verifier. Redoes only what changed.

    \b
    Example:
        verdict build --onnx model.onnx --data samples.npz --name mine
    """
    model, samples = fetched(onnx), fetched(data)
    if not (model and samples and own_name):
        raise click.UsageError("Give --onnx, --data and --name.")
    args = RunArgs(largest_input=largest_input)
    circuit = Circuit.own(
        own_name, model, lambda: own_samples(samples), args, choice=Choice(output, shape)
    )
    circuit = proved_by(circuit, prover, smallest_input)
    manifest = run_build(
        replace(circuit, accept_loss=accept_loss), artifacts.resolve(), verifiers.resolve(), srs
    )
    click.echo(f"Next: `verdict prove {own_name} --input x.json --key KEY`.")
    return facts_of(manifest)


@cli.command(cls=Standalone)
@click.argument("circuit")
@click.option(
    "--input", "given", type=FILE, required=True, help="Input: .npy, .json or one row of .csv."
)
@click.option("--key", type=Key(), required=True, help="What the contract's `keyOf` returns.")
@click.option(
    "--out", type=FILE, default="proof.json", show_default=True, help="File of the proof."
)
@artifacts_option
@json_option
def prove(circuit: str, given: Path, key: int, out: Path, artifacts: Path) -> dict[str, Any]:
    """Prove a model's answer to an input, under a key.

    \b
    Example:
        verdict prove mine --input x.json --key 0x1a2b…
    """
    if out.exists():
        raise CircuitError(f"{out} exists already: name another file with --out, or remove it.")
    manifest = _manifest(artifacts, circuit)
    proof = zk.proof.prove(manifest, key, read_input(given))
    proof.save(out)
    click.echo(f"{out}: proved and verified")
    click.echo(f"Next: `verdict verify {out}`.")
    return _show(manifest, proof)


@cli.command(cls=Standalone)
@click.argument("file", type=FILE)
@click.option("--key", type=Key(), help="The key that the proof must be under.")
@artifacts_option
@json_option
def verify(file: Path, key: int | None, artifacts: Path) -> dict[str, Any]:
    """Verify a proof without a chain, under the verification key of its circuit.

    \b
    Example:
        verdict verify proof.json
    """
    proof = Proof.load(file)
    manifest = _manifest(artifacts, proof.circuit)
    zk.proof.verify(manifest, proof)
    if key is not None and proof.key(manifest.layout) != key:
        found = proof.key(manifest.layout)
        raise CircuitError(f"{file} is under the key {found:#x}, not {key:#x}: prove it again.")
    click.echo(f"{file} is valid")
    return _show(manifest, proof)


@cli.command(cls=Standalone)
@click.option("--circuit", help="Repeat this build from its model, and compare.")
@click.option("--onnx", type=FILE, help="The model that the circuit must be a build of.")
@click.option("--data", type=FILE, help="Its samples, if they hold its other inputs.")
@choice_options
@click.option("--source", type=FILE, help="Audit a verifier by its source, FILE.sol.")
@click.option("--app", type=FILE, help="Audit a contract that calls a verifier, FILE.sol.")
@artifacts_option
@json_option
def audit(
    circuit: str | None,
    onnx: Path | None,
    data: Path | None,
    output: str | None,
    shape: tuple[int, ...] | None,
    source: Path | None,
    app: Path | None,
    artifacts: Path,
) -> list[Any]:
    """Audit a build, a verifier or a contract that calls one. Exits with 0 only if all is sound.

    \b
    Example:
        verdict audit --circuit mine --onnx model.onnx
        verdict audit --source Verifier.sol --app Application.sol
    """
    if not (circuit or source or app):
        raise click.UsageError("Give --circuit, --source or --app.")
    if onnx and not circuit:
        raise click.UsageError("--onnx goes with --circuit.")
    reports = []
    constants = own_samples(data).constants if data else {}
    model = read_model(onnx, Choice(output, shape), constants) if onnx else None
    for report in (*_audit_build(artifacts, circuit, model), *audit_files(source, app)):
        reports.append(report)
        show(report)
    show_verdict(reports)
    document = [report.as_json() for report in reports]
    if not all(report.sound for report in reports):
        raise UnsoundError(document)
    return document


def _audit_build(artifacts: Path, circuit: str | None, model: Model | None) -> Iterator[Any]:
    if circuit:
        import tempfile

        from zk.audit.build import audit_build

        with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
            yield audit_build(_manifest(artifacts, circuit), model, Path(folder))


def _manifest(artifacts: Path, circuit: str) -> Manifest:
    return Manifest(artifacts.resolve() / circuit)


def _show(manifest: Manifest, proof: Proof) -> dict[str, Any]:
    """Show the public values of a proof."""
    key, scale = proof.key(manifest.layout), manifest["output_scale"]
    outputs = [output / 2**scale for output in proof.outputs(manifest.layout)]
    click.echo(f"  key      {key:#x}")
    click.echo(f"  outputs  {'  '.join(f'{output:.4f}' for output in outputs)}")
    return {"circuit": proof.circuit, "key": hex(key), "outputs": outputs}

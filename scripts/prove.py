import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from apps.circuits import ARTIFACTS, test_sample, view_of
from apps.claims import SOURCES, Claim, for_batches, prove_claims, read_list
from apps.registry import Application, application_of
from chain.accounts import account_named
from hub.client import Hub
from models.data import drawing, mnist, sound
from scripts._cli import ChainCommand, require_yes, suggest, yes_option
from verdict.commands import json_option
from zk.arrays import read_input
from zk.errors import CircuitError
from zk.files import ROOT, whole
from zk.manifest import Manifest
from zk.proof import Proof, answer, verify

COMMANDS = Path(__file__).parent


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@click.option("--image", type=click.Path(path_type=Path), help="Picture or .npy file of a digit.")
@click.option("--test-image", type=click.IntRange(0, 9999), help="Drawing of MNIST's test set.")
@click.option(
    "--clip", type=click.Path(path_type=Path), help=f"Recording: {sound.FORMATS_IN_WORDS}."
)
@click.option(
    "--input",
    "tensor",
    type=click.Path(path_type=Path),
    help="The model's input itself: .npy, .json or one row of .csv.",
)
@click.option("--sample", type=click.IntRange(0), help="Sample of the circuit's own test data.")
@click.option("--account", help="Account in the proof: address, alias or test account number.")
@click.option(
    "--round", "number", type=click.IntRange(min=0), help="Round to compete in. Default: newest."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: proofs/CIRCUIT-[ROUND-]ACCOUNT.json."
)
@click.option(
    "--batch",
    type=click.Path(path_type=Path),
    help=f"Several at once: a .csv with the columns account and one of {', '.join(SOURCES)}.",
)
@click.option(
    "--keep", is_flag=True, help="Keep private files beside the proof: witness and spectrogram."
)
@click.option(
    "--hub", metavar="URL", help="Let a hub prove; it sees the input. Token: VERDICT_HUB_TOKEN."
)
@yes_option
@json_option
def cli(
    circuit, image, test_image, clip, tensor, sample, account, number, out, batch, keep, hub, yes
) -> list[dict]:
    """Prove a model's answer to an input, such as a drawing, for one account, chain and contract.

    \b
    Example:
        ape run prove --circuit clan --test-image 7 --account 1 --network ethereum:local
        ape run prove --circuit voice --clip song.wav --account 1 --network ethereum:local
        ape run prove --circuit badge --sample 0 --account 1 --network ethereum:local
        ape run prove --batch members.csv --network ethereum:local
        ape run prove --test-image 7 --account 1 --hub http://127.0.0.1:8000
    """
    if hub and keep:
        raise click.UsageError("--keep excludes --hub, which does not return the witness.")
    manifest = Manifest(ARTIFACTS / circuit)
    sources = dict(zip(SOURCES, (image, test_image, clip, tensor, sample), strict=True))
    given = {name: value for name, value in sources.items() if value is not None}
    items = _items(batch, account, out, given)
    for _, source in items:
        _check_source(circuit, source)
    application = application_of(manifest)
    accounts = [account_named(name) for name, _ in items]
    if twice := [one for one in accounts if accounts.count(one) > 1]:
        raise click.UsageError(f"{batch} names {twice[0]} twice: give each account one line.")
    contract = application.contract_of(circuit, manifest)
    round_number = application.choose_round(contract, number)
    folder = out.parent if out else ROOT / "proofs"
    several = None if hub or not batch else for_batches(circuit)
    size = several.layout.batch if several else 1
    together = len(items) // size * size  # accounts in full batches; the others are proved alone
    claims: list[Claim] = []
    for place, (one, (_, source)) in enumerate(zip(accounts, items, strict=True)):
        parts: list[object] = [circuit, *([] if round_number is None else [round_number]), one]
        if several and place < together:
            parts = [several["circuit"], accounts[place // size * size]]
        path = out or folder / f"{'-'.join(map(str, parts))}.json"
        x = _read_input(circuit, source, folder if keep else None)
        outputs = _preview(application, manifest, contract, one, round_number, x, bool(batch))
        if path not in [claim.path for claim in claims]:
            _require_free(path, yes)
        _require_clear(application, outputs, manifest["output_scale"], yes)
        key = application.key(contract, one, round_number)
        claims.append(Claim(one, key, round_number, x, path, outputs))
    remote = partial(_prove_by_hub, hub, manifest) if hub else None
    prove_claims(manifest, several, claims, keep, click.echo, remote)
    command = application.action if (COMMANDS / f"{application.action}.py").is_file() else "send"
    suggest(f"{command} {'--batch ' if several and together else ''}{claims[0].path}")
    return [_facts(claim, application, manifest["output_scale"]) for claim in claims]


def _require_free(path: Path, yes: bool) -> None:
    """Let the user decide whether a proof is replaced."""
    problem, remedy = f"{path} exists already", "name another file with --out, or give --yes"
    if path.exists():
        require_yes(yes, problem, "Replace it?", f"{remedy} to replace it")


def _require_clear(application: Application, outputs: list[int], scale: int, yes: bool) -> None:
    """Let the user decide whether a doubtful answer is proved."""
    if doubt := application.doubt(outputs, scale):
        remedy = "give a clearer input, or --yes to prove it as it is"
        require_yes(yes, doubt, "Prove it as it is?", remedy)


def _facts(claim: Claim, application: Application, scale: int) -> dict[str, Any]:
    return {
        "account": claim.account,
        "round": claim.round_number,
        "proof": str(claim.path),
        "result": asdict(application.result(claim.outputs, scale)),
    }


def _items(
    batch: Path | None, account: str | None, out: Path | None, given: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """The account and the source of each proof."""
    if batch:
        if given or account or out:
            raise click.UsageError("--batch excludes --account, --out and single inputs.")
        return read_list(batch)
    if not account:
        raise click.UsageError("Name the account of the proof with --account, or give --batch.")
    return [(account, given)]


def _check_source(circuit: str, given: dict[str, Any]) -> None:
    """Require one source, of the medium that the circuit takes."""
    if len(given) != 1:
        raise click.UsageError(f"Give one of --{', --'.join(SOURCES)}.")
    if "clip" in given:
        view_of(circuit, "clip")
    elif not {"sample", "input"} & set(given):
        view_of(circuit, "drawing")


def _read_input(circuit: str, given: dict[str, Any], folder: Path | None) -> np.ndarray:
    """Read the circuit's input and show it; a recording's picture goes to the folder."""
    ((name, value),) = given.items()
    if name == "input":
        return read_input(value)
    if name == "sample":
        return test_sample(circuit, value)
    if name == "clip":
        return _hear(circuit, value, folder)
    if name == "image":
        picture = drawing.read(value)
        if drawing.is_dark_on_light(picture):
            click.echo("dark strokes on a light background: inverted")
        pixels = drawing.normalised(picture)
    else:
        pixels = mnist.drawings("test")[value]
        click.echo(f"test image {value}, labelled {mnist.labels('test')[value]}:")
    click.echo(drawing.as_text(pixels))
    return view_of(circuit, "drawing")(pixels)


def _hear(circuit: str, clip: Path, folder: Path | None) -> np.ndarray:
    from models.data import picture

    samples = sound.read(clip)
    if folder:
        path = folder / f"{clip.stem}.private.png"
        with whole(path, mode=0o600) as partial:
            picture.spectrograms({clip.name: sound.decibels(samples)}).save(partial, "PNG")
        click.echo(f"spectrogram, as private as the recording: {path}")
    return view_of(circuit, "clip")(samples)


def _preview(
    application: Application, manifest: Manifest, contract, account, round_number, x, brief: bool
) -> list[int]:
    """Show the answer and return it; refuse to prove what the application would refuse."""
    outputs = [int(output) for output in answer(manifest, x)]
    lines = application.lines(outputs, manifest["output_scale"])
    click.echo("\n".join(lines[-1:] if brief else lines))
    if terms := application.terms(contract, round_number):
        click.echo(terms)
    application.require_open(contract, account, round_number, outputs)
    return outputs


def _prove_by_hub(url: str, manifest: Manifest, claim: Claim) -> Proof:
    """Let a hub prove a claim, and check its proof."""
    hub = Hub(url, os.environ.get("VERDICT_HUB_TOKEN"))
    with tqdm(total=1, desc=f"prove {manifest['circuit']}", leave=False, disable=None) as bar:

        def follow(job: dict[str, Any]) -> None:
            progress = job.get("progress") or {}
            typical = progress.get("typical_seconds")
            bar.set_postfix_str(f"{job['state']}, {progress.get('ahead', 0)} ahead")
            if typical:
                bar.n = min(progress["elapsed_seconds"] / typical, 0.99)
                bar.refresh()

        proof = hub.prove(manifest["circuit"], claim.account, claim.x, claim.round_number, follow)
    if proof.circuit != manifest["circuit"] or proof.key(manifest.layout) != claim.key:
        raise CircuitError(
            f"The hub at {url} returned a proof of something else: it is not for {claim.account} "
            "on this chain and contract."
        )
    verify(manifest, proof)
    return proof

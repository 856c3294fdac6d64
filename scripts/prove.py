import csv
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from apps.circuits import ARTIFACTS, view_of
from apps.registry import Application, application_of
from chain.accounts import account_named
from hub.client import Hub
from models.data import DatasetError, arrays, drawing, mnist, sound
from scripts._cli import ChainCommand, json_option, require_yes, suggest, yes_option
from zk.errors import CircuitError
from zk.files import ROOT, whole
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove_all, verify

COMMANDS = Path(__file__).parent
SOURCES = ("image", "test-image", "clip", "input")


@dataclass(frozen=True)
class Claim:
    """An input to prove, the account it is for, and the file of the proof."""

    account: str
    key: int
    round_number: int | None
    x: np.ndarray
    path: Path
    outputs: list[int]  # of the model


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@click.option("--image", type=click.Path(path_type=Path), help="Picture or .npy file of a digit.")
@click.option("--test-image", type=click.IntRange(0, 9999), help="Drawing of MNIST's test set.")
@click.option(
    "--clip", type=click.Path(path_type=Path), help=f"Recording: {sound.FORMATS_IN_WORDS}."
)
@click.option(
    "--input", "tensor", type=click.Path(path_type=Path), help=".npy, for a circuit of your own."
)
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
    help="Several at once: a .csv with the columns account and image, test-image, clip or input.",
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
    circuit, image, test_image, clip, tensor, account, number, out, batch, keep, hub, yes
) -> list[dict]:
    """Prove a model's answer to a drawing or recording, for one account, chain and contract.

    \b
    Example:
        ape run prove --circuit clan --test-image 7 --account 1 --network ethereum:local
        ape run prove --circuit voice --clip song.wav --account 1 --network ethereum:local
        ape run prove --batch members.csv --network ethereum:local
        ape run prove --test-image 7 --account 1 --hub http://127.0.0.1:8000
    """
    if hub and keep:
        raise click.UsageError("--keep excludes --hub, which does not return the witness.")
    manifest = Manifest(ARTIFACTS / circuit)
    sources = dict(zip(SOURCES, (image, test_image, clip, tensor), strict=True))
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
    claims = []
    for one, (_, source) in zip(accounts, items, strict=True):
        name = "-".join(map(str, [circuit, *([] if round_number is None else [round_number]), one]))
        path = out or folder / f"{name}.json"
        x = _read_input(circuit, source, folder if keep else None)
        outputs = _preview(application, manifest, contract, one, round_number, x, bool(batch))
        _require_free(path, yes)
        _require_clear(application, outputs, manifest["output_scale"], yes)
        key = application.key(contract, one, round_number)
        claims.append(Claim(one, key, round_number, x, path, outputs))
    _prove(manifest, claims, keep, hub)
    if (COMMANDS / f"{application.action}.py").is_file():
        suggest(f"{application.action} {claims[0].path}")
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
        return _read_batch(batch)
    if not account:
        raise click.UsageError("Name the account of the proof with --account, or give --batch.")
    return [(account, given)]


def _read_batch(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        # Excel begins a file with a byte order mark, and in many countries separates by semicolons.
        with path.open(newline="", encoding="utf-8-sig") as file:
            separator = ";" if ";" in file.readline() else ","
            file.seek(0)
            reader = csv.DictReader(file, restkey="", strict=True, delimiter=separator)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise click.UsageError(f"{path} cannot be read as a .csv file: {error}.") from error
    items: list[tuple[str, dict[str, Any]]] = []
    for line, row in rows:
        given = {name: value for name, value in row.items() if value}
        account = given.pop("account", "")
        if not account or len(given) != 1 or not set(given) <= set(SOURCES):
            raise click.UsageError(
                f"Line {line} of {path} should have an account and one of {', '.join(SOURCES)}."
            )
        ((name, value),) = given.items()
        if name != "test-image":
            items.append((account, {name: Path(value)}))
        elif value.isdigit() and int(value) <= 9999:
            items.append((account, {name: int(value)}))
        else:
            raise click.UsageError(
                f"Line {line} of {path} has test-image {value!r}: give a number from 0 to 9999."
            )
    if not items:
        raise click.UsageError(f"{path} has no line below its header, such as `account,image`.")
    return items


def _check_source(circuit: str, given: dict[str, Any]) -> None:
    """Require one source, of the medium that the circuit takes."""
    if len(given) != 1:
        raise click.UsageError("Give one of --image, --test-image, --clip and --input.")
    if "clip" in given:
        view_of(circuit, "clip")
    elif "input" not in given:
        view_of(circuit, "drawing")


def _read_input(circuit: str, given: dict[str, Any], folder: Path | None) -> np.ndarray:
    """Read the circuit's input and show it; a recording's picture goes to the folder."""
    ((name, value),) = given.items()
    if name == "input":
        if (x := arrays.read(value).get("x")) is None:
            raise DatasetError(f"{value} should have an array `x`.")
        return x
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


def _prove(manifest: Manifest, claims: list[Claim], keep: bool, hub: str | None) -> None:
    witnesses = [claim.path.with_suffix(".private.json") for claim in claims] if keep else None
    if hub:
        proofs = [_prove_by_hub(hub, manifest, claim) for claim in claims]
    else:
        proofs = prove_all(manifest, [(claim.key, claim.x) for claim in claims], witnesses)
    for claim, proof in zip(claims, proofs, strict=True):
        proof.save(claim.path)
        click.echo(f"proof for {claim.account}: {claim.path}")
    if witnesses:
        click.echo(f"kept, do not share: {', '.join(map(str, witnesses))}")


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

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from hub.client import Hub
from models.data import DatasetError, arrays, drawing, mnist
from scripts import _deployments
from scripts._circuits import ARTIFACTS, HEARS, READS, ROOT
from scripts._clan import logits
from scripts._cli import ChainCommand, address
from scripts._contracts import application
from scripts._voice import chosen_round, exactly, require_winnable, score_from, written
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove_all, verify

SOURCES = ("image", "test-image", "clip", "input")


@dataclass(frozen=True)
class Claim:
    """What is to be proved, for whom, and where the proof goes."""

    owner: str
    key: int
    x: np.ndarray
    path: Path


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
@click.option(
    "--image", type=click.Path(path_type=Path), help="A 28x28 picture or .npy, light on dark."
)
@click.option("--test-image", type=click.IntRange(0, 9999), help="A drawing of MNIST's test set.")
@click.option("--clip", type=click.Path(path_type=Path), help="A recording: wav, flac or ogg.")
@click.option(
    "--input", "tensor", type=click.Path(path_type=Path), help=".npy, for a circuit of your own."
)
@click.option("--account", help="For whom: an address, alias or test account number.")
@click.option(
    "--round", "number", type=click.IntRange(min=0), help="Of VoiceJudge; default: the newest."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: proofs/CIRCUIT-[ROUND-]ACCOUNT.json."
)
@click.option(
    "--batch",
    type=click.Path(path_type=Path),
    help="Many at once: a .csv with the columns account and image, test-image, clip or input.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep what is private beside the proof: the witness, and a recording's spectrogram.",
)
@click.option(
    "--hub",
    metavar="URL",
    help="Have a hub prove it, which then sees the input. Its token: VERDICT_HUB_TOKEN.",
)
def cli(circuit, image, test_image, clip, tensor, account, number, out, batch, keep, hub) -> None:
    """Prove what the model says of a drawing or a recording, for one account, chain and contract.

    \b
    Example:
        ape run prove --circuit clan --test-image 7 --account 1 --network ethereum:local
        ape run prove --circuit voice --clip song.wav --account 1 --network ethereum:local
        ape run prove --batch members.csv --network ethereum:local
        ape run prove --test-image 7 --account 1 --hub http://127.0.0.1:8000
    """
    if hub and keep:
        raise click.UsageError("--keep goes without --hub: the witness is made there.")
    manifest = Manifest(ARTIFACTS / circuit)
    sources = dict(zip(SOURCES, (image, test_image, clip, tensor), strict=True))
    given = {name: value for name, value in sources.items() if value is not None}
    if batch:
        if given or account or out:
            raise click.UsageError("--batch goes without --account, --out and single inputs.")
        items = _read_batch(batch)
    else:
        if not account:
            raise click.UsageError("Say with --account for whom to prove, or give --batch.")
        items = [(account, given)]
    for _, sources in items:
        _check_source(circuit, sources)
    kind = application(manifest)
    if number is not None and kind == "Clan":
        raise click.UsageError("--round is of VoiceJudge: Clan has no rounds.")
    owners = [address(name) for name, _ in items]
    if twice := [owner for owner in owners if owners.count(owner) > 1]:
        raise click.UsageError(f"{batch} has {twice[0]} twice: there is one proof an account.")
    contract = _deployments.contract(circuit, kind, manifest)
    if kind == "VoiceJudge":
        number = chosen_round(contract, number)
    folder = out.parent if out else ROOT / "proofs"
    claims = [
        _claim(manifest, contract, owner, sources, number, folder, out, keep)
        for owner, (_, sources) in zip(owners, items, strict=True)
    ]
    witnesses = [claim.path.with_suffix(".private.json") for claim in claims] if keep else None
    if hub:
        proofs = [_prove_afar(hub, manifest, claim, number) for claim in claims]
    else:
        proofs = prove_all(manifest, [(claim.key, claim.x) for claim in claims], witnesses)
    for claim, proof in zip(claims, proofs, strict=True):
        _save(manifest, claim, proof, bars=kind == "Clan" and not batch)
    if witnesses:
        click.echo(f"kept, for nobody else: {', '.join(map(str, witnesses))}")


def _read_batch(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The account and the source of each line, as the options of the same names would give them."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, restkey="", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise click.UsageError(f"{path} cannot be read as a .csv file: {error}.") from error
    items: list[tuple[str, dict[str, Any]]] = []
    for line, row in enumerate(rows, start=2):
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
                f"Line {line} of {path} has test-image {value!r}: a number from 0 to 9999 is."
            )
    if not items:
        raise click.UsageError(f"{path} has no line below its head, such as `account,image`.")
    return items


def _check_source(circuit: str, given: dict) -> None:
    """One source, and one that the circuit takes."""
    if len(given) != 1:
        raise click.UsageError("Give one of --image, --test-image, --clip and --input.")
    if "clip" in given and circuit not in HEARS:
        raise click.UsageError(f"{circuit} hears no recordings: give --circuit voice.")
    if ("image" in given or "test-image" in given) and circuit not in READS:
        other = "--clip FILE" if circuit in HEARS else "--input FILE.npy"
        raise click.UsageError(f"{circuit} is no digit reader of this project: give {other}.")


def _claim(
    manifest: Manifest,
    contract,
    owner: str,
    given: dict,
    number: int | None,
    folder: Path,
    out: Path | None,
    keep: bool,
) -> Claim:
    """Reads an input, and asks the contract which key makes a proof of it the owner's."""
    circuit = manifest["circuit"]
    x = _input(circuit, given, folder if keep else None)
    if number is None:
        return Claim(owner, contract.keyOf(owner), x, out or folder / f"{circuit}-{owner}.json")
    _announce(manifest, contract, number, owner, x)
    path = out or folder / f"{circuit}-{number}-{owner}.json"
    return Claim(owner, contract.keyOf(owner, number), x, path)


def _input(circuit: str, given: dict, folder: Path | None) -> np.ndarray:
    """The circuit's input, shown where people would look at it; a picture goes to the folder."""
    ((name, value),) = given.items()
    if name == "input":
        if (x := arrays.read(value).get("x")) is None:
            raise DatasetError(f"{value} should have an array `x`.")
        return x
    if name == "clip":
        return _hear(circuit, value, folder)
    if name == "image":
        pixels = drawing.read(value)
    else:
        pixels = mnist.drawings("test")[value]
        click.echo(f"test image {value}, labelled {mnist.labels('test')[value]}:")
    click.echo(drawing.as_text(pixels))
    return READS[circuit](pixels)


def _hear(circuit: str, clip: Path, folder: Path | None) -> np.ndarray:
    """What the model hears of a recording, whose spectrogram is drawn for the singer alone."""
    from models.data import picture, sound

    samples = sound.read(clip)
    if folder:
        path = folder / f"{clip.stem}.private.png"
        picture.spectrograms({clip.name: sound.decibels(samples)}, path)
        click.echo(f"its spectrogram, which is as private as the recording: {path}")
    return HEARS[circuit](samples)


def _announce(manifest: Manifest, judge, number: int, singer: str, x: np.ndarray) -> None:
    """Says the score, and stops where it would not be rewarded."""
    offer = judge.roundOf(number)
    score = score_from(int(answer(manifest, x)[0]), manifest["output_scale"])
    click.echo(
        f"the judge's score is {written(score)}; round {number} pays {exactly(offer.reward)} ether "
        f"for {exactly(offer.threshold)} or more"
    )
    require_winnable(judge, number, singer, score)


def _prove_afar(url: str, manifest: Manifest, claim: Claim, number: int | None) -> Proof:
    """Has a hub prove a claim, and believes nothing that it says of the proof."""
    hub = Hub(url, os.environ.get("VERDICT_HUB_TOKEN"))
    with tqdm(total=1, desc=f"prove {manifest['circuit']}", leave=False, disable=None) as bar:

        def follow(job: dict[str, Any]) -> None:
            progress = job.get("progress") or {}
            typical = progress.get("typical_seconds")
            bar.set_postfix_str(f"{job['state']}, {progress.get('ahead', 0)} ahead")
            if typical:
                bar.n = min(progress["elapsed_seconds"] / typical, 0.99)
                bar.refresh()

        proof = hub.prove(manifest["circuit"], claim.owner, claim.x, number, follow)
    if proof.circuit != manifest["circuit"] or proof.key(manifest.layout) != claim.key:
        raise CircuitError(
            f"The hub at {url} proved something else: its proof is not for {claim.owner} on this "
            "chain and contract."
        )
    verify(manifest, proof)
    return proof


def _save(manifest: Manifest, claim: Claim, proof: Proof, bars: bool) -> None:
    proof.save(claim.path)
    if bars:
        click.echo(logits(manifest, proof))
    click.echo(f"proof for {claim.owner}: {claim.path}")

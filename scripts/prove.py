from pathlib import Path

import click
import numpy as np

from scripts import _deployments
from scripts._circuits import ARTIFACTS, HEARS, READS, ROOT
from scripts._clan import logits
from scripts._cli import ChainCommand, address
from scripts._contracts import application
from scripts._voice import chosen_round, exactly, require_winnable, score_from, written
from zk.manifest import Manifest
from zk.proof import answer, prove


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
@click.option(
    "--account", required=True, help="For whom: an address, alias or test account number."
)
@click.option(
    "--round", "number", type=click.IntRange(min=0), help="Of VoiceJudge; default: the newest."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: proofs/CIRCUIT-[ROUND-]ACCOUNT.json."
)
def cli(circuit, image, test_image, clip, tensor, account, number, out) -> None:
    """Prove what the model says of a drawing or a recording, for one account, chain and contract.

    \b
    Example:
        ape run prove --circuit clan --test-image 7 --account 1 --network ethereum:local
        ape run prove --circuit voice --clip song.wav --account 1 --network ethereum:local
    """
    manifest = Manifest(ARTIFACTS / circuit)
    _check_source(circuit, image, test_image, clip, tensor)
    kind, owner = application(manifest), address(account)
    if number is not None and kind == "Clan":
        raise click.UsageError("--round is of VoiceJudge: Clan has no rounds.")
    contract = _deployments.contract(circuit, kind, manifest)
    folder = out.parent if out else ROOT / "proofs"
    if kind == "VoiceJudge":
        number = chosen_round(contract, number)
        x = _input(circuit, image, test_image, clip, tensor, folder)
        _announce(manifest, contract, number, owner, x)
        key = contract.keyOf(owner, number)
        name = f"{circuit}-{number}-{owner}"
    else:
        x = _input(circuit, image, test_image, clip, tensor, folder)
        key = contract.keyOf(owner)
        name = f"{circuit}-{owner}"
    proof = prove(manifest, key, x)
    out = out or folder / f"{name}.json"
    proof.save(out)
    if kind == "Clan":
        click.echo(logits(manifest, proof))
    click.echo(f"proof for {owner}: {out}")


def _check_source(circuit: str, image, test_image, clip, tensor) -> None:
    """One source, and one that the circuit takes."""
    given = [source for source in (image, test_image, clip, tensor) if source is not None]
    if len(given) != 1:
        raise click.UsageError("Give one of --image, --test-image, --clip and --input.")
    if clip is not None and circuit not in HEARS:
        raise click.UsageError(f"{circuit} hears no recordings: give --circuit voice.")
    if (image is not None or test_image is not None) and circuit not in READS:
        other = "--clip FILE" if circuit in HEARS else "--input FILE.npy"
        raise click.UsageError(f"{circuit} is no digit reader of this project: give {other}.")


def _input(circuit: str, image, test_image, clip, tensor, folder: Path) -> np.ndarray:
    """The circuit's input, shown where people would look at it."""
    from models.data import DatasetError, arrays, drawing, mnist

    if tensor is not None:
        if (x := arrays.read(tensor).get("x")) is None:
            raise DatasetError(f"{tensor} should have an array `x`.")
        return x
    if clip is not None:
        return _hear(circuit, clip, folder / f"{clip.stem}.private.png")
    if image is not None:
        pixels = drawing.read(image)
    else:
        pixels = mnist.drawings("test")[test_image]
        click.echo(f"test image {test_image}, labelled {mnist.labels('test')[test_image]}:")
    click.echo(drawing.as_text(pixels))
    return READS[circuit](pixels)


def _hear(circuit: str, clip: Path, path: Path) -> np.ndarray:
    """What the model hears of a recording, whose spectrogram is drawn for the singer alone."""
    from models.data import picture, sound

    samples = sound.read(clip)
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

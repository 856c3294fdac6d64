"""The circuits of this project, by name: which model, samples and knobs; and how one is built."""

import json
import os
import re
import time
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np

from models.data import DatasetError, arrays, drawing, mnist, sound, voices
from zk.circuit import Circuit, RunArgs, Samples, build
from zk.manifest import Manifest, write_whole
from zk.srs import Kind

ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "artifacts"
VERIFIERS = ROOT / "contracts" / "verifiers"
EXPORTS = ROOT / "models" / "exports"

CALIBRATION_SAMPLES = 32
SEARCH_SAMPLES = 500  # for the tuner, from the training data
TEST_SAMPLES = 1000  # of the 10,000; `ape run bench` measures them all
# A witness of these takes ten times as long.
SLOW_TESTS = {"clan-lenet": 500, "clan-conv-6-16": 500}

# The model and the generated verifier of each circuit.
CIRCUITS = {
    "clan": ("swift", "ClanVerifier"),
    "clan-bad": ("swift-bad", "ClanBadVerifier"),
    "clan-dash": ("dash", "ClanDashVerifier"),
    "clan-lenet": ("lenet", "ClanLenetVerifier"),
    "clan-dense": ("dense", "ClanDenseVerifier"),
    "clan-dense-56": ("dense-56", "ClanDense56Verifier"),
    "clan-dense-25": ("dense-25", "ClanDense25Verifier"),
    "clan-dense-24-14": ("dense-24-14", "ClanDense2414Verifier"),
    "clan-conv-6-16": ("conv-6-16", "ClanConv616Verifier"),
    "voice": ("voice", "VoiceJudgeVerifier"),
}
# What the model of a circuit sees of a drawing, or hears of a recording.
READS = {
    name: drawing.VIEWS[model.removesuffix("-bad")]
    for name, (model, _) in CIRCUITS.items()
    if name != "voice"
}
HEARS = {"voice": sound.VIEWS["voice"]}

# The knobs of each circuit, which `ape run tune` finds. An impostor has those of whom it imitates.
RUN_ARGS = ROOT / "scripts" / "run_args.json"
LIKE = {"clan-bad": "clan"}


def circuit(name: str) -> Circuit:
    """One of the project's circuits; a `KeyError` for any other name."""
    model, contract = CIRCUITS[name]
    return Circuit(
        name=name,
        model=EXPORTS / f"{model}.onnx",
        contract=contract,
        samples=lambda: voice_samples(name) if name in HEARS else digit_samples(name),
        run_args=tuned(LIKE.get(name, name)),
    )


def tuned(name: str) -> RunArgs:
    """The knobs that a circuit was tuned to; the default ones if it never was."""
    return RunArgs(**json.loads(RUN_ARGS.read_text()).get(name, {}))


def keep(name: str, run_args: RunArgs) -> None:
    """Notes what a circuit is tuned to."""
    content = json.loads(RUN_ARGS.read_text()) | {name: asdict(run_args)}
    write_whole(RUN_ARGS, json.dumps(content, indent=2) + "\n")


def digit_samples(name: str, tests: int | None = None) -> Samples:
    """Drawings as the circuit's model sees them; calibration never sees a test image."""
    tests = tests or SLOW_TESTS.get(name, TEST_SAMPLES)
    view = READS[name]
    return Samples(
        calibration=view(mnist.drawings("train", CALIBRATION_SAMPLES)),
        test=view(mnist.drawings("test", tests)),
        labels=mnist.labels("test")[:tests],
        source="MNIST test images",
    )


def voice_samples(name: str) -> Samples:
    """Recordings as the circuit's model hears them.

    Everybody calibrates on the same synthetic voices, and so builds the same circuit. Accuracy is
    measured on the speakers kept for testing: real ones where VOICE_DATA_DIR names a folder.
    """
    view = sound.VIEWS[name]
    synthetic = voices.synthetic()
    training, test = synthetic.only(held_out=False), synthetic.only(held_out=True)
    step = len(training.clips) // CALIBRATION_SAMPLES
    training.clips = training.clips[::step][:CALIBRATION_SAMPLES]
    hint = "; real ones where VOICE_DATA_DIR names a folder"
    if os.environ.get("VOICE_DATA_DIR"):
        test, hint = voices.find().only(held_out=True), ""
        if not test.clips:
            raise DatasetError(
                "VOICE_DATA_DIR has no speaker that is kept for testing, such as RAVDESS's actors "
                "17 to 20: add some, or unset it to measure on synthetic voices."
            )
    heard = test.hear(view)
    corpora = ", ".join(sorted({clip.corpus for clip in test.clips}))
    return Samples(
        calibration=training.hear(view),
        test=heard,
        labels=np.array([clip.score for clip in test.clips]),
        source=f"clips of unheard speakers ({corpora}{hint})",
    )


def own_circuit(name: str, model: Path, data: Path) -> Circuit:
    """A circuit of any ONNX model; `data` is an .npz with `x` and, if there are any, `labels`.

    Half of the samples, at most 32, calibrate; the rest measure accuracy.
    """

    def samples() -> Samples:
        x, labels = _own_arrays(data)
        split = min(CALIBRATION_SAMPLES, len(x) // 2)
        return Samples(x[:split], x[split:], None if labels is None else labels[split:])

    return Circuit(
        name=name,
        model=model,
        contract=f"{name.capitalize()}Verifier",
        samples=samples,
        run_args=tuned(name),
    )


def _own_arrays(data: Path) -> tuple[np.ndarray, np.ndarray | None]:
    content = arrays.read(data)
    x = content.get("x")
    if x is None or len(x) < 2:
        raise DatasetError(f"{data} should have an array `x` of two or more samples.")
    return x, content.get("labels")


def chosen_circuit(
    name: str | None, onnx: Path | None, data: Path | None, own: str | None
) -> Circuit:
    """The circuit that --circuit names, or that --onnx, --data and --name make."""
    if not onnx:
        if data or own:
            raise click.UsageError("--data and --name go with --onnx.")
        if not name:
            raise click.UsageError("Give --circuit, or --onnx with --data and --name.")
        return circuit(name)
    if name or not data or not own:
        raise click.UsageError("--onnx goes with --data and --name, and without --circuit.")
    if not re.fullmatch(r"[a-z][a-z0-9]+", own) or own in (*CIRCUITS, "srs", "tune"):
        raise click.UsageError(
            f"--name {own!r} should be two or more small letters and digits, a letter first, "
            f"and none of {', '.join(CIRCUITS)}, srs and tune."
        )
    return own_circuit(own, onnx, data)


def for_search(chosen: Circuit, data: Path | None, seed: int) -> tuple[Circuit, Samples]:
    """A circuit as the tuner takes it, and the samples that its search may see.

    The project's circuits are searched on what their models were trained on. Of other `data`, one
    half is for the search, and the circuit keeps the other.
    """
    shuffled = np.random.default_rng(seed).permutation
    if data:
        x, labels = _own_arrays(data)
        seen, unseen = np.array_split(shuffled(len(x)), 2)
        seen_labels, unseen_labels = (
            None if labels is None else labels[half] for half in (seen, unseen)
        )
        kept = Samples(x[seen][:CALIBRATION_SAMPLES], x[unseen], unseen_labels)
        return replace(chosen, samples=lambda: kept), Samples(x[seen], x[seen], seen_labels)
    if chosen.name in READS:
        some = shuffled(60_000)[:SEARCH_SAMPLES]
        x = READS[chosen.name](mnist.drawings("train")[some])
        return chosen, Samples(x, x, mnist.labels("train")[some])
    found = voices.find() if os.environ.get("VOICE_DATA_DIR") else voices.synthetic()
    found = found.only(held_out=False)
    found.clips = [found.clips[i] for i in shuffled(len(found.clips))[:SEARCH_SAMPLES]]
    x = found.hear(HEARS[chosen.name])
    return chosen, Samples(x, x, np.array([clip.score for clip in found.clips]))


def run_build(chosen: Circuit, srs: Kind = "insecure-dev") -> Manifest:
    """Builds a circuit and prints its steps and figures."""
    started = time.monotonic()

    def report(step: str) -> None:
        click.echo(f"  {time.monotonic() - started:6.1f} s  {step}")

    manifest, redone = build(
        chosen, artifacts=ARTIFACTS, verifiers=VERIFIERS, srs=srs, report=report
    )
    seconds = time.monotonic() - started
    if redone:
        click.echo(f"{chosen.name} built in {seconds:.1f} s: {', '.join(redone)}")
    else:
        click.echo(f"{chosen.name} is up to date ({seconds:.1f} s)")
    show(manifest)
    return manifest


def show(manifest: Manifest) -> None:
    files = manifest["files"]
    rows = f"2**{manifest['logrows']} rows, {manifest['rows']:,} used, {manifest['cells']:,} cells"
    verifier = (
        f"{manifest['verifier']['contract']}, {manifest['verifier']['runtime_bytes']:,} bytes"
    )
    click.echo(f"  accuracy     {_accuracy(manifest['accuracy'])}")
    click.echo(f"  circuit      {rows}")
    click.echo(f"  proving key  {files['pk']['bytes'] / 1e6:.1f} MB")
    click.echo(f"  verifier     {verifier}")
    click.echo(f"  SRS          {manifest['srs']['kind']}")


def _accuracy(measured: dict) -> str:
    """How good a model is, in the words that fit what it answers."""
    on = f"{measured['samples']:,} {measured['source']}"
    if "correlation" in measured:
        kinds = ", ".join(
            f"{measured['correlation'][kind]:.3f} and {measured['error'][kind]:.3f} {kind}"
            for kind in ("quantised", "float")
        )
        return f"correlation, and squared error as a share of the mean's: {kinds}, on {on}"
    if "quantised" in measured:
        return f"{measured['quantised']:.2%} quantised, {measured['float']:.2%} float, on {on}"
    if "agreement" in measured:
        return f"no labels; agrees with the float model on {measured['agreement']:.2%} of {on}"
    return (
        f"no labels; differs from the float model by at most {measured['max_error']:.4f}, on {on}"
    )

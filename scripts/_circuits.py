"""The circuits of this project, by name: which model, samples and knobs; and how one is built."""

import os
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from zk.circuit import Circuit, RunArgs, Samples, build
from zk.manifest import Manifest
from zk.srs import Kind

ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "artifacts"
VERIFIERS = ROOT / "contracts" / "verifiers"
EXPORTS = ROOT / "models" / "exports"

CALIBRATION_SAMPLES = 32
TEST_SAMPLES = 1000  # of the 10,000; `ape run bench` measures them all

# The view of `models.data.drawing` that each circuit's model reads.
READS = {"clan": "swift", "clan-bad": "swift", "clan-lenet": "lenet", "clan-dense": "dense"}
# The view of `models.data.sound`.
HEARS = {"voice": "voice"}

# Whole-number inputs enter at scale 0, and the rebase multiplier keeps the ten outputs from being
# rescaled: the only decompositions left are inputs, ReLUs and outputs. 4096 bounds k from below
# by 13, which is also what the rows need.
SWIFT_ARGS = RunArgs(
    input_scale=0,
    param_scale=6,
    scale_rebase_multiplier=10,
    num_inner_cols=2,
    decomp_base=4096,
    decomp_legs=2,
)
# Circuits with so many rows that a large table costs nothing and saves a leg.
LARGE_ARGS = RunArgs(decomp_base=16384, decomp_legs=2)
# A convolution's weights on inputs from -8 to 8 are small and need finer steps; else as for swift.
VOICE_ARGS = replace(SWIFT_ARGS, param_scale=11)
CIRCUITS = {
    "clan": ("swift.onnx", "ClanVerifier", SWIFT_ARGS),
    "clan-bad": ("swift-bad.onnx", "ClanBadVerifier", SWIFT_ARGS),
    "clan-lenet": ("lenet.onnx", "ClanLenetVerifier", LARGE_ARGS),
    "clan-dense": ("dense.onnx", "ClanDenseVerifier", LARGE_ARGS),
    "voice": ("voice.onnx", "VoiceJudgeVerifier", VOICE_ARGS),
}


def circuit(name: str) -> Circuit:
    """One of the project's circuits; a `KeyError` for any other name."""
    export, contract, run_args = CIRCUITS[name]
    return Circuit(
        name=name,
        model=EXPORTS / export,
        contract=contract,
        samples=lambda: voice_samples(name) if name in HEARS else digit_samples(name),
        run_args=run_args,
    )


def digit_samples(name: str, tests: int = TEST_SAMPLES) -> Samples:
    """Drawings as the circuit's model sees them; calibration never sees a test image."""
    from models.data import drawing, mnist

    view = drawing.VIEWS[READS[name]]
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
    from models.data import DatasetError, sound, voices

    view = sound.VIEWS[HEARS[name]]
    synthetic = voices.synthetic()
    training, test = synthetic.only(held_out=False), synthetic.only(held_out=True)
    step = len(training.clips) // CALIBRATION_SAMPLES
    training.clips = training.clips[::step][:CALIBRATION_SAMPLES]
    hint = "; real ones are measured where VOICE_DATA_DIR names a folder"
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
        source=f"clips of speakers never heard in training ({corpora}{hint})",
    )


def own_circuit(name: str, model: Path, data: Path) -> Circuit:
    """A circuit of any ONNX model; `data` is an .npz with `x` and, if there are any, `labels`."""
    return Circuit(
        name=name,
        model=model,
        contract=f"{name.capitalize()}Verifier",
        samples=lambda: _own_samples(data),
    )


def _own_samples(data: Path) -> Samples:
    """Half of the samples, at most 32, calibrate; the rest measure accuracy."""
    from models.data import DatasetError, arrays

    content = arrays.read(data)
    x, labels = content.get("x"), content.get("labels")
    if x is None or len(x) < 2:
        raise DatasetError(f"{data} should have an array `x` of two or more samples.")
    split = min(CALIBRATION_SAMPLES, len(x) // 2)
    return Samples(x[:split], x[split:], None if labels is None else labels[split:])


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

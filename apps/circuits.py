"""The project's circuits by name, their samples and knobs; and circuits of users' own models."""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np

from apps.registry import Medium, Source, applications
from models.data import DatasetError, mnist, voices
from zk.arrays import own_arrays, own_samples
from zk.circuit import EVERYTHING, Choice, Circuit, RunArgs, contract_name, is_name
from zk.errors import CircuitError
from zk.files import ROOT, read_json, write_json
from zk.samples import CALIBRATION_SAMPLES, Array, Samples

ARTIFACTS = ROOT / "artifacts"
VERIFIERS = ROOT / "contracts" / "verifiers"
EXPORTS = ROOT / "models" / "exports"

SEARCH_SAMPLES = 500  # for the tuner, from the training data

# The knobs that `ape run tune` finds: of the project's circuits, and of users' own.
RUN_ARGS = Path(__file__).with_name("run_args.json")
OWN_RUN_ARGS = ARTIFACTS / "run_args.json"
MEDIA: dict[Medium, str] = {
    "drawing": "drawings",
    "clip": "recordings",
    "input": "the model's input itself",
}


@cache
def sources() -> dict[str, Source]:
    """The project's circuits, by name."""
    return {
        name: source
        for application in applications().values()
        for name, source in application.circuits.items()
    }


def defaults() -> list[str]:
    """The default circuit of each application."""
    return [next(iter(one.circuits)) for one in applications().values() if one.circuits]


def for_page() -> list[str]:
    """The circuits of the page: of each application, one that browsers prove, or the default."""
    private = {owner_of(one): one for one in of_groth16()}
    return [private.get(owner_of(name), name) for name in defaults()]


def of_groth16() -> list[str]:
    """The circuits of one input whose proofs are those of Groth16."""
    found = sources().items()
    return [name for name, one in found if one.prover == "groth16" and one.batch == 1]


def owner_of(name: str) -> str:
    """The application of one of the project's circuits."""
    return next(one.name for one in applications().values() if name in one.circuits)


def circuit(name: str) -> Circuit:
    """One of the project's circuits."""
    source = sources()[name]
    owner = applications()[owner_of(name)]
    knobs = replace(tuned(source.tuned_as or name), prover=source.prover)
    return Circuit(
        name=name,
        model=EXPORTS / f"{source.model}.onnx",
        verifier_name=source.verifier_name,
        samples=lambda: _samples(source),
        run_args=replace(knobs, batch=source.batch, attested=owner.issuer is not None),
        application=owner.name,
        accept_loss=source.accept_loss,
    )


def deploying(name: str) -> str:
    """The words for `ape run deploy --only` that deploy a circuit."""
    source = sources().get(name)
    return f"{source.tuned_as} --batch {name}" if source and source.batch > 1 else name


def view_of(name: str, medium: Medium) -> Callable[[Array], Array]:
    """The view that turns a drawing or a clip into a circuit's input."""
    source = sources().get(name)
    if source is None or source.medium != medium:
        takes = MEDIA[source.medium if source else "input"]
        raise CircuitError(f"{name} takes {takes}, not {MEDIA[medium]}.")
    return source.view


def tuned(name: str) -> RunArgs:
    """The knobs that a circuit was tuned to, or else the default ones."""
    return RunArgs(**read_json(_record(name)).get(name, {}))


def keep(name: str, run_args: RunArgs) -> Path:
    """Record the knobs that a circuit is tuned to; return the file."""
    path = _record(name)
    write_json(path, read_json(path) | {name: asdict(run_args)})
    return path


def _record(name: str) -> Path:
    return RUN_ARGS if name in sources() else OWN_RUN_ARGS


def _samples(source: Source) -> Samples:
    if source.medium == "drawing":
        return digit_samples(source.view, source.tests)
    if source.medium == "clip":
        return voice_samples(source.view)
    return own_samples(data_of(source))


def data_of(source: Source) -> Path:
    """The samples of a circuit that takes the model's input itself."""
    return EXPORTS / f"{source.model}.npz"


def digit_samples(view: Callable[[Array], Array], tests: int) -> Samples:
    """Drawings as a model sees them; calibration never sees a test image."""
    return Samples(
        calibration=view(mnist.drawings("train", CALIBRATION_SAMPLES)),
        test=view(mnist.drawings("test", tests)),
        labels=mnist.labels("test")[:tests],
        source="MNIST test images",
    )


def voice_samples(view: Callable[[Array], Array]) -> Samples:
    """Recordings as a model hears them.

    Calibration uses the same synthetic voices everywhere, which makes builds reproducible.
    Accuracy is measured on the test speakers: real ones if VOICE_DATA_DIR names a folder.
    """
    synthetic = voices.synthetic()
    training, test = synthetic.only(held_out=False), synthetic.only(held_out=True)
    step = len(training.clips) // CALIBRATION_SAMPLES
    training.clips = training.clips[::step][:CALIBRATION_SAMPLES]
    hint = "; real ones where VOICE_DATA_DIR names a folder"
    if os.environ.get("VOICE_DATA_DIR"):
        test, hint = voices.find().only(held_out=True), ""
        if not test.clips:
            raise DatasetError(
                "VOICE_DATA_DIR has no test speaker, such as RAVDESS's actors 17 to 20: add some, "
                "or unset it to measure on synthetic voices."
            )
    heard = test.hear(view)
    corpora = ", ".join(sorted({clip.corpus for clip in test.clips}))
    return Samples(
        calibration=training.hear(view),
        test=heard,
        labels=np.array([clip.score for clip in test.clips]),
        source=f"clips of unheard speakers ({corpora}{hint})",
    )


def is_free(name: str) -> bool:
    """Return whether a circuit can have this name, and no shipped verifier has its verifier's."""
    taken = {source.verifier_name.lower() for source in sources().values()}
    return is_name(name) and f"{contract_name(name)}Verifier".lower() not in taken


def test_sample(name: str, number: int) -> Array:
    """One of the samples that a circuit's accuracy is measured on."""
    source = sources().get(name)
    if source is None or source.medium != "input":
        raise CircuitError(f"{name} ships without samples: give it an input of another kind.")
    tests = circuit(name).samples().test
    if number >= len(tests):
        raise DatasetError(f"{name} has {len(tests)} test samples: give 0 to {len(tests) - 1}.")
    return np.asarray(tests[number])


def own_circuit(
    name: str,
    model: Path,
    data: Path,
    application: str | None,
    largest_input: int | None = None,
    choice: Choice = EVERYTHING,
) -> Circuit:
    """A circuit of any ONNX model; `data` is an .npz with `x` and, optionally, `labels`.

    With a `largest_input`, the circuit is slim.
    """
    knobs = tuned(name)
    args = replace(knobs, largest_input=largest_input or knobs.largest_input)
    taken = [*sources(), *([] if is_free(name) else [name])]
    return Circuit.own(name, model, lambda: own_samples(data), args, application, choice, taken)


def for_search(chosen: Circuit, data: Path | None, seed: int) -> tuple[Circuit, Samples]:
    """A circuit for the tuner, and the samples that its search may see.

    The project's circuits are searched on training data. Of a user's `data`, one half is for the
    search and the other stays with the circuit.
    """
    shuffled = np.random.default_rng(seed).permutation
    source = sources().get(chosen.name)
    if source and source.medium == "input":
        data = data_of(source)
    if data:
        x, labels, constants = own_arrays(data)
        seen, unseen = np.array_split(shuffled(len(x)), 2)
        seen_labels, unseen_labels = (
            None if labels is None else labels[half] for half in (seen, unseen)
        )
        kept = Samples(x[seen][:CALIBRATION_SAMPLES], x[unseen], unseen_labels, constants=constants)
        searched = Samples(x[seen], x[seen], seen_labels, constants=constants)
        return replace(chosen, samples=lambda: kept), searched
    assert source
    if source.medium == "drawing":
        some = shuffled(60_000)[:SEARCH_SAMPLES]
        x = source.view(mnist.drawings("train")[some])
        return chosen, Samples(x, x, mnist.labels("train")[some])
    found = voices.find() if os.environ.get("VOICE_DATA_DIR") else voices.synthetic()
    found = found.only(held_out=False)
    found.clips = [found.clips[i] for i in shuffled(len(found.clips))[:SEARCH_SAMPLES]]
    x = found.hear(source.view)
    return chosen, Samples(x, x, np.array([clip.score for clip in found.clips]))

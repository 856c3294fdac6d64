"""The quantised model, run without proving, and its accuracy."""

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zk import ezkl
from zk.errors import CircuitError
from zk.layout import Key, Layout
from zk.processes import answer_all
from zk.samples import Array, Samples

if TYPE_CHECKING:
    from zk.binding import Model

# How far a circuit may be from its model: the share of samples that it chooses otherwise, and the
# largest error of a single output as a share of the range.
LARGEST_LOSS, LARGEST_ERROR = 0.02, 0.05
LARGEST_TRANSLATION_ERROR = 1e-4
TRANSLATED = 200  # samples that a translation is tried on
# numpy's types of inputs, by onnxruntime's
KINDS = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
FEW = 50  # the fewest inputs that are worth a process


def witness(
    compiled: Path, layout: Layout, key: Key, x: Array, output: Path | None = None
) -> tuple[Array, tuple[int, int]]:
    """Return the quantised model's outputs as whole numbers, and the smallest and largest lookup.

    For a batch, `x` holds its inputs, and the outputs follow each other.

    The witness, which contains the private input, is written to `output`.
    """
    run = ezkl.run_witness(compiled, layout.numbers(key, x), output)
    return np.array(layout.read(run["outputs"])), run["lookups"]


def answers(
    compiled: Path, layout: Layout, inputs: Array, doing: str = "run the test samples"
) -> tuple[Array, tuple[int, int]]:
    """Return the quantised model's outputs for each input, and the smallest and largest lookup.

    `doing` completes the sentence "ezkl could not …" on failure.
    """
    run = partial(witness, compiled, layout, layout.widest)
    runs = answer_all(run, list(layout.batches(inputs)), doing, len(inputs) // FEW)
    quantised, lookups = zip(*runs, strict=True)
    smallest, largest = zip(*lookups, strict=True)
    found = np.concatenate(quantised).reshape(-1, layout.outputs)
    return found[: len(inputs)], (min(smallest), max(largest))


def float_answers(model: Path | bytes, inputs: Array) -> Array:
    """Return the outputs of the float model for each input."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model)
        given = session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
        kind = KINDS[given.type]
        return np.stack(
            [
                session.run(None, {given.name: x.reshape(shape).astype(kind)})[0].reshape(-1)
                for x in inputs
            ]
        )
    except Exception as error:  # the only base class of onnxruntime's errors
        raise CircuitError(
            f"onnxruntime cannot run {'the model' if isinstance(model, bytes) else model}: {error}"
        ) from error


def require_translated(model: "Model", samples: Samples) -> None:
    """Raise unless the plain form of a model answers like the file that it was made of."""
    inputs = samples.test[:TRANSLATED]
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(model.path)
        given = {name: np.asarray(value) for name, value in samples.constants.items()}
        original = [
            _numbers(session.run([model.output], {**given, model.input: x})[0])
            for x in inputs.reshape(len(inputs), *model.input_shape).astype(np.float32)
        ]
    except Exception as error:  # the only base class of onnxruntime's errors
        raise CircuitError(f"onnxruntime cannot run {model.path}: {error}") from error
    largest = float(np.abs(float_answers(model.content, inputs) - original).max())
    if not largest <= LARGEST_TRANSLATION_ERROR * max(1, np.ptp(original)):
        raise CircuitError(
            f"The plain operators that replace those of {model.path} differ from them by up to "
            f"{largest:.4g} on the samples: export another output, such as raw scores."
        )


def _numbers(answer: Any) -> Array:
    """The numbers of an output, which may be a map from classes to probabilities."""
    found = [*answer[0].values()] if isinstance(answer, list) else answer
    return np.asarray(found, np.float64).reshape(-1)


def accuracy(
    model: Path, compiled: Path, samples: Samples, output_scale: int, layout: Layout
) -> dict[str, Any]:
    """Compare the float model with the quantised one on every test sample, for the manifest."""
    quantised, _ = answers(compiled, layout, samples.test)
    return {
        "samples": len(samples.test),
        "source": samples.source,
        **compare(
            float_answers(model, samples.test), quantised / 2.0**output_scale, samples.labels
        ),
    }


def compare(floats: Array, quantised: Array, labels: Array | None) -> dict[str, Any]:
    """Compare the outputs of the two models with each other and with the labels.

    `max_error` is the largest difference between their outputs; of a model with one output,
    `range_error` is its share of the range of the outputs. A classifier also has `agreement`,
    the share of equal choices, and with labels the share of right ones as `float` and `quantised`.
    A model with one output has, with labels, its `correlation` and its mean squared `error`; an
    error of 1 is that of always answering the mean.
    """
    largest = float(np.abs(floats - quantised).max())
    return {"max_error": largest, **_comparison(floats, quantised, labels)}


def require_faithful(
    circuit: str, measured: dict[str, Any], knobs: str = "find finer knobs with `ape run tune`"
) -> None:
    """Raise if the quantised model answers something else, from the result of `compare`.

    `knobs` says where the user finds finer ones.
    """
    if not math.isfinite(measured["max_error"]):
        raise CircuitError(
            f"The model of {circuit} returns numbers that are not finite: repair the model."
        )
    if (agreement := measured.get("agreement", 1)) < 1 - LARGEST_LOSS:
        problem = (
            f"chooses as the model does for {agreement:.1%} of {measured['samples']} samples, and "
            f"should for {1 - LARGEST_LOSS:.0%}"
        )
    elif (share := measured.get("range_error", 0)) > LARGEST_ERROR:
        problem = (
            f"differs from the model by up to {measured['max_error']:.4g}, {share:.1%} of the "
            f"range of its outputs, and should by at most {LARGEST_ERROR:.0%}"
        )
    else:
        return
    raise CircuitError(
        f"The circuit {circuit} {problem}: {knobs}, such as a higher param_scale, or build it as "
        "it is with --accept-loss."
    )


def loss(measured: dict[str, Any]) -> float:
    """Return by how much quantising worsens a model, from the result of `compare`.

    Without labels, this is the share of different choices, or the largest difference of an output.
    """
    if "error" in measured:
        return float(measured["error"]["quantised"] - measured["error"]["float"])
    if "quantised" in measured:
        return float(measured["float"] - measured["quantised"])
    if "agreement" in measured:
        return 1 - float(measured["agreement"])
    return float(measured["max_error"])


def _comparison(floats: Array, quantised: Array, labels: Array | None) -> dict[str, Any]:
    models = {"float": floats, "quantised": quantised}
    if floats.shape[1] > 1:
        facts = {"agreement": float(np.mean(floats.argmax(1) == quantised.argmax(1)))}
        if labels is not None:
            for name, outputs in models.items():
                facts[name] = float(np.mean(outputs.argmax(1) == labels))
        return facts
    span = float(np.ptp(floats)) or float(np.abs(floats).max()) or 1.0
    facts = {"range_error": float(np.abs(floats - quantised).max()) / span}
    if labels is None or np.ptp(labels) == 0:
        return facts
    return facts | {
        "correlation": {
            name: float(np.corrcoef(outputs[:, 0], labels)[0, 1])
            for name, outputs in models.items()
        },
        "error": {
            name: float(np.mean((outputs[:, 0] - labels) ** 2) / np.var(labels))
            for name, outputs in models.items()
        },
    }

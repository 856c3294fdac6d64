"""The quantised model, run without proving, and its accuracy."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zk import ezkl
from zk.errors import CircuitError
from zk.processes import answer_all
from zk.samples import Array, Samples

# The order of BN254's scalar field. Instances are below it.
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
# Outputs are below this bound; the field element of a negative output v is FIELD - |v|.
LARGEST = 2**127

FEW = 50  # the fewest inputs that are worth a process


def signed(instance: int) -> int:
    """Return the output, as a whole number, of an instance."""
    if instance < LARGEST:
        return instance
    if FIELD - LARGEST < instance < FIELD:
        return instance - FIELD
    raise ValueError(f"The instance {instance} is not an output: its absolute value is too large.")


def witness(
    compiled: Path, limbs: list[int], x: Array, output: Path | None = None
) -> tuple[Array, tuple[int, int]]:
    """Return the quantised model's outputs as whole numbers, and the smallest and largest lookup.

    The witness, which contains the private input, is written to `output`. `limbs` is empty for a
    circuit without a key.
    """
    values = np.asarray(x, np.float64).reshape(-1).tolist()
    run = ezkl.run_witness(compiled, [limbs, values] if limbs else [values], output)
    return np.array([signed(value) for value in run["outputs"]]), run["lookups"]


def answers(
    compiled: Path, limbs: list[int], inputs: Array, doing: str = "run the test samples"
) -> tuple[Array, tuple[int, int]]:
    """Return the quantised model's outputs for each input, and the smallest and largest lookup.

    `doing` completes the sentence "ezkl could not …" on failure.
    """
    runs = answer_all(partial(witness, compiled, limbs), list(inputs), doing, len(inputs) // FEW)
    quantised, lookups = zip(*runs, strict=True)
    smallest, largest = zip(*lookups, strict=True)
    return np.stack(quantised), (min(smallest), max(largest))


def float_answers(model: Path, inputs: Array) -> Array:
    """Return the outputs of the float model for each input."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model)
        given = session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
        return np.stack(
            [
                session.run(None, {given.name: x.reshape(shape).astype(np.float32)})[0].reshape(-1)
                for x in inputs
            ]
        )
    except Exception as error:  # the only base class of onnxruntime's errors
        raise CircuitError(f"onnxruntime cannot run {model}: {error}") from error


def accuracy(
    model: Path, compiled: Path, samples: Samples, output_scale: int, limbs: list[int]
) -> dict[str, Any]:
    """Compare the float model with the quantised one on every test sample, for the manifest."""
    quantised, _ = answers(compiled, limbs, samples.test)
    return {
        "samples": len(samples.test),
        "source": samples.source,
        **compare(
            float_answers(model, samples.test), quantised / 2.0**output_scale, samples.labels
        ),
    }


def compare(floats: Array, quantised: Array, labels: Array | None) -> dict[str, Any]:
    """Compare the outputs of the two models with each other and with the labels.

    `max_error` is the largest difference between their outputs. A classifier also has `agreement`,
    the share of equal choices, and with labels the share of right ones as `float` and `quantised`.
    A model with one output has, with labels, its `correlation` and its mean squared `error`; an
    error of 1 is that of always answering the mean.
    """
    largest = float(np.abs(floats - quantised).max())
    return {"max_error": largest, **_comparison(floats, quantised, labels)}


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
    if labels is None or np.ptp(labels) == 0:
        return {}
    return {
        "correlation": {
            name: float(np.corrcoef(outputs[:, 0], labels)[0, 1])
            for name, outputs in models.items()
        },
        "error": {
            name: float(np.mean((outputs[:, 0] - labels) ** 2) / np.var(labels))
            for name, outputs in models.items()
        },
    }

"""Running a circuit without proving: what the quantised model answers, and how well."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zk import ezkl
from zk.errors import CircuitError
from zk.processes import answer_all
from zk.samples import Array, Samples

# The order of BN254's scalar field: instances are whole numbers below it.
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
# A negative output v stands in the field as FIELD - |v|; nothing in between is a number.
LARGEST = 2**127

FEW = 50  # inputs for which it does not pay to start another process


def signed(instance: int) -> int:
    """The whole number that an output instance stands for."""
    if instance < LARGEST:
        return instance
    if FIELD - LARGEST < instance < FIELD:
        return instance - FIELD
    raise ValueError(f"The instance {instance} is no number: it lies between the signed ranges.")


def witness(
    compiled: Path, limbs: list[int], x: Array, output: Path | None = None
) -> tuple[Array, tuple[int, int]]:
    """Return the quantised model's outputs as whole numbers, and the smallest and largest lookup.

    The witness itself, which contains the private input, goes to `output` if given. A circuit
    without a key has no limbs.
    """
    values = np.asarray(x, np.float64).reshape(-1).tolist()
    run = ezkl.run_witness(compiled, [limbs, values] if limbs else [values], output)
    return np.array([signed(value) for value in run["outputs"]]), run["lookups"]


def answers(
    compiled: Path, limbs: list[int], inputs: Array, doing: str = "run the test samples"
) -> tuple[Array, tuple[int, int]]:
    """The quantised model's outputs for each input, and the smallest and largest lookup."""
    runs = answer_all(partial(witness, compiled, limbs), list(inputs), doing, len(inputs) // FEW)
    quantised, lookups = zip(*runs, strict=True)
    smallest, largest = zip(*lookups, strict=True)
    return np.stack(quantised), (min(smallest), max(largest))


def float_answers(model: Path, inputs: Array) -> Array:
    """What the model answers before it becomes a circuit."""
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
    except Exception as error:  # onnxruntime's errors have no other base
        raise CircuitError(f"onnxruntime cannot run {model}: {error}") from error


def accuracy(
    model: Path, compiled: Path, samples: Samples, output_scale: int, limbs: list[int]
) -> dict[str, Any]:
    """Compares the float model with the circuit's witnesses on every test sample."""
    quantised, _ = answers(compiled, limbs, samples.test)
    return {
        "samples": len(samples.test),
        "source": samples.source,
        **compare(
            float_answers(model, samples.test), quantised / 2.0**output_scale, samples.labels
        ),
    }


def compare(floats: Array, quantised: Array, labels: Array | None) -> dict[str, Any]:
    """How well the quantised model follows the float one, and both the labels.

    `max_error` is the largest difference of an output.
    """
    largest = float(np.abs(floats - quantised).max())
    return {"max_error": largest, **_comparison(floats, quantised, labels)}


def loss(measured: dict[str, Any]) -> float:
    """How much worse than the float model the quantised one is, by what `compare` found.

    Without labels, how often they choose differently, or by how much their outputs differ.
    """
    if "error" in measured:
        return measured["error"]["quantised"] - measured["error"]["float"]
    if "quantised" in measured:
        return measured["float"] - measured["quantised"]
    if "agreement" in measured:
        return 1 - measured["agreement"]
    return measured["max_error"]


def _comparison(floats: Array, quantised: Array, labels: Array | None) -> dict:
    """How often a classifier chooses right, or how well a single number follows its labels.

    The error of a single number is the mean squared one, as a share of what always answering the
    labels' mean would have.
    """
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

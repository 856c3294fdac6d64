"""Real inputs of a model, to calibrate its circuit and to measure accuracy."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zk.errors import CircuitError

Array = np.ndarray[Any, Any]
CALIBRATION_SAMPLES = 32


@dataclass(frozen=True)
class Samples:
    """Inputs for calibration, and others to measure accuracy on."""

    calibration: Array
    test: Array
    labels: Array | None = None
    source: str = "test samples"  # describes the test samples in reports
    constants: Mapping[str, Array] = field(default_factory=dict)  # of a model's other inputs


def check_samples(circuit: str, samples: Samples, model: Path, shape: tuple[int, ...]) -> None:
    """Raise unless the samples are finite and fit the model's input, of this shape."""
    for kind, array in (("calibration", samples.calibration), ("test", samples.test)):
        fits = len(array) > 0 and array[0].size == np.prod(shape)
        if not fits or not np.isfinite(array).all():
            raise CircuitError(
                f"The {kind} samples of {circuit} have shape {array.shape}: {model} takes one or "
                f"more samples of shape {shape}, all of them finite numbers."
            )
    labels = samples.labels
    if labels is not None and labels.shape != samples.test.shape[:1]:
        raise CircuitError(
            f"The labels of {circuit} have shape {labels.shape}: give one number for each of the "
            f"{len(samples.test)} test samples."
        )


def digest_of(*arrays: Array | None) -> str:
    """Return the hash of the shapes, types and numbers of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        if array is not None:
            found.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()

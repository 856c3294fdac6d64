"""Real inputs: some calibrate a circuit, others measure its accuracy."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from zk.binding import Model
from zk.errors import CircuitError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Samples:
    """Inputs for calibration, and unseen ones to measure accuracy on."""

    calibration: Array
    test: Array
    labels: Array | None = None
    source: str = "test samples"  # describes the test samples in reports


def check_samples(circuit: str, samples: Samples, model: Model) -> None:
    """Refuse samples that do not fit the model's input or are not finite."""
    for kind, array in (("calibration", samples.calibration), ("test", samples.test)):
        fits = len(array) > 0 and array[0].size == np.prod(model.input_shape)
        if not fits or not np.isfinite(array).all():
            raise CircuitError(
                f"The {kind} samples of {circuit} have shape {array.shape}: {model.path} takes one "
                f"or more samples of shape {model.input_shape}, all numbers finite."
            )
    labels = samples.labels
    if labels is not None and labels.shape != samples.test.shape[:1]:
        raise CircuitError(
            f"The labels of {circuit} have shape {labels.shape}: give one number for each of the "
            f"{len(samples.test)} test samples."
        )


def digest_of(*arrays: Array | None) -> str:
    """Hash samples: shape, type and every number."""
    found = hashlib.sha256()
    for array in arrays:
        if array is not None:
            found.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()

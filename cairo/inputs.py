"""Inputs of Cairo programs, from files."""

import math
from pathlib import Path

import numpy as np

from cairo.arithmetic import BeyondError, Integers, quantised
from zk.errors import CircuitError
from zk.samples import Array


def read_input(path: Path, shape: tuple[int, ...] | None = None) -> Integers:
    """Read one input as FP16x16 numbers."""
    numbers = _read(path)
    if shape is not None and numbers.size != math.prod(shape):
        raise CircuitError(
            f"{path} holds {numbers.size} numbers of shape {numbers.shape}: the model takes one "
            f"input of shape {shape}."
        )
    try:
        return quantised(numbers)
    except BeyondError as error:
        raise CircuitError(f"{path} cannot be an input: {error}.") from error


def read_samples(path: Path | None, shape: tuple[int, ...]) -> Array:
    """Read inputs of a model; without a file, return the ends of the range from -1 to 1."""
    if path is None:
        return np.stack([np.full(shape, -1.0), np.full(shape, 1.0)])
    samples = _read(path)
    if not len(samples) or samples[0].size != math.prod(shape):
        raise CircuitError(
            f"{path} holds numbers of shape {samples.shape}: give one or more inputs of shape "
            f"{shape}."
        )
    return samples


def _read(path: Path) -> Array:
    try:
        content = np.load(path, allow_pickle=False)
        numbers = content["x"] if isinstance(content, np.lib.npyio.NpzFile) else content
        numbers = np.asarray(numbers, np.float64)
    except FileNotFoundError:
        raise CircuitError(f"{path} not found: give an .npy file.") from None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CircuitError(
            f"{path} is neither an .npy file of numbers nor an .npz file with numbers `x`: {error}."
        ) from error
    if not np.isfinite(numbers).all():
        raise CircuitError(f"{path} holds numbers that are not finite: give finite ones.")
    return numbers

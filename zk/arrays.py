"""Arrays and samples from untrusted files."""

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from zk.errors import CircuitError
from zk.samples import CALIBRATION_SAMPLES, Array, Samples

WORDS = ("feature_names", "target_names")  # arrays of text, named as scikit-learn does


def read_input(path: Path) -> Array:
    """Read one input of a model: an .npy file, a list in JSON, or a row of numbers in .csv."""
    if path.suffix not in (".json", ".csv"):
        if (x := read(path).get("x")) is None:
            raise CircuitError(f"{path} should have an array `x`.")
        return x
    try:
        text = path.read_text(encoding="utf-8-sig")
        return np.array(json.loads(text) if path.suffix == ".json" else _row(text), np.float64)
    except FileNotFoundError:
        raise CircuitError(f"There is no file at {path}.") from None
    except (OSError, ValueError, TypeError) as error:
        # The numbers may be private.
        where = "a list of numbers in JSON" if path.suffix == ".json" else "one row of numbers"
        raise CircuitError(f"{path} should hold {where}.") from error


def _row(text: str) -> list[float]:
    """The numbers of a row. Where semicolons separate them, a comma is a decimal point."""
    (row,) = text.strip().splitlines()
    if ";" in row:
        return [float(cell.replace(",", ".")) for cell in row.split(";")]
    return [float(cell) for cell in row.split(",")]


def read(path: Path) -> dict[str, Array]:
    """Read the arrays of an .npz file by name, or the array of an .npy file as `x`."""
    try:
        content = np.load(path, allow_pickle=False)
        arrays = {"x": content} if isinstance(content, np.ndarray) else dict(content)
    except FileNotFoundError:
        raise CircuitError(f"There is no file at {path}.") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise CircuitError(f"{path} is neither an .npy nor an .npz file: {error}.") from error
    for name, array in arrays.items():
        if name in WORDS and array.dtype.kind == "U" and array.ndim == 1:
            continue
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
            raise CircuitError(f"The array {name} of {path} holds {array.dtype}, not numbers.")
    return arrays


def own_samples(path: Path) -> Samples:
    """Read samples of any model: half of them, at most 32, calibrate, and the others measure."""
    x, labels, constants = own_arrays(path)
    split = min(CALIBRATION_SAMPLES, len(x) // 2)
    kept = None if labels is None else labels[split:]
    return Samples(x[:split], x[split:], kept, constants=constants)


def own_arrays(path: Path) -> tuple[Array, Array | None, dict[str, Array]]:
    """Read the array `x` of samples, their `labels`, if they have any, and all other arrays."""
    content = read(path)
    x = content.get("x")
    if x is None or len(x) < 2:
        raise CircuitError(f"{path} should have an array `x` of two or more samples.")
    labels = content.get("labels")
    if labels is not None and labels.shape == (len(x), 1):
        labels = labels.reshape(-1)
    named = ("x", "labels", *WORDS)
    return x, labels, {name: array for name, array in content.items() if name not in named}

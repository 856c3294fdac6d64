"""The cost of a circuit, predicted from its shape by a model that is fitted to measurements.

The shape decides the number of polynomials that a circuit commits to, which decides the size of its
keys, proofs and verifier, and the gas. The seconds are linear in the size of the proving key.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zk.circuit import Shape
from zk.files import write_whole
from zk.samples import Array

MEASUREMENTS = Path(__file__).with_name("measurements.json")
FIELD_BYTES = 32


@dataclass(frozen=True)
class Cost:
    """The cost of a circuit, measured or predicted."""

    proving_key: float  # bytes
    proof: float  # bytes
    code: float  # bytes of the verifier
    gas: float  # for verifying a proof
    seconds: float  # for proving


class CostModel:
    """A model of costs, fitted to measured ones, perhaps of another machine."""

    def __init__(self, measured: Iterable[tuple[Shape, Cost]]) -> None:
        shapes, costs = zip(*measured, strict=True)
        features = np.array([_features(shape) for shape in shapes])
        keys = np.array([cost.proving_key for cost in costs])
        self._polynomials = _fitted(features, keys / [_row(shape) for shape in shapes])
        self._figures = {
            name: _fitted(features, np.array([getattr(cost, name) for cost in costs]))
            for name in ("proof", "code", "gas")
        }
        linear = np.column_stack([np.ones(len(keys)), keys])
        self._seconds = _fitted(linear, np.array([cost.seconds for cost in costs]))

    @classmethod
    def load(cls, path: Path = MEASUREMENTS) -> "CostModel":
        content = json.loads(path.read_text())
        return cls((Shape(**row["shape"]), Cost(**row["cost"])) for row in content)

    def predict(self, shape: Shape) -> Cost:
        features = np.array(_features(shape))
        key = float(features @ self._polynomials) * _row(shape)
        figures = {name: float(features @ fitted) for name, fitted in self._figures.items()}
        return Cost(proving_key=key, seconds=float(self._seconds @ [1, key]), **figures)


def save(measured: Iterable[tuple[Shape, Cost]], path: Path = MEASUREMENTS) -> None:
    rows = [json.dumps({"shape": asdict(shape), "cost": asdict(cost)}) for shape, cost in measured]
    write_whole(path, "[\n  " + ",\n  ".join(rows) + "\n]\n")


def _row(shape: Shape) -> int:
    """Return the bytes of one polynomial in a proving key."""
    return FIELD_BYTES * _values(shape) * (1 << shape.logrows)


def _fitted(features: Array, values: Array) -> Array:
    """Return the coefficients with the least squared error relative to each value."""
    fitted: Array = np.linalg.lstsq(features / values[:, None], np.ones(len(values)), rcond=None)[0]
    return fitted


def _features(shape: Shape) -> list[float]:
    """Return the terms of the sum that is the number of a circuit's polynomials."""
    return [
        1,
        shape.columns,
        shape.tables,
        shape.tables * shape.columns,
        shape.matrices,
        shape.matrices * shape.columns,
    ]


def _values(shape: Shape) -> int:
    """Return the number of values per row of a polynomial in a proving key.

    These are its coefficients, its values at the rows, and its values on a domain four times as
    large, or eight times if a constraint multiplies many columns or tables.
    """
    return 10 if shape.columns > 3 or shape.tables > 5 or shape.matrices > 1 else 6

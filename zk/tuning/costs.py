"""What a circuit will cost, before it is built: a model fitted to measurements.

Everything but the seconds is a matter of how many polynomials a circuit commits to, and so of its
shape; a key holds so many of them for each row. Seconds follow the size of the key.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from zk.circuit import Shape
from zk.files import write_whole

MEASUREMENTS = Path(__file__).with_name("measurements.json")
FIELD_BYTES = 32


@dataclass(frozen=True)
class Cost:
    """What a circuit costs: bytes of its proving key, proof and verifier, gas, seconds to prove."""

    proving_key: float
    proof: float
    code: float
    gas: float
    seconds: float


class CostModel:
    """Predicts costs from those that were measured, also on another machine."""

    def __init__(self, measured: Iterable[tuple[Shape, Cost]]) -> None:
        shapes, costs = zip(*measured, strict=True)
        features = np.array([_features(shape) for shape in shapes])
        polynomials = [cost.proving_key / _row(shape) for shape, cost in zip(shapes, costs, strict=True)]
        self._polynomials = _fitted(features, np.array(polynomials))
        self._figures = {
            name: _fitted(features, np.array([getattr(cost, name) for cost in costs]))
            for name in ("proof", "code", "gas")
        }
        keys = np.array([[1, cost.proving_key] for cost in costs])
        self._seconds = _fitted(keys, np.array([cost.seconds for cost in costs]))

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
    """The bytes that a key holds of one polynomial."""
    return FIELD_BYTES * _values(shape) * 2**shape.logrows


def _fitted(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients with the least squared error relative to each value."""
    return np.linalg.lstsq(features / values[:, None], np.ones(len(values)), rcond=None)[0]


def _features(shape: Shape) -> list[float]:
    """The terms that the number of a circuit's polynomials is made of."""
    return [
        1,
        shape.columns,
        shape.tables,
        shape.tables * shape.columns,
        shape.matrices,
        shape.matrices * shape.columns,
    ]


def _values(shape: Shape) -> int:
    """The values that a proving key holds of a polynomial for each row.

    They are its coefficients, its values at the rows, and those on a domain four times as large;
    eight times if a constraint multiplies as many columns or tables.
    """
    return 10 if shape.columns > 3 or shape.tables > 5 or shape.matrices > 1 else 6

"""What a circuit will cost, before it is built: a model fitted to measurements.

Everything but the seconds is a matter of how many polynomials a circuit commits to, and so of its
shape; a key holds so many of them for each row. Seconds follow the size of the key.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zk.manifest import write_whole

MEASUREMENTS = Path(__file__).with_name("measurements.json")
FIELD_BYTES = 32
# Rows that halo2 keeps for blinding and ezkl for padding, rounded up.
RESERVED_ROWS = 16


@dataclass(frozen=True)
class Shape:
    """What decides the cost of a circuit."""

    logrows: int
    columns: int  # `num_inner_cols`, times the parts into which its rows are folded
    tables: int  # columns of lookup tables; those of range checks are in every circuit
    matrices: int  # sets of columns for products that are checked by Freivalds' method

    def contains(self, other: "Shape") -> bool:
        """Whether it is at least as large in every way, and so as costly."""
        return all(mine >= its for mine, its in zip(astuple(self), astuple(other), strict=True))

    @property
    def features(self) -> list[float]:
        """What the number of its polynomials is made of."""
        return [
            1,
            self.columns,
            self.tables,
            self.tables * self.columns,
            self.matrices,
            self.matrices * self.columns,
        ]

    @property
    def values(self) -> int:
        """How many values a key holds of a polynomial for each row.

        As coefficients, at the rows, and on a domain four times as large; eight times, where a
        constraint multiplies as many columns or tables.
        """
        return 10 if self.columns > 3 or self.tables > 5 or self.matrices > 1 else 6


@dataclass(frozen=True)
class Cost:
    """What a circuit costs: bytes of its proving key, proof and verifier, gas, seconds to prove."""

    key: float
    proof: float
    code: float
    gas: float
    seconds: float


class CostModel:
    """Predicts costs from those that were measured, also on another machine."""

    def __init__(self, measured: Iterable[tuple[Shape, Cost]]) -> None:
        shapes, costs = zip(*measured, strict=True)
        features = np.array([shape.features for shape in shapes])
        polynomials = [cost.key / _row(shape) for shape, cost in zip(shapes, costs, strict=True)]
        self._polynomials = _fitted(features, np.array(polynomials))
        self._figures = {
            name: _fitted(features, np.array([getattr(cost, name) for cost in costs]))
            for name in ("proof", "code", "gas")
        }
        keys = np.array([[1, cost.key] for cost in costs])
        self._seconds = _fitted(keys, np.array([cost.seconds for cost in costs]))

    @classmethod
    def load(cls, path: Path = MEASUREMENTS) -> "CostModel":
        content = json.loads(path.read_text())
        return cls((Shape(**row["shape"]), Cost(**row["cost"])) for row in content)

    def predict(self, shape: Shape) -> Cost:
        features = np.array(shape.features)
        key = float(features @ self._polynomials) * _row(shape)
        figures = {name: float(features @ fitted) for name, fitted in self._figures.items()}
        return Cost(key=key, seconds=float(self._seconds @ [1, key]), **figures)


def save(measured: Iterable[tuple[Shape, Cost]], path: Path = MEASUREMENTS) -> None:
    rows = [json.dumps({"shape": asdict(shape), "cost": asdict(cost)}) for shape, cost in measured]
    write_whole(path, "[\n  " + ",\n  ".join(rows) + "\n]\n")


def _row(shape: Shape) -> int:
    """The bytes that a key holds of one polynomial."""
    return FIELD_BYTES * shape.values * 2**shape.logrows


def _fitted(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients with the least squared error relative to each value."""
    return np.linalg.lstsq(features / values[:, None], np.ones(len(values)), rcond=None)[0]


def shape_of(settings: dict[str, Any]) -> Shape:
    """The shape of a circuit, from what ezkl's settings say of its layout."""
    args = settings["run_args"]
    usable = 2 ** args["logrows"] - RESERVED_ROWS
    smallest, largest = args["lookup_range"]
    return Shape(
        logrows=args["logrows"],
        columns=args["num_inner_cols"] * math.ceil(settings["num_rows"] / usable),
        tables=len(settings["required_lookups"]) * math.ceil((largest - smallest + 1) / usable),
        matrices=math.ceil(product_cells(settings) / (args["num_inner_cols"] * usable)),
    )


def product_cells(settings: dict[str, Any]) -> int:
    """The cells that ezkl reserves for products of matrices, within a few per cent.

    Where there are any, it counts every other product, too: the sizes of factors and results.
    """
    products = settings["einsum_params"]
    if not products["total_einsum_col_size"]:
        return 0
    return sum(
        math.prod(sizes.get(axis, 1) for axis in tensor)
        for equation, sizes in products["equations"]
        for tensor in equation.replace("->", ",").split(",")
    )

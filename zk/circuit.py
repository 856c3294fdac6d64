"""The description of a circuit: its model, its knobs and its shape."""

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path

from zk.binding import KeyLayout
from zk.samples import Samples


@dataclass(frozen=True)
class RunArgs:
    """The knobs that decide the cost of a circuit; `zk.tuning` searches them."""

    input_scale: int = 7
    param_scale: int = 7
    scale_rebase_multiplier: int = 1
    num_inner_cols: int = 2
    decomp_base: int = 1024  # with three legs, a range of 2**30 without a large table
    decomp_legs: int = 3
    logrows: int | None = None  # None: the smallest that fits
    matrix_convolutions: bool = False  # see `zk.rewriting`, as for the next
    summed_averages: bool = False

    @property
    def rewriting(self) -> dict[str, bool]:
        """The rewritings of the model's operators, for `zk.binding.bind`."""
        return {
            "matrix_convolutions": self.matrix_convolutions,
            "summed_averages": self.summed_averages,
        }

    @property
    def value_range(self) -> int:
        """The bound on inputs, outputs, and all values that are rescaled or compared with 0."""
        return self.decomp_base**self.decomp_legs


@dataclass(frozen=True)
class Circuit:
    """The input of a build. Only `zk.build` and `zk.tuning` call `samples`."""

    name: str
    model: Path
    verifier_name: str
    samples: Callable[[], Samples]
    run_args: RunArgs = field(default_factory=RunArgs)
    application: str | None = None  # the contract that will believe its proofs

    @cached_property
    def layout(self) -> KeyLayout:
        return KeyLayout.within(self.run_args.value_range)


@dataclass(frozen=True)
class Shape:
    """The properties that decide the cost of a circuit."""

    logrows: int
    columns: int  # `num_inner_cols`, times the parts into which its rows are folded
    tables: int  # columns of lookup tables; those of range checks are in every circuit
    matrices: int  # sets of columns for products that are checked by Freivalds' method

    def contains(self, other: "Shape") -> bool:
        """Return whether it is at least as large in every way, and so as costly."""
        return all(mine >= its for mine, its in zip(astuple(self), astuple(other), strict=True))

"""Descriptions of circuits: the input of a build, and the shape that decides the cost."""

import re
from collections.abc import Callable, Collection
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from zk.errors import CircuitError
from zk.layout import Layout
from zk.samples import Samples

NAME = re.compile(r"[a-z][a-z0-9]+([-_][a-z0-9]+)*")
HASHES = 2  # of an attested circuit
# ezkl: one ceremony for all models.  groth16: smaller and faster, with a ceremony for each model.
Prover = Literal["ezkl", "groth16"]
RESERVED = ("srs", "tune", "search", "bench")  # other folders of artifacts/


@dataclass(frozen=True)
class RunArgs:
    """The knobs of a circuit. `zk.tuning` searches for the cheapest ones."""

    input_scale: int = 7
    param_scale: int = 7
    scale_rebase_multiplier: int = 1
    num_inner_cols: int = 2
    decomp_base: int = 1024  # three legs: a range of 2**30 with a table of 2**10
    decomp_legs: int = 3
    logrows: int | None = None  # None: the fewest that fit
    matrix_convolutions: bool = False  # see `zk.rewriting`
    summed_averages: bool = False  # see `zk.rewriting`
    largest_input: int | None = None  # inputs are whole numbers up to this; see `zk.slim`
    batch: int = 1  # inputs of one proof, if slim or for groth16; see `zk.batches`
    attested: bool = False  # proofs show Poseidon hashes: of the key, and of the input
    prover: Prover = "ezkl"
    smallest_input: int = 0  # with a largest one; other than 0 for groth16 only

    @property
    def slim(self) -> bool:
        return self.largest_input is not None and self.prover == "ezkl"

    @property
    def untuned(self) -> bool:
        """Return whether all knobs that `zk.tuning` searches for are the default ones."""
        return replace(self, largest_input=None, batch=1, attested=False) == RunArgs()

    @property
    def rewriting(self) -> dict[str, Any]:
        """The changes to the model, for `zk.binding.bind`."""
        return {
            "matrix_convolutions": self.matrix_convolutions or self.slim,
            "summed_averages": self.summed_averages,
            "weight_scale": self.param_scale if self.slim else None,
            "batch": self.batch,
        }

    @property
    def value_range(self) -> int:
        """The bound on inputs, outputs and every value that is rescaled or compared with 0."""
        return int(self.decomp_base**self.decomp_legs)

    def layout(self, outputs: int) -> Layout:
        """Return the layout of a circuit with this number of outputs."""
        if self.prover == "groth16":
            return self._groth16_layout(outputs)
        if self.attested and self.slim:
            raise CircuitError("An attested circuit is not slim: leave out the largest_input.")
        if self.largest_input is not None:
            return Layout.slim(outputs, self.largest_input, self.batch)
        if self.batch > 1:
            raise CircuitError(
                f"A circuit for batches of {self.batch} is slim: give it a largest_input, too."
            )
        return Layout.within(self.value_range, outputs, HASHES if self.attested else 0)

    def _groth16_layout(self, outputs: int) -> Layout:
        if self.attested:
            raise CircuitError("A circuit for Groth16 has no attested inputs: build it with ezkl.")
        layout = Layout.groth16(outputs, self.smallest_input, self.largest_input, self.batch)
        if self.batch > 1 and outputs % layout.lanes:
            raise CircuitError(
                f"A circuit for batches has 1 output or a multiple of {layout.lanes} for Groth16, "
                f"not {outputs}: build it with ezkl."
            )
        return layout

    @property
    def input_range(self) -> tuple[int, int]:
        """The smallest and the largest whole number that a circuit for Groth16 takes as input."""
        if self.largest_input is not None:
            return self.smallest_input, self.largest_input
        return 1 - self.value_range, self.value_range - 1


@dataclass(frozen=True)
class Choice:
    """The part of an ONNX file that becomes a circuit."""

    output: str | None = None  # by name; None: the only one, or the only one of float32
    shape: tuple[int, ...] | None = None  # of the input, if the file leaves sizes open


EVERYTHING = Choice()


@dataclass(frozen=True)
class Circuit:
    """The input of a build. `samples` loads them; only builds and searches call it."""

    name: str
    model: Path
    verifier_name: str
    samples: Callable[[], Samples]
    run_args: RunArgs = field(default_factory=RunArgs)
    application: str | None = None  # name of the application that accepts the proofs
    choice: Choice = EVERYTHING
    accept_loss: bool = False  # build it even if it answers otherwise than the model
    any_code: bool = False  # build it even if no contract can hold its verifier

    @classmethod
    def own(
        cls,
        name: str,
        model: Path,
        samples: Callable[[], Samples],
        run_args: RunArgs,
        application: str | None = None,
        choice: Choice = EVERYTHING,
        taken: Collection[str] = (),
    ) -> "Circuit":
        """Return a circuit of a user's own model, under a name that is not taken."""
        if not is_name(name) or name in taken:
            raise CircuitError(
                f"--name {name!r} is not a free circuit name: give two or more small letters and "
                "digits, a letter first and - or _ between words, other than "
                f"{', '.join([*taken, *RESERVED])}."
            )
        verifier = f"{contract_name(name)}Verifier"
        return cls(name, model, verifier, samples, run_args, application, choice)


def is_name(name: str) -> bool:
    """Return whether a circuit can have this name."""
    return bool(NAME.fullmatch(name)) and name not in RESERVED


def contract_name(name: str) -> str:
    """The name of a contract that is made for a circuit: MyBadge for my-badge."""
    return "".join(part.capitalize() for part in re.split("[-_]", name))


@dataclass(frozen=True)
class Shape:
    """The properties of a circuit's layout that decide its cost."""

    logrows: int
    columns: int  # `num_inner_cols`, times the number of times that the rows are folded
    tables: int  # columns of lookup tables, without the range checks that every circuit has
    matrices: int  # sets of columns for products that Freivalds' method checks

    def contains(self, other: "Shape") -> bool:
        """Return whether this shape is at least as large in every property."""
        return all(mine >= its for mine, its in zip(astuple(self), astuple(other), strict=True))

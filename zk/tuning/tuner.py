"""The search for the cheapest circuit that keeps a model's accuracy.

All combinations of knobs are sorted by predicted cost. The search runs real samples through them in
this order, in circuits with half the range, and builds, proves and verifies the first few that keep
the accuracy. Samples that the search never saw decide whether a circuit is accepted.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from zk import ezkl
from zk.binding import read_model
from zk.circuit import Circuit, RunArgs
from zk.errors import CircuitError, RangeError
from zk.files import digest, locked
from zk.journal import Journal
from zk.proof import Proof
from zk.samples import Array, Samples, check_samples, digest_of
from zk.tuning.candidates import Candidate, bound, candidates
from zk.tuning.costs import Cost
from zk.tuning.measure import figures_of
from zk.verifier import LARGEST_CODE
from zk.witness import answers, compare, float_answers, loss

Goal = Literal["prove", "gas", "balanced"]
GOALS: tuple[Goal, ...] = get_args(Goal)

FIRST_SAMPLES = 8  # a circuit whose range is too small for these skips the others
ROUNDING = 1e-9  # of shares of samples, relative to a limit
RANGE_MARGIN = 2.0  # a circuit's range, relative to the range in which its samples are tried


@dataclass(frozen=True)
class Limits:
    """The limits on a circuit."""

    tolerance: float = 0.002  # accuracy that quantising may lose, or error that it may add
    proving_key: float = 1e9  # bytes
    code: int = LARGEST_CODE  # bytes


@dataclass(frozen=True)
class Finalist:
    """A candidate that was built, proved and verified; `loss` is on samples it never saw."""

    candidate: Candidate
    cost: Cost
    cells: int
    loss: float


@dataclass(frozen=True)
class Outcome:
    """The result of a search."""

    candidates: list[Candidate]  # all, the cheapest first
    finalists: list[Finalist]
    winner: Finalist

    @property
    def pace(self) -> float:
        """The proving time here, relative to the machine on which the cost model was measured."""
        return float(np.median([f.cost.seconds / f.candidate.cost.seconds for f in self.finalists]))


def tune(
    circuit: Circuit,
    samples: Samples,
    goal: Goal,
    limits: Limits,
    *,
    finalists: int,
    artifacts: Path,
    gas: Callable[[str, Path, Proof], int],
    report: Callable[[str], None] = lambda step: None,
) -> Outcome:
    """Measure `finalists` acceptable circuits of different shapes; return the best.

    The search uses `samples.test`, and the circuit's own samples decide. For `gas` see
    `figures_of`. A stopped search resumes when it is called again.
    """
    folder = artifacts / "tune" / circuit.name
    busy = f"Another search for {circuit.name} is running: wait for it, then tune again."
    with locked(folder, busy):
        for old in folder.glob("bound-*.onnx"):  # perhaps of other versions of the rewritings
            old.unlink()
        return _Search(circuit, samples, limits, folder, gas, report).run(goal, finalists)


@dataclass
class _Part:
    """Some samples, and the results of running them through circuits."""

    name: str
    samples: Array
    labels: Array | None
    floats: Array  # the float model's outputs
    margin: float  # the circuit's range, relative to the range in which they are tried
    far: float  # by what factor a circuit misses the limits if its range is too small for them
    # By a candidate's numbers: the largest range that is too small, the smallest that is enough.
    too_small: dict[str, int] = field(default_factory=dict)
    enough: dict[str, int] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)


class _Search:
    def __init__(
        self,
        circuit: Circuit,
        samples: Samples,
        limits: Limits,
        folder: Path,
        gas: Callable[[str, Path, Proof], int],
        report: Callable[[str], None],
    ) -> None:
        if circuit.run_args.prover != "ezkl":
            raise CircuitError(
                f"{circuit.name} is proved by Groth16, whose only knob is param_scale: set it in "
                "apps/run_args.json, and build the circuit again."
            )
        self.circuit, self.limits, self.folder = circuit, limits, folder
        self.gas, self.report = gas, report
        self.model = read_model(circuit.model, circuit.choice, samples.constants)
        self.unseen = circuit.samples()
        self.largest_input = circuit.run_args.largest_input
        for given in (samples, self.unseen):
            check_samples(circuit.name, given, self.model.path, self.model.input_shape)
        self.parts = [
            self._part("samples of the search", samples, RANGE_MARGIN, math.inf),
            self._part("samples that the search never saw", self.unseen, 1.0, 1e12),
        ]
        unseen = (self.unseen.calibration, self.unseen.test, self.unseen.labels)
        self.journal = Journal(
            folder / "journal.json",
            {
                "model": self.model.digest,
                "search": digest_of(samples.test, samples.labels),
                "unseen": digest_of(*unseen),
                "largest_input": self.largest_input,
                "ezkl": ezkl.VERSION,
                "costs": [figure.name for figure in fields(Cost)],
            },
        )

    def _part(self, name: str, samples: Samples, margin: float, far: float) -> _Part:
        floats = float_answers(self.circuit.model, samples.test)
        return _Part(name, samples.test, samples.labels, floats, margin, far)

    def run(self, goal: Goal, finalists: int) -> Outcome:
        few = self.parts[0].samples[:FIRST_SAMPLES]
        found = list(candidates(self.model, few, self.folder, self.journal, self.largest_input))
        found.sort(key=lambda c: (_value(c.cost, goal), c.rows, -c.run_args.param_scale))
        self.report(f"{len(found):,} circuits laid out")
        measured: list[Finalist] = []
        refusals: list[tuple[float, str]] = []
        for candidate in found:
            if any(candidate.shape.contains(f.candidate.shape) for f in measured):
                continue
            refusal = self._excess(candidate.cost)
            for part in self.parts:
                refusal = refusal or self._rehearse(candidate, part)
            if refusal:
                refusals.append(refusal)
                continue
            finalist = self._measure(candidate)
            if refusal := self._excess(finalist.cost, finalist.loss):
                refusals.append(refusal)
                continue
            measured.append(finalist)
            if len(measured) == finalists:
                break
        if not measured:
            raise CircuitError(
                f"None of {len(found):,} circuits of {self.circuit.name} meets the limits, and the "
                f"nearest {min(refusals)[1]}: raise --tolerance or --max-key, or train a smaller "
                "model."
            )
        return Outcome(found, measured, _best(measured, goal))

    def _excess(self, cost: Cost, loss: float = 0.0) -> tuple[float, str] | None:
        """Return the limit that a circuit misses most: by what factor, and in words."""
        limits = self.limits
        excess, words = max(
            (
                cost.proving_key / limits.proving_key,
                f"needs a proving key of {cost.proving_key / 1e6:,.1f} MB, "
                f"more than {limits.proving_key / 1e6:g}",
            ),
            (
                cost.code / limits.code,
                f"has a verifier of {cost.code:,.0f} bytes, more than {limits.code:,}",
            ),
            (
                loss / max(limits.tolerance, 1e-9),
                f"loses {loss:.2%} by quantising, more than {limits.tolerance:.2%}",
            ),
        )
        return (excess, words) if excess > 1 + ROUNDING else None

    def _rehearse(self, candidate: Candidate, part: _Part) -> tuple[float, str] | None:
        """Run samples through a circuit that is not built; return why it is refused, or None."""
        args, numbers = candidate.run_args, json.dumps(candidate.numbers)
        span = args.value_range
        if part.too_small.get(numbers, 0) < span < part.enough.get(numbers, span + 1):
            question = [part.name, candidate.numbers, args.decomp_base, args.decomp_legs]
            lost = self.journal.once(question, lambda: self._run(part, args))
            if lost is None:
                part.too_small[numbers] = span
            else:
                part.enough[numbers] = span
                part.losses[numbers] = lost  # the same for every range that is enough
        if span <= part.too_small.get(numbers, 0):
            return part.far, f"has too small a range for {part.name}: {knobs(args)}"
        if refusal := self._excess(candidate.cost, part.losses[numbers]):
            return refusal[0], f"{refusal[1]}, on {part.name}: {knobs(args)}"
        return None

    def _run(self, part: _Part, args: RunArgs) -> float | None:
        """Return the loss on these samples, or None if the range is too small for them."""
        base = int(args.decomp_base / part.margin ** (1 / args.decomp_legs))
        less = replace(args, decomp_base=max(base, 2), logrows=None)
        settings, draft = self.folder / "settings.json", self.folder / "draft.compiled"
        layout, doing = less.layout(self.model.outputs), self.model.translating
        try:
            grafted, facts = bound(self.model, less, self.folder)
            found = ezkl.write_settings(grafted, settings, less, doing)
            ezkl.compile_circuit(grafted, settings, draft)
            for inputs in (part.samples[:FIRST_SAMPLES], part.samples):
                quantised, _ = answers(draft, layout, inputs, f"run {part.name}")
        except RangeError:
            return None
        scale = facts.get("output_scale", found.output_scale)
        return loss(compare(part.floats, quantised / 2.0**scale, part.labels))

    def _measure(self, candidate: Candidate) -> Finalist:
        args = candidate.run_args
        found = self.journal.once(["measured", asdict(args)], lambda: self._build(args))
        return Finalist(candidate, Cost(**found["cost"]), found["cells"], found["loss"])

    def _build(self, args: RunArgs) -> dict[str, Any]:
        self.report(f"building and proving: {knobs(args)}")
        name = f"tune-{digest(asdict(args))[:12]}"
        chosen = replace(self.circuit, name=name, samples=lambda: self.unseen, run_args=args)
        artifacts = self.folder.parents[1]  # which also has the SRS
        return figures_of(chosen, artifacts=artifacts, verifiers=self.folder, gas=self.gas)


def knobs(args: RunArgs) -> str:
    """Describe the knobs of a circuit in a few words."""
    return ", ".join(
        [
            f"scales {args.input_scale} and {args.param_scale}",
            f"multiplier {args.scale_rebase_multiplier}",
            f"{args.num_inner_cols} columns",
            f"range {args.decomp_base}**{args.decomp_legs}",
            *([f"2**{args.logrows} rows"] if args.logrows else []),
            *(name.replace("_", " ") for name, chosen in args.rewriting.items() if chosen is True),
            *(["slim"] if args.slim else []),
        ]
    )


def _value(cost: Cost, goal: Goal) -> float:
    """Return the value that a search for this goal minimises."""
    return {
        "prove": cost.seconds,
        "gas": cost.gas,
        "balanced": math.sqrt(cost.seconds * cost.gas),
    }[goal]


def _best(measured: list[Finalist], goal: Goal) -> Finalist:
    """Return the finalist of the smallest value; of equal ones, that of the smallest key."""
    return min(measured, key=lambda f: (_value(f.cost, goal), f.cost.proving_key))

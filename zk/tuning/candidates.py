"""Candidates: combinations of knobs, with costs predicted from ezkl's settings alone."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from zk import ezkl
from zk.binding import Model, bind
from zk.build import LOOKUP_MARGIN
from zk.circuit import RunArgs, Shape
from zk.journal import Journal
from zk.samples import Array
from zk.tuning.costs import Cost, CostModel
from zk.witness import answers

# The ratio of input scale to parameter scale alone decides where ezkl rescales. A layout at the
# reference scale therefore holds for all parameter scales.
INPUT_SHARES = (0, 0.5, 1)  # of the parameter scale; 0 takes whole numbers unscaled
PARAM_SCALES = range(12, 2, -1)
REFERENCE_SCALE = 8
MULTIPLIERS = (1, 2, 3, 10)
COLUMNS = (1, 2, 3, 4)
LEGS = (1, 2, 3)
LARGEST_BASE = 2**14  # with more than one leg


@dataclass(frozen=True)
class Candidate:
    """A combination of knobs and its predicted cost."""

    run_args: RunArgs
    shape: Shape
    rows: int
    cost: Cost

    @property
    def numbers(self) -> list[int]:
        """The knobs that change a circuit's outputs."""
        args = self.run_args
        return [args.input_scale, args.param_scale, args.scale_rebase_multiplier]


def candidates(
    model: Model, inputs: Array, folder: Path, journal: Journal, largest_input: int | None = None
) -> Iterator[Candidate]:
    """Yield all combinations. A few real `inputs` show which numbers are looked up in tables."""
    costs = CostModel.load()

    def layout(args: RunArgs) -> tuple[int, int, list[float]]:
        question = ["layout", asdict(args)]
        rows, products, tables = journal.once(question, partial(_layout, model, args, folder))
        return rows, products, tables

    whole = np.array_equal(inputs, np.rint(inputs))
    grid = _slim_grid(largest_input) if largest_input else _grid(model, whole)
    layouts = [(args, *layout(args)) for args in tqdm(grid, "layouts", leave=False, disable=None)]
    largest = 0.0
    if any(tables for *_, tables in layouts):
        find = partial(_largest_lookup, model, inputs, folder)
        largest = journal.once(["largest lookup"], find)
    for reference, rows, products, tables in layouts:
        fewest = ezkl.fewest_logrows(rows)
        for logrows in (fewest, fewest + 1):
            usable = ezkl.usable_rows(logrows)
            base = usable if reference.decomp_legs == 1 else min(LARGEST_BASE, usable)
            args = reference if reference.slim else replace(reference, decomp_base=base)
            if args.layout(model.outputs) != reference.layout(model.outputs):
                rows, *_ = layout(args)  # more limbs take more rows
            if rows > usable:
                continue
            if ezkl.fewest_logrows(rows, args.decomp_base) != logrows:
                args = replace(args, logrows=logrows)
            for scale in PARAM_SCALES:
                finest = max(tables, default=0) * scale / REFERENCE_SCALE
                span = 2 * LOOKUP_MARGIN * largest * 2**finest
                shape = Shape(
                    logrows=logrows,
                    columns=args.num_inner_cols,
                    tables=len(tables) * math.ceil(span / usable),
                    matrices=math.ceil(products / (args.num_inner_cols * usable)),
                )
                input_scale = args.input_scale * scale // REFERENCE_SCALE
                chosen = replace(args, input_scale=input_scale, param_scale=scale)
                yield Candidate(chosen, shape, rows, costs.predict(shape))


def bound(model: Model, args: RunArgs, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Bind the model as these knobs require; return its path, and the facts of a slim circuit."""
    layout, rewriting = args.layout(model.outputs), args.rewriting
    kind = [name for name, chosen in rewriting.items() if chosen]
    path = folder / f"{'-'.join(['bound', model.digest[:16], str(layout.limbs), *kind])}.onnx"
    if args.slim or not path.is_file():
        return path, bind(model, layout, folder / "model.onnx", path, **rewriting)
    return path, {}


def _slim_grid(largest_input: int) -> list[RunArgs]:
    """Return the knobs of slim circuits, which neither rescale values nor compare them."""
    return [
        RunArgs(
            input_scale=0,
            param_scale=min(PARAM_SCALES),  # the larger ones may exceed the bounds
            num_inner_cols=columns,
            decomp_base=2,
            decomp_legs=1,
            largest_input=largest_input,
        )
        for columns in COLUMNS
    ]


def _grid(model: Model, whole: bool) -> list[RunArgs]:
    return [
        RunArgs(
            input_scale=int(share * REFERENCE_SCALE),
            param_scale=REFERENCE_SCALE,
            scale_rebase_multiplier=multiplier,
            num_inner_cols=columns,
            decomp_base=LARGEST_BASE,
            decomp_legs=legs,
            matrix_convolutions=matrices,
            summed_averages="AveragePool" in model.operators,
        )
        for matrices in ((False, True) if "Conv" in model.operators else (False,))
        for share in INPUT_SHARES
        if whole or share
        for multiplier in MULTIPLIERS
        for legs in LEGS
        for columns in COLUMNS
    ]


def _layout(model: Model, args: RunArgs, folder: Path) -> tuple[int, int, list[float]]:
    """Return the rows, the cells for matrix products and the scale of each lookup table."""
    grafted, _ = bound(model, args, folder)
    settings = ezkl.write_settings(grafted, folder / "settings.json", args, model.translating)
    return settings.rows, settings.product_cells, settings.lookup_scales


def _largest_lookup(model: Model, inputs: Array, folder: Path) -> float:
    """Return the largest absolute value that is looked up in a table, at scale 0."""
    args = RunArgs(input_scale=REFERENCE_SCALE, param_scale=REFERENCE_SCALE)
    (grafted, _), draft = bound(model, args, folder), folder / "draft.compiled"
    _, _, tables = _layout(model, args, folder)
    ezkl.compile_circuit(grafted, folder / "settings.json", draft)
    _, lookups = answers(draft, args.layout(model.outputs), inputs, "run the first samples")
    return max(abs(number) for number in lookups) / 2 ** max(tables, default=0.0)

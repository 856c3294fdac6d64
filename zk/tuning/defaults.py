"""The knobs of a circuit that nobody has tuned: those that change its size alone. In seconds."""

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from zk import ezkl
from zk.binding import Model, bind
from zk.circuit import RunArgs
from zk.tuning.costs import CostModel

# Changes to the model, and the operators that they change; see `zk.rewriting`.
CHANGES = {"matrix_convolutions": "Conv", "summed_averages": "AveragePool"}
# The same range of values as the default, with one lookup less for each value, in a table of 2**15.
TWO_LEGS = {"decomp_base": 2**15, "decomp_legs": 2}


def cheapest_knobs(model: Model, args: RunArgs) -> dict[str, Any]:
    """Return the knobs with the smallest proving key, as predicted, and then the fewest cells."""
    operators = {node.op_type for node in model.proto.graph.node}
    kinds = [(False, True) if operator in operators else (False,) for operator in CHANGES.values()]
    found: list[tuple[ezkl.Settings, dict[str, Any]]] = []
    for chosen in product(*kinds):
        knobs: dict[str, Any] = dict(zip(CHANGES, chosen, strict=True))
        found.append((laid_out(model, args, knobs), knobs))
    smallest, knobs = min(found, key=lambda one: size(one[0]))
    if smallest.rows > TWO_LEGS["decomp_base"]:
        knobs = {**knobs, **TWO_LEGS}
        found.append((laid_out(model, args, knobs), knobs))
    return min(found, key=lambda one: size(one[0]))[1] if len(found) > 1 else {}


def size(settings: ezkl.Settings) -> tuple[float, int]:
    """Return the predicted bytes of the proving key, on the fewest rows that fit, and the cells."""
    shape = settings.shape(ezkl.fewest_logrows(settings.rows, settings.decomp_base))
    return CostModel.load().predict(shape).proving_key, settings.cells


def laid_out(model: Model, usual: RunArgs, knobs: dict[str, Any]) -> ezkl.Settings:
    args = replace(usual, **knobs)
    with tempfile.TemporaryDirectory(prefix="verdict-") as temporary:
        folder, layout = Path(temporary), args.layout(model.outputs)
        bind(model, layout, folder / "model.onnx", folder / "bound.onnx", **args.rewriting)
        return ezkl.write_settings(
            folder / "bound.onnx", folder / "settings.json", args, model.translating
        )

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
    rows = _settings(model, args).rows
    legs = [{}, TWO_LEGS] if rows > TWO_LEGS["decomp_base"] else [{}]
    choices = [
        {**dict(zip(CHANGES, chosen, strict=True)), **decomposition}
        for chosen in product(*kinds)
        for decomposition in legs
    ]
    if len(choices) == 1:
        return {}
    return min(choices, key=lambda knobs: size(model, replace(args, **knobs)))


def size(model: Model, args: RunArgs) -> tuple[float, int]:
    """Return the predicted bytes of the proving key, on the fewest rows that fit, and the cells."""
    logrows = ezkl.fewest_logrows(_settings(model, args).rows, args.decomp_base)
    found = _settings(model, args, logrows=logrows)
    return CostModel.load().predict(found.shape).proving_key, found.cells


def _settings(model: Model, args: RunArgs, **more: Any) -> ezkl.Settings:
    with tempfile.TemporaryDirectory(prefix="verdict-") as temporary:
        folder, layout = Path(temporary), args.layout(model.outputs)
        bind(model, layout, folder / "model.onnx", folder / "bound.onnx", **args.rewriting)
        return ezkl.write_settings(
            folder / "bound.onnx", folder / "settings.json", args, model.translating, **more
        )

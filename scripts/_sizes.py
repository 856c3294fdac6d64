"""How large a network may be for a circuit of so many rows."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from zk.binding import KeyLayout, bind, read_model
from zk.circuit import RunArgs, write_settings
from zk.costs import RESERVED_ROWS


def largest(network: Callable, shape: tuple[int, ...], args: RunArgs, logrows: int) -> int:
    """The most units that fit, where `network` makes an untrained network of so many units."""
    few, more = 1, 3
    first, second = (_rows(network(units), shape, args) for units in (few, more))
    each, room = (second - first) / (more - few), 2**logrows - RESERVED_ROWS
    units = few + int((room - first) // each)
    # Rows grow almost by the same number with each unit.
    while units > 0 and (excess := _rows(network(units), shape, args) - room) > 0:
        units -= max(1, int(excess // (2 * each)))
    return max(0, units)


def _rows(network, shape: tuple[int, ...], args: RunArgs) -> int:
    import torch

    from models.export import export

    with tempfile.TemporaryDirectory(prefix="verdict-") as name:
        folder = Path(name)
        model = read_model(export(network, torch.zeros(shape), folder / "network.onnx"))
        bound = folder / "bound.onnx"
        bind(model, KeyLayout.within(args.value_range), folder / "model.onnx", bound)
        return write_settings(model, bound, folder / "settings.json", args)["num_rows"]

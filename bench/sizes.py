"""The largest network that fits a circuit of a given number of rows."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from zk import ezkl
from zk.binding import bind, read_model
from zk.circuit import RunArgs


def largest(network: Callable, shape: tuple[int, ...], args: RunArgs, logrows: int) -> int:
    """The most units that fit; `network` makes an untrained network of a number of units."""
    few, more = 1, 3
    first, second = (_rows(network(units), shape, args) for units in (few, more))
    each, room = (second - first) / (more - few), ezkl.usable_rows(logrows)
    units = few + int((room - first) // each)
    # Each unit takes almost the same number of rows.
    while units > 0 and (excess := _rows(network(units), shape, args) - room) > 0:
        units -= max(1, int(excess // (2 * each)))
    return max(0, units)


def _rows(network, shape: tuple[int, ...], args: RunArgs) -> int:
    import torch

    from models.export import export

    with tempfile.TemporaryDirectory(prefix="verdict-") as name:
        folder = Path(name)
        path = folder / "network.onnx"
        path.write_bytes(export(network, torch.zeros(shape)))
        model = read_model(path)
        bound = folder / "bound.onnx"
        bind(model, args.layout(model.outputs), folder / "model.onnx", bound)
        settings = folder / "settings.json"
        return ezkl.write_settings(bound, settings, args, model.translating).rows

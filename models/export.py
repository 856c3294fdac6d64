"""From a trained network to the ONNX file that everybody builds the same circuit from."""

import logging
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

EXPORTS = Path(__file__).parent / "exports"


class TrainingError(Exception):
    """A network did not become what it must be."""


def export(network: nn.Module, sample: Tensor, path: Path) -> Path:
    """Writes the network as an ONNX file with the input `x` and the output `y`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    # What the exporter says of packages that nobody needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    try:
        torch.onnx.export(
            network.cpu().eval(),
            (sample,),
            partial,
            dynamo=True,
            opset_version=18,
            input_names=["x"],
            output_names=["y"],
            external_data=False,
            verbose=False,
        )
        _forget_sources(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _forget_sources(path: Path) -> None:
    """Removes what the exporter notes of the machine: stack traces with file names."""
    import onnx

    model = onnx.load(path)
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]
    onnx.save(model, path)

"""Export of trained networks to ONNX."""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

EXPORTS = Path(__file__).parent / "exports"


class TrainingError(Exception):
    """A trained network is below its floor."""


def export(network: nn.Module, sample: Tensor) -> bytes:
    """Return the ONNX file of a network with the input `x` and the output `y`."""
    # The exporter warns about packages that it does not need here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    program = torch.onnx.export(
        network.cpu().eval(),
        (sample,),
        dynamo=True,
        opset_version=18,
        input_names=["x"],
        output_names=["y"],
        verbose=False,
    )
    assert program
    model = program.model_proto
    _remove_metadata(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _remove_metadata(model: onnx.ModelProto) -> None:
    """Remove stack traces, which hold paths of this machine."""
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]

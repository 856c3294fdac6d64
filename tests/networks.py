"""ONNX models of chosen operators."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_onnx(path: Path, nodes: list, shape: tuple, output: tuple, **weights: np.ndarray) -> Path:
    """Write a model from `x` to `y`. Nodes are tuples: operator, inputs, output, attributes."""
    made = [
        helper.make_node(operator, given.split(), [result], **attributes)
        for operator, given, result, attributes in nodes
    ]
    kind = TensorProto.INT64 if nodes[-1][0] == "ArgMax" else TensorProto.FLOAT
    graph = helper.make_graph(
        made,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", kind, output)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path

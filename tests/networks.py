"""ONNX models of chosen operators."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(7)


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


def weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(scale=0.5, size=shape).astype(np.float32)


# Nodes, the shape of the input and the output, and the weights of some models.
MODELS = {
    "images": (
        [
            ("Conv", "x k b", "a", {"pads": [1, 2, 0, 1], "strides": [1, 2]}),
            ("Relu", "a", "c", {}),
            ("MaxPool", "c", "d", {"kernel_shape": [2, 2], "strides": [2, 1]}),
            ("Conv", "d l", "e", {}),
            ("AveragePool", "e", "f", {"kernel_shape": [2, 2]}),
            ("Flatten", "f", "g", {}),
            ("MatMul", "g m", "h", {}),
            ("Sigmoid", "h", "y", {}),
        ],
        ((1, 2, 8, 9), (1, 4)),
        {"k": weights(3, 2, 3, 2), "b": weights(3), "l": weights(2, 3, 2, 2), "m": weights(6, 4)},
    ),
    "rows": (
        [
            ("MatMul", "x m", "a", {}),
            ("Add", "a n", "b", {}),
            ("Mul", "b b", "c", {}),
            ("Sub", "c a", "d", {}),
            ("Mul", "o d", "e", {}),
            ("Softmax", "e", "f", {"axis": -1}),
            ("Add", "e f", "g", {}),
            ("Sub", "p g", "h", {}),
            ("Reshape", "h s", "i", {}),
            ("LogSoftmax", "i", "y", {"axis": 2}),
        ],
        ((3, 5), (1, 3, 4)),
        {
            **{"m": weights(5, 4), "n": weights(4), "o": weights(3, 4), "p": weights(1)},
            "s": np.array([1, 3, 4]),
        },
    ),
    "open batch": (
        [("MatMul", "x m", "y", {})],
        (("batch", 3), ("batch", 2)),
        {"m": weights(3, 2)},
    ),
    "classes": (
        [("Gemm", "x m b", "a", {"transB": 1}), ("ArgMax", "a", "y", {"axis": 1, "keepdims": 0})],
        ((4, 6), (4,)),
        {"m": weights(5, 6), "b": weights(5)},
    ),
}

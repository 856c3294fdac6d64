"""Rewritten operators compute the same, and those that cannot be rewritten stay as they are."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zk.rewriting import sum_averages, unfold_convolutions

NUMBERS = np.random.default_rng(0)


def model(nodes, shape, weights=(), *, outputs=("y",), opset: int = 18, batch=1):
    """A model of an image of this shape; the shapes of its outputs are inferred."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def run(made: onnx.ModelProto, shape) -> np.ndarray:
    batch = made.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    x = np.random.default_rng(1).normal(size=(batch, *shape)).astype(np.float32)
    return onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]


def convolution(shape, kernel, *, bias: bool = False, batch=1, **attributes):
    weights = [("kernel", NUMBERS.normal(size=kernel))]
    if bias:
        weights.append(("bias", NUMBERS.normal(size=kernel[0])))
    node = helper.make_node("Conv", ["x", *(name for name, _ in weights)], ["y"], **attributes)
    return model([node], shape, weights, batch=batch)


@pytest.mark.parametrize(
    ("shape", "kernel", "attributes"),
    [
        ((1, 5, 5), (1, 1, 3, 3), {}),
        ((2, 6, 5), (3, 2, 3, 2), {"bias": True}),
        ((2, 6, 7), (3, 2, 3, 2), {"strides": [2, 3], "pads": [1, 0, 2, 3], "bias": True}),
        ((2, 9, 8), (1, 2, 3, 2), {"dilations": [2, 3], "strides": [1, 2]}),
        ((3, 11), (2, 3, 4), {"strides": [3], "pads": [0, 2]}),
        ((1, 4, 5, 6), (2, 1, 2, 3, 2), {"strides": [1, 2, 1]}),
        ((2, 6, 5), (3, 2, 3, 2), {"batch": 3, "pads": [1, 0, 2, 3]}),
    ],
    ids=["plain", "bias", "strides and pads", "dilated", "one side", "three sides", "images"],
)
def test_convolution_becomes_a_product_with_the_same_outputs(shape, kernel, attributes):
    made = convolution(shape, kernel, **attributes)
    expected = run(made, shape)
    assert unfold_convolutions(made) == 1
    onnx.checker.check_model(made)
    operators = [node.op_type for node in made.graph.node]
    assert "Conv" not in operators and "MatMul" in operators
    assert ("Pad" in operators) == ("pads" in attributes)
    assert ("Add" in operators) == ("bias" in attributes)
    assert "kernel" not in {tensor.name for tensor in made.graph.initializer}
    assert np.allclose(run(made, shape), expected, atol=1e-5)


@pytest.mark.parametrize(
    "made",
    [
        convolution((4, 5, 5), (4, 2, 2, 2), group=2),
        convolution((1, 5, 5), (1, 1, 3, 3), auto_pad="SAME_UPPER"),
        convolution((1, 5, 5), (1, 1, 3, 3), batch="many"),
        convolution((1, "height", 5), (1, 1, 3, 3)),
    ],
    ids=["groups", "automatic padding", "open batch", "open height"],
)
def test_other_convolutions_stay(made):
    before = made.SerializeToString(deterministic=True)
    assert unfold_convolutions(made) == 0
    assert made.SerializeToString(deterministic=True) == before


def test_convolutions_within_a_graph_keep_their_order():
    weights = [(name, NUMBERS.normal(size=(1, 1, 2, 2))) for name in ("a", "b")]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Conv", ["r", "a"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Conv", ["s", "b"], ["y"]),
    ]
    made = model(nodes, (1, 6, 6), weights)
    expected = run(made, (1, 6, 6))
    assert unfold_convolutions(made) == 2
    onnx.checker.check_model(made)
    assert np.allclose(run(made, (1, 6, 6)), expected, atol=1e-5)


def average(after, *, weight=(3, 2, 2, 2), outputs=("y",), opset=18, shape=(2, 6, 6), **attributes):
    """A model of an average of windows, and the nodes after it, which have weights w."""
    attributes = {"kernel_shape": [2, 3], **attributes}
    pool = helper.make_node("AveragePool", ["x"], ["mean"], **attributes)
    weights = [("w", NUMBERS.normal(size=weight))]
    return model([pool, *after], shape, weights, outputs=outputs, opset=opset)


CONV = [helper.make_node("Conv", ["mean", "w"], ["y"])]
FLAT = helper.make_node("Flatten", ["mean"], ["flat"])


@pytest.mark.parametrize(
    "made",
    [
        average(CONV),
        average(CONV, strides=[2, 2]),
        average(CONV, pads=[1, 1, 0, 2], count_include_pad=1),
        average([FLAT, helper.make_node("MatMul", ["flat", "w"], ["y"])], weight=(40, 3)),
        average([FLAT, helper.make_node("Gemm", ["flat", "w"], ["y"])], weight=(40, 3)),
        average(CONV, opset=13),
    ],
    ids=["convolution", "strides", "pads", "product", "affine", "oldest opset"],
)
def test_average_becomes_a_sum_with_the_same_outputs(made):
    expected = run(made, (2, 6, 6))
    assert sum_averages(made) == 1
    onnx.checker.check_model(made)
    operators = {node.op_type for node in made.graph.node}
    assert "AveragePool" not in operators and "ReduceSum" in operators
    assert "w" not in {tensor.name for tensor in made.graph.initializer}
    assert np.allclose(run(made, (2, 6, 6)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "made",
    [
        average(
            [
                helper.make_node("Sigmoid", ["mean"], ["s"]),
                helper.make_node("Conv", ["s", "w"], ["y"]),
            ]
        ),
        average(CONV, opset=12),
        average(CONV, outputs=("y", "mean")),
        average([*CONV, helper.make_node("Relu", ["mean"], ["z"])], outputs=("y", "z")),
        average(CONV, pads=[1, 1, 0, 2]),
        average(CONV, pads=[1, 1, 1, 1], count_include_pad=0),
        average(CONV, ceil_mode=1),
        average(CONV, auto_pad="VALID"),
        average([FLAT, helper.make_node("MatMul", ["w", "flat"], ["y"])], weight=(3, 1)),
        average([FLAT, helper.make_node("Sub", ["flat", "w"], ["y"])], weight=(1, 40)),
        average(
            [
                helper.make_node("Sigmoid", ["w"], ["v"]),
                helper.make_node("Conv", ["mean", "v"], ["y"]),
            ]
        ),
    ],
    ids=[
        "activation",
        "old opset",
        "an output",
        "two users",
        "fewer at the edges",
        "fewer at the edges, said",
        "rounded up",
        "automatic padding",
        "second factor",
        "difference",
        "computed weights",
    ],
)
def test_other_averages_stay(made):
    before = made.SerializeToString(deterministic=True)
    assert sum_averages(made) == 0
    assert made.SerializeToString(deterministic=True) == before

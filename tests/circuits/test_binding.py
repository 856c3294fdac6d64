"""The binding: models that get a key."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.tiny import write_model
from zk.binding import Model, bind, read_model
from zk.errors import CircuitError
from zk.layout import Layout

WIDE = Layout(11, 24, outputs=3)


def graph_of(nodes, shape, *, outputs=("y",), weights=(), inputs=("x",), kind=TensorProto.FLOAT):
    """A graph whose inputs and outputs have this shape, up to what shape inference finds out."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    made = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    return helper.make_graph(nodes, "graph", given, made, [*weights])


def saved(path, graph):
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def convolving(path, shape=(1, 1, 2, 2), **attributes):
    kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    weights = [onnx.numpy_helper.from_array(kernel, "kernel")]
    conv = helper.make_node("Conv", ["x", "kernel"], ["y"], name="conv", **attributes)
    return saved(path, graph_of([conv], [1, 1, *[5] * (len(shape) - 2)], weights=weights))


def bound(path, **rewriting) -> onnx.ModelProto:
    """Bind the model at this path; return the bound model."""
    model = read_model(path)
    bind(model, WIDE, path.with_name("model.onnx"), path.with_name("bound.onnx"), **rewriting)
    return onnx.load(path.with_name("bound.onnx"))


def strides(model: onnx.ModelProto) -> list[int]:
    (conv,) = [node for node in model.graph.node if node.op_type == "Conv"]
    found = [list(a.ints) for a in conv.attribute if a.name == "strides"]
    assert len(found) == 1
    return found[0]


def test_bound_model_passes_the_key_and_computes_the_same(tmp_path):
    path = write_model(tmp_path / "tiny.onnx")
    made = bound(path)
    assert [node.op_type for node in made.graph.node] == ["Identity", "MatMul", "Relu"]
    assert [value.name for value in made.graph.input] == ["key", "features"]
    assert [value.name for value in made.graph.output] == ["key_out", "scores"]
    tensor = made.graph.input[0].type.tensor_type
    assert tensor.elem_type == TensorProto.INT64
    assert [d.dim_value for d in tensor.shape.dim] == [1, 11]
    assert not made.graph.value_info

    x, key = np.array([[1, -2, 3, 4]], np.float32), np.array([WIDE.split(WIDE.widest)])
    session = onnxruntime.InferenceSession(made.SerializeToString())
    passed, scores = session.run(None, {"key": key, "features": x})
    assert np.array_equal(passed, key)
    for file in (path, tmp_path / "model.onnx"):
        (same,) = onnxruntime.InferenceSession(file).run(None, {"features": x})
        assert np.array_equal(scores, same)


def test_names_of_the_key_that_the_model_uses(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["key"]),
        helper.make_node("Relu", ["key"], ["key_out"]),
        helper.make_node("Relu", ["key_out"], ["y"]),
    ]
    made = bound(saved(tmp_path / "taken.onnx", graph_of(nodes, [1, 3]))).graph
    assert (made.input[0].name, made.output[0].name) == ("verdict_key", "verdict_key_out")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [1, 1]),
        ({"kernel_shape": [2, 2]}, [1, 1]),
        ({"kernel_shape": [2], "kernel_shape_of": (1, 1, 2)}, [1]),
        ({"strides": [2, 1]}, [2, 1]),
        ({"kernel_shape_of": (1, 1, 2)}, [1]),
    ],
    ids=["neither", "kernel shape", "short kernel shape", "strides", "one side"],
)
def test_strides_are_spelled_out(tmp_path, attributes, expected):
    attributes = dict(attributes)
    shape = attributes.pop("kernel_shape_of", (1, 1, 2, 2))
    assert strides(bound(convolving(tmp_path / "conv.onnx", shape, **attributes))) == expected


def test_convolution_of_unknown_size(tmp_path):
    """Its kernel is computed, so that nothing says along how many sides it slides."""
    kernel = onnx.numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "ones")
    nodes = [
        helper.make_node("Relu", ["ones"], ["kernel"]),
        helper.make_node("Conv", ["x", "kernel"], ["y"], name="conv"),
    ]
    path = saved(tmp_path / "computed.onnx", graph_of(nodes, [1, 1, 5, 5], weights=[kernel]))
    with pytest.raises(CircuitError, match=r"The Conv 'conv' of .*computed\.onnx has neither"):
        bound(path)


@pytest.mark.parametrize("matrices", [False, True])
def test_convolutions_are_rewritten_on_request(tmp_path, matrices):
    made = bound(convolving(tmp_path / "conv.onnx"), matrix_convolutions=matrices)
    assert ("Conv" in {node.op_type for node in made.graph.node}) != matrices
    assert "Conv" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Conv" in {node.op_type for node in bound(tmp_path / "conv.onnx").graph.node}


@pytest.mark.parametrize("summed", [False, True])
def test_averages_are_rewritten_on_request(tmp_path, summed):
    kernel = onnx.numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "kernel")
    nodes = [
        helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[2, 2]),
        helper.make_node("Conv", ["mean", "kernel"], ["y"]),
    ]
    path = saved(tmp_path / "mean.onnx", graph_of(nodes, [1, 1, 5, 5], weights=[kernel]))
    made = bound(path, summed_averages=summed)
    assert ("AveragePool" in {node.op_type for node in made.graph.node}) != summed
    assert "AveragePool" in {node.op_type for node in bound(path).graph.node}


def test_model_is_read_with_an_open_batch(tmp_path):
    model = read_model(write_model(tmp_path / "tiny.onnx"))
    assert (model.input_shape, model.outputs) == ((1, 4), 3)
    assert model.translating == f"translate {tmp_path / 'tiny.onnx'} (operators: MatMul, Relu)"
    assert model.digest == read_model(tmp_path / "tiny.onnx").digest
    assert model.digest != read_model(write_model(tmp_path / "other.onnx", weight=0.75)).digest


@pytest.mark.parametrize(("shape", "outputs"), [([2, 3, 4], 24), ([], 1), ([1, 5], 5)])
def test_numbers_of_an_output(tmp_path, shape, outputs):
    path = saved(tmp_path / "m.onnx", graph_of([helper.make_node("Relu", ["x"], ["y"])], shape))
    model: Model = read_model(path)
    assert (model.input_shape, model.outputs) == (tuple(shape), outputs)


def test_weights_that_are_listed_as_inputs(tmp_path):
    """Old exporters list them."""
    weight = onnx.numpy_helper.from_array(np.ones((1, 3), np.float32), "w")
    node = helper.make_node("Add", ["x", "w"], ["y"])
    path = saved(tmp_path / "m.onnx", graph_of([node], [1, 3], inputs=("x", "w"), weights=[weight]))
    assert read_model(path).input_shape == (1, 3)
    assert [value.name for value in bound(path).graph.input] == ["key", "x", "w"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": ("x", "z")}, r"has the inputs x \(FLOAT\), z \(FLOAT\)\. Export it with one"),
        ({"kind": TensorProto.DOUBLE}, r"has the inputs x \(DOUBLE\)\. Export it with one"),
        (
            {"outputs": ("y", "z")},
            r"has 2 outputs, of float32: y, z\. Choose one",
        ),
        ({"shape": [1, "width", "height"]}, "the sizes width, height of x open: give all"),
        ({"shape": [1, None]}, r"the sizes \? of x open"),
    ],
    ids=["inputs", "double", "outputs", "open", "nameless"],
)
def test_model_that_cannot_be_bound_is_refused(tmp_path, changes, reason):
    outputs = changes.get("outputs", ("y",))
    nodes = [helper.make_node("Relu", ["x"], [output]) for output in outputs]
    graph = graph_of(nodes, **{"shape": [1, 3], **changes})
    with pytest.raises(CircuitError, match=reason):
        read_model(saved(tmp_path / "m.onnx", graph))


def test_file_that_is_no_model_is_named(tmp_path):
    with pytest.raises(CircuitError, match=r"none\.onnx not found: give the path of an ONNX file"):
        read_model(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_bytes(b"not an onnx file")
    with pytest.raises(CircuitError, match=r"text\.onnx is not a valid ONNX file: [^\n]*[^.]\.$"):
        read_model(tmp_path / "text.onnx")

"""Models with several inputs, open sizes, or inputs of whole numbers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zk.arrays import own_samples
from zk.binding import read_model
from zk.build import build
from zk.circuit import Choice, Circuit, RunArgs
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import answer

RANDOM = np.random.default_rng(3)
TABLE = RANDOM.normal(size=(10, 2)).astype(np.float32)
MATRIX = RANDOM.normal(size=(8, 3)).astype(np.float32)


def saved(path: Path, nodes: list, inputs: dict, weights: dict, output: list) -> Path:
    """Write a model; inputs are kinds and sizes by name."""
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, *given) for name, given in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def scaled_sum(path: Path, sizes: list) -> Path:
    """A model that multiplies one input by another and sums with a third."""
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["z"]),
        helper.make_node("Add", ["z", "offset"], ["y"]),
    ]
    inputs = {
        "x": (TensorProto.FLOAT, sizes),
        "factor": (TensorProto.FLOAT, [1, 3]),
        "offset": (TensorProto.FLOAT, [1, 3]),
    }
    return saved(path, nodes, inputs, {}, sizes)


def built(folder: Path, model: Path, **arrays: np.ndarray) -> Manifest:
    np.savez(folder / "samples.npz", **arrays)
    samples = folder / "samples.npz"
    circuit = Circuit.own("own", model, lambda: own_samples(samples), RunArgs())
    return build(circuit, artifacts=folder / "artifacts", verifiers=folder)[0]


def outputs(manifest: Manifest, x: np.ndarray) -> np.ndarray:
    return answer(manifest, x) / 2.0 ** manifest["output_scale"]


@pytest.mark.slow
def test_other_inputs_are_constants(tmp_path):
    model = scaled_sum(tmp_path / "m.onnx", [1, 3])
    x = RANDOM.normal(size=(20, 3))
    constants = {"factor": np.array([[1, 2, 4]]), "offset": np.array([[0.5, 0, -1]])}
    manifest = built(tmp_path, model, x=x, **constants)
    assert manifest["accuracy"]["agreement"] == 1
    assert outputs(manifest, np.array([1, 1, 0.5])) == pytest.approx([1.5, 2, 1])


@pytest.mark.slow
def test_whole_numbers_choose_rows_of_a_table(tmp_path):
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"], axis=0),
        helper.make_node("Reshape", ["rows", "flat"], ["all"]),
        helper.make_node("MatMul", ["all", "matrix"], ["y"]),
    ]
    weights = {"table": TABLE, "matrix": MATRIX, "flat": np.array([1, 8])}
    inputs = {"x": (TensorProto.INT64, [1, 4])}
    model = saved(tmp_path / "m.onnx", nodes, inputs, weights, [1, 3])
    manifest = built(tmp_path, model, x=RANDOM.integers(10, size=(30, 4)))
    given = np.array([1, 9, 0, 4])
    assert outputs(manifest, given) == pytest.approx(TABLE[given].reshape(-1) @ MATRIX, abs=0.1)


@pytest.mark.slow
def test_yes_and_no(tmp_path):
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["number", "matrix"], ["y"]),
    ]
    inputs = {"x": (TensorProto.BOOL, [1, 8])}
    model = saved(tmp_path / "m.onnx", nodes, inputs, {"matrix": MATRIX}, [1, 3])
    manifest = built(tmp_path, model, x=RANDOM.integers(2, size=(30, 8)) == 1)
    given = np.array([1, 0, 0, 1, 1, 0, 1, 0])
    assert outputs(manifest, given) == pytest.approx(given @ MATRIX, abs=0.1)


def test_open_sizes(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    inputs = {"x": (TensorProto.FLOAT, ["batch", 2, "length"])}
    model = saved(tmp_path / "m.onnx", nodes, inputs, {}, ["batch", 2, "length"])
    with pytest.raises(CircuitError, match="leaves the sizes length of x open: give all sizes"):
        read_model(model)
    read = read_model(model, Choice(shape=(1, 2, 5)))
    assert (read.input_shape, read.outputs) == ((1, 2, 5), 10)
    for shape in ((1, 3, 5), (1, 2)):
        with pytest.raises(CircuitError, match="does not fit the input x of"):
            read_model(model, Choice(shape=shape))


def test_inputs_that_are_refused(tmp_path):
    model = scaled_sum(tmp_path / "m.onnx", [1, 3])
    with pytest.raises(CircuitError, match=r"x \(FLOAT\), factor \(FLOAT\), offset \(FLOAT\)"):
        read_model(model)
    with pytest.raises(CircuitError, match=r"factor has shape \(3,\), but .* takes \(1, 3\)"):
        read_model(model, constants={"factor": np.ones(3), "offset": np.ones((1, 3))})
    with pytest.raises(CircuitError, match=r"factor has shape \(1, 4\), but .* takes \(1, 3\)"):
        read_model(model, constants={"factor": np.ones((1, 4)), "offset": np.ones((1, 3))})
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    inputs = {"x": (TensorProto.DOUBLE, [1, 3])}
    double = saved(tmp_path / "d.onnx", nodes, inputs, {}, [1, 3])
    with pytest.raises(CircuitError, match=r"has the inputs x \(DOUBLE\)"):
        read_model(double)


def test_one_of_several_outputs(tmp_path):
    path, shape = tmp_path / "m.onnx", [1, 3]
    nodes = [helper.make_node(name, ["x"], [name]) for name in ("Relu", "Neg")]
    given, *made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("x", "Relu", "Neg")
    )
    opset = [helper.make_opsetid("", 18)]
    graph = helper.make_graph(nodes, "two", [given], made)
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    for name in ("Relu", "Neg"):
        assert read_model(path, Choice(output=name)).output == name
    for name in (None, "Abs"):
        with pytest.raises(CircuitError, match="has 2 outputs, of float32: Relu, Neg"):
            read_model(path, Choice(output=name))

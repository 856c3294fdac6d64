"""Operators of scikit-learn, XGBoost and LightGBM as plain tensors, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.tiny import run_in
from zk.binding import read_model
from zk.circuit import Choice, Circuit, RunArgs
from zk.errors import CircuitError
from zk.samples import Samples
from zk.witness import require_translated

ML = "ai.onnx.ml"
X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
LABELS, NUMBERS = {"classlabels_int64s": [0, 1, 2]}, {"classlabels_ints": [0, 1, 2]}
TWO = {"classlabels_strings": ["no", "yes"]}


def trees(kind: str, mode: str, columns: list[int], *, seed: int = 1, **more: Any) -> dict:
    """The attributes of five random trees of depth 2, whose leaves add to these columns."""
    random = np.random.default_rng(seed)
    found: dict[str, list] = {}
    low = 0.1 if more.pop("positive", False) else -1

    def add(name: str, *values: object) -> None:
        found.setdefault(name, []).extend(values)

    for tree in range(5):
        for node in range(7):
            inner = node < 3
            add("nodes_treeids", tree)
            add("nodes_nodeids", node)
            add("nodes_featureids", int(random.integers(4)))
            add("nodes_values", float(np.float32(random.normal())) if inner else 0.0)
            add("nodes_modes", mode if inner else "LEAF")
            add("nodes_truenodeids", 2 * node + 1 if inner else 0)
            add("nodes_falsenodeids", 2 * node + 2 if inner else 0)
            if not inner:
                add(f"{kind}_treeids", *[tree] * len(columns))
                add(f"{kind}_nodeids", *[node] * len(columns))
                add(f"{kind}_ids", *columns)
                add(f"{kind}_weights", *random.uniform(low, 1, len(columns)).tolist())
    return found | more


def saved(path: Path, nodes: list, outputs: dict[str, Any], opset: int = 18) -> Path:
    made = [
        helper.make_tensor_value_info(name, *kind) if isinstance(kind, tuple) else kind
        for name, kind in outputs.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    graph = helper.make_graph(nodes, "g", [x], made)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def classifier(path: Path, operator: str, classes: int, given: dict, opset: int = 18) -> Path:
    node = helper.make_node(operator, ["x"], ["label", "scores"], domain=ML, **given)
    kind = TensorProto.STRING if "classlabels_strings" in given else TensorProto.INT64
    return saved(
        path,
        [node],
        {"label": (kind, [None]), "scores": (TensorProto.FLOAT, [None, classes])},
        opset,
    )


def both(path: Path, output: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of a model as onnxruntime runs it, and of its plain form, for each sample."""
    model = read_model(path, Choice(output))
    plain = onnxruntime.InferenceSession(model.content)
    (answer,) = onnxruntime.InferenceSession(path).run([model.output], {"x": X})
    if isinstance(answer, list):  # of a ZipMap
        answer = np.array([[one[label] for label in sorted(one)] for one in answer])
    given = plain.get_inputs()[0].name
    return answer, np.concatenate([plain.run(None, {given: x[None]})[0] for x in X])


def require_equal(path: Path, output: str | None = None) -> None:
    answer, found = both(path, output)
    assert found.shape == answer.shape
    np.testing.assert_allclose(found, answer, atol=1e-5)


@pytest.mark.parametrize("opset", [9, 18])
@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
def test_trees_of_every_comparison(tmp_path, mode, opset):
    given = trees("class", mode, [0, 1, 2], **LABELS)
    given["nodes_values"][0] = float(X[0, given["nodes_featureids"][0]])  # equal to a sample
    require_equal(classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 3, given, opset))


@pytest.mark.parametrize("after", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_several_classes(tmp_path, after):
    given = trees("class", "BRANCH_LT", [0, 1, 2], post_transform=after, **LABELS)
    given["base_values"] = [0.5, -0.25, 1.0]
    require_equal(classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 3, given))


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("after", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("column", [0, 1])
def test_two_classes_with_one_score(tmp_path, column, after, positive):
    given = trees("class", "BRANCH_LT", [column], post_transform=after, positive=positive, **TWO)
    require_equal(classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 2, given))


def test_question_that_a_tree_repeats(tmp_path):
    """Below the answer no, the answer yes to the same question leads nowhere."""
    given = trees("class", "BRANCH_LEQ", [0, 1, 2], **LABELS)
    for name in ("nodes_featureids", "nodes_values"):
        for tree in range(5):  # the children ask what the root asks
            given[name][7 * tree + 1 : 7 * tree + 3] = [given[name][7 * tree]] * 2
    require_equal(classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 3, given))


def test_tree_that_leads_to_itself(tmp_path):
    given = trees("class", "BRANCH_LT", [0, 1, 2], **LABELS)
    given["nodes_truenodeids"][1] = 1
    path = classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 3, given)
    with pytest.raises(CircuitError, match="Tree 0 of the model leads to itself"):
        read_model(path)


@pytest.mark.parametrize("after", ["NONE", "LOGISTIC"])
def test_linear_classifier_with_one_score(tmp_path, after):
    given = {"coefficients": [1.0, -2.0, 0.5, 0.25], "intercepts": [0.75]}
    given |= {"post_transform": after, "classlabels_ints": [0, 1]}
    require_equal(classifier(tmp_path / "m.onnx", "LinearClassifier", 2, given))


def test_regression(tmp_path):
    given = trees("target", "BRANCH_LEQ", [0], n_targets=1, base_values=[0.5])
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **given)
    path = saved(tmp_path / "m.onnx", [node], {"y": (TensorProto.FLOAT, [None, 1])})
    require_equal(path)


@pytest.mark.parametrize("after", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_linear_classifier(tmp_path, after):
    weights = np.random.default_rng(2).normal(size=(3, 4))
    given = {"coefficients": weights.reshape(-1).tolist(), "intercepts": [0.5, 0.0, -1.0]}
    given |= {"post_transform": after, **NUMBERS}
    require_equal(classifier(tmp_path / "m.onnx", "LinearClassifier", 3, given))


def test_linear_regression_of_scaled_numbers(tmp_path):
    scale = {"offset": [0.1, 0.2, 0.3, 0.4], "scale": [1.0, 2.0, 0.5, 3.0]}
    line = {"coefficients": [1.0, -2.0, 0.5, 0.25], "intercepts": [0.75], "targets": 1}
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain=ML, **scale),
        helper.make_node("LinearRegressor", ["s"], ["y"], domain=ML, **line),
    ]
    path = saved(tmp_path / "m.onnx", nodes, {"y": (TensorProto.FLOAT, [None, 1])})
    require_equal(path)


@pytest.mark.parametrize("after", ["SOFTMAX", "LOGISTIC"])
def test_probabilities_by_class(tmp_path, after):
    """As scikit-learn's exporter writes a logistic regression: a list of maps."""
    weights = np.random.default_rng(2).normal(size=(3, 4)).reshape(-1).tolist()
    given = {"coefficients": weights, "intercepts": [0.5, 0.0, -1.0], "post_transform": after}
    nodes = [
        helper.make_node("LinearClassifier", ["x"], ["label", "s"], domain=ML, **given, **NUMBERS),
        helper.make_node("Normalizer", ["s"], ["p"], domain=ML, norm="L1"),
        helper.make_node("ZipMap", ["p"], ["probabilities"], domain=ML, **LABELS),
    ]
    kind = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    listed = helper.make_value_info("probabilities", helper.make_sequence_type_proto(kind))
    outputs = {"label": (TensorProto.INT64, [None]), "probabilities": listed}
    require_equal(saved(tmp_path / "m.onnx", nodes, outputs))


def test_one_of_several_outputs(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Neg", ["x"], ["negative"]),
    ]
    floats = (TensorProto.FLOAT, [None, 4])
    path = saved(tmp_path / "m.onnx", nodes, {"positive": floats, "negative": floats})
    for name in ("positive", "negative"):
        require_equal(path, name)
        assert len(read_model(path, Choice(name)).proto.graph.node) == 1
    for name in (None, "other"):
        with pytest.raises(CircuitError, match=r"of float32: positive, negative\. Choose one"):
            read_model(path, Choice(name))


def test_model_without_numbers_to_prove(tmp_path):
    nodes = [helper.make_node(f"Arg{which}", ["x"], [which], axis=1) for which in ("Max", "Min")]
    whole = (TensorProto.INT64, [None, 1])
    path = saved(tmp_path / "m.onnx", nodes, {"Max": whole, "Min": whole})
    with pytest.raises(CircuitError, match="has no output of float32"):
        read_model(path)


@pytest.mark.parametrize(
    ("operator", "given", "reason"),
    [
        ("Normalizer", {"norm": "L2"}, "The Normalizer 'y' has no plain form"),
        ("Binarizer", {"threshold": 0.5}, "The Binarizer 'y' has no plain form"),
        (
            "TreeEnsembleRegressor",
            trees("target", "BRANCH_EQ", [0], n_targets=1),
            "'y' has branches of the kinds BRANCH_EQ",
        ),
        (
            "TreeEnsembleRegressor",
            trees("target", "BRANCH_LT", [0], n_targets=1, aggregate_function="MAX"),
            "'y' does not sum its trees",
        ),
        (
            "TreeEnsembleRegressor",
            trees("target", "BRANCH_LT", [0], n_targets=1, post_transform="PROBIT"),
            "'y' ends in PROBIT",
        ),
    ],
)
def test_operators_without_a_plain_form_are_refused(tmp_path, operator, given, reason):
    node = helper.make_node(operator, ["x"], ["y"], domain=ML, **given)
    path = saved(tmp_path / "m.onnx", [node], {"y": (TensorProto.FLOAT, [None, None])})
    with pytest.raises(CircuitError, match=reason):
        read_model(path)


def test_plain_form_that_answers_otherwise_is_refused(tmp_path):
    given = {"coefficients": [1.0, 2, 3, 4], "intercepts": [0.5]}
    node = helper.make_node("LinearRegressor", ["x"], ["y"], domain=ML, **given)
    model = read_model(saved(tmp_path / "m.onnx", [node], {"y": (TensorProto.FLOAT, [None, 1])}))
    samples = Samples(X[:2], X[2:])
    require_translated(model, samples)
    weight = model.proto.graph.initializer[0]
    changed = numpy_helper.to_array(weight) + np.float32(0.01)
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    with pytest.raises(CircuitError, match=r"differ from them by up to 0\.0"):
        require_translated(model, samples)


@pytest.mark.slow
def test_circuit_of_trees_answers_like_them(tmp_path):
    given = trees("class", "BRANCH_LEQ", [0, 1, 2], **LABELS)
    model = classifier(tmp_path / "m.onnx", "TreeEnsembleClassifier", 3, given)
    samples = Samples(X[:32], X[32:])
    circuit = Circuit("trees", model, "TreesVerifier", lambda: samples, RunArgs())
    manifest, _ = run_in(tmp_path, circuit)
    assert manifest["accuracy"]["agreement"] >= 0.98
    assert manifest["accuracy"]["max_error"] < 0.2

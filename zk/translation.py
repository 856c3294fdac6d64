"""Plain tensors for the operators of scikit-learn, XGBoost and LightGBM (the domain ai.onnx.ml).

A tree becomes comparisons, and one matrix product that tells which leaf they lead to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zk.errors import CircuitError
from zk.rewriting import attributes_of, remove_unused_weights
from zk.samples import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

DOMAIN = "ai.onnx.ml"
OPSET = 18  # of models without plain operators
# For each kind of node, a comparison that every version of ONNX has, and the branch it leads to.
BRANCHES = {
    "BRANCH_LEQ": ("Greater", "false"),
    "BRANCH_LT": ("Less", "true"),
    "BRANCH_GTE": ("Less", "false"),
    "BRANCH_GT": ("Greater", "true"),
}


def keep_output(model: "ModelProto", name: str) -> None:
    """Remove what the output `name` does not depend on. A ZipMap's output is what it names."""
    graph = model.graph
    source, makers = name, {output: node for node in graph.node for output in node.output}
    while source in makers and makers[source].op_type in ("ZipMap", "Identity"):
        source = makers[source].input[0]
    needed, waiting = set[str](), [source]
    while waiting:
        wanted = waiting.pop()
        if wanted in makers and wanted not in needed:
            waiting += makers[wanted].input
        needed.add(wanted)
    kept = [node for node in graph.node if needed & set(node.output)]
    del graph.node[:]
    graph.node.extend(kept)
    (value,) = (output for output in graph.output if output.name == name)
    value.name = source
    if not value.type.HasField("tensor_type"):  # float32; its shape follows from the graph
        value.type.tensor_type.elem_type = 1
    del graph.output[:]
    graph.output.append(value)
    remove_unused_weights(graph)


def translate(model: "ModelProto") -> bool:
    """Replace the operators of ai.onnx.ml, if there are any. Raise for one without a plain form."""
    graph = model.graph
    if not any(node.domain == DOMAIN for node in graph.node):
        return False
    made: list[NodeProto] = []
    for node in list(graph.node):
        made += _Writer(graph, node).nodes if node.domain == DOMAIN else [node]
    del graph.node[:]
    graph.node.extend(made)
    del graph.value_info[:]
    remove_unused_weights(graph)
    if not any(used.domain == "" for used in model.opset_import):
        model.opset_import.add(version=OPSET)
    for used in [one for one in model.opset_import if one.domain == DOMAIN]:
        model.opset_import.remove(used)
    return True


class _Writer:
    """The plain operators that replace one operator."""

    def __init__(self, graph: "GraphProto", node: "NodeProto") -> None:
        self.graph, self.node, self.given = graph, node, attributes_of(node)
        self.nodes: list[NodeProto] = []
        self.name = node.output[-1]
        writers: dict[str, Callable[[str], str]] = {
            "ArrayFeatureExtractor": self._columns,
            "Scaler": self._scaled,
            "Normalizer": self._normalized,
            "LinearRegressor": self._linear,
            "LinearClassifier": self._linear,
            "TreeEnsembleRegressor": self._trees,
            "TreeEnsembleClassifier": self._trees,
        }
        if node.op_type not in writers:
            raise self._refusal("has no plain form")
        self._add("Identity", [writers[node.op_type](node.input[0])], self.name)

    def _refusal(self, why: str) -> CircuitError:
        return CircuitError(f"The {self.node.op_type} {self.name!r} {why}: export another output.")

    def _add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{self.name}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _weight(self, what: str, values: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"{self.name}.{what}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def _columns(self, x: str) -> str:
        from onnx import numpy_helper

        fixed = {tensor.name: tensor for tensor in self.graph.initializer}
        if (columns := fixed.get(self.node.input[1])) is None:
            raise self._refusal("takes columns that it computes")
        chosen = self._weight("columns", numpy_helper.to_array(columns).reshape(-1), np.int64)
        return self._add("Gather", [x, chosen], axis=-1)

    def _scaled(self, x: str) -> str:
        moved = self._add("Sub", [x, self._weight("offset", self.given["offset"])])
        return self._add("Mul", [moved, self._weight("scale", self.given["scale"])])

    def _normalized(self, x: str) -> str:
        makers = {output: node for node in self.graph.node for output in node.output}
        before = makers.get(x)
        after = attributes_of(before).get("post_transform", b"NONE") if before else b"NONE"
        if self.given.get("norm", b"MAX") != b"L1":
            raise self._refusal("has no plain form")
        if after == b"SOFTMAX":  # which sums to 1
            return x
        axis = self._weight("axis", [1], np.int64)
        total = self._add("ReduceSum", [self._add("Abs", [x]), axis], keepdims=1)
        return self._add("Div", [x, total])

    def _linear(self, x: str) -> str:
        intercepts = np.array(self.given.get("intercepts", [0.0]), np.float32)
        rows = len(intercepts) if self.node.op_type == "LinearClassifier" else self._targets
        matrix = np.array(self.given["coefficients"], np.float32).reshape(rows, -1)
        product = self._add("MatMul", [x, self._weight("coefficients", matrix.T)])
        return self._finished(
            self._add("Add", [product, self._weight("intercepts", intercepts)]), rows
        )

    @property
    def _targets(self) -> int:
        return int(self.given.get("targets", self.given.get("n_targets", 1)))

    @property
    def _classes(self) -> int:
        found = [
            self.given.get(f"classlabels_{kind}", []) for kind in ("ints", "int64s", "strings")
        ]
        return max(map(len, found))

    def _finished(self, scores: str, count: int, sums_to_one: bool = True) -> str:
        """Add the first class of a classifier with one score, and the last function.

        As in onnxruntime, both scores sum to 1, or else to 0.
        """
        after = self.given.get("post_transform", b"NONE")
        classifier = self.node.op_type.endswith("Classifier")
        if classifier and count == 1 and self._classes == 2:
            signs = self._add("Mul", [scores, self._weight("signs", [[-1.0, 1.0]])])
            first = [1.0, 0.0] if sums_to_one and after == b"NONE" else [0.0, 0.0]
            scores = self._add("Add", [signs, self._weight("first", [first])])
        if after == b"NONE":
            return scores
        if after == b"SOFTMAX":
            return self._add("Softmax", [scores], axis=1)
        if after == b"LOGISTIC":
            return self._add("Sigmoid", [scores])
        raise self._refusal(f"ends in {after.decode()}")

    def _trees(self, x: str) -> str:
        kind = "class" if self.node.op_type.endswith("Classifier") else "target"
        if self.given.get("aggregate_function", b"SUM") != b"SUM":
            raise self._refusal("does not sum its trees")
        modes = {mode.decode() for mode in self.given["nodes_modes"]} - {"LEAF"}
        if len(modes) != 1 or not modes < set(BRANCHES):
            raise self._refusal(f"has branches of the kinds {', '.join(sorted(modes))}")
        compare, branch = BRANCHES[modes.pop()]
        found = _Trees.read(self.given, kind, branch)
        count = self._targets if kind == "target" else self._classes
        if count == 2 and set(self.given[f"{kind}_ids"]) == {0}:  # one score for both classes
            count = 1
        weights = np.pad(found.weights, ((0, 0), (0, count - found.weights.shape[1])))
        taken = self._add("Gather", [x, self._weight("features", found.features, np.int64)], axis=1)
        bits = self._add(compare, [taken, self._weight("thresholds", [found.thresholds])])
        numbers = self._add("Cast", [bits], to=1)
        reached = self._add("MatMul", [numbers, self._weight("paths", found.paths)])
        lifted = self._add("Sub", [reached, self._weight("turns", [found.turns - 1])])
        leaves = self._add("Relu", [lifted])
        scores = self._add("MatMul", [leaves, self._weight("leaves", weights)])
        base = np.array(self.given.get("base_values", [0.0]), np.float32)
        scores = self._add("Add", [scores, self._weight("base", [base[:count]])])
        return self._finished(scores, count, sums_to_one=bool((weights >= 0).all()))


@dataclass(frozen=True)
class _Trees:
    """The comparisons of several trees, and their leaves."""

    features: list[int]  # of each comparison
    thresholds: list[float]
    paths: Array  # [comparison, leaf]: 1 if it must hold for a leaf, -1 if it must not
    turns: Array  # of each leaf: the comparisons that must hold
    weights: Array  # [leaf, output]

    @classmethod
    def read(cls, given: dict[str, Any], kind: str, branch: str) -> "_Trees":
        """Read a tree ensemble. The comparisons lead to this branch, `true` or `false`."""
        numbers = list(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))
        node = {number: place for place, number in enumerate(numbers)}
        comparisons: dict[tuple[int, float], int] = {}
        leaves: list[tuple[tuple[int, int], list[tuple[int, int]]]] = []
        modes = given["nodes_modes"]
        inner = {place for place in node.values() if modes[place] != b"LEAF"}
        below = {
            (numbers[place][0], given[f"nodes_{side}nodeids"][place])
            for place in inner
            for side in ("true", "false")
        }
        waiting = [(one, list[tuple[int, int]]()) for one in numbers if one not in below]
        while waiting:
            one, path = waiting.pop()
            place = node[one]
            if len(path) > len(numbers):
                raise CircuitError(f"Tree {one[0]} of the model leads to itself: export it again.")
            if place not in inner:
                leaves.append((one, path))
                continue
            question = (given["nodes_featureids"][place], float(given["nodes_values"][place]))
            comparison = comparisons.setdefault(question, len(comparisons))
            for side in ("true", "false"):
                child = (one[0], given[f"nodes_{side}nodeids"][place])
                sign = 1 if side == branch else -1
                if (comparison, -sign) not in path:  # else nothing leads there
                    waiting.append((child, [*path, (comparison, sign)]))
        return cls._laid_out(given, kind, comparisons, leaves)

    @classmethod
    def _laid_out(cls, given: dict[str, Any], kind: str, comparisons: Any, leaves: Any) -> "_Trees":
        rows = {one: row for row, (one, _) in enumerate(leaves)}
        ids = given[f"{kind}_ids"]
        weights = np.zeros((len(leaves), max(ids) + 1), np.float32)
        owners = zip(given[f"{kind}_treeids"], given[f"{kind}_nodeids"], strict=True)
        for owner, column, weight in zip(owners, ids, given[f"{kind}_weights"], strict=True):
            if owner in rows:
                weights[rows[owner], column] += weight
        # A comparison that a path repeats with the same answer counts once.
        paths = np.zeros((len(comparisons), len(leaves)), np.float32)
        for row, (_, path) in enumerate(leaves):
            for comparison, sign in path:
                paths[comparison, row] = sign
        features, thresholds = zip(*comparisons, strict=True)
        turns = (paths > 0).sum(axis=0).astype(np.float32)
        return cls(list(features), list(thresholds), paths, turns, weights)

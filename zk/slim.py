"""Slim circuits: networks of whole numbers that check each input, and bound each value.

ezkl compares every input and output with a range, which costs rows, and splits a key into limbs. A
slim circuit does without. Each number of its input is a sum of bits, and ezkl checks a bit by its
type. Weights are rounded to whole numbers; thus the smallest and the largest value of every tensor
follow from them, and the outputs share instances.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zk.errors import CircuitError, RangeError
from zk.layout import LARGEST, Layout
from zk.rewriting import attributes_of, known, remove_unused_weights
from zk.samples import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

EXACT = 2.0**52  # numbers of 64 bits hold smaller sums of whole numbers exactly
# Operators that move numbers, or grow with each of them: bounds pass through them.
MOVING = ("Flatten", "Gather", "Identity", "Pad", "ReduceSum", "Reshape", "Squeeze", "Transpose")


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest value of each element of a tensor, times 2**scale."""

    low: Array
    high: Array
    scale: int

    @property
    def span(self) -> list[int]:
        return [int(self.low.min()), int(self.high.max())]


def make_slim(model: "ModelProto", layout: Layout, scale: int) -> dict[str, Any]:
    """Turn a model into a slim one; return the scale of its outputs and the bounds of its tensors.

    `scale` is that of the weights. Raise if a tensor has no bound, or if an output is too large.
    """
    network = _Network(model, scale)
    x, y = model.graph.input[0].name, model.graph.output[0].name
    found = network.bounded(x, sum(layout.bits))
    _sum_bits(model.graph, network.shapes[x], layout)
    if layout.lanes > 1:
        _pack(model.graph, layout)
    remove_unused_weights(model.graph)
    lowest, highest = found[y].span
    room = 2 ** (layout.lane_bits - 1) if layout.lanes > 1 else LARGEST
    if not -room <= lowest <= highest < room:
        raise RangeError(
            f"The outputs of a slim circuit with weights at scale {scale} are from {lowest} to "
            f"{highest}, and should be from {-room} to {room - 1}: lower param_scale."
        )
    spans = {name: bounds.span for name, bounds in found.items()}
    return {"output_scale": found[y].scale, "bounds": spans}


class _Network:
    """A model whose weights become whole numbers while the bounds of its tensors are computed."""

    def __init__(self, model: "ModelProto", scale: int) -> None:
        self.model, self.graph, self.scale = model, model.graph, scale
        self.shapes, self.weights = known(model)
        self.found: dict[str, Bounds] = {}

    def bounded(self, x: str, largest: int) -> dict[str, Bounds]:
        """Return the bounds of every tensor that depends on the input `x`."""
        zeros = np.zeros(self.shapes[x])
        self.found[x] = Bounds(zeros, zeros + largest, 0)
        for node in self.graph.node:
            bounds = self._after(node)
            if max(np.abs(bounds.low).max(), np.abs(bounds.high).max()) > EXACT:
                raise RangeError(
                    f"The {node.op_type} {node.output[0]!r} of a slim circuit with weights at "
                    f"scale {self.scale} exceeds 2**52: lower param_scale."
                )
            self.found[node.output[0]] = bounds
        return self.found

    def _after(self, node: "NodeProto") -> Bounds:
        rules: dict[str, Callable[[NodeProto], Bounds | None]] = {
            "Add": self._sum,
            "Sub": self._sum,
            "Mul": self._product,
            "MatMul": self._linear,
            "Gemm": self._linear,
            **dict.fromkeys(MOVING, self._moved),
        }
        bounds = rules[node.op_type](node) if node.op_type in rules else None
        if bounds is None:
            raise CircuitError(
                f"The values of the {node.op_type} {node.output[0]!r} have no bounds, which a slim "
                "circuit needs: build it without largest_input."
            )
        return bounds

    def _moved(self, node: "NodeProto") -> Bounds | None:
        if node.input[0] not in self.found or any(name in self.found for name in node.input[1:]):
            return None
        if node.op_type == "Pad" and len(node.input) > 2:  # with a number that has another scale
            return None
        given = self.found[node.input[0]]
        return Bounds(self._run(node, given.low), self._run(node, given.high), given.scale)

    def _run(self, node: "NodeProto", values: Array) -> Array:
        from onnx.reference import ReferenceEvaluator

        opsets = {str(used.domain): int(used.version) for used in self.model.opset_import}
        more = {name: self.weights[name] for name in node.input[1:] if name}
        moved: Any = ReferenceEvaluator(node, opsets=opsets)
        return np.asarray(moved.run(None, {node.input[0]: values, **more})[0], np.float64)

    def _linear(self, node: "NodeProto") -> Bounds | None:
        given = attributes_of(node)
        plain = given.get("alpha", 1) == given.get("beta", 1) == 1 and not given.get("transA", 0)
        if node.input[0] not in self.found or node.input[1] not in self.weights or not plain:
            return None
        x, matrix = self.found[node.input[0]], self._whole(node, 1, self.scale)
        turned = matrix.T if given.get("transB", 0) else matrix
        more, less = np.maximum(turned, 0), np.minimum(turned, 0)
        low, high = x.low @ more + x.high @ less, x.high @ more + x.low @ less
        scale = x.scale + self.scale
        if len(node.input) < 3:
            return Bounds(low, high, scale)
        if node.input[2] not in self.weights:
            return None
        bias = self._whole(node, 2, scale)
        return Bounds(low + bias, high + bias, scale)

    def _sum(self, node: "NodeProto") -> Bounds | None:
        scales = [self.found[name].scale for name in node.input if name in self.found]
        if not scales:
            return None
        scale = max(scales)
        one, other = (self._operand(node, place, scale) for place in (0, 1))
        if one is None or other is None or not one.scale == other.scale == scale:
            return None
        if node.op_type == "Sub":
            return Bounds(one.low - other.high, one.high - other.low, scale)
        return Bounds(one.low + other.low, one.high + other.high, scale)

    def _product(self, node: "NodeProto") -> Bounds | None:
        one, other = (self._operand(node, place, self.scale) for place in (0, 1))
        if one is None or other is None:
            return None
        ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
        low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
        if node.input[0] == node.input[1]:  # a square, which is not negative
            low = np.where((one.low < 0) & (one.high > 0), 0, np.minimum(one.low**2, one.high**2))
        return Bounds(low, high, one.scale + other.scale)

    def _operand(self, node: "NodeProto", place: int, scale: int) -> Bounds | None:
        """Return the bounds of an operand; those of a weight are its whole numbers at `scale`."""
        name = node.input[place]
        if name in self.weights:
            values = self._whole(node, place, scale)
            return Bounds(values, values, scale)
        return self.found.get(name)

    def _whole(self, node: "NodeProto", place: int, scale: int) -> Array:
        """Replace a weight by whole numbers, those of float32, and return them."""
        from onnx import numpy_helper

        values = self.weights[node.input[place]].astype(np.float64) * 2.0**scale
        whole = np.rint(values).astype(np.float32)
        name = f"{node.output[0]}.whole.{place}"
        self.graph.initializer.append(numpy_helper.from_array(whole, name))
        node.input[place] = name
        return np.asarray(whole, np.float64)


def _sum_bits(graph: "GraphProto", shape: list[int], layout: Layout) -> None:
    """Replace the input by bits, and sum those of each number."""
    from onnx import TensorProto, helper, numpy_helper

    x = graph.input[0].name
    bits, numbers, sums, places, sizes = (
        f"{x}.{what}" for what in ("bits", "numbers", "sums", "values", "shape")
    )
    # Of a batch, two numbers at a time: Freivalds' method, which it uses, takes no single column.
    count, columns = int(np.prod(shape)), 2 if layout.batch > 1 else 1
    matrix = np.kron(np.eye(columns), np.array(layout.bits).reshape(-1, 1)).astype(np.float32)
    size = [count // columns, len(matrix)]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(bits, TensorProto.BOOL, size))
    graph.initializer.append(numpy_helper.from_array(matrix, places))
    graph.initializer.append(numpy_helper.from_array(np.array(shape), sizes))
    first = [
        helper.make_node("Cast", [bits], [numbers], name="bits", to=TensorProto.FLOAT),
        helper.make_node("MatMul", [numbers, places], [sums], name="sum_bits"),
        helper.make_node("Reshape", [sums, sizes], [x], name="shape_input"),
    ]
    for position, node in enumerate(first):
        graph.node.insert(position, node)


def _pack(graph: "GraphProto", layout: Layout) -> None:
    """Replace the output by instances that hold several outputs each.

    ezkl's weights are below 2**127: one product packs each half of an instance, the next both.
    """
    from onnx import TensorProto, helper, numpy_helper

    y = graph.output[0].name
    total, half = layout.batch * layout.outputs, layout.lanes // 2
    instances = layout.instances - layout.batch * layout.limbs
    rows = instances if total == instances * layout.lanes else 1
    halves = np.zeros((total // rows, 2 * instances // rows))
    for output in range(len(halves)):
        halves[output, output // half] = 2.0 ** (layout.lane_bits * (output % half))
    both = np.kron(np.eye(instances // rows), [[1], [2.0 ** (layout.lane_bits * half)]])
    size = np.array([rows, len(halves)])
    for name, value in (("halves", halves.astype("f")), ("both", both.astype("f")), ("size", size)):
        graph.initializer.append(numpy_helper.from_array(value, f"{y}.{name}"))
    graph.node.extend(
        [
            helper.make_node("Reshape", [y, f"{y}.size"], [f"{y}.flat"], name="flatten_outputs"),
            helper.make_node("MatMul", [f"{y}.flat", f"{y}.halves"], [f"{y}.half"], name="pack"),
            helper.make_node("MatMul", [f"{y}.half", f"{y}.both"], [f"{y}.packed"], name="join"),
        ]
    )
    del graph.output[:]
    shape = [rows, both.shape[1]]
    graph.output.append(helper.make_tensor_value_info(f"{y}.packed", TensorProto.FLOAT, shape))

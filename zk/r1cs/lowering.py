"""From ONNX to rank-one constraints: weights become whole numbers, and every value has bounds."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zk.circuit import RunArgs
from zk.errors import CircuitError, RangeError
from zk.layout import LARGEST, Layout, bit_values
from zk.r1cs.system import Sum, System, weighted
from zk.r1cs.tensors import (
    Number,
    Tensor,
    added,
    collected,
    each,
    largest,
    multiplied,
    place_of_largest,
    positive,
    windows,
    within,
)
from zk.rewriting import attributes_of, known
from zk.samples import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Operators that only move numbers.
MOVING = (
    *("Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice"),
    *("Squeeze", "Transpose", "Unsqueeze"),
)


def lower(model: "ModelProto", layout: Layout, args: RunArgs) -> tuple[System, dict[str, Any]]:
    """Turn a model into constraints; return them, the outputs' scale, and every tensor's bounds.

    Those for a batch are copies of those for one input.
    """
    network = _Network(model, replace(layout, batch=1), args)
    try:
        network.run()
    except RangeError as error:
        raise RangeError(f"{network.layer}: {error}") from None
    single = network.system
    return single.repeated(layout.batch) if layout.batch > 1 else single, network.facts


class _Network:
    """The constraints of a model, layer by layer."""

    def __init__(self, model: "ModelProto", layout: Layout, args: RunArgs) -> None:
        self.model, self.layout, self.scale = model, layout, args.param_scale
        self.shapes, self.weights = known(model)
        self.found: dict[str, Tensor] = {}
        self.layer = "The input"
        low, high = args.input_range
        name = model.graph.input[0].name
        shape = self.shapes[name]
        scale = 0 if layout.largest_input is not None else args.input_scale
        self.system = System.taking(
            layout.instances - 1, int(np.prod(shape)), bit_values(high - low), low, scale
        )
        numbers = (Number(one, low, high) for one in self.system.input_sums())
        self.found[name] = Tensor(collected(numbers, np.empty(shape)), scale)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "output_scale": self.found[self.model.graph.output[0].name].scale,
            "bounds": {name: tensor.span for name, tensor in self.found.items()},
        }

    def run(self) -> None:
        for node in self.model.graph.node:
            self.layer = f"The {node.op_type} {node.output[0]!r}"
            if not any(name in self.found for name in node.input):
                self._fold(node)
                continue
            self.system.layer(node.output[0])
            self.found[node.output[0]] = self._after(node)
        self.layer = "The output"
        self.system.publish(self._instances())

    def _instances(self) -> list[Sum]:
        """Check that the outputs fit into their instances, and pack them."""
        outputs, lanes = self.found[self.model.graph.output[0].name].flat, self.layout.lanes
        bits = self.layout.lane_bits if lanes > 1 else LARGEST.bit_length()
        self.system.layer("range of outputs")
        fitting = [within(self.system, one, -(2 ** (bits - 1)), bits) for one in outputs]
        packs = [fitting[start : start + lanes] for start in range(0, len(fitting), lanes)]
        return [
            weighted((one.sum, 2 ** (bits * lane)) for lane, one in enumerate(pack))
            for pack in packs
        ]

    def _after(self, node: "NodeProto") -> Tensor:
        rules: dict[str, Callable[[NodeProto], Tensor | None]] = {
            "Add": self._sum,
            "Sub": self._sum,
            "Mul": self._product,
            "Div": self._quotient,
            "Pow": self._power,
            "Neg": lambda node: self._scaled(self.found[node.input[0]], -1),
            "MatMul": self._linear,
            "Gemm": self._linear,
            "Conv": self._convolution,
            "Relu": self._relu,
            "MaxPool": self._pool,
            "AveragePool": self._pool,
            "GlobalAveragePool": self._mean,
            "ReduceMean": self._mean,
            "ReduceSum": self._mean,
            "ArgMax": self._place_of_largest,
            **dict.fromkeys(MOVING, self._moved),
        }
        tensor = rules[node.op_type](node) if node.op_type in rules else None
        if tensor is None:
            supported = ", ".join(sorted(rules))
            raise CircuitError(
                f"{self.layer} has no form as rank-one constraints here: build with ezkl, without "
                f"--prover, or use {supported} with constant weights."
            )
        return tensor

    def _fold(self, node: "NodeProto") -> None:
        """Compute a node that depends on no input."""
        if node.op_type == "Constant":
            given = attributes_of(node)
            from onnx import numpy_helper

            value = next(iter(given.values()))
            array = numpy_helper.to_array(value) if "value" in given else np.array(value)
            self.weights[node.output[0]] = array
        else:
            self.weights[node.output[0]] = self._run(node, [self.weights[n] for n in node.input])

    def _run(self, node: "NodeProto", values: list[Any]) -> Array:
        from onnx.reference import ReferenceEvaluator

        opsets = {str(used.domain): int(used.version) for used in self.model.opset_import}
        given = {name: value for name, value in zip(node.input, values, strict=True) if name}
        moved: Any = ReferenceEvaluator(node, opsets=opsets)
        return np.asarray(moved.run(None, given)[0])

    def _moved(self, node: "NodeProto") -> Tensor | None:
        """Move numbers as onnx moves their places. The place 0 is that of a zero, for padding."""
        filler = node.input[2] if node.op_type == "Pad" and len(node.input) > 2 else ""
        if filler and np.any(self.weights.get(filler, np.zeros(1))):
            return None
        data = [n for n in node.input if n in self.found]
        concat = node.op_type == "Concat"
        if not concat and data != [node.input[0]]:
            return None
        tensors = [self._aligned(name) for name in (node.input if concat else data)]
        finest = max(tensor.scale for tensor in tensors)
        flat, places = [Number.constant(0)], []
        for tensor in (tensor.shifted(finest - tensor.scale) for tensor in tensors):
            start = len(flat)
            flat += tensor.flat
            indices = np.arange(start, len(flat), dtype=np.int64)
            places.append(indices.reshape(tensor.numbers.shape))
        others = [] if concat else [self.weights.get(name) for name in node.input[1:]]
        moved = self._run(node, [*places, *others])
        return Tensor(collected((flat[place] for place in moved.reshape(-1)), moved), finest)

    def _aligned(self, name: str) -> Tensor:
        """Return a tensor, or a weight as a tensor."""
        return self.found[name] if name in self.found else self._whole(name, self.scale)

    def _whole(self, name: str, scale: int) -> Tensor:
        """Return a weight as whole numbers at a scale."""
        values = _rounded(self.weights[name], scale)
        return Tensor(collected(map(Number.constant, values.reshape(-1)), values), scale)

    def _sum(self, node: "NodeProto") -> Tensor:
        scales = [self.found[n].scale if n in self.found else self.scale for n in node.input]
        scale = max(scales)
        one, other = (
            self.found[name].shifted(scale - self.found[name].scale)
            if name in self.found
            else self._whole(name, scale)
            for name in node.input
        )
        factor = -1 if node.op_type == "Sub" else 1
        return Tensor(each(lambda a, b: a.plus(b, factor), one.numbers, other.numbers), scale)

    def _product(self, node: "NodeProto") -> Tensor:
        for name, weight in (node.input[:2], node.input[1::-1]):
            if weight in self.weights:
                return self._times(self.found[name], self.weights[weight])
        one, other = (self.found[name] for name in node.input)
        products = each(lambda a, b: multiplied(self.system, a, b), one.numbers, other.numbers)
        return Tensor(products, one.scale + other.scale)

    def _quotient(self, node: "NodeProto") -> Tensor | None:
        if node.input[1] not in self.weights:
            return None
        return self._times(self.found[node.input[0]], 1 / self.weights[node.input[1]])

    def _power(self, node: "NodeProto") -> Tensor | None:
        if np.any(self.weights.get(node.input[1], np.zeros(1)) != 2):
            return None
        given = self.found[node.input[0]]
        squares = each(lambda one: multiplied(self.system, one, one), given.numbers)
        return Tensor(squares, 2 * given.scale)

    def _times(self, given: Tensor, weight: Array) -> Tensor:
        factors = _rounded(weight, self.scale)
        products = each(lambda one, factor: added([(one, factor)]), given.numbers, factors)
        return Tensor(products, given.scale + self.scale)

    def _scaled(self, given: Tensor, factor: int) -> Tensor:
        return Tensor(each(lambda one: added([(one, factor)]), given.numbers), given.scale)

    def _linear(self, node: "NodeProto") -> Tensor | None:
        given = attributes_of(node)
        plain = given.get("alpha", 1) == given.get("beta", 1) == 1 and not given.get("transA", 0)
        biases = node.input[2:3]
        if node.input[1] not in self.weights or not plain:
            return None
        matrix = self.weights[node.input[1]]
        matrix = matrix.T if given.get("transB", 0) else matrix
        x = self.found.get(node.input[0])
        if x is None or matrix.ndim != 2 or any(name not in self.weights for name in biases):
            return None
        rows = x.numbers.reshape(-1, len(matrix))
        bias = self.weights[biases[0]] if biases else 0
        sums = self._rows(rows, matrix, np.broadcast_to(bias, (len(rows), matrix.shape[1])), x)
        return Tensor(sums.reshape(*x.numbers.shape[:-1], -1), x.scale + self.scale)

    def _rows(self, rows: Array, matrix: Array, bias: Array, x: Tensor) -> Array:
        """Multiply rows of numbers by a matrix of weights."""
        columns = [list(column) for column in _rounded(matrix, self.scale).T]
        constants = _rounded(bias, x.scale + self.scale)
        sums = [
            added([term for term in zip(row, column, strict=True) if term[1]], constant)
            for row, line in zip(rows, constants, strict=True)
            for column, constant in zip(columns, line, strict=True)
        ]
        return collected(sums, constants)

    def _windows(self, node: "NodeProto", window: list[int]) -> tuple[Array, list[int]] | None:
        """Return the numbers in each window, per channel, and the shape of the windows."""
        given, x = attributes_of(node), self.found[node.input[0]]
        ones = [1] * len(window)
        shape = list(x.numbers.shape)
        plain = given.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
        if shape[0] != 1 or not plain or given.get("ceil_mode", 0):
            return None
        pads = given.get("pads", [0] * 2 * len(window))
        places, found = windows(
            shape[1:],
            window,
            given.get("strides", ones),
            given.get("dilations", ones),
            pads,
        )
        flat = [*x.flat, Number.constant(0)]
        return collected((flat[place] for place in places.reshape(-1)), places), found

    def _convolution(self, node: "NodeProto") -> Tensor | None:
        x, kernel = self.found.get(node.input[0]), self.weights.get(node.input[1])
        if x is None or kernel is None or attributes_of(node).get("group", 1) != 1:
            return None
        found = self._windows(node, list(kernel.shape[2:]))
        biases = self.weights.get(node.input[2]) if len(node.input) > 2 else np.zeros(len(kernel))
        if found is None or biases is None:
            return None
        numbers, places = found
        rows = np.moveaxis(numbers, 0, -2).reshape(int(np.prod(places)), -1)
        bias = np.broadcast_to(biases, (len(rows), len(kernel)))
        sums = self._rows(rows, kernel.reshape(len(kernel), -1).T, bias, x)
        return Tensor(sums.T.reshape(1, len(kernel), *places), x.scale + self.scale)

    def _pool(self, node: "NodeProto") -> Tensor | None:
        given, x = attributes_of(node), self.found[node.input[0]]
        found = self._windows(node, list(given["kernel_shape"]))
        padded = any(given.get("pads", []))
        average = node.op_type == "AveragePool"
        counted = average and given.get("count_include_pad", 0)
        if found is None or (padded and not counted):
            return None
        numbers, places = found
        if average:
            return self._averages(numbers, x.scale, (1, len(numbers), *places))
        most = [largest(self.system, list(one)) for one in numbers.reshape(-1, numbers.shape[-1])]
        return Tensor(collected(most, np.empty((1, len(numbers), *places))), x.scale)

    def _averages(self, numbers: Array, scale: int, shape: tuple[int, ...]) -> Tensor:
        """Average over the last axis: by a finer scale for powers of 2, and else by weights."""
        count = numbers.shape[-1]
        rows = numbers.reshape(-1, count)
        power = count & (count - 1) == 0
        factor = 1 if power else int(_rounded(np.array(1 / count), self.scale))
        sums = [added([(one, factor) for one in row]) for row in rows]
        finer = count.bit_length() - 1 if power else self.scale
        return Tensor(collected(sums, np.empty(shape)), scale + finer)

    def _mean(self, node: "NodeProto") -> Tensor | None:
        given, x = attributes_of(node), self.found[node.input[0]]
        sides = x.numbers.ndim
        axes = given.get("axes") or range(sides)
        if node.op_type == "GlobalAveragePool":
            axes, keep = range(2, sides), True
        else:
            keep = bool(given.get("keepdims", 1))
            if len(node.input) > 1 and node.input[1]:
                axes = self.weights[node.input[1]].reshape(-1)
        gone = sorted(int(axis) % sides for axis in axes)
        kept = [axis for axis in range(sides) if axis not in gone]
        turned = x.numbers.transpose(*kept, *gone)
        shape = [x.numbers.shape[axis] for axis in kept]
        numbers = turned.reshape(*shape, -1)
        final = [1 if a in gone else x.numbers.shape[a] for a in range(sides)] if keep else shape
        if node.op_type != "ReduceSum":
            return self._averages(numbers, x.scale, tuple(final))
        sums = [added([(n, 1) for n in row]) for row in numbers.reshape(-1, numbers.shape[-1])]
        return Tensor(collected(sums, np.empty(final)), x.scale)

    def _relu(self, node: "NodeProto") -> Tensor:
        x = self.found[node.input[0]]
        drop = max(0, x.scale - self.scale)
        kept = each(lambda one: positive(self.system, one, drop), x.numbers)
        return Tensor(kept, x.scale - drop)

    def _place_of_largest(self, node: "NodeProto") -> Tensor | None:
        given, x = attributes_of(node), self.found[node.input[0]]
        axis = given.get("axis", 0) % x.numbers.ndim
        if x.numbers.shape[axis] != x.numbers.size or given.get("select_last_index", 0):
            return None
        place = place_of_largest(self.system, x.flat)
        return Tensor(collected([place], np.empty(1)), 0)


def _rounded(values: Any, scale: int) -> Array:
    """Return numbers times 2**scale as whole numbers of any size."""
    scaled = np.rint(np.asarray(values, np.float64) * 2.0**scale)
    found = np.empty(scaled.size, object)
    found[:] = [int(value) for value in scaled.reshape(-1)]
    return found.reshape(scaled.shape)

"""The ONNX operators that Cairo programs know.

Each is given three times: as integers in Python, as bounds of its results, and as Cairo.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cairo import arithmetic
from cairo.arithmetic import LIMIT, ONE, Integers, checked, divided, product, quantised, summed

Bounds = tuple[Integers, Integers]


class UnsupportedError(Exception):
    """A form of an operator that Cairo programs do not know."""


@dataclass(frozen=True)
class Given:
    """A node of an ONNX graph: the shapes and the constants of its inputs, and its attributes."""

    inputs: list[tuple[int, ...]]
    constants: list[Any]  # None for computed inputs
    output: tuple[int, ...]
    attributes: dict[str, Any]

    def constant(self, number: int, default: Any = None) -> Any:
        """Return a constant input, or refuse one that is computed."""
        if number >= len(self.constants):
            return default
        if self.constants[number] is None:
            raise UnsupportedError("with computed weights")
        return self.constants[number]

    def only(self, **values: Any) -> None:
        """Refuse attributes with other values than these."""
        for name, value in values.items():
            given = self.attributes.get(name, value)
            if given != value:
                raise UnsupportedError(f"with {name} {given}")

    def last_axis(self, default: int) -> int:
        """Return the width of the last axis, or refuse another axis."""
        rank = len(self.inputs[0])
        if self.attributes.get("axis", default) % rank != rank - 1:
            raise UnsupportedError("along another axis than the last")
        return self.inputs[0][-1]


@dataclass(frozen=True)
class Operator:
    """A computation with its constants filled in."""

    run: Callable[..., Integers]
    bounds: Callable[..., Bounds]
    body: str  # in Cairo, of x and y, `weights` and `bias`; empty if the numbers stay the same
    constants: dict[str, Integers] = field(default_factory=dict)


def rising(run: Callable[[Integers], Integers], body: str) -> Operator:
    """An operator whose results grow with its input, or stay."""
    return Operator(run, lambda x: (run(x[0]), run(x[1])), body)


def weighted(
    rows: Callable[[Integers], Integers],
    back: Callable[[Integers], Integers],
    weights: Integers,
    bias: Integers,
    body: str,
) -> Operator:
    """A matrix product: of the rows that are made from the input; `back` gives the output."""
    up, down = np.maximum(weights, 0), np.minimum(weights, 0)

    def bounds(x: Bounds) -> Bounds:
        low, high = map(rows, x)
        lowest = summed(np.hstack([low, high]), np.vstack([up, down]), bias)
        highest = summed(np.hstack([high, low]), np.vstack([up, down]), bias)
        return back(lowest), back(highest)

    return Operator(
        lambda x: back(summed(rows(x), weights, bias)),
        bounds,
        body,
        {"weights": weights.T, "bias": bias},
    )


def gemm(given: Given) -> Operator:
    given.only(transA=0, alpha=1.0, beta=1.0)
    weights = given.constant(1)
    if given.attributes.get("transB", 0):
        weights = weights.T
    return _matrix(given, weights, given.constant(2, np.zeros(1)))


def matmul(given: Given) -> Operator:
    weights = given.constant(1)
    if weights.ndim != 2:
        raise UnsupportedError(f"with weights of shape {weights.shape}")
    return _matrix(given, weights, np.zeros(1))


def _matrix(given: Given, weights: Any, bias: Any) -> Operator:
    width, columns = weights.shape
    if bias.size not in (1, columns):
        raise UnsupportedError(f"with a bias of shape {bias.shape}")
    return weighted(
        lambda x: x.reshape(-1, width),
        lambda y: y.reshape(given.output),
        quantised(weights),
        quantised(np.broadcast_to(bias.reshape(-1), columns)),
        f"fixed::linear(x, weights, bias, {width})",
    )


def conv(given: Given) -> Operator:
    weights = given.constant(1)
    if weights.ndim != 4 or given.inputs[0][0] != 1:
        raise UnsupportedError(
            f"of a shape other than 1 x channels x height x width: {given.inputs[0]}"
        )
    given.only(group=1, dilations=[1, 1], auto_pad=b"NOTSET")
    filters, channels, *kernel = weights.shape
    top, left, bottom, right = given.attributes.get("pads", [0] * 4)
    strides = given.attributes.get("strides", [1, 1])
    height, width = (given.inputs[0][2] + top + bottom, given.inputs[0][3] + left + right)
    around = ((0, 0), (0, 0), (top, bottom), (left, right))
    body = ""
    if any((top, left, bottom, right)):
        sides = f"{given.inputs[0][2]}, {given.inputs[0][3]}, {top}, {left}, {bottom}, {right}"
        body = f"let padded = fixed::pad(x, {sides});\n    let x = padded.span();\n    "
    body += _windows(given.output, width, strides)
    body += f"let rows = fixed::windows({channels}, {kernel[0]}, {height * width}, {width});\n    "
    body += f"fixed::conv(x, weights, bias, windows.span(), rows.span(), {kernel[1]})"

    def rows(x: Integers) -> Integers:
        return _patches(np.pad(x, around), kernel, strides).reshape(
            -1, channels * kernel[0] * kernel[1]
        )

    return weighted(
        rows,
        lambda y: y.T.reshape(given.output),
        quantised(weights.reshape(filters, -1).T),
        quantised(given.constant(2, np.zeros(filters))),
        body,
    )


def _windows(output: tuple[int, ...], width: int, strides: list[int]) -> str:
    """Return the statement that computes where the windows of an output begin."""
    down, right = strides[0] * width, strides[1]
    return f"let windows = fixed::windows({output[2]}, {output[3]}, {down}, {right});\n    "


def _patches(x: Integers, kernel: list[int], strides: list[int]) -> Integers:
    """Return the windows of the channels of an image: by place, channel, row and column."""
    views: Integers = np.lib.stride_tricks.sliding_window_view(x[0], tuple(kernel), (1, 2))  # type: ignore[call-overload]
    return views[:, :: strides[0], :: strides[1]].transpose(1, 2, 0, 3, 4)


def pool(given: Given, *, mean: bool) -> Operator:
    if len(given.inputs[0]) != 4 or given.inputs[0][0] != 1:
        raise UnsupportedError(
            f"of a shape other than 1 x channels x height x width: {given.inputs[0]}"
        )
    given.only(pads=[0] * 4, dilations=[1, 1], auto_pad=b"NOTSET", ceil_mode=0, storage_order=0)
    kernel = given.attributes["kernel_shape"]
    strides = given.attributes.get("strides", [1, 1])
    *_, height, width = given.inputs[0]
    body = _windows(given.output, width, strides)
    body += f"let rows = fixed::windows(1, {kernel[0]}, 0, {width});\n    "
    sizes = f"{height * width}, windows.span(), rows.span(), {kernel[1]}"
    body += f"fixed::pool(x, {sizes}, {str(mean).lower()})"

    def run(x: Integers) -> Integers:
        patches = _patches(x, kernel, strides)
        found = patches.sum((3, 4)) if mean else patches.max((3, 4))
        return divided(found, kernel[0] * kernel[1] if mean else 1).transpose(2, 0, 1)[None]

    return rising(run, body)


def reshaped(given: Given) -> Operator:
    return rising(lambda x: x.reshape(given.output), "")  # flat numbers have no shape in Cairo


def elementwise(given: Given, run: Callable[[Integers, Integers], Integers], name: str) -> Operator:
    """An operator on pairs of numbers, the second of which may be constant."""
    weights = [
        None if c is None else quantised(np.broadcast_to(c, given.output)) for c in given.constants
    ]
    shapes = {shape for shape, c in zip(given.inputs, weights, strict=True) if c is None}
    if shapes != {given.output}:
        raise UnsupportedError("of computed numbers of different shapes")

    def both(given: tuple[Any, ...]) -> list[Any]:
        computed = iter(given)
        return [next(computed) if c is None else c for c in weights]

    def bounds(*given: Bounds) -> Bounds:
        x, y = ((c, c) if c is not None else b for c, b in zip(weights, both(given), strict=True))
        ends = [run(one, other) for one in x for other in y]
        low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
        if x is y:  # a square
            return np.maximum(low, 0) if name == "mul" else low, high
        return low, high

    constants = [c for c in weights if c is not None]
    used = "x, weights" if weights[0] is None else "weights, x"
    return Operator(
        lambda *x: run(*both(x)),
        bounds,
        f"fixed::{name}({used if constants else 'x, y'})",
        {"weights": constants[0]} if constants else {},
    )


def _add(x: Integers, y: Integers) -> Integers:
    return checked(x + y)


def _sub(x: Integers, y: Integers) -> Integers:
    return checked(x - y)


def softmax(given: Given) -> Operator:
    width = given.last_axis(-1)
    return Operator(
        arithmetic.softmax,
        lambda x: (0 * x[0], 0 * x[0] + ONE),
        f"fixed::softmax(x, {width})",
    )


def log_softmax(given: Given) -> Operator:
    width = given.last_axis(-1)
    most = arithmetic.logarithm(width * arithmetic.FINE)

    def bounds(x: Bounds) -> Bounds:
        return checked(x[0] - x[1].max(axis=-1, keepdims=True) - most), 0 * x[0]

    return Operator(arithmetic.log_softmax, bounds, f"fixed::log_softmax(x, {width})")


def argmax(given: Given) -> Operator:
    width = given.last_axis(0)
    given.only(select_last_index=0)
    if width > LIMIT // ONE:
        raise UnsupportedError(f"of {width} numbers")

    def run(x: Integers) -> Integers:
        places: Integers = x.argmax(axis=-1) * ONE
        return places.reshape(given.output)

    def bounds(x: Bounds) -> Bounds:
        none = run(0 * x[0])
        return none, none + (width - 1) * ONE

    return Operator(run, bounds, f"fixed::argmax(x, {width})")


def _relu(x: Integers) -> Integers:
    return np.maximum(x, 0)


OPERATORS: dict[str, Callable[[Given], Operator]] = {
    "Add": lambda given: elementwise(given, _add, "add"),
    "ArgMax": argmax,
    "AveragePool": lambda given: pool(given, mean=True),
    "Conv": conv,
    "Flatten": reshaped,
    "Gemm": gemm,
    "LogSoftmax": log_softmax,
    "MatMul": matmul,
    "MaxPool": lambda given: pool(given, mean=False),
    "Mul": lambda given: elementwise(given, product, "mul"),
    "Relu": lambda given: rising(_relu, "fixed::relu(x)"),
    "Reshape": reshaped,
    "Sigmoid": lambda given: rising(arithmetic.sigmoid, "fixed::sigmoid(x)"),
    "Softmax": softmax,
    "Sub": lambda given: elementwise(given, _sub, "sub"),
}

"""An ONNX model as operators of Cairo programs, checked before anything is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairo.arithmetic import BeyondError, Integers, quantised, real
from cairo.operators import OPERATORS, Bounds, Given, Operator, UnsupportedError
from zk.binding import Model, read_model
from zk.errors import CircuitError
from zk.rewriting import attributes_of, known
from zk.samples import Array


@dataclass(frozen=True)
class Step:
    """An operator in its place: the value that it computes, and those that it takes."""

    number: int  # among the steps that change numbers
    name: str
    operator: Operator
    takes: tuple[str, ...]
    gives: str


@dataclass(frozen=True)
class Network:
    """The steps from an input to an output, in their order."""

    steps: list[Step]
    shape: tuple[int, ...]  # of the input
    input: str
    output: str

    def run(self, x: Integers) -> Integers:
        """Compute the output as the Cairo program does, to the last bit."""
        values = {self.input: x.reshape(self.shape)}
        for step in self.steps:
            values[step.gives] = step.operator.run(*(values[name] for name in step.takes))
        return values[self.output]

    def bounds(self, low: Integers, high: Integers) -> Bounds:
        """Return the bounds of the output; raise if a number on the way may not fit FP16x16."""
        values = {self.input: (low.reshape(self.shape), high.reshape(self.shape))}
        for step in self.steps:
            try:
                values[step.gives] = step.operator.bounds(*(values[name] for name in step.takes))
            except BeyondError as error:
                raise CircuitError(
                    f"{step.name} overflows for some inputs in this range: "
                    f"{error}. Scale the model or its inputs down."
                ) from error
        return values[self.output]

    def output_bounds(self, samples: Array) -> tuple[float, float]:
        """Return the bounds of the output for inputs between those of the samples.

        Raise if one of the samples, or an input between them, may overflow.
        """
        try:
            low, high = quantised(samples.min(axis=0)), quantised(samples.max(axis=0))
        except BeyondError as error:
            raise CircuitError(f"The samples cannot be inputs: {error}.") from error
        lowest, highest = self.bounds(low, high)
        return float(real(lowest).min()), float(real(highest).max())


def read_network(path: Path) -> Network:
    """Read an ONNX file; raise a sentence that names all that cannot be transpiled."""
    from onnx import numpy_helper

    model = read_model(path)
    graph = model.proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    (source,) = (one for one in graph.input if one.name not in weights)
    sides = source.type.tensor_type.shape.dim
    for side, size in zip(sides, model.input_shape, strict=True):
        side.dim_value = size  # an open batch is one input
    shapes, constants = known(model.proto)
    steps, refused = list[Step](), list[str]()
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        try:
            number = 1 + sum(bool(step.operator.body) for step in steps)
            steps.append(_step(node, number, shapes, constants))
        except UnsupportedError as error:
            refused.append(f"{node.op_type} {error}".strip())
        except BeyondError as error:
            refused.append(f"{node.op_type} with weights beyond FP16x16 ({error})")
    if refused:
        raise CircuitError(_refusal(model, refused))
    if not any(step.operator.body for step in steps):
        raise CircuitError(f"{path} computes nothing: give a model with weights.")
    return Network(steps, model.input_shape, source.name, graph.output[0].name)


def _step(node: Any, number: int, shapes: dict[str, list[int]], constants: dict[str, Any]) -> Step:
    if node.op_type not in OPERATORS:
        raise UnsupportedError
    inputs = [name for name in node.input if name]
    names = [*(name for name in inputs if name not in constants), node.output[0]]
    if any(0 in shapes.get(name, [0]) for name in names):
        raise UnsupportedError("of a shape that is not fixed")
    given = Given(
        [tuple(shapes.get(name, ())) for name in inputs],
        [constants.get(name) for name in inputs],
        tuple(shapes[node.output[0]]),
        attributes_of(node),
    )
    takes = tuple(name for name in inputs if name not in constants)
    name = f"{node.op_type.lower()}{number}"
    return Step(number, name, OPERATORS[node.op_type](given), takes, node.output[0])


def _refusal(model: Model, refused: list[str]) -> str:
    found = ", ".join(dict.fromkeys(refused))
    return (
        f"{model.path} cannot be transpiled, because it uses {found}: use only "
        f"{', '.join(OPERATORS)}, with fixed shapes and constant weights."
    )

"""Audits a circuit for batches: it must do to each input what the circuit of one input does."""

import numpy as np

from zk.audit.findings import Finding, Report, Severity
from zk.batches import require_batch_of
from zk.binding import read_model
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.r1cs.system import KEY, ONE, Sum, System
from zk.rewriting import attributes_of, known
from zk.samples import Array

AGAIN = "Build both circuits again with `ape run build` and deploy them again."


def audit_batch(single: Manifest, batch: Manifest) -> Report:
    """Compare two builds part by part; `audit_build` has derived each from its model."""
    size, name = batch.layout.batch, batch["circuit"]
    report = Report(f"batches of {size} by {name}, beside {single['circuit']}")
    by_groth16 = single.prover == "groth16"
    compare, parts = (_copies, "constraints") if by_groth16 else (_operators, "operators")
    try:
        require_batch_of(single, batch)
        compared, differing = compare(single, batch), ""
    except CircuitError as error:
        compared, differing = 0, str(error)
    report.check(
        not differing,
        f"all {compared} {parts} do to each of {size} inputs what those of {single['circuit']} "
        "do to one, with the same weights",
        Finding(
            "batch-differs",
            Severity.CRITICAL,
            "The circuit for batches computes another function than the circuit of one input.",
            differing,
            AGAIN,
        ),
    )
    return report


class _Graph:
    """The operators of a bound model between the model's input and output."""

    def __init__(self, manifest: Manifest) -> None:
        import onnx

        model = read_model(manifest.file("model")).proto.graph
        self.batch = manifest.layout.batch
        self.x, self.y = model.input[0].name, model.output[0].name
        bound = onnx.load(manifest.file("bound"))
        self.shapes, self.weights = known(bound)
        names = [list(node.output) for node in bound.graph.node]
        self.nodes = bound.graph.node[names.index([self.x]) + 1 : names.index([self.y]) + 1]


def _copies(single: Manifest, batch: Manifest) -> int:
    """Return the number of constraints of one input; raise at the first that has no copy.

    Each input has separate wires: its key, its outputs, and all private ones.
    """
    one, many = (System.load(build.file("constraints")) for build in (single, batch))
    size, count, taken = batch.layout.batch, len(one.constraints), set(range(many.first_input))
    if (many.public, len(many.constraints)) != (size * one.public, size * count):
        raise CircuitError(f"the constraints are not those of {size} inputs")
    for place in range(size):
        copies = many.constraints[place * count : (place + 1) * count]
        public = [ONE, KEY + place]
        public += range(1 + size + place * one.outputs, 1 + size + (place + 1) * one.outputs)
        wires = dict(enumerate(public))
        for number, (mine, its) in enumerate(zip(one.constraints, copies, strict=True)):
            if not all(_same(*sums, wires) for sums in zip(mine, its, strict=True)):
                raise CircuitError(f"constraint {number} of input {place} differs")
        private = list(wires.values())[len(public) :]
        if len({*private} - taken) < len(private):
            raise CircuitError(f"input {place} has wires that are not separate")
        taken.update(private)
    return count


def _same(mine: Sum, its: Sum, wires: dict[int, int]) -> bool:
    """Return whether a sum is the copy of another; note the copy of each wire in `wires`."""
    return list(mine.values()) == list(its.values()) and all(
        wires.setdefault(wire, copy) == copy for wire, copy in zip(mine, its, strict=True)
    )


def _operators(single: Manifest, batch: Manifest) -> int:
    """Return the number of operators; raise at the first that differs."""
    one, many = _Graph(single), _Graph(batch)
    if (one.x, one.y, len(one.nodes)) != (many.x, many.y, len(many.nodes)):
        raise CircuitError("the models have other inputs, outputs or numbers of operators")
    shapes = {one.x, *(output for node in one.nodes for output in node.output)}
    for tensor in sorted(shapes):
        first, *rest = one.shapes[tensor]
        found = many.shapes.get(tensor)
        if found not in ([first * many.batch, *rest], [many.batch, *rest]):
            raise CircuitError(f"{tensor!r} has the shape {found}, not that of one input")
    for node, other in zip(one.nodes, many.nodes, strict=True):
        same = (node.op_type, list(node.output)) == (other.op_type, list(other.output))
        if not same or attributes_of(node) != attributes_of(other):
            raise CircuitError(f"{node.op_type} {node.output[0]!r} is another operator")
        for place, (mine, its) in enumerate(zip(node.input, other.input, strict=True)):
            if mine not in one.weights:
                fits = mine == its and its not in many.weights
            else:
                fits = its in many.weights and np.array_equal(
                    _for_all(one, many.batch, node.op_type, node.input[0], one.weights[mine]),
                    many.weights[its],
                )
            if not fits:
                raise CircuitError(f"operand {place} of {node.op_type} {node.output[0]!r} differs")
    return len(one.nodes)


def _for_all(graph: _Graph, batch: int, operator: str, operand: str, weight: Array) -> Array:
    """Return the weight that does to each input what this one does to one input."""
    if operator == "Gather":  # places in the input, one after the other
        count = int(np.prod(graph.shapes[operand]))
        return np.concatenate([weight + count * place for place in range(batch)])
    if operator == "Reshape" and len(weight) > 1:
        return np.array([batch, *weight[1:]])
    return weight

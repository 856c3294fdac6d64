"""Batches: one circuit that applies a model to several inputs, each apart from the others.

For ezkl, the model is widened; for Groth16, `zk.r1cs` repeats the constraints of one input.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.rewriting import attributes_of, known
from zk.samples import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def widen(model: "ModelProto", batch: int) -> None:
    """Let a model of one input take several. Raise if an operator could mix them.

    The first dimension of each tensor counts the inputs.
    """
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    shapes, weights = known(model)
    for node in graph.node:
        if not _keeps_apart(node, shapes, weights):
            raise CircuitError(
                f"The {node.op_type} {node.output[0]!r} is not known to keep the inputs of a batch "
                "apart: build the circuit without a batch."
            )
        if node.op_type == "Reshape":
            name, shape = f"{node.output[0]}.widened", weights[node.input[1]].copy()
            shape[0] = batch
            graph.initializer.append(numpy_helper.from_array(shape, name))
            node.input[1] = name
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del graph.value_info[:]
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def require_batch_of(single: Manifest, batch: Manifest) -> None:
    """Raise unless a build for several inputs answers each as the build for one input does."""
    one, several = single["circuit"], batch["circuit"]
    if single.layout.batch > 1 or batch.layout.batch == 1:
        raise CircuitError(
            f"{one} takes {single.layout.batch} and {several} {batch.layout.batch} inputs: give a "
            "circuit of one input, and one for batches."
        )
    for what, its, others in (
        ("prover", single.prover, batch.prover),
        ("model", single["files"]["model"]["sha256"], batch["files"]["model"]["sha256"]),
        ("application", single["application"], batch["application"]),
        ("output scale", single["output_scale"], batch["output_scale"]),
        ("layout", single.layout, replace(batch.layout, batch=1)),
    ):
        if its != others:
            raise CircuitError(
                f"The {what} of {several} is not that of {one}: build both from one model, with "
                "the same knobs."
            )


def _keeps_apart(
    node: "NodeProto", shapes: dict[str, list[int]], weights: dict[str, Array]
) -> bool:
    given = attributes_of(node)
    moving = [name for name in node.input if name not in weights]
    if not moving or any(shapes[name][0] != 1 for name in (*moving, *node.output)):
        return False
    weight = weights.get(node.input[1]) if len(node.input) > 1 else None
    match node.op_type:
        case "Conv" | "MatMul":
            return weight is not None and len(moving) == 1
        case "Gemm":
            return weight is not None and len(moving) == 1 and not given.get("transA", 0)
        case "Add" | "Mul" | "Sub":  # a weight with fewer dimensions is the same for all inputs
            ranks = {len(shapes[name]) for name in moving}
            others = [weights[name].ndim for name in node.input if name in weights]
            return len(ranks) == 1 and max(others, default=0) <= min(ranks)
        case "Reshape":
            return weight is not None and bool(weight[0] == 1 and (weight > 0).all())
        case "Flatten":
            return bool(given.get("axis", 1) == 1)
        case "Identity" | "Relu":
            return True
    return False

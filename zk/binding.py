"""The binding: a key that passes through the circuit unchanged and names the account of a proof."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zk.batches import widen
from zk.errors import CircuitError
from zk.layout import Layout
from zk.rewriting import sum_averages, unfold_convolutions
from zk.slim import make_slim

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto


@dataclass(frozen=True)
class Model:
    """An ONNX model with one float32 input, one output and all weights loaded."""

    path: Path
    proto: "ModelProto"
    input_shape: tuple[int, ...]
    outputs: int  # numbers in the output

    @property
    def digest(self) -> str:
        """The hash of the graph and its weights."""
        return hashlib.sha256(self.proto.SerializeToString(deterministic=True)).hexdigest()

    @property
    def operators(self) -> str:
        """The operators of the graph, for errors."""
        return ", ".join(sorted({node.op_type for node in self.proto.graph.node}))

    @property
    def translating(self) -> str:
        """The task of laying out this model, for the errors of `zk.ezkl`."""
        return f"translate {self.path} (operators: {self.operators})"


def bind(
    model: Model,
    layout: Layout,
    model_path: Path,
    bound_path: Path,
    *,
    matrix_convolutions: bool = False,
    summed_averages: bool = False,
    weight_scale: int | None = None,
    batch: int = 1,
) -> dict[str, Any]:
    """Write the model to `model_path`, and the model with a key to `bound_path`.

    The key is an integer input that an Identity passes to an output before `y`. External weights
    move into both files. For `matrix_convolutions` and `summed_averages` see `zk.rewriting`. A slim
    layout has a `weight_scale`; return what `zk.slim` finds out about the circuit.
    """
    import onnx
    from onnx import TensorProto, helper

    onnx.save(model.proto, model_path)
    proto = onnx.load(model_path)
    if batch > 1:
        widen(proto, batch)
    if summed_averages:
        sum_averages(proto)
    if matrix_convolutions:
        unfold_convolutions(proto)
    graph = proto.graph
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "Conv":
            _spell_out_strides(node, graph, model.path)
    facts = {} if weight_scale is None else make_slim(proto, layout, weight_scale)

    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    key = next(n for n in ("key", "verdict_key") if n not in taken)
    passed = next(n for n in ("key_out", "verdict_key_out") if n not in taken)
    shape = [layout.batch, layout.limbs]
    graph.input.insert(0, helper.make_tensor_value_info(key, TensorProto.INT64, shape))
    graph.output.insert(0, helper.make_tensor_value_info(passed, TensorProto.INT64, shape))
    graph.node.insert(0, helper.make_node("Identity", [key], [passed], name="pass_key"))
    onnx.checker.check_model(proto)
    onnx.save(proto, bound_path)
    return facts


def _spell_out_strides(conv: "NodeProto", graph: "GraphProto", path: Path) -> None:
    """Add the strides that ONNX lets a Conv omit, but ezkl does not."""
    from onnx import helper

    given = {attribute.name: attribute for attribute in conv.attribute}
    kernels = [tensor for tensor in graph.initializer if tensor.name == conv.input[1]]
    if "strides" in given:
        return
    if "kernel_shape" in given:
        dimensions = len(given["kernel_shape"].ints)
    elif kernels:
        dimensions = len(kernels[0].dims) - 2
    else:
        raise CircuitError(
            f"The Conv {conv.name!r} of {path} has neither strides nor a kernel shape: "
            "export the model with one of them."
        )
    conv.attribute.append(helper.make_attribute("strides", [1] * dimensions))


def read_model(path: Path) -> Model:
    """Read an ONNX file; raise if it cannot become a circuit."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        missing = error.filename or path
        raise CircuitError(
            f"{missing} not found: give the path of an ONNX file, with its weights file beside it."
        ) from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise CircuitError(f"{path} is not a valid ONNX file: {reason}.") from error
    tensors = _input_and_output(model, path)
    input_shape, output_shape = (_fixed_shape(tensor, path) for tensor in tensors)
    return Model(path, model, input_shape, outputs=math.prod(output_shape))


def _input_and_output(model: "ModelProto", path: Path) -> "tuple[ValueInfoProto, ValueInfoProto]":
    from onnx import TensorProto

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    floats = [i for i in inputs if i.type.tensor_type.elem_type == TensorProto.FLOAT]
    outputs = model.graph.output
    if len(inputs) != 1 or len(floats) != 1 or len(outputs) != 1:
        raise CircuitError(
            f"{path} has {len(inputs)} inputs ({len(floats)} of them float32) and {len(outputs)} "
            "outputs: export it with one float32 input and one output."
        )
    return inputs[0], outputs[0]


def _fixed_shape(tensor: "ValueInfoProto", path: Path) -> tuple[int, ...]:
    """Return the shape of a tensor, after setting an open batch dimension to 1."""
    dimensions = tensor.type.tensor_type.shape.dim
    if dimensions and not dimensions[0].HasField("dim_value"):
        dimensions[0].dim_value = 1
    open_sizes = [d.dim_param or "?" for d in dimensions if not d.HasField("dim_value")]
    if open_sizes:
        raise CircuitError(
            f"{path} leaves the sizes {', '.join(open_sizes)} of {tensor.name} open: export it "
            "with fixed sizes (only the first, the batch, may be open)."
        )
    return tuple(d.dim_value for d in dimensions)

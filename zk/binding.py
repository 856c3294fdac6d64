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
from zk.translation import keep_output, translate

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto


@dataclass(frozen=True)
class Model:
    """An ONNX model with one float32 input and one output, plain operators and all weights."""

    path: Path
    proto: "ModelProto"
    input_shape: tuple[int, ...]
    outputs: int  # numbers in the output
    output: str  # its name in the file

    @property
    def digest(self) -> str:
        """The hash of the graph and its weights."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def content(self) -> bytes:
        """The graph and its weights, as a file."""
        return bytes(self.proto.SerializeToString(deterministic=True))

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


def read_model(path: Path, output: str | None = None) -> Model:
    """Read an ONNX file; raise if it cannot become a circuit.

    Of several outputs, take the one named `output`, or the only one of float32.
    """
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
    given = _input(model, path)
    chosen = _output(model, path, output)
    name = chosen.name
    if len(model.graph.output) > 1 or not chosen.type.HasField("tensor_type"):
        keep_output(model, name)
    translate(model)
    input_shape = _fixed_shape(given, path)
    (result,) = model.graph.output
    if not result.type.tensor_type.HasField("shape"):
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
        result.CopyFrom(inferred)
    onnx.checker.check_model(model)
    outputs = math.prod(_fixed_shape(result, path))
    return Model(path, model, input_shape, outputs, output=name)


def _input(model: "ModelProto", path: Path) -> Any:
    from onnx import TensorProto

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    floats = [i for i in inputs if i.type.tensor_type.elem_type == TensorProto.FLOAT]
    if len(inputs) != 1 or len(floats) != 1:
        raise CircuitError(
            f"{path} has {len(inputs)} inputs ({len(floats)} of them float32): export it with one "
            "float32 input."
        )
    return floats[0]


def _output(model: "ModelProto", path: Path, name: str | None) -> Any:
    """The output of this name, or the only one, or the only one of floats, perhaps in maps."""
    from onnx import TensorProto

    outputs = list(model.graph.output)
    if len(outputs) == 1 and name in (None, outputs[0].name):
        return outputs[0]
    floats = [
        output
        for output in outputs
        if output.type.HasField("sequence_type")
        or output.type.tensor_type.elem_type == TensorProto.FLOAT
    ]
    found = [output for output in floats if name in (None, output.name)]
    if len(found) != 1:
        names = ", ".join(output.name for output in floats) or "none"
        raise CircuitError(
            f"{path} has {len(outputs)} outputs, of float32: {names}. Choose one of these with "
            "--output."
            if floats
            else f"{path} has no output of float32: export it with one."
        )
    return found[0]


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

"""The binding: a key that passes through the circuit unchanged and names the account of a proof."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zk.batches import widen
from zk.circuit import EVERYTHING, Choice
from zk.errors import CircuitError
from zk.layout import Layout
from zk.rewriting import sum_averages, unfold_convolutions
from zk.samples import Array
from zk.slim import make_slim
from zk.translation import keep_output, translate

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto


@dataclass(frozen=True)
class Model:
    """An ONNX model with one input and one output, plain operators and all weights."""

    path: Path
    proto: "ModelProto"
    input_shape: tuple[int, ...]
    outputs: int  # numbers in the output
    output: str  # its name in the file
    translated: bool  # the file has operators that became plain ones

    @property
    def input(self) -> str:
        """The name of the input."""
        return str(self.proto.graph.input[0].name)

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


def read_model(
    path: Path, choice: Choice = EVERYTHING, constants: Mapping[str, Array] | None = None
) -> Model:
    """Read an ONNX file; raise if it cannot become a circuit.

    Of several inputs, all but one are among the `constants`, by name.
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
    _fix_inputs(model, constants or {}, path)
    given = _input(model, path)
    chosen = _output(model, path, choice.output)
    name = chosen.name
    if len(model.graph.output) > 1 or not chosen.type.HasField("tensor_type"):
        keep_output(model, name)
    translated = translate(model)
    if choice.shape:
        _set_shape(given, choice.shape, path)
    input_shape = _fixed_shape(given, path)
    (result,) = model.graph.output
    if choice.shape or not result.type.tensor_type.HasField("shape"):
        result.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
        result.CopyFrom(inferred)
    onnx.checker.check_model(model)
    outputs = math.prod(_fixed_shape(result, path))
    return Model(path, model, input_shape, outputs, name, translated)


def _fix_inputs(model: "ModelProto", constants: Mapping[str, Array], path: Path) -> None:
    """Turn the inputs among the constants into weights."""
    from onnx import helper, numpy_helper

    graph = model.graph
    for given in [one for one in graph.input if one.name in constants]:
        kind = given.type.tensor_type
        wanted = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        value = np.asarray(constants[given.name])
        sizes = [size.dim_value for size in kind.shape.dim]
        if len(sizes) != value.ndim or any(
            size not in (0, found) for size, found in zip(sizes, value.shape, strict=True)
        ):
            raise CircuitError(
                f"The constant {given.name} has shape {value.shape}, but {path} takes "
                f"{tuple(size or '?' for size in sizes)}."
            )
        graph.initializer.append(numpy_helper.from_array(value.astype(wanted), given.name))
        graph.input.remove(given)


def _input(model: "ModelProto", path: Path) -> Any:
    from onnx import TensorProto

    kinds = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type not in kinds:
        name_of = TensorProto.DataType.Name
        found = [f"{one.name} ({name_of(one.type.tensor_type.elem_type)})" for one in inputs]
        raise CircuitError(
            f"{path} has the inputs {', '.join(found) or 'none'}. Export it with one of "
            "float32, int64, int32 or bool, or give the values of all others as arrays of these "
            "names in the .npz of the samples."
        )
    return inputs[0]


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


def _set_shape(tensor: "ValueInfoProto", shape: tuple[int, ...], path: Path) -> None:
    """Set the open sizes of the input."""
    dimensions = tensor.type.tensor_type.shape.dim
    found = tuple(size.dim_value or "?" for size in dimensions)
    fits = len(shape) == len(found) and all(
        there in ("?", size) for there, size in zip(found, shape, strict=False)
    )
    if not fits:
        raise CircuitError(
            f"--shape {','.join(map(str, shape))} does not fit the input {tensor.name} of {path}, "
            f"which has the sizes {', '.join(map(str, found))}."
        )
    for dimension, size in zip(dimensions, shape, strict=True):
        dimension.dim_value = size


def _fixed_shape(tensor: "ValueInfoProto", path: Path) -> tuple[int, ...]:
    """Return the shape of a tensor, after setting an open batch dimension to 1."""
    dimensions = tensor.type.tensor_type.shape.dim
    if dimensions and not dimensions[0].HasField("dim_value"):
        dimensions[0].dim_value = 1
    open_sizes = [d.dim_param or "?" for d in dimensions if not d.HasField("dim_value")]
    if open_sizes:
        raise CircuitError(
            f"{path} leaves the sizes {', '.join(open_sizes)} of {tensor.name} open: give all "
            "sizes of the input with --shape (only the first, the batch, may be open)."
        )
    return tuple(d.dim_value for d in dimensions)

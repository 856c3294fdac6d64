"""Rewriting of operators, so that a model with the same outputs makes a cheaper circuit.

Convolutions become matrix products, which Freivalds' method checks: its cost grows with the sizes
of the matrices, not with the number of multiplications. It needs extra columns, so it pays if
convolutions are the largest part of a circuit.

Averages become sums, because a division costs as much as fifty additions. The weights that follow
are divided instead, before the circuit is built, and therefore need a finer scale.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from zk.samples import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

# Operators that do not change numbers, so that a factor can move past them.
PASSING = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def unfold_convolutions(model: "ModelProto") -> int:
    """Turn each plain convolution of a graph into a matrix product; return their number.

    Convolutions in groups, with automatic padding or with computed weights stay as they are.
    """
    shapes, weights = known(model)
    plain = [
        node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in weights
        and attributes_of(node).get("group", 1) == 1
        and _is_plain(node, shapes)
    ]
    for node in plain:
        _unfold(node, model.graph, shapes[node.input[0]], weights[node.input[1]])
    remove_unused_weights(model.graph)
    return len(plain)


def sum_averages(model: "ModelProto") -> int:
    """Turn averages into sums if the weights that follow can be divided; return their number.

    Averages stay as they are if they have automatic padding or fewer numbers at the edges, or if
    anything but a convolution or a product with weights follows, and in models before opset 13.
    """
    shapes, weights = known(model)
    opset = min(used.version for used in model.opset_import if used.domain in ("", "ai.onnx"))
    if opset < 13:  # ReduceSum took its axes as an attribute
        return 0
    found = []
    for node in model.graph.node:
        if node.op_type == "AveragePool" and _is_whole(node) and _is_plain(node, shapes):
            linear = _linear_after(node.output[0], model.graph, weights)
            if linear:
                found.append((node, linear))
    for node, linear in found:
        _sum(node, model.graph, shapes[node.input[0]])
        _divide(linear, model.graph, int(np.prod(attributes_of(node)["kernel_shape"])))
    remove_unused_weights(model.graph)
    return len(found)


def known(model: "ModelProto") -> tuple[dict[str, list[int]], dict[str, Array]]:
    """Return the shapes of a graph's tensors, and its weights."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return shapes, weights


def remove_unused_weights(graph: "GraphProto") -> None:
    """Remove the weights that no node takes."""
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def _is_plain(node: "NodeProto", shapes: dict[str, list[int]]) -> bool:
    """Return whether a window slides over images of known size with explicit padding."""
    shape = shapes.get(node.input[0], [0])
    padding = attributes_of(node).get("auto_pad", b"NOTSET")
    return padding == b"NOTSET" and 0 not in shape


def attributes_of(node: "NodeProto") -> dict[str, Any]:
    """Return the attributes that a node gives."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


class _Replacement:
    """The nodes that replace a node whose window slides over an image."""

    def __init__(self, node: "NodeProto", graph: "GraphProto", shape: list[int]) -> None:
        self.node, self.graph, self.nodes = node, graph, list["NodeProto"]()
        self.x, self.size = node.input[0], shape[2:]
        sides = len(self.size)
        pads = list(attributes_of(node).get("pads", [0] * 2 * sides))
        if any(pads):
            around = np.array([0, 0, *pads[:sides], 0, 0, *pads[sides:]])
            self.x = self.add("Pad", [self.x, self.constant("pads", around)], "padded")
            self.size = [
                size + before + after
                for size, before, after in zip(self.size, pads[:sides], pads[sides:], strict=True)
            ]

    def add(self, op: str, inputs: list[str], what: str, **attributes: Any) -> str:
        """Add a node and return its output; `what` is "" for the output of the replaced node."""
        from onnx import helper

        output = ".".join([self.node.output[0], *([what] if what else [])])
        node = helper.make_node(op, inputs, [output], name=f"{op}.{output}", **attributes)
        self.nodes.append(node)
        return output

    def constant(self, what: str, values: Array) -> str:
        from onnx import numpy_helper

        name = f"{self.node.output[0]}.{what}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def patches(self, channels: int, window: list[int]) -> tuple[Array, list[int]]:
        """Return `_patches` of the padded image with this number of channels."""
        given, ones = attributes_of(self.node), [1] * len(window)
        strides, dilations = given.get("strides", ones), given.get("dilations", ones)
        return _patches([channels, *self.size], window, strides, dilations)

    def finish(self) -> None:
        position = list(self.graph.node).index(self.node)
        self.graph.node.remove(self.node)
        for offset, node in enumerate(self.nodes):
            self.graph.node.insert(position + offset, node)


def _unfold(conv: "NodeProto", graph: "GraphProto", shape: list[int], kernel: Array) -> None:
    """Replace a convolution by a gather of all patches of all images and a matrix product."""
    filters, channels, *window = kernel.shape
    images, new = shape[0], _Replacement(conv, graph, shape)
    patches, places = new.patches(channels, window)
    size = channels * int(np.prod(new.size))
    patches = np.concatenate([patches + image * size for image in range(images)])
    flat = new.add("Reshape", [new.x, new.constant("flat", np.array([-1]))], "flattened")
    unfolded = new.add("Gather", [flat, new.constant("patches", patches)], "unfolded", axis=0)
    matrix = new.constant("matrix", np.ascontiguousarray(kernel.reshape(filters, -1).T))
    product = new.add("MatMul", [unfolded, matrix], "product")
    if len(conv.input) == 3:
        product = new.add("Add", [product, conv.input[2]], "biased")
    apart = new.constant("apart", np.array([images, -1, filters]))
    turned = new.add(
        "Transpose", [new.add("Reshape", [product, apart], "images")], "turned", perm=[0, 2, 1]
    )
    new.add("Reshape", [turned, new.constant("shape", np.array([images, filters, *places]))], "")
    new.finish()


def _sum(pool: "NodeProto", graph: "GraphProto", shape: list[int]) -> None:
    """Replace an average by a gather of all windows and a sum of each."""
    new, channels = _Replacement(pool, graph, shape), shape[1]
    patches, places = new.patches(1, attributes_of(pool)["kernel_shape"])
    flat = new.add(
        "Reshape", [new.x, new.constant("flat", np.array([1, channels, -1]))], "flattened"
    )
    windows = new.add("Gather", [flat, new.constant("patches", patches)], "windows", axis=2)
    last = new.constant("last", np.array([3]))
    sums = new.add("ReduceSum", [windows, last], "sums", keepdims=0)
    new.add("Reshape", [sums, new.constant("shape", np.array([1, channels, *places]))], "")
    new.finish()


def _is_whole(pool: "NodeProto") -> bool:
    """Return whether every window averages the same number of values."""
    given = attributes_of(pool)
    padded = any(given.get("pads", [])) and not given.get("count_include_pad", 0)
    return not padded and not given.get("ceil_mode", 0)


def _linear_after(
    tensor: str, graph: "GraphProto", weights: dict[str, Array]
) -> "NodeProto | None":
    """Return the product with weights that is the only user of a tensor, or None."""
    users = [node for node in graph.node if tensor in node.input]
    if len(users) != 1 or tensor in [output.name for output in graph.output]:
        return None
    (user,) = users
    if tensor != user.input[0]:
        return None
    if user.op_type in PASSING:
        return _linear_after(user.output[0], graph, weights)
    linear = user.op_type in ("Conv", "Gemm", "MatMul") and user.input[1] in weights
    return user if linear else None


def _divide(linear: "NodeProto", graph: "GraphProto", divisor: int) -> None:
    """Divide the weights of a product."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    values = numpy_helper.to_array(weights[linear.input[1]]) / np.float32(divisor)
    name = f"{linear.output[0]}.divided"
    graph.initializer.append(numpy_helper.from_array(values, name))
    linear.input[1] = name


def _patches(
    shape: list[int], window: list[int], strides: list[int], dilations: list[int]
) -> tuple[Array, list[int]]:
    """Return the elements of a flattened image in each patch, and the patches along each side."""
    places = [
        (size - (width - 1) * gap - 1) // stride + 1
        for size, width, stride, gap in zip(shape[1:], window, strides, dilations, strict=True)
    ]
    sides = len(window)
    grid = np.indices((*places, shape[0], *window))
    where = [
        grid[side] * strides[side] + grid[sides + 1 + side] * dilations[side]
        for side in range(sides)
    ]
    index = np.ravel_multi_index((grid[sides], *where), shape)
    return index.reshape(int(np.prod(places)), -1), places

"""The same model in operators that cost a circuit less.

Convolutions become matrix products, which are checked by Freivalds' method: its cost grows with the
sizes of the matrices and not with the number of multiplications. It takes columns of its own, so it
pays where convolutions are most of a circuit.

Averages become sums, because a division costs fifty times an addition. The weights that follow are
divided instead, once and for all, and so need a finer scale.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

# What passes numbers on as they are, so that a factor can be moved past it.
PASSING = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def unfold_convolutions(model: "ModelProto") -> int:
    """Turns every plain convolution of a graph into a matrix product; gives how many there were.

    Left as they are: convolutions in groups, with automatic padding, or of computed weights.
    """
    shapes, weights = _known(model)
    plain = [
        node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in weights
        and _attributes(node).get("group", 1) == 1
        and _is_plain(node, shapes)
    ]
    for node in plain:
        _unfold(node, model.graph, shapes[node.input[0]], weights[node.input[1]])
    _remove_unused_weights(model.graph)
    return len(plain)


def sum_averages(model: "ModelProto") -> int:
    """Turns the averages of a graph whose division weights can take over into sums; gives how many.

    Left as they are: averages over automatic padding, over fewer numbers at the edges, or followed
    by anything but a convolution or a product with weights; all, before opset 13.
    """
    shapes, weights = _known(model)
    opset = min(used.version for used in model.opset_import if used.domain in ("", "ai.onnx"))
    if opset < 13:  # ReduceSum took its axes otherwise
        return 0
    found = []
    for node in model.graph.node:
        if node.op_type == "AveragePool" and _is_whole(node) and _is_plain(node, shapes):
            linear = _linear_after(node.output[0], model.graph, weights)
            if linear:
                found.append((node, linear))
    for node, linear in found:
        _sum(node, model.graph, shapes[node.input[0]])
        _divide(linear, model.graph, int(np.prod(_attributes(node)["kernel_shape"])))
    _remove_unused_weights(model.graph)
    return len(found)


def _known(model: "ModelProto") -> tuple[dict[str, list[int]], dict[str, np.ndarray]]:
    """The shapes of a graph's tensors, and its weights."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return shapes, weights


def _remove_unused_weights(graph: "GraphProto") -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def _is_plain(node: "NodeProto", shapes: dict[str, list[int]]) -> bool:
    """Whether a window slides over one image of a known size, with padding that is spelled out."""
    shape = shapes.get(node.input[0], [0])
    padding = _attributes(node).get("auto_pad", b"NOTSET")
    return padding == b"NOTSET" and 0 not in shape and shape[0] == 1


def _attributes(node: "NodeProto") -> dict:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


class _Replacement:
    """The nodes that stand in the place of one whose window slides over an image."""

    def __init__(self, node: "NodeProto", graph: "GraphProto", shape: list[int]) -> None:
        self.node, self.graph, self.nodes = node, graph, list["NodeProto"]()
        self.x, self.size = node.input[0], shape[2:]
        sides = len(self.size)
        pads = list(_attributes(node).get("pads", [0] * 2 * sides))
        if any(pads):
            around = np.array([0, 0, *pads[:sides], 0, 0, *pads[sides:]])
            self.x = self.add("Pad", [self.x, self.constant("pads", around)], "padded")
            self.size = [
                size + before + after
                for size, before, after in zip(self.size, pads[:sides], pads[sides:], strict=True)
            ]

    def add(self, op: str, inputs: list[str], what: str, **attributes: Any) -> str:
        """Adds a node; the one for "" gives what the node did whose place it takes."""
        from onnx import helper

        output = ".".join([self.node.output[0], *([what] if what else [])])
        node = helper.make_node(op, inputs, [output], name=f"{op}.{output}", **attributes)
        self.nodes.append(node)
        return output

    def constant(self, what: str, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"{self.node.output[0]}.{what}"
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def patches(self, channels: int, window: list[int]) -> tuple[np.ndarray, list[int]]:
        """As `_patches` of an image of so many channels."""
        given, ones = _attributes(self.node), [1] * len(window)
        strides, dilations = given.get("strides", ones), given.get("dilations", ones)
        return _patches([channels, *self.size], window, strides, dilations)

    def finish(self) -> None:
        position = list(self.graph.node).index(self.node)
        self.graph.node.remove(self.node)
        for offset, node in enumerate(self.nodes):
            self.graph.node.insert(position + offset, node)


def _unfold(conv: "NodeProto", graph: "GraphProto", shape: list[int], kernel: np.ndarray) -> None:
    """Puts a gather of all patches and a matrix product in the place of a convolution."""
    filters, channels, *window = kernel.shape
    new = _Replacement(conv, graph, shape)
    patches, places = new.patches(channels, window)
    flat = new.add("Reshape", [new.x, new.constant("flat", np.array([-1]))], "flattened")
    unfolded = new.add("Gather", [flat, new.constant("patches", patches)], "unfolded", axis=0)
    matrix = new.constant("matrix", np.ascontiguousarray(kernel.reshape(filters, -1).T))
    product = new.add("MatMul", [unfolded, matrix], "product")
    if len(conv.input) == 3:
        product = new.add("Add", [product, conv.input[2]], "biased")
    turned = new.add("Transpose", [product], "turned", perm=[1, 0])
    new.add("Reshape", [turned, new.constant("shape", np.array([1, filters, *places]))], "")
    new.finish()


def _sum(pool: "NodeProto", graph: "GraphProto", shape: list[int]) -> None:
    """Puts a gather of all windows and a sum of each in the place of an average."""
    new, channels = _Replacement(pool, graph, shape), shape[1]
    patches, places = new.patches(1, _attributes(pool)["kernel_shape"])
    flat = new.add(
        "Reshape", [new.x, new.constant("flat", np.array([1, channels, -1]))], "flattened"
    )
    windows = new.add("Gather", [flat, new.constant("patches", patches)], "windows", axis=2)
    last = new.constant("last", np.array([3]))
    sums = new.add("ReduceSum", [windows, last], "sums", keepdims=0)
    new.add("Reshape", [sums, new.constant("shape", np.array([1, channels, *places]))], "")
    new.finish()


def _is_whole(pool: "NodeProto") -> bool:
    """Whether every window averages the same number of values."""
    given = _attributes(pool)
    padded = any(given.get("pads", [])) and not given.get("count_include_pad", 0)
    return not padded and not given.get("ceil_mode", 0)


def _linear_after(
    tensor: str, graph: "GraphProto", weights: dict[str, np.ndarray]
) -> "NodeProto | None":
    """The product with weights that a tensor goes into, and nowhere else."""
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
    """Divides the weights of a product by a number."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    values = numpy_helper.to_array(weights[linear.input[1]]) / np.float32(divisor)
    name = f"{linear.output[0]}.divided"
    graph.initializer.append(numpy_helper.from_array(values, name))
    linear.input[1] = name


def _patches(
    shape: list[int], window: list[int], strides: list[int], dilations: list[int]
) -> tuple[np.ndarray, list[int]]:
    """Which elements of a flattened image each patch covers, and the patches along each side."""
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

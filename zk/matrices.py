"""Convolutions as matrix products: the same numbers, which a circuit can check more cheaply.

A product of two matrices is checked by Freivalds' method, whose cost grows with the sizes of the
matrices and not with the number of multiplications. It takes columns of its own, so it pays where
convolutions are most of a circuit.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def unfold_convolutions(model: "ModelProto") -> int:
    """Turns every plain convolution of a graph into a matrix product; gives how many there were.

    Left as they are: convolutions in groups, with automatic padding, or of computed weights.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    plain = [node for node in model.graph.node if _is_plain(node, shapes, weights)]
    for node in plain:
        _unfold(node, model.graph, shapes[node.input[0]], weights[node.input[1]])
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)
    return len(plain)


def _is_plain(node: "NodeProto", shapes: dict, weights: dict) -> bool:
    if node.op_type != "Conv" or node.input[1] not in weights:
        return False
    given = _attributes(node)
    return (
        given.get("group", 1) == 1
        and given.get("auto_pad", b"NOTSET") == b"NOTSET"
        and 0 not in shapes.get(node.input[0], [0])
        and shapes[node.input[0]][0] == 1
    )


def _attributes(node: "NodeProto") -> dict:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _unfold(conv: "NodeProto", graph: "GraphProto", shape: list[int], kernel: np.ndarray) -> None:
    """Puts a gather of all patches and a matrix product in the place of a convolution."""
    from onnx import helper, numpy_helper

    given, (filters, _, *window) = _attributes(conv), kernel.shape
    pads = list(given.get("pads", [0] * 2 * len(window)))
    padded = [
        size + before + after
        for size, before, after in zip(
            shape[2:], pads[: len(window)], pads[len(window) :], strict=True
        )
    ]
    patches, places = _patches(
        [shape[1], *padded],
        window,
        given.get("strides", [1] * len(window)),
        given.get("dilations", [1] * len(window)),
    )
    name, x, nodes = conv.output[0], conv.input[0], []

    def add(op: str, inputs: list[str], what: str, **attributes: Any) -> str:
        output = name if what == "" else f"{name}.{what}"
        nodes.append(helper.make_node(op, inputs, [output], name=f"{op}.{output}", **attributes))
        return output

    def constant(what: str, values: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{name}.{what}"))
        return f"{name}.{what}"

    if any(pads):
        half = len(window)
        around = [0, 0, *pads[:half], 0, 0, *pads[half:]]
        x = add("Pad", [x, constant("pads", np.array(around))], "padded")
    flat = add("Reshape", [x, constant("flat", np.array([-1]))], "flattened")
    unfolded = add("Gather", [flat, constant("patches", patches)], "unfolded", axis=0)
    matrix = constant("matrix", np.ascontiguousarray(kernel.reshape(filters, -1).T))
    product = add("MatMul", [unfolded, matrix], "product")
    if len(conv.input) == 3:
        product = add("Add", [product, conv.input[2]], "biased")
    turned = add("Transpose", [product], "turned", perm=[1, 0])
    add("Reshape", [turned, constant("shape", np.array([1, filters, *places]))], "")

    position = list(graph.node).index(conv)
    graph.node.remove(conv)
    for offset, node in enumerate(nodes):
        graph.node.insert(position + offset, node)


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

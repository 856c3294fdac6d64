"""A circuit that is small enough to be built, proved and killed many times."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from zk.build import build
from zk.circuit import Circuit, RunArgs, contract_name
from zk.manifest import Manifest
from zk.samples import Samples

# A table of 1,024 rows keeps the circuits and their SRS small.
TINY_ARGS = RunArgs(decomp_base=1024, decomp_legs=3)
TINY_GROTH16 = RunArgs(
    prover="groth16", input_scale=6, param_scale=6, decomp_base=1024, decomp_legs=1
)
ECHO_ARGS = RunArgs(decomp_base=256)
SLIM_ARGS = RunArgs(param_scale=2, num_inner_cols=1, decomp_base=2, decomp_legs=1, largest_input=4)


def write_model(
    path: Path,
    weight: float = 0.5,
    operator: str = "Relu",
    matrix: np.ndarray | None = None,
) -> Path:
    """Write a model of a linear layer and an operator.

    The matrix is 4 by 3 with this first weight, unless `matrix` replaces it.
    """
    if matrix is None:
        matrix = np.linspace(-1, 1, 12).reshape(4, 3)
        matrix[0, 0] = weight
    features, scores = matrix.shape
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "matrix"], ["hidden"]),
            helper.make_node(operator, ["hidden"], ["scores"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", scores])],
        [onnx.numpy_helper.from_array(matrix.astype(np.float32), "matrix")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def tiny_in(folder: Path, samples: Samples, args: RunArgs = TINY_ARGS) -> Circuit:
    return Circuit("tiny", folder / "tiny.onnx", "TinyVerifier", lambda: samples, args)


def echo_in(
    folder: Path, name: str, outputs: int, args: RunArgs, application: str | None = None
) -> Circuit:
    """Return a circuit that answers its input: numbers from -2 to 2; whole ones, if slim."""
    matrix = np.eye(outputs)
    model = write_model(folder / f"{name}.onnx", operator="Identity", matrix=matrix)
    low, high = (-2, 2) if args.largest_input is None else (0, args.largest_input)
    shown = np.linspace(low, high, 16 * outputs, dtype=np.float32).reshape(16, outputs)
    shown = shown if args.largest_input is None else shown.round()
    samples, verifier = Samples(shown[::2], shown[1::2]), f"{contract_name(name)}Verifier"
    return Circuit(name, model, verifier, lambda: samples, args, application=application)


def run_in(folder: Path, circuit: Circuit) -> tuple[Manifest, list[str]]:
    return build(circuit, artifacts=folder / "artifacts", verifiers=folder / "contracts/verifiers")

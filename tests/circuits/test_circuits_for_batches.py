"""Circuits for batches do to each input what the circuit of one input does, and bind its key."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from apps.circuits import circuit
from tests.tiny import run_in
from zk import ezkl
from zk.audit.batch import audit_batch
from zk.audit.build import audit_build
from zk.batches import require_batch_of
from zk.binding import bind, read_model
from zk.circuit import Circuit, RunArgs
from zk.errors import CircuitError, InvalidProofError
from zk.files import sha256
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, prove_all, verify
from zk.r1cs.system import System
from zk.samples import Samples

pytestmark = pytest.mark.slow

SIZE = 3
NUMBERS = np.random.default_rng(8)
X = NUMBERS.integers(0, 5, (24, 1, 4, 4)).astype(np.float32)
KEYS = [2**252 - 1, 0, 0xBEEF << 160 | 0xFACE]
WEIGHTS = {
    "kernel": NUMBERS.normal(size=(2, 1, 2, 2)),
    "bias": NUMBERS.normal(size=2),
    "flat": np.array([1, 8]),
    "matrix": NUMBERS.normal(size=(8, 3)),
    "shift": NUMBERS.normal(size=(1, 3)),
}
TEN = NUMBERS.normal(size=(8, 10))  # the matrix for Groth16, whose instances hold ten outputs
NODES = [
    helper.make_node("Conv", ["x", "kernel", "bias"], ["windows"], strides=[2, 2]),
    helper.make_node("Mul", ["windows", "windows"], ["squares"]),
    helper.make_node("Reshape", ["squares", "flat"], ["row"]),
    helper.make_node("MatMul", ["row", "matrix"], ["product"]),
    helper.make_node("Add", ["shift", "product"], ["y"]),
]


def model_of(path: Path, nodes=NODES, weights=None, shape=(1, 1, 4, 4), outputs=(1, 3)) -> Path:
    given = {
        name: value if value.dtype == np.int64 else value.astype(np.float32)
        for name, value in (WEIGHTS if weights is None else weights).items()
    }
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def build_in(folder: Path, name: str, **knobs) -> Manifest:
    weights = WEIGHTS | ({"matrix": TEN, "shift": TEN[:1]} if "prover" in knobs else {})
    outputs = weights["shift"].shape
    model = model_of(folder / f"{name}.onnx", weights=weights, outputs=outputs)
    args = RunArgs(param_scale=4, num_inner_cols=1, decomp_base=2, decomp_legs=1, largest_input=4)
    samples = Samples(calibration=X[:7], test=X[7:])
    made = Circuit(name, model, "V", lambda: samples, replace(args, **knobs))
    return run_in(folder, made)[0]


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Manifest:
    return build_in(tmp_path_factory.mktemp("single"), "single")


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Manifest:
    return build_in(tmp_path_factory.mktemp("batch"), "batch", batch=SIZE)


@pytest.fixture(scope="module")
def proof(batch) -> Proof:
    return prove_all(batch, [(KEYS, X[:SIZE])])[0]


def test_each_input_has_the_answer_of_the_single_circuit(single, batch, proof):
    verify(batch, proof)
    assert proof.keys(batch.layout) == KEYS
    assert proof.answers(batch.layout) == [answer(single, x).tolist() for x in X[:SIZE]]
    assert len(proof.instances) == batch.layout.instances == SIZE + 2


def test_other_inputs_do_not_change_an_answer(single, batch):
    """Each place is proved beside other inputs, and in each order."""
    for order in ([2, 0, 1], [0, 0, 0], [5, 1, 2]):
        made = answer(batch, X[order]).reshape(SIZE, -1)
        assert made.tolist() == [answer(single, X[place]).tolist() for place in order]


def test_accuracy_counts_each_sample_once(single, batch):
    """17 samples are six batches; what fills the last one counts for nothing."""
    assert batch["accuracy"] == single["accuracy"]
    assert batch["accuracy"]["samples"] == 17


@pytest.mark.parametrize("keys", [KEYS[:2], [*KEYS, 1]])
def test_number_of_keys(batch, keys):
    with pytest.raises(CircuitError, match=f"takes 3 keys at once, not {len(keys)}"):
        prove(batch, keys, X[:SIZE])


@pytest.mark.parametrize("place", range(5))
def test_changed_instance(batch, proof, place):
    instances = [(value + (at == place)) % FIELD for at, value in enumerate(proof.instances)]
    with pytest.raises(CircuitError, match=r"not valid|accept the proof"):
        verify(batch, replace(proof, instances=instances))


@pytest.mark.parametrize(
    ("bit", "value"), [(0, 2), (47, FIELD - 1), (100, 10**30)], ids=["two", "minus-one", "huge"]
)
def test_number_that_is_no_bit_in_any_place(batch, tmp_path, bit, value):
    """Edited witnesses: the bits of every input are checked."""
    run = tmp_path / "witness.json"
    ezkl.run_witness(batch.file("compiled"), batch.layout.numbers(KEYS, X[:SIZE]), run)
    content = json.loads(run.read_text())
    content["inputs"][1][bit] = value.to_bytes(32, "little").hex()
    run.write_text(json.dumps(content))
    with pytest.raises(RuntimeError):
        ezkl.satisfied(run, batch.file("compiled"))


# Models that mix their inputs


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], {}),
        ([helper.make_node("MatMul", ["m", "x"], ["y"])], {"m": np.ones((1, 1))}),
        ([helper.make_node("Softmax", ["x"], ["y"], axis=0)], {}),
        ([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": np.array([-1, 6])}),
        ([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": np.array([1, 0])}),
        ([helper.make_node("Flatten", ["x"], ["y"], axis=0)], {}),
        ([helper.make_node("Gemm", ["x", "m"], ["y"], transA=1)], {"m": np.ones((1, 6))}),
        (
            [
                helper.make_node("Reshape", ["x", "s"], ["r"]),
                helper.make_node("Add", ["r", "x"], ["y"]),
            ],
            {"s": np.array([1, 1, 6])},
        ),
        ([helper.make_node("Add", ["x", "m"], ["y"])], {"m": np.ones((1, 1, 6))}),
    ],
    ids=lambda value: "-".join(node.op_type for node in value) if isinstance(value, list) else "",
)
def test_operators_that_could_mix_inputs_are_refused(tmp_path, nodes, weights):
    model = read_model(model_of(tmp_path / "m.onnx", nodes, weights, (1, 6), (1, 6)))
    args = RunArgs(largest_input=4, batch=2)
    with pytest.raises(CircuitError, match=r"not known to keep the inputs of a batch apart"):
        bind(model, args.layout(6), tmp_path / "a", tmp_path / "b", **args.rewriting)


def test_a_model_whose_first_dimension_counts_something_else_is_refused(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = read_model(model_of(tmp_path / "m.onnx", nodes, {}, (2, 6), (2, 6)))
    args = RunArgs(largest_input=4, batch=2)
    with pytest.raises(CircuitError, match=r"not known to keep the inputs of a batch apart"):
        bind(model, args.layout(12), tmp_path / "a", tmp_path / "b", **args.rewriting)


def test_flattening_keeps_inputs_apart(tmp_path):
    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    model = read_model(model_of(tmp_path / "m.onnx", nodes, {}, (1, 2, 3), (1, 6)))
    args = RunArgs(largest_input=4, batch=2)
    bind(model, args.layout(6), tmp_path / "a", tmp_path / "b", **args.rewriting)


def test_batch_whose_instances_would_be_shared():
    RunArgs(prover="groth16", batch=16).layout(1)
    RunArgs(prover="groth16", batch=16).layout(20)
    with pytest.raises(CircuitError, match="has 1 output or a multiple of 10 for Groth16, not 3"):
        RunArgs(prover="groth16", batch=16).layout(3)


def test_batch_of_a_circuit_with_limbs():
    with pytest.raises(CircuitError, match="batches of 16 is slim: give it a largest_input"):
        RunArgs(batch=16).layout(10)


# The audit


def test_audit_of_a_batch(single, batch, tmp_path):
    report = audit_build(batch, None, tmp_path)
    assert not report.findings
    assert "the 3 limbs of keys pass through one Identity only" in report.passed
    report = audit_batch(single, batch)
    assert report.sound
    assert report.passed[0].startswith("all 11 operators do to each of 3 inputs what those of")


@pytest.mark.full
def test_audit_of_the_circuits_that_ship(manifest, batch_manifest):
    require_batch_of(manifest, batch_manifest)
    assert audit_batch(manifest, batch_manifest).sound
    one, several = circuit("clan"), circuit("clan-batch")
    assert one.model == several.model
    assert replace(several.run_args, batch=1) == one.run_args


def spoilt(batch: Manifest, folder: Path, change) -> Manifest:
    """A copy of a build whose bound model is changed, with the hash that it has now."""
    shutil.copytree(batch.folder, copy := folder / batch.folder.name)
    model = onnx.load(copy / "bound.onnx")
    change(model.graph)
    onnx.save(model, copy / "bound.onnx")
    content = json.loads((copy / "manifest.json").read_text())
    content["files"]["bound"]["sha256"] = sha256(copy / "bound.onnx")
    (copy / "manifest.json").write_text(json.dumps(content))
    return Manifest(copy)


def weight(graph, name: str):
    return next(tensor for tensor in graph.initializer if name in tensor.name)


def set_weight(graph, name: str, change) -> None:
    tensor = weight(graph, name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))


def edited(values: np.ndarray, place, value) -> np.ndarray:
    values = values.copy()
    values[place] = value
    return values


PLANTED = {
    "a patch of another input": lambda graph: set_weight(
        graph, "windows.patches", lambda values: edited(values, (5, 0), 0)
    ),
    "patches in another order": lambda graph: set_weight(
        graph, "windows.patches", lambda values: values[::-1]
    ),
    "another weight": lambda graph: set_weight(
        graph, "product.whole", lambda values: edited(values, (0, 0), values[0, 0] + 1)
    ),
    "a shift of one input": lambda graph: set_weight(
        graph, "y.whole", lambda values: np.concatenate([values, values, values + 1])
    ),
    "another shape": lambda graph: set_weight(
        graph, "row.widened", lambda values: np.array([1, 24])
    ),
    "another operator": lambda graph: setattr(
        next(node for node in graph.node if node.op_type == "Mul"), "op_type", "Add"
    ),
    "another operand": lambda graph: next(
        node for node in graph.node if node.op_type == "Mul"
    ).input.__setitem__(1, "windows.turned"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_batch_that_computes_something_else(single, batch, tmp_path, planted):
    """Derivation finds each, too; this is the comparison with the single circuit."""
    report = audit_batch(single, spoilt(batch, tmp_path, PLANTED[planted]))
    assert [finding.name for finding in report.findings] == ["batch-differs"]


def test_builds_that_do_not_belong_together(single, batch, manifest):
    for one, other, match in (
        (batch, single, "batch takes 3 and single 1 inputs"),
        (single, single, "single takes 1 and single 1 inputs"),
        (manifest, batch, "The model of batch is not that of clan"),
    ):
        with pytest.raises(CircuitError, match=match):
            require_batch_of(one, other)
    require_batch_of(single, batch)


# With Groth16


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> tuple[Manifest, Manifest]:
    """A circuit for Groth16, and its copies for three inputs."""
    folder = tmp_path_factory.mktemp("groth16")
    one = build_in(folder, "of-one", prover="groth16")
    return one, build_in(folder, "of-three", prover="groth16", batch=SIZE)


@pytest.fixture(scope="module")
def copies_proof(copied) -> Proof:
    return prove_all(copied[1], [(KEYS, X[:SIZE])])[0]


def test_copies_have_the_answers_of_the_single_circuit(copied, copies_proof):
    one, many = copied
    verify(many, copies_proof)
    assert copies_proof.keys(many.layout) == KEYS
    assert copies_proof.answers(many.layout) == [answer(one, x).tolist() for x in X[:SIZE]]
    assert len(copies_proof.instances) == many.layout.instances == 2 * SIZE
    assert many["accuracy"] == one["accuracy"]


def test_changed_and_exchanged_instances_of_copies(copied, copies_proof):
    given = copies_proof.instances
    changed = [[*given[:at], given[at] + 1, *given[at + 1 :]] for at in range(len(given))]
    changed += [[given[1], given[0], *given[2:]], [*given[:SIZE], given[4], given[3], given[5]]]
    for instances in changed:
        with pytest.raises(InvalidProofError):
            verify(copied[1], replace(copies_proof, instances=instances))


def test_audit_of_copies(copied, tmp_path):
    one, many = copied
    assert not audit_build(many, None, tmp_path).findings
    report = audit_batch(one, many)
    assert report.sound
    count = len(System.load(one.file("constraints")).constraints)
    assert report.passed[0].startswith(f"all {count} constraints do to each of 3 inputs what")


def renamed(system: System, names: dict[int, int]) -> None:
    """Give wires other numbers in all constraints."""
    for three in system.constraints:
        for sum_ in three:
            items = [(names.get(wire, wire), factor) for wire, factor in sum_.items()]
            sum_.clear()
            sum_.update(items)


def last_input(system: System) -> int:
    """The first bit of the last input."""
    return system.first_input + sum(map(len, system.inputs)) * (SIZE - 1) // SIZE


PLANTED_COPIES = {
    "another weight": lambda system, sum_: sum_.update({max(sum_): 5 + sum_[max(sum_)]}),
    "a wire of another input": lambda system, sum_: renamed(
        system, {last_input(system): system.first_input}
    ),
    "two wires that are one": lambda system, sum_: renamed(system, {max(sum_): max(sum_) - 1}),
    "a key for two inputs": lambda system, sum_: renamed(system, {2: 1}),
    "exchanged outputs": lambda system, sum_: renamed(system, {4: 5, 5: 4}),
    "an output that is private": lambda system, sum_: renamed(system, {5: system.wires}),
    "a constraint that is missing": lambda system, sum_: system.constraints.pop(),
    "a term that is missing": lambda system, sum_: sum_.popitem(),
}


@pytest.mark.parametrize("planted", PLANTED_COPIES)
def test_copies_that_compute_something_else(copied, tmp_path, planted):
    one, many = copied
    shutil.copytree(many.folder, folder := tmp_path / many.folder.name)
    path = folder / "constraints.json.gz"
    system = System.load(path)
    last = max(range(len(system.constraints)), key=lambda row: len(system.constraints[row][0]))
    PLANTED_COPIES[planted](system, system.constraints[last][0])
    system.save(path)
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["constraints"]["sha256"] = sha256(path)
    (folder / "manifest.json").write_text(json.dumps(content))
    report = audit_batch(one, Manifest(folder))
    assert [finding.name for finding in report.findings] == ["batch-differs"]


def test_copies_beside_the_circuit_of_another_prover(copied, single, batch):
    for one, other in ((single, copied[1]), (copied[0], batch)):
        with pytest.raises(CircuitError, match="The prover of "):
            require_batch_of(one, other)

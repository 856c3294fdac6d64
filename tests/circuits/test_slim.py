"""Slim circuits: each value has bounds, and no number but a bit is an input.

The attacks edit witnesses, as somebody would who forges a proof: the circuit must refuse them.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from web3.exceptions import ContractLogicError

from tests.tiny import run_in
from zk import ezkl
from zk.audit.attacks import genuine
from zk.audit.build import audit_build
from zk.binding import bind, read_model
from zk.circuit import Circuit, RunArgs
from zk.errors import CircuitError, RangeError
from zk.layout import FIELD, Layout
from zk.manifest import Manifest
from zk.proof import Proof, prove, verify
from zk.samples import Samples

SCALE = 6
KEY = 0xBEEF << 160 | 0xFACE
NUMBERS = np.random.default_rng(3)


def model_of(folder: Path, nodes: list, weights: dict, shape=(1, 6), outputs: int = 3) -> Path:
    """Write a model of `x` with these nodes, whose last output is `y`."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "m.onnx")
    return folder / "m.onnx"


def slim(folder: Path, path: Path, scale: int = SCALE, largest: int = 4) -> tuple[dict, Path]:
    """Bind a model as a slim one; return what the build records, and the bound model."""
    args, model = RunArgs(param_scale=scale, largest_input=largest), read_model(path)
    layout, bound = args.layout(model.outputs), folder / "bound.onnx"
    return bind(model, layout, folder / "copy.onnx", bound, **args.rewriting), bound


def floats(*shape: int) -> np.ndarray:
    return NUMBERS.normal(size=shape).astype(np.float32)


NODES = [
    helper.make_node("Gemm", ["x", "first", "bias"], ["hidden"], transB=1),
    helper.make_node("Mul", ["hidden", "hidden"], ["squared"]),
    helper.make_node("MatMul", ["squared", "second"], ["product"]),
    helper.make_node("Sub", ["product", "shift"], ["y"]),
]
WEIGHTS = {
    "first": floats(4, 6),
    "bias": floats(4),
    "second": floats(4, 3),
    "shift": floats(3),
}


@pytest.fixture
def network(tmp_path) -> Path:
    return model_of(tmp_path, NODES, WEIGHTS)


def whole(values: np.ndarray, scale: int) -> np.ndarray:
    return np.rint(values.astype(float) * 2.0**scale)


def computed(x: np.ndarray) -> dict[str, np.ndarray]:
    """The values of the network in whole numbers."""
    hidden = x @ whole(WEIGHTS["first"], SCALE).T + whole(WEIGHTS["bias"], SCALE)
    product = hidden**2 @ whole(WEIGHTS["second"], SCALE)
    return {
        "x": x,
        "hidden": hidden,
        "squared": hidden**2,
        "product": product,
        "y": product - whole(WEIGHTS["shift"], 3 * SCALE),
    }


# Bounds


def test_no_input_leaves_the_bounds(network, tmp_path):
    facts, _ = slim(tmp_path, network)
    inputs = [*NUMBERS.integers(0, 5, (2000, 1, 6)), *(4 * NUMBERS.integers(0, 2, (2000, 1, 6)))]
    runs = [computed(x) for x in inputs]
    assert facts["output_scale"] == 3 * SCALE
    assert set(facts["bounds"]) == set(runs[0])
    for name, (low, high) in facts["bounds"].items():
        values = np.concatenate([run[name].reshape(-1) for run in runs])
        assert low <= values.min() <= values.max() <= high


def test_bounds_are_reached(network, tmp_path):
    """The bounds of a layer are exact: an input of zeros and fours has these values."""
    facts, _ = slim(tmp_path, network)
    first = whole(WEIGHTS["first"], SCALE)
    for row, chosen in enumerate((first > 0, first < 0)):
        ends = [computed(4.0 * signs[None])["hidden"][0, unit] for unit, signs in enumerate(chosen)]
        assert facts["bounds"]["hidden"][1 - row] == (max, min)[row](ends)


@pytest.mark.parametrize(("operator", "ends"), [("Add", [0, 8]), ("Sub", [-4, 4])])
def test_bounds_of_a_sum(tmp_path, operator, ends):
    """Of two values from 0 to 4 each."""
    nodes = [helper.make_node(operator, ["x", "x"], ["y"])]
    facts, _ = slim(tmp_path, model_of(tmp_path, nodes, {}, outputs=6))
    assert list(facts["bounds"]["y"]) == ends


def test_bounds_of_a_value_in_another_shape(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["sums"]),
        helper.make_node("Reshape", ["sums", "shape"], ["y"]),
    ]
    weights = {"m": np.eye(6, 3, dtype=np.float32), "shape": [1, 3]}
    facts, _ = slim(tmp_path, model_of(tmp_path, nodes, weights))
    assert facts["bounds"]["y"] == facts["bounds"]["sums"] == [0, 4 * 2**SCALE]


def test_weights_are_whole_and_the_input_is_bits(network, tmp_path):
    _, path = slim(tmp_path, network)
    graph = onnx.load(path).graph
    key, bits = graph.input
    assert (key.name, bits.type.tensor_type.elem_type) == ("key", TensorProto.BOOL)
    assert [d.dim_value for d in bits.type.tensor_type.shape.dim] == [6, 3]
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        assert np.array_equal(values, np.rint(values))


@pytest.mark.parametrize(
    ("node", "weights"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), {}),
        (helper.make_node("Sigmoid", ["x"], ["y"]), {}),
        (helper.make_node("MatMul", ["x", "x"], ["y"]), {}),
        (helper.make_node("Gemm", ["x", "m"], ["y"], alpha=0.5), {"m": floats(6, 6)}),
        (helper.make_node("Pad", ["x", "p", "v"], ["y"]), {"p": [0, 0, 0, 1], "v": np.float32(1)}),
        (helper.make_node("Add", ["a", "b"], ["y"]), {"a": floats(1, 6), "b": floats(1, 6)}),
    ],
    ids=["relu", "sigmoid", "product", "alpha", "pad", "constants"],
)
def test_an_operator_without_bounds_is_refused(tmp_path, node, weights):
    path = model_of(tmp_path, [node], weights, shape=(6, 6), outputs=6)
    with pytest.raises(CircuitError, match=r"have no bounds, which a slim circuit needs: build it"):
        slim(tmp_path, path)


def test_tensors_of_different_scales_are_not_added(tmp_path):
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["squared"]),
        helper.make_node("Mul", ["x", "half"], ["halved"]),
        helper.make_node("Add", ["squared", "halved"], ["y"]),
    ]
    path = model_of(tmp_path, nodes, {"half": np.float32(0.5)}, outputs=6)
    with pytest.raises(CircuitError, match="The values of the Add 'y' have no bounds"):
        slim(tmp_path, path)


@pytest.mark.parametrize(("factor", "fits"), [(1.0, True), (1.001, False), (-1.0, True)])
def test_outputs_must_fit_into_their_lanes(tmp_path, factor, fits):
    """The largest weights are those with which 4 inputs of 4 stay below 2**28."""
    edge = (2**28 - 1) // 16 // 2**SCALE
    nodes = [helper.make_node("MatMul", ["x", "m"], ["y"])]
    matrix = np.full((4, 3), np.float32(factor * edge))
    path = model_of(tmp_path, nodes, {"m": matrix}, shape=(1, 4))
    if fits:
        assert abs(max(slim(tmp_path, path)[0]["bounds"]["y"], key=abs)) < 2**28
        return
    with pytest.raises(RangeError, match=r"from 0 to 26\d{7}, and should be from -268435456 to 2"):
        slim(tmp_path, path)


def test_values_that_are_too_large_to_bound_exactly(network, tmp_path):
    with pytest.raises(RangeError, match=r"scale 20 exceeds 2\*\*52: lower param_scale"):
        slim(tmp_path, network, scale=20)


# Builds


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Manifest:
    folder = tmp_path_factory.mktemp("slim")
    return run_in(folder, circuit_in(folder))[0]


def circuit_in(folder: Path) -> Circuit:
    x = NUMBERS.integers(0, 5, (24, 6)).astype(np.float32)
    samples = Samples(calibration=x[:8], test=x[8:])
    args = RunArgs(
        param_scale=SCALE, num_inner_cols=1, decomp_base=2, decomp_legs=1, largest_input=4
    )
    model = model_of(folder, NODES, WEIGHTS)
    return Circuit("slim", model, "SlimVerifier", lambda: samples, args)


def test_a_slim_circuit_of_any_model(built):
    """It proves whole numbers to the last unit, with a key of 252 bits in one instance."""
    key, x = 2**252 - 1, np.array([4, 0, 1, 3, 2, 4])
    proof = prove(built, key, x)
    assert proof.outputs(built.layout) == computed(x[None])["y"][0].tolist()
    assert proof.key(built.layout) == proof.instances[0] == key
    assert len(proof.instances) == 2
    verify(built, proof)
    settings = json.loads(built.file("settings").read_text())
    assert settings["run_args"]["disable_freivalds"]  # its checks would take more gas
    with pytest.raises(RangeError, match="takes whole numbers from 0 to 4"):
        prove(built, key, x + 1)


def test_audit_of_a_slim_build(built, tmp_path):
    report = audit_build(built, None, tmp_path)
    assert not report.findings
    assert "the bounds of all 5 tensors follow from the weights" in report.passed
    assert report.facts["inputs"] == "whole numbers from 0 to 4, each checked"


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("bounds", {"y": [0, 1]}, "bounds-differ"),
        ("output_scale", 17, "bounds-differ"),
        ("layout", Layout(1, 252, 3, 1, 4).as_json(), "layout-differs"),
        ("layout", Layout(1, 252, 3, 8, 5).as_json(), "layout-differs"),
    ],
)
def test_audit_of_an_edited_manifest(built, tmp_path, name, value, finding):
    edited = Manifest(built.folder)
    edited.content[name] = value
    assert finding in [found.name for found in audit_build(edited, None, tmp_path).findings]


# Edited witnesses


@pytest.fixture
def forge(manifest, views, tmp_path):
    """A function that proves `clan` with an edited witness, and says which constraints fail."""

    def forge(change=lambda bits: None, claimed: dict[int, int] | None = None) -> tuple[Proof, str]:
        files = {name: manifest.file(name) for name in ("compiled", "pk", "srs")}
        run, out = tmp_path / "witness.json", tmp_path / "proof.json"
        ezkl.run_witness(files["compiled"], manifest.layout.numbers(KEY, views[0]), run)
        content = json.loads(run.read_text())
        bits = [ezkl.felt(bit) for bit in content["inputs"][1]]
        change(bits)
        packed = [ezkl.felt(value) for value in content["outputs"][1]]
        if bits != [ezkl.felt(bit) for bit in content["inputs"][1]]:
            packed = outputs_of(manifest, bits)
        instances = [ezkl.felt(content["outputs"][0][0]), *packed]
        for place, value in (claimed or {}).items():
            instances[place] = value
        words = [value.to_bytes(32, "little").hex() for value in instances]
        content["inputs"][1] = [bit.to_bytes(32, "little").hex() for bit in bits]
        content["outputs"] = [words[:1], words[1:]]
        run.write_text(json.dumps(content))
        failures = ""
        try:
            assert ezkl.satisfied(run, files["compiled"])
        except RuntimeError as error:
            failures = str(error)
        ezkl.prove(run, files["compiled"], files["pk"], files["srs"], out)
        return Proof("clan", *ezkl.read_proof(out)), failures

    return forge


def outputs_of(manifest, bits: list[int]) -> list[int]:
    """The instances that an edited input leads to, in whole numbers modulo the field."""
    model = {t.name: t for t in onnx.load(manifest.file("model")).graph.initializer}
    values = {name: numpy_helper.to_array(tensor).astype(float) for name, tensor in model.items()}
    scale = manifest["run_args"]["param_scale"]
    kernels = whole(values["0.weight"], scale).astype(int)[:, 0].tolist()
    biases = [whole(values["0.bias"], scale), whole(values["3.bias"], 3 * scale)]
    x = np.array(bits, object).reshape(-1, 3) @ np.array(manifest.layout.bits, object)
    image = x.reshape(12, 12)
    hidden = [
        (sum((image[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * kernel).reshape(-1)) + int(bias)) ** 2
        for kernel, bias in zip(np.array(kernels, object), biases[0], strict=True)
        for i in range(5)
        for j in range(5)
    ]
    matrix = np.array(whole(values["3.weight"], scale).astype(int).tolist(), object)
    logits = matrix @ np.array(hidden, object) + np.array([int(b) for b in biases[1]], object)
    return [
        sum(int(logit) << (29 * lane) for lane, logit in enumerate(part)) % FIELD
        for part in (logits[:8], logits[8:])
    ]


def ask(clan, chain, proof: Proof) -> bool:
    call = genuine(proof).usual()
    return int.from_bytes(chain.provider.web3.eth.call({"to": clan.verifier(), "data": call})) == 1


def test_an_honest_witness_is_accepted(forge, clan, chain, manifest, views):
    """The reference of the edited ones: the outputs in whole numbers are those of the circuit."""
    made, failures = forge()
    assert not failures
    assert ask(clan, chain, made)
    (_, bits) = manifest.layout.numbers(KEY, views[0])
    assert made.instances == [KEY, *outputs_of(manifest, [int(bit) for bit in bits])]


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        pytest.param([2], id="two"),
        pytest.param([3], id="three", marks=pytest.mark.full),
        pytest.param([FIELD - 1], id="minus-one"),
        pytest.param([2**200], id="huge", marks=pytest.mark.full),
        pytest.param([1, 2, 0], id="a-sum-of-5"),
        pytest.param([2, 0, 1], id="twice-the-first", marks=pytest.mark.full),
        pytest.param([FIELD - 2, 1, 1], id="a-wrapped-sum"),
    ],
)
def test_a_number_that_is_no_bit(forge, clan, chain, values):
    """The outputs match the edited input: only the checks of the bits can refuse it."""

    def change(bits: list[int]) -> None:
        bits[3 * 70 : 3 * 70 + len(values)] = values

    forged, failures = forge(change)
    assert "Lookup" in failures
    assert "Equality" not in failures
    with pytest.raises(ContractLogicError):
        ask(clan, chain, forged)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, 2], ids=["key", "first-logits", "last-logits"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(0, id="0", marks=pytest.mark.full),
        pytest.param(1, id="1", marks=pytest.mark.full),
        pytest.param(2**28, id="2**28", marks=pytest.mark.full),
        pytest.param(FIELD - 1, id="-1"),
    ],
)
def test_an_instance_that_the_circuit_does_not_compute(forge, clan, chain, place, value):
    forged, failures = forge(claimed={place: value})
    assert f"Column('Instance', 0 - ), outside any region, on row {place}" in failures
    with pytest.raises(ContractLogicError):
        ask(clan, chain, forged)

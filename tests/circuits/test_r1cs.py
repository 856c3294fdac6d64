"""Models as rank-one constraints: the model's answers, bounds of every value, and one witness only.

The weights of the models here are multiples of 2**-SCALE, thus exact, unless a test says otherwise.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.builds import built
from zk.binding import read_model
from zk.circuit import RunArgs
from zk.errors import CircuitError, RangeError
from zk.groth16.build import answers
from zk.layout import FIELD, bit_values
from zk.r1cs.lowering import lower
from zk.r1cs.system import MAX_BITS, ONE, System, total
from zk.r1cs.tensors import Number, place_of_largest, positive, within
from zk.witness import float_answers

SEED, SCALE = 24, 4
ARGS = RunArgs(prover="groth16", param_scale=SCALE, smallest_input=-3, largest_input=4)
KEYS = [2**252 - 1, 0, 0xBEEF << 160 | 0xFACE]
drawn = np.random.default_rng(SEED)


def floats(values) -> np.ndarray:
    return np.array(values, np.float32)


def places(values) -> np.ndarray:
    return np.array(values, np.int64)


def dyadic(*shape: int) -> np.ndarray:
    return (drawn.integers(-20, 21, shape) / 2**SCALE).astype(np.float32)


def model_of(folder, shape, *nodes, **weights):
    """Write a model from `x` to `y`; each node is an operator, its inputs and output, and more."""
    graph = helper.make_graph(
        [
            helper.make_node(op, given.split(), [result], **attributes)
            for op, given, result, attributes in nodes
        ],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    made = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    onnx.save(made, path := folder / "model.onnx")
    return read_model(path)


IMAGE, ROW = [1, 2, 5, 5], [1, 6]
CONV = {"strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2]}
OPERATORS = {
    "Add": (ROW, [("Add", "x b", "y", {})], {"b": dyadic(6)}),
    "Add itself": (ROW, [("Mul", "x x", "s", {}), ("Add", "s x", "y", {})], {}),
    "Sub": (ROW, [("Sub", "b x", "y", {})], {"b": dyadic(1, 6)}),
    "Mul": (ROW, [("Mul", "x b", "y", {})], {"b": dyadic(6)}),
    "Mul itself": (ROW, [("Add", "x b", "s", {}), ("Mul", "s x", "y", {})], {"b": dyadic(6)}),
    "Div": (ROW, [("Div", "x b", "y", {})], {"b": floats([1, 2, 4, 8, -2, 16])}),
    "Neg": (ROW, [("Neg", "x", "y", {})], {}),
    "Pow": (ROW, [("Pow", "x b", "y", {})], {"b": np.float32(2)}),
    "MatMul": (ROW, [("MatMul", "x a", "y", {})], {"a": dyadic(6, 4)}),
    "Gemm": (
        ROW,
        [("Gemm", "x a b", "y", {"transB": 1})],
        {"a": dyadic(4, 6), "b": dyadic(4)},
    ),
    "Conv": (
        IMAGE,
        [("Conv", "x a b", "y", CONV)],
        {"a": dyadic(3, 2, 3, 2), "b": dyadic(3)},
    ),
    "Relu": (ROW, [("MatMul", "x a", "s", {}), ("Relu", "s", "y", {})], {"a": dyadic(6, 4)}),
    "Relu twice": (
        ROW,
        [("Relu", "x", "r", {}), ("MatMul", "r a", "s", {}), ("Relu", "s", "y", {})],
        {"a": dyadic(6, 4)},
    ),
    "MaxPool": (IMAGE, [("MaxPool", "x", "y", {"kernel_shape": [3, 2], "strides": [2, 2]})], {}),
    "AveragePool": (
        IMAGE,
        [("AveragePool", "x", "y", {"kernel_shape": [2, 2], "strides": [1, 2]})],
        {},
    ),
    "GlobalAveragePool": ([1, 2, 4, 4], [("GlobalAveragePool", "x", "y", {})], {}),
    "ReduceMean": (
        [1, 2, 4, 4],
        [("ReduceMean", "x axes", "y", {"keepdims": 0})],
        {"axes": places([1, 3])},
    ),
    "ReduceSum": (IMAGE, [("ReduceSum", "x axes", "y", {})], {"axes": places([-1])}),
    "Flatten": (IMAGE, [("Flatten", "x", "y", {})], {}),
    "Pad": (IMAGE, [("Pad", "x p", "y", {})], {"p": places([0, 0, 1, 2, 0, 0, 0, 1])}),
    "Pad with zero": (
        IMAGE,
        [("Pad", "x p zero", "y", {})],
        {"p": places([0, 0, 1, 0, 0, 0, 0, 0]), "zero": np.float32(0)},
    ),
    "Transpose": (IMAGE, [("Transpose", "x", "y", {"perm": [0, 3, 1, 2]})], {}),
    "Reshape": (IMAGE, [("Reshape", "x s", "y", {})], {"s": places([1, -1, 5])}),
    "Gather": (ROW, [("Gather", "x i", "y", {"axis": 1})], {"i": places([5, 0, 0, 3, 1, 2, 4])}),
    "Concat": (
        ROW,
        [("Mul", "x b", "s", {}), ("Concat", "s x b", "y", {"axis": 1})],
        {"b": dyadic(1, 6)},
    ),
    "Constant": (
        ROW,
        [
            ("Constant", "", "c", {"value_floats": [0.5, 2.0]}),
            ("Mul", "c c", "d", {}),
            ("Concat", "x d2", "e", {"axis": 1}),
            ("Identity", "e", "y", {}),
        ],
        {"d2": dyadic(1, 2)},
    ),
}


@pytest.fixture(params=OPERATORS)
def made(request, tmp_path):
    """A model of one operator, its layout, its constraints, and what was found about them."""
    shape, nodes, weights = OPERATORS[request.param]
    model = model_of(tmp_path, shape, *nodes, **weights)
    layout = ARGS.layout(model.outputs)
    return model, layout, *lower(model.proto, layout, ARGS)


def inputs_of(model, count: int) -> np.ndarray:
    """Random inputs, and both ends of the range."""
    some = drawn.integers(-3, 5, (count, *model.input_shape)).astype(np.float32)
    some[0], some[1] = -3, 4
    return some


def test_constraints_answer_what_the_model_answers(made):
    model, layout, system, facts = made
    inputs = inputs_of(model, 40)
    expected = float_answers(model.path, inputs) * 2.0 ** facts["output_scale"]
    found = answers(system, layout, inputs, facts["bounds"])[:, : model.outputs]
    assert (found == expected).all()
    low, high = facts["bounds"][model.proto.graph.output[0].name]
    assert low <= expected.min() and expected.max() <= high


def test_every_changed_wire_breaks_a_constraint(made):
    """Nobody can change one private value, or one output, of a witness.

    Another bit of an input is another input, which may have the same answer.
    """
    model, _, system, _ = made
    chosen = random.Random(SEED)
    inputs = range(system.first_input, system.first_input + sum(map(len, system.inputs)))
    for x in inputs_of(model, 3):
        witness = system.witness(7, [int(n) for n in x.reshape(-1)])
        assert not list(system.broken(witness))
        for wire in range(1, system.wires):
            for other in (1 - witness[wire], witness[wire] + 1, chosen.randrange(FIELD)):
                if other != witness[wire] and not (wire in inputs and other in (0, 1)):
                    changed = [*witness[:wire], other % FIELD, *witness[wire + 1 :]]
                    assert any(True for _ in system.broken(changed)), (wire, other)


def test_witness_follows_from_the_inputs(made):
    """No small change of all other wires together satisfies the constraints, either."""
    model, _, system, _ = made
    numbers = [int(n) for n in inputs_of(model, 3)[2].reshape(-1)]
    assert freedom(system, system.witness(7, numbers)) == 0


def freedom(system: System, witness: list[int]) -> int:
    """The dimensions in which the wires that follow from the inputs can move, to first order."""
    bits = sum(map(len, system.inputs))
    keys = range(1, 1 + system.keys)
    given = {ONE, *keys, *range(system.first_input, system.first_input + bits)}
    pivots: dict[int, dict[int, int]] = {}
    for gradient in gradients(system, witness):
        row = {wire: value % FIELD for wire, value in gradient.items() if wire not in given}
        while row := {wire: value for wire, value in row.items() if value}:
            wire = max(row)
            if wire not in pivots:
                inverse = pow(row[wire], -1, FIELD)
                pivots[wire] = {w: value * inverse % FIELD for w, value in row.items()}
                break
            factor = row[wire]
            for other, value in pivots[wire].items():
                row[other] = (row.get(other, 0) - factor * value) % FIELD
    return system.wires - len(given) - len(pivots)


def gradients(system: System, witness: list[int]) -> Iterator[dict[int, int]]:
    for one, other, result in system.constraints:
        row: dict[int, int] = {}
        parts = ((one, total(other, witness)), (other, total(one, witness)), (result, -1))
        for sum_, factor in parts:
            for wire, value in sum_.items():
                row[wire] = row.get(wire, 0) + value * factor
        yield row


@pytest.mark.slow
def test_shipped_circuits_leave_no_freedom():
    manifest = built("clan-groth16")
    system = System.load(manifest.file("constraints"))
    numbers = [random.Random(SEED).randrange(5) for _ in system.inputs]
    assert freedom(system, system.witness(7, numbers)) == 0


def test_freedom_is_seen():
    """A wire without a constraint, and one that is only squared, are found."""
    system = System.taking(1, 1, [1, 2], 0, 0)
    loose = {system._wire(): 1}
    system.rules.append(("bits", {ONE: 0}, 1))
    system.publish([{ONE: 5}])
    witness = system.witness(7, [2])
    assert freedom(system, witness) == 1
    system.constraints.append((loose, {ONE: 1}, {ONE: 0}))
    assert freedom(system, witness) == 0


# Batches


@pytest.fixture
def batch(tmp_path):
    """The constraints of a model with a square and a ReLU for three inputs, and a witness."""
    squared = ("Mul", "x x", "s", {}), ("MatMul", "s a", "t", {}), ("Relu", "t", "y", {})
    model = model_of(tmp_path, ROW, *squared, a=floats([[0.5], [2], [1], [0.25], [1], [3]]))
    args = replace(ARGS, batch=3)
    system, _ = lower(model.proto, args.layout(1), args)
    return model, args, system, system.witness(KEYS, [*[-3] * 6, *[4] * 6, *[1] * 6])


def test_batch_answers_each_input_as_a_single_circuit(batch):
    model, args, system, _ = batch
    inputs = inputs_of(model, 7)  # two batches and one input
    alone, facts = lower(model.proto, ARGS.layout(1), ARGS)
    expected = answers(alone, ARGS.layout(1), inputs, facts["bounds"])
    assert (answers(system, args.layout(1), inputs, facts["bounds"]) == expected).all()


def test_every_changed_wire_of_a_batch_breaks_a_constraint(batch):
    *_, system, witness = batch
    assert not list(system.broken(witness))
    assert freedom(system, witness) == 0
    inputs = range(system.first_input, system.first_input + sum(map(len, system.inputs)))
    for wire in range(1, system.wires):
        for other in (1 - witness[wire], witness[wire] + 1):
            if not (wire in inputs and other in (0, 1)):
                changed = [*witness[:wire], other % FIELD, *witness[wire + 1 :]]
                assert any(True for _ in system.broken(changed)), (wire, other)


def test_inputs_of_a_batch_share_no_wire(batch):
    """Another input in one place changes its own output alone, and outputs cannot be exchanged."""
    *_, system, witness = batch
    other = system.witness(KEYS, [*[-3] * 6, *[2] * 6, *[1] * 6])
    assert [one == its for one, its in zip(other[:7], witness[:7], strict=True)] == (
        [True] * 5 + [False, True]
    )
    exchanged = [*witness[:4], witness[5], witness[4], *witness[6:]]
    assert list(system.broken(exchanged)) == ["public", "public"]


def test_number_of_keys_of_a_batch(batch):
    *_, system, witness = batch
    assert witness[1:4] == KEYS
    with pytest.raises(CircuitError, match="takes 3 keys at once, not 2"):
        system.values(KEYS[:2], [0] * len(system.inputs))


# Ranges


@pytest.mark.parametrize("bit", [2, -1, FIELD // 2, FIELD - 2])
def test_bits_of_inputs_are_bits(tmp_path, bit):
    """Numbers outside the range of inputs cannot be proved, even if all sums agree."""
    model = model_of(tmp_path, [1, 2], ("Identity", "x", "y", {}))
    system, _ = lower(model.proto, ARGS.layout(2), ARGS)
    witness = system.witness(7, [0, 0])
    witness[system.first_input] = bit % FIELD
    for place, result in enumerate(system.results):
        witness[2 + place] = total(result, witness) % FIELD
    assert set(system.broken(witness)) == {"x"}


@pytest.mark.parametrize("size", [1, 2, 4, 6, 7, 14, 255])
def test_bits_reach_all_numbers_of_the_range_and_no_other(size):
    sums = {0}
    for value in bit_values(size):
        sums |= {one + value for one in sums}
    assert sums == set(range(size + 1))


@pytest.mark.parametrize(("low", "high"), [(-8, 7), (-1, 0), (-9, 3), (0, 5), (2, 9), (-5, -2)])
@pytest.mark.parametrize("drop", [0, 1, 2])
def test_positive_part_at_both_ends(low, high, drop):
    """Rounding is to the nearest whole number, and half of one goes up."""
    system = System.taking(1, 1, bit_values(high - low), low, 0)
    (given,) = system.input_sums()
    part = positive(system, Number(given, low, high), drop)
    system.publish([part.sum])
    for number in range(low, high + 1):
        witness = system.witness(0, [number])
        assert not list(system.broken(witness))
        expected = max(number + 2**drop // 2, 0) >> drop
        assert witness[2] == expected
        assert part.low <= expected <= part.high


@pytest.mark.parametrize(("low", "bits"), [(-4, 3), (0, 3), (-16, 4)])
def test_range_of_outputs_at_both_ends(low, bits):
    system = System.taking(1, 1, bit_values(40), -20, 0)
    (given,) = system.input_sums()
    system.publish([within(system, Number(given, -20, 20), low, bits).sum])
    for number in range(-20, 21):
        fits = low <= number < low + 2**bits
        assert (not list(system.broken(system.witness(0, [number])))) == fits, number


def test_value_that_fits_needs_no_check():
    system = System.taking(1, 1, [1], 0, 0)
    (given,) = system.input_sums()
    before = len(system.constraints)
    assert within(system, Number(given, 0, 1), -4, 3).sum == given
    assert len(system.constraints) == before


def test_as_many_bits_as_are_unique():
    system = System(0, [], 0, 0)
    assert len(system.bits({ONE: 2**MAX_BITS - 1}, MAX_BITS)) == MAX_BITS


@pytest.mark.parametrize("bits", [0, MAX_BITS + 1, 254])
def test_bits_that_would_not_be_unique(bits):
    system = System.taking(1, 1, [1], 0, 0)
    with pytest.raises(CircuitError, match=f"A value of {bits} bits does not fit"):
        system.bits({ONE: 1}, bits)


@pytest.mark.parametrize("numbers", [[3, 1, 2], [1, 3, 3], [-2, -2, -2], [-3, -2, -1], [0, 0, 1]])
def test_place_of_the_largest_number(numbers):
    """The first of equal ones, as in the contracts."""
    system = System.taking(1, 3, bit_values(7), -4, 0)
    found = place_of_largest(system, [Number(one, -4, 3) for one in system.input_sums()])
    system.publish([found.sum])
    witness = system.witness(0, numbers)
    assert not list(system.broken(witness))
    assert witness[2] == numbers.index(max(numbers))
    assert (found.low, found.high) == (0, 2)
    for wire in range(1, system.wires):
        changed = [*witness[:wire], (witness[wire] + 1) % FIELD, *witness[wire + 1 :]]
        assert any(True for _ in system.broken(changed))


def test_rounding_of_weights(tmp_path):
    """Weights of any size are rounded at the scale, and averages by a number that is no power."""
    pool = ("AveragePool", "x", "p", {"kernel_shape": [3]})
    model = model_of(
        tmp_path,
        [1, 1, 6],
        pool,
        ("MatMul", "p a", "y", {}),
        a=floats([[0.3], [-1.7], [2.2], [5]]),
    )
    args = RunArgs(prover="groth16", param_scale=8, largest_input=9)
    layout = args.layout(model.outputs)
    system, facts = lower(model.proto, layout, args)
    x = floats([[1, 2, 9, 4, 0, 7]])
    averages = [85 * (1 + 2 + 9), 85 * (2 + 9 + 4), 85 * (9 + 4), 85 * (4 + 7)]
    expected = np.dot(averages, [77, -435, 563, 1280])
    assert answers(system, layout, x, facts["bounds"]).tolist() == [[expected]]
    assert facts["output_scale"] == 16


# Refusals


@pytest.mark.parametrize(
    ("nodes", "weights", "problem"),
    [
        ([("Sigmoid", "x", "y", {})], {}, "The Sigmoid 'y' has no form as rank-one constraints"),
        ([("MatMul", "x t", "y", {})], {}, "The MatMul 'y' has no form"),
        ([("Pow", "x b", "y", {})], {"b": np.float32(3)}, "The Pow 'y' has no form"),
        ([("Div", "x x", "y", {})], {}, "The Div 'y' has no form"),
        (
            [("Pad", "x p v", "y", {})],
            {"p": places([0, 0, 0, 1]), "v": np.float32(1)},
            "The Pad 'y' has no form",
        ),
        (
            [("Mul", "x b", "s", {}), *[("Mul", "s s", "t", {}), ("Mul", "t t", "y", {})]],
            {"b": np.float32(2.0**62)},
            "The Mul 'y': A product can exceed 250 bits",
        ),
        (
            [("Mul", "x b", "y", {})],
            {"b": np.float32(2.0**100), "c": np.float32(0)},
            None,
        ),
    ],
)
def test_models_that_have_no_constraints(tmp_path, nodes, weights, problem):
    turned = [("Transpose", "x", "t", {})] if "x t" in str(nodes) else []
    model = model_of(tmp_path, [2, 2], *turned, *nodes, **weights)
    if problem is None:
        lower(model.proto, ARGS.layout(4), ARGS)
        return
    with pytest.raises(CircuitError, match=problem):
        lower(model.proto, ARGS.layout(4), ARGS)


@pytest.mark.parametrize("x", [[5, 0], [-4, 0], [0.5, 0]])
def test_inputs_outside_the_range(tmp_path, x):
    model = model_of(tmp_path, [1, 2], ("Identity", "x", "y", {}))
    system, _ = lower(model.proto, ARGS.layout(2), ARGS)
    with pytest.raises(RangeError, match="whole numbers from -3 to 4"):
        system.numbers(np.float32(x))


def test_fractions_as_inputs(tmp_path):
    """A model without a largest input takes fixed-point numbers, up to the circuit's range."""
    args = RunArgs(prover="groth16", input_scale=3, param_scale=4, decomp_base=64, decomp_legs=1)
    model = model_of(tmp_path, [1, 2], ("MatMul", "x a", "y", {}), a=dyadic(2, 1))
    layout = args.layout(1)
    system, facts = lower(model.proto, layout, args)
    x = floats([[7.875, -7.875], [0.125, 1.0]])
    expected = float_answers(model.path, x) * 2**7
    assert facts["output_scale"] == 7
    assert (answers(system, layout, x, facts["bounds"]) == expected).all()
    with pytest.raises(RangeError, match=r"times 2\*\*3, from -63 to 63"):
        system.numbers(floats([8, 0]))


@pytest.mark.parametrize(
    "args", [RunArgs(prover="groth16", batch=2), RunArgs(prover="groth16", attested=True)]
)
def test_circuits_that_only_ezkl_makes(args):
    with pytest.raises(CircuitError, match="build it with ezkl"):
        args.layout(2)


def test_system_is_the_same_after_saving(made, tmp_path):
    *_, system, _ = made
    system.save(tmp_path / "one")
    again = System.load(tmp_path / "one")
    again.save(tmp_path / "two")
    assert again == system
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

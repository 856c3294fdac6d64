"""Cairo programs against the same integers in Python, to the last bit, and against the model."""

import numpy as np
import onnxruntime
import pytest

from cairo.arithmetic import ONE, quantised, real
from cairo.machine import Machine
from cairo.network import read_network
from models.data import drawing, mnist
from models.export import EXPORTS
from tests.networks import MODELS, RANDOM, write_onnx
from tests.scale import scaled
from zk.errors import CircuitError

pytestmark = pytest.mark.slow
IMAGES, IN_CAIRO = 50, 2


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in ("images", "classes") else pytest.mark.full)
        for name in MODELS
    ],
)
def model(request, tmp_path_factory):
    nodes, (shape, output), constants = MODELS[request.param]
    folder = tmp_path_factory.mktemp("models")
    return write_onnx(folder / f"{request.param}.onnx", nodes, shape, output, **constants)


def test_operators(model, machine):
    """The program, the integers and onnxruntime agree; the bounds hold."""
    network, start = read_network(model), machine(model)
    session = onnxruntime.InferenceSession(model)
    inputs = RANDOM.uniform(-2, 2, (4, *network.shape)).astype(np.float32)
    low, high = network.bounds(quantised(inputs.min(axis=0)), quantised(inputs.max(axis=0)))
    for x in inputs:
        computed = network.run(quantised(x))
        assert start().infer(quantised(x)).integers == computed.ravel().tolist()
        (expected,) = session.run(None, {"x": x})
        assert np.abs(real(computed) - expected).max() < 0.002
        assert (low <= computed).all() and (computed <= high).all()


def test_the_tutorials_network(machine):
    """196-10-10: 50 images to the last bit, and the accuracy of 1,000."""
    path, images = EXPORTS / "dense-10.onnx", mnist.drawings("test", 1000)
    network, x = read_network(path), drawing.VIEWS["dense-10"](images)
    start = machine(path, quantised(x[0]))
    computed = np.array([network.run(quantised(one)).ravel() for one in x])
    for one, integers in list(zip(x, computed, strict=True))[: scaled(5, IMAGES)]:
        assert start().infer(quantised(one)).integers == integers.tolist()
    assert start().infer(None).integers == computed[0].tolist()
    session = onnxruntime.InferenceSession(path)
    expected = np.array([session.run(None, {"x": one[None]})[0][0] for one in x])
    assert np.abs(real(computed) - expected).max() < 0.01
    labels = mnist.labels("test")[:1000]
    accuracies = [np.mean(found.argmax(axis=1) == labels) for found in (computed, expected)]
    assert abs(accuracies[0] - accuracies[1]) <= 0.002


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.full) for name in ("swift", "dense", "lenet")],
)
def test_models_of_the_project(name, machine):
    path = EXPORTS / f"{name}.onnx"
    network, x = read_network(path), drawing.VIEWS[name](mnist.drawings("test", IMAGES))
    start, session = machine(path), onnxruntime.InferenceSession(path)
    for number, one in enumerate(x):
        computed = network.run(quantised(one))
        if number < IN_CAIRO:
            assert start().infer(quantised(one)).integers == computed.ravel().tolist()
        (expected,) = session.run(None, {"x": one[None]})
        assert np.abs(real(computed) - expected).max() < 0.01


@pytest.fixture(scope="module")
def doubled(tmp_path_factory, machine):
    """A program that doubles two numbers."""
    path = tmp_path_factory.mktemp("models") / "double.onnx"
    two = np.array([2], np.float32)
    return machine(write_onnx(path, [("Mul", "x two", "y", {})], (1, 2), (1, 2), two=two))


def test_numbers_beyond_the_format_end_the_run(doubled):
    most = np.array([2**31 - 1, 0])
    with pytest.raises(CircuitError, match="ended with an error: beyond FP16x16"):
        doubled().infer(most)
    with pytest.raises(CircuitError, match="ended with an error: beyond FP16x16"):
        doubled().infer(np.array([2**31, 0]))
    with pytest.raises(CircuitError, match="another count of numbers"):
        doubled().infer(np.array([ONE]))
    assert doubled().infer(np.array([2**30 - 1, -5])).integers == [2**31 - 2, -10]


def test_project_without_an_input(doubled):
    with pytest.raises(CircuitError, match="has no input: give --input"):
        doubled().infer(None)


@pytest.mark.parametrize("lie", ["lhs", "rhs"])
def test_wrong_hints_are_noticed(doubled, lie, monkeypatch):
    """The program checks what hints give: no run ends well after a lie."""
    tell = Machine._value

    def lying(self, operand) -> int:
        value = tell(self, operand)
        return value + 1 if operand is self.hint[lie] else value

    def give(self, hint) -> None:
        self.hint = (
            next(iter(hint.values())) | {"lhs": None, "rhs": None} | next(iter(hint.values()))
        )
        honest(self, hint)

    honest = Machine._give
    monkeypatch.setattr(Machine, "_value", lying)
    monkeypatch.setattr(Machine, "_give", give)
    with pytest.raises(
        CircuitError, match=r"a check fails|smaller than 2\*\*128|ended with an error"
    ):
        doubled().infer(np.array([ONE, ONE]))


def word(dst: int, op0: int, op1: int, flags: int) -> int:
    """An instruction: three offsets, then the bits of its fields."""
    offsets = enumerate((dst, op0, op1))
    return flags << 48 | sum((offset + 0x8000) << 16 * place for place, offset in offsets)


@pytest.mark.parametrize(("logic", "way"), [(1, 5 + 3), (2, 5 * 3)])
def test_jumps_by_a_sum_and_by_a_product(logic, way):
    """The compiler writes neither, but the machine's description has both."""
    put = word(0, -1, 1, 1 << 1 | 1 << 2 | 2 << 10 | 4 << 12)  # [ap] = the next word; ap++
    jump = word(-1, -2, -1, 4 << 2 | logic << 5 | 2 << 7)  # by [ap - 2] and [ap - 1]
    code = [hex(part) for part in (put, 5, put, 3, jump)]
    machine = Machine({"bytecode": code, "hints": [], "entry_points_by_type": {"EXTERNAL": []}})
    machine.pc, machine.ap = machine.start, machine.segment()
    machine.fp = machine.ap
    for _ in range(3):
        machine._step()
    assert machine.pc - machine.start == 4 + way

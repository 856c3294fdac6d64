"""Samples that fit the model, and the properties of circuits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zk.circuit import Circuit, RunArgs, Shape
from zk.errors import CircuitError
from zk.layout import Layout
from zk.samples import Samples, check_samples, digest_of

GOOD = np.arange(12.0).reshape(3, 4)


def check(calibration=GOOD, test=GOOD, labels=None, shape=(1, 4)) -> None:
    check_samples("tiny", Samples(calibration, test, labels), Path("tiny.onnx"), shape)


def test_samples_that_fit():
    check()
    check(shape=(2, 2))
    check(GOOD[:1], GOOD[:1], np.zeros(1))
    check(labels=np.arange(3))


@pytest.mark.parametrize("kind", ["calibration", "test"])
@pytest.mark.parametrize(
    "numbers",
    [GOOD[:0], GOOD[:, :3], np.full((3, 4), np.nan), np.where(GOOD == 11, np.inf, GOOD)],
    ids=["none", "narrow", "nan", "one infinite"],
)
def test_samples_that_do_not_fit(kind, numbers):
    with pytest.raises(CircuitError, match=f"The {kind} samples of tiny have shape .* of shape"):
        check(**{kind: numbers})


@pytest.mark.parametrize("labels", [np.zeros(2), np.zeros(4), np.zeros((3, 1)), np.array(0)])
def test_labels_that_are_not_one_for_each_test_sample(labels):
    with pytest.raises(CircuitError, match="one number for each of the 3 test samples"):
        check(labels=labels)


def test_hash_of_arrays():
    assert digest_of(GOOD) == digest_of(GOOD.copy()) == digest_of(GOOD, None)
    others = [
        digest_of(GOOD + 1),
        digest_of(GOOD.reshape(4, 3)),
        digest_of(GOOD.astype(np.float32)),
        digest_of(GOOD, GOOD),
        digest_of(),
    ]
    assert len({digest_of(GOOD), *others}) == 6


def test_arguments_say_their_range_and_rewritings():
    assert RunArgs(decomp_base=1000, decomp_legs=2).value_range == 1_000_000
    assert RunArgs().value_range == 2**30
    assert RunArgs().logrows is None
    assert {*RunArgs().rewriting.values()} == {False, None, 1}
    assert RunArgs().rewriting["batch"] == 1
    assert RunArgs(summed_averages=True).rewriting["summed_averages"]
    assert RunArgs(matrix_convolutions=True).rewriting["matrix_convolutions"]
    circuit = Circuit("c", Path("c.onnx"), "V", lambda: Samples(GOOD, GOOD), RunArgs())
    assert circuit.application is None


def test_arguments_decide_the_layout():
    assert RunArgs().layout(3) == Layout(11, 24, outputs=3, lanes=1, largest_input=None)
    slim = RunArgs(param_scale=6, largest_input=4)
    assert slim.layout(3) == Layout(1, 252, outputs=3, lanes=8, largest_input=4)
    assert slim.layout(1).lanes == 1
    assert (
        replace(slim, batch=16).layout(3).batch == replace(slim, batch=16).rewriting["batch"] == 16
    )
    assert slim.rewriting["weight_scale"] == 6
    assert slim.rewriting["matrix_convolutions"]


def test_default_arguments_are_those_of_the_first_builds():
    """A change of a default changes the keys of every circuit that relies on it."""
    assert RunArgs() == RunArgs(7, 7, 1, 2, 1024, 3, None, False, False, None, 1)


def test_shape_contains_another():
    shape = Shape(14, 4, 2, 1)
    assert shape.contains(shape)
    assert shape.contains(Shape(13, 3, 1, 0))
    for larger in (Shape(15, 4, 2, 1), Shape(14, 5, 2, 1), Shape(14, 4, 3, 1), Shape(14, 4, 2, 2)):
        assert not shape.contains(larger)
        assert larger.contains(shape)

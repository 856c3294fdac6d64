"""Knobs of models that nobody has tuned: they change the size of a circuit, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from apps.circuits import EXPORTS
from tests.tiny import write_model
from zk.binding import read_model
from zk.build import build
from zk.circuit import Circuit, RunArgs
from zk.samples import Samples
from zk.tuning.defaults import TWO_LEGS, cheapest_knobs, laid_out, size


@pytest.mark.slow
def test_convolutions_that_rule_become_matrix_products():
    model = read_model(EXPORTS / "lenet.onnx")
    knobs = cheapest_knobs(model, RunArgs())
    assert knobs == {"matrix_convolutions": True, "summed_averages": True, **TWO_LEGS}
    (key, cells), (usual, more) = (
        size(laid_out(model, RunArgs(), chosen)) for chosen in (knobs, {})
    )
    assert key < usual
    assert 2 * cells < more


def test_small_models_keep_the_usual_knobs():
    assert cheapest_knobs(read_model(EXPORTS / "swift.onnx"), RunArgs()) == {
        "matrix_convolutions": False,
        "summed_averages": False,
    }


@pytest.mark.slow
def test_knobs_that_somebody_chose_stay(tmp_path):
    model = write_model(tmp_path / "m.onnx", matrix=np.ones((4, 1)))
    assert RunArgs().untuned and RunArgs(largest_input=4).untuned
    args = RunArgs(param_scale=8)
    assert not args.untuned
    x = np.random.default_rng(1).normal(size=(20, 4))
    circuit = Circuit.own("own", model, lambda: Samples(x, x), args)
    manifest, steps = build(circuit, artifacts=tmp_path / "a", verifiers=tmp_path)
    assert manifest["run_args"]["param_scale"] == 8
    assert "knobs" not in steps


def test_range_of_values_stays():
    assert replace(RunArgs(), **TWO_LEGS).value_range == RunArgs().value_range

"""Outputs of the quantised model, and the comparison of both models."""

import numpy as np
import onnxruntime
import pytest

from zk import processes, witness
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.samples import Samples
from zk.witness import accuracy, answers, compare, float_answers, loss, require_faithful


@pytest.fixture(scope="module")
def made(first_build) -> Manifest:
    return Manifest(first_build[0] / "artifacts" / "tiny")


def test_quantised_model_answers_like_the_float_model(made, samples):
    layout, compiled = made.layout, made.file("compiled")
    floats = float_answers(made.file("model"), samples.test)
    session = onnxruntime.InferenceSession(made.file("model"))
    for x, answer in zip(samples.test, floats, strict=True):
        assert np.array_equal(answer, session.run(None, {"features": x[None]})[0][0])
    quantised, (smallest, largest) = answers(compiled, layout, samples.test)
    scale = 2.0 ** made["output_scale"]
    assert quantised.shape == (16, 3)
    assert np.abs(quantised / scale - floats).max() < 0.1
    runs = [witness.witness(compiled, layout, 5, x) for x in samples.test]
    assert [list(outputs) for outputs, _ in runs] == quantised.tolist()
    assert smallest == min(lookups[0] for _, lookups in runs)
    assert largest == max(lookups[1] for _, lookups in runs)

    measured = accuracy(
        made.file("model"), compiled, Samples(samples.calibration, samples.test), 7, layout
    )
    assert measured == {
        "samples": 16,
        "source": "test samples",
        **compare(floats, quantised / 2**7, None),
    }


@pytest.mark.parametrize(("inputs", "in_processes"), [(3, False), (4, True)])
def test_few_inputs_are_not_worth_a_process(made, samples, monkeypatch, inputs, in_processes):
    monkeypatch.setattr(witness, "FEW", 2)
    used, child = [], processes._child
    monkeypatch.setattr(processes, "CORES", 2)
    monkeypatch.setattr(processes, "_child", lambda threads: used.append(threads) or child(threads))
    answers(made.file("compiled"), made.layout, samples.test[:inputs])
    assert used == ([1, 1] if in_processes else [])


def test_witness_is_written_where_it_is_wanted(made, samples, tmp_path):
    layout, compiled = made.layout, made.file("compiled")
    witness.witness(compiled, layout, 5, samples.test[0], tmp_path / "witness.json")
    assert (tmp_path / "witness.json").is_file()


def test_input_outside_the_range_names_the_work(made, samples):
    with pytest.raises(CircuitError, match="could not run the test samples: a value leaves"):
        answers(made.file("compiled"), made.layout, samples.test * 1e9)
    with pytest.raises(CircuitError, match="could not measure: a value leaves"):
        answers(made.file("compiled"), made.layout, samples.test * 1e9, "measure")


def test_model_that_onnxruntime_does_not_run(made, tmp_path):
    with pytest.raises(CircuitError, match=r"onnxruntime cannot run .*no\.onnx: "):
        float_answers(tmp_path / "no.onnx", np.zeros((1, 4)))
    with pytest.raises(CircuitError, match="onnxruntime cannot run"):
        float_answers(made.file("model"), np.zeros((1, 5)))


FLOATS = np.array([[1.0, 3.0], [2.0, 1.0], [0.0, 5.0], [4.0, 1.0]])
QUANTISED = np.array([[1.0, 2.5], [0.0, 1.0], [0.25, 5.0], [4.0, 1.0]])
LABELS = np.array([1, 0, 1, 1])


def test_classifier_is_compared():
    assert compare(FLOATS, QUANTISED, None) == {"max_error": 2.0, "agreement": 0.75}
    measured = compare(FLOATS, QUANTISED, LABELS)
    assert measured == {"max_error": 2.0, "agreement": 0.75, "float": 0.75, "quantised": 0.5}
    assert loss(measured) == 0.25
    assert loss(compare(FLOATS, QUANTISED, None)) == 0.25


def test_model_with_one_output_is_compared():
    labels = np.array([1.0, 2.0, 3.0, 6.0])
    floats, quantised = labels[:, None].copy(), -labels[:, None]
    measured = compare(floats, quantised, labels)
    assert measured["max_error"] == 12.0
    assert measured["correlation"] == pytest.approx({"float": 1.0, "quantised": -1.0})
    # The squares of 2, 4, 6 and 12 have the mean 50, and the variance of the labels is 3.5.
    assert measured["error"] == pytest.approx({"float": 0.0, "quantised": 50 / 3.5})
    assert loss(measured) == pytest.approx(50 / 3.5)
    mirrored = compare(6 - floats, quantised, labels)  # around their mean
    assert mirrored["error"]["float"] == pytest.approx(4.0)


@pytest.mark.parametrize("labels", [None, np.full(4, 2.0)], ids=["none", "equal"])
def test_one_output_without_labels_to_correlate_with(labels):
    measured = compare(FLOATS[:, :1], QUANTISED[:, :1], labels)
    assert measured == {"max_error": 2.0, "range_error": 0.5}
    assert loss(measured) == 2.0


def test_loss_of_an_equal_model_is_0():
    assert loss(compare(FLOATS, FLOATS, LABELS)) == 0
    assert loss(compare(FLOATS, FLOATS, None)) == 0
    assert loss(compare(FLOATS[:, :1], FLOATS[:, :1], LABELS)) == 0


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        ({"max_error": float("nan")}, "numbers that are not finite"),
        ({"max_error": 1.0, "agreement": 0.975}, r"for 97.5% of 40 samples, and should for 98%"),
        ({"max_error": 0.3, "range_error": 0.051}, r"up to 0.3, 5.1% of the range .* at most 5%"),
    ],
)
def test_circuit_that_answers_something_else(measured, reason):
    with pytest.raises(CircuitError, match=reason):
        require_faithful("mine", {"samples": 40, **measured})


@pytest.mark.parametrize("measured", [{"agreement": 0.98}, {"range_error": 0.05}, {}])
def test_circuit_that_answers_like_its_model(measured):
    require_faithful("mine", {"samples": 40, "max_error": 1.0, **measured})


def test_error_of_a_constant_model_is_relative_to_its_output():
    constant = np.full((4, 1), 2.0)
    assert compare(constant, constant * 1.1, None)["range_error"] == pytest.approx(0.1)
    assert compare(constant * 0, constant * 0, None)["range_error"] == 0

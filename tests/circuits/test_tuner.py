"""The tuner finds the cheapest circuit, keeps to its limits, and resumes a stopped search."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from chain.contracts import gas_of
from models.export import export
from tests.tiny import write_model
from zk import ezkl
from zk.binding import read_model
from zk.build import build
from zk.circuit import Circuit, RunArgs, Shape
from zk.errors import CircuitError
from zk.journal import Journal
from zk.proof import prove, verify
from zk.rewriting import sum_averages, unfold_convolutions
from zk.samples import Samples
from zk.tuning import candidates, costs, tuner
from zk.tuning.costs import Cost, CostModel
from zk.tuning.tuner import Finalist, Limits, Outcome, tune
from zk.verifier import LARGEST_CODE

pytestmark = pytest.mark.slow

SAMPLES = np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)
SEEN, UNSEEN = np.split(SAMPLES, 2)


def searched(
    folder: Path, operator: str = "Relu", unseen=UNSEEN, limits: Limits | None = None, **more: Any
) -> Outcome:
    """Search for a linear layer with an activation."""
    model = write_model(folder / "tiny.onnx", operator=operator)
    circuit = Circuit("tiny", model, "TinyVerifier", lambda: Samples(unseen[:8], unseen))
    options: dict[str, Any] = {
        "finalists": 1,
        "artifacts": folder / "artifacts",
        "gas": gas_of,
    } | more
    limits = limits or Limits(tolerance=0.05)
    return tune(circuit, Samples(SEEN, SEEN), "balanced", limits, **options)


@pytest.fixture(scope="module")
def first_search(tmp_path_factory) -> Iterator[tuple[Path, Outcome]]:
    """The folder and the result of a search on a small grid of knobs, which stays small."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "PARAM_SCALES", (8, 4))
        patch.setattr(candidates, "MULTIPLIERS", (1, 10))
        patch.setattr(candidates, "COLUMNS", (1, 2))
        yield folder, searched(folder)


@pytest.fixture
def first(first_search) -> Outcome:
    return first_search[1]


@pytest.fixture
def search(tmp_path, first_search):
    """A search that continues the first one, in a copy of its folder."""
    shutil.copytree(first_search[0], tmp_path, dirs_exist_ok=True)
    return lambda *arguments, **options: searched(tmp_path, *arguments, **options)


@pytest.fixture
def new_search(search, tmp_path):
    """A search without results of the first one. It shares the SRS, and thus the verifier."""
    shutil.rmtree(tmp_path / "artifacts" / "tune")
    return search


def test_winner_is_built_as_it_was_measured(search, tmp_path):
    outcome = search(finalists=2)
    winner = outcome.winner
    (other,) = (f for f in outcome.finalists if f is not winner)
    assert winner.loss <= 0.05
    assert winner.cost.code <= LARGEST_CODE
    assert winner.cost.seconds < other.cost.seconds or winner.cost.gas < other.cost.gas
    print(len(outcome.candidates))
    assert len(outcome.candidates) > 50
    circuit = Circuit(
        "tiny",
        tmp_path / "tiny.onnx",
        "TinyVerifier",
        lambda: Samples(SEEN, UNSEEN),
        winner.candidate.run_args,
    )
    manifest, _ = build(circuit, artifacts=tmp_path / "artifacts", verifiers=tmp_path)
    assert Shape(**manifest["shape"]) == winner.candidate.shape
    assert manifest["files"]["pk"]["bytes"] == winner.cost.proving_key
    proof = prove(manifest, 5, UNSEEN[0])
    assert len(proof.proof) == winner.cost.proof
    verify(manifest, proof)


def test_slim_circuits_stay_slim(tmp_path, monkeypatch):
    """The search keeps the declared inputs, and skips weights that are too fine for the lanes."""
    monkeypatch.setattr(candidates, "PARAM_SCALES", (26, 8))
    monkeypatch.setattr(candidates, "COLUMNS", (1,))
    path, seen = write_model(tmp_path / "tiny.onnx", operator="Identity"), np.abs(np.rint(SEEN))
    samples, args = Samples(seen, seen), RunArgs(largest_input=4)
    circuit = Circuit("tiny", path, "TinyVerifier", lambda: samples, args)
    outcome = tune(
        circuit,
        samples,
        "balanced",
        Limits(tolerance=0.05),
        finalists=1,
        artifacts=tmp_path / "artifacts",
        gas=gas_of,
    )
    assert {c.run_args.largest_input for c in outcome.candidates} == {4}
    assert outcome.winner.candidate.run_args.param_scale == 8


@pytest.mark.parametrize("goal", tuner.GOALS)
def test_winner_is_never_dearer_than_another(goal, first):
    """Neither in what was to be minimised, nor in both seconds and gas, for a smaller key."""

    def measured(seconds: float, gas: float, key: float) -> Finalist:
        cost = Cost(proving_key=key, proof=1, code=1, gas=gas, seconds=seconds)
        return replace(first.winner, cost=cost)

    dearer, best = measured(1.04, 104, 1e6), measured(1, 100, 2e6)
    assert tuner._best([dearer, best, measured(1.01, 101, 1)], goal) is best
    small = measured(1, 100, 1e6)
    assert tuner._best([best, small, dearer], goal) is small


def test_search_goes_on_where_it_was_stopped(new_search, first, monkeypatch):
    """It finds what a search finds that was not stopped."""

    def stopped(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new_search(gas=stopped)

    def unwanted(*_, **__):
        pytest.fail("this was done before")

    with monkeypatch.context() as patch:
        patch.setattr(ezkl, "write_settings", unwanted)
        outcome = new_search()
        patch.setattr(tuner, "figures_of", unwanted)
        assert new_search().winner == outcome.winner
    assert outcome.candidates == first.candidates
    assert outcome.winner.candidate == first.winner.candidate
    assert outcome.winner.loss == first.winner.loss


def test_other_samples_start_the_search_anew(search, first):
    assert first.winner.loss != search(unseen=UNSEEN / 2).winner.loss


@pytest.mark.full  # as other samples do
def test_another_model_starts_the_search_anew(search, first):
    """No result of the first model is used for the second."""
    assert first.candidates != search(operator="Sigmoid").candidates


def test_limits_that_nothing_meets(search, monkeypatch):
    with pytest.raises(CircuitError, match=r"the nearest needs a proving key of [\d.]+ MB, more"):
        search(limits=Limits(proving_key=1000))
    with pytest.raises(CircuitError, match=r"the nearest has a verifier of [\d,]+ bytes, more"):
        search(limits=Limits(code=1000))
    monkeypatch.setattr(candidates, "PARAM_SCALES", (1,))
    with pytest.raises(CircuitError, match=r"the nearest loses [\d.]+% by quantising, more than"):
        search(limits=Limits(tolerance=0, code=10**6))


def test_samples_of_the_search_alone_do_not_decide(search):
    """A circuit that is good on the search's samples only is refused."""
    with pytest.raises(CircuitError, match="too small a range for samples that the search never"):
        search(unseen=UNSEEN * 1e9, limits=Limits(tolerance=1, code=10**6))


def test_other_failures_are_not_taken_for_a_small_range(new_search, monkeypatch):
    def failing(*_):
        raise CircuitError("a process was killed")

    monkeypatch.setattr(tuner, "answers", failing)
    with pytest.raises(CircuitError, match="a process was killed"):
        new_search()


def test_unsupported_operator_is_named(search):
    with pytest.raises(CircuitError, match="the operator Mish is not supported"):
        search(operator="Mish")


def test_predictions_are_those_that_were_measured():
    """The committed cost model fits the measurements."""
    content = json.loads(costs.MEASUREMENTS.read_text())
    model = CostModel.load()
    for row in content:
        shape, cost = Shape(**row["shape"]), Cost(**row["cost"])
        predicted = model.predict(shape)
        for name, share in (("proving_key", 0.1), ("proof", 0.1), ("gas", 0.1), ("code", 0.2)):
            assert getattr(predicted, name) == pytest.approx(getattr(cost, name), rel=share)


def test_tables_that_are_wider_than_the_rows(tmp_path, monkeypatch):
    """ezkl folds such tables into several columns."""
    monkeypatch.setattr(candidates, "MULTIPLIERS", (1,))
    path, few = write_model(tmp_path / "tiny.onnx", operator="Sigmoid"), SEEN[:8]
    found = candidates.candidates(
        read_model(path), few, tmp_path, Journal(tmp_path / "journal.json", "tiny")
    )
    wide = min(
        (c for c in found if c.shape.tables > 1 and c.run_args.decomp_legs == 3),
        key=lambda c: (c.shape.logrows, c.shape.tables),
    )
    circuit = Circuit("wide", path, "TinyVerifier", lambda: Samples(few, few), wide.run_args)
    manifest, _ = build(
        replace(circuit, any_code=True), artifacts=tmp_path / "artifacts", verifiers=tmp_path
    )
    built = Shape(**manifest["shape"])
    assert built.tables == pytest.approx(wide.shape.tables, rel=0.1)
    assert replace(built, tables=wide.shape.tables) == wide.shape


CONVOLUTIONS = {
    "plain": (nn.Conv2d(1, 3, 5), (1, 1, 9, 9)),
    "strides and pads": (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2)), (1, 2, 9, 7)),
    "dilated, no bias": (nn.Conv2d(2, 3, 3, dilation=2, bias=False), (1, 2, 9, 7)),
    "one dimension": (nn.Conv1d(2, 4, 3, stride=2), (1, 2, 15)),
    "in groups": (nn.Conv2d(4, 4, 3, groups=2), (1, 4, 6, 6)),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolution_as_a_matrix_product_answers_the_same(kind):
    layer, shape = CONVOLUTIONS[kind]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    model = onnx.load_from_string(export(layer, x))
    expected = layer(x).detach().numpy()
    assert unfold_convolutions(model) == (0 if kind == "in groups" else 1)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": x.numpy()})
    assert found.shape == expected.shape
    assert np.allclose(found, expected, atol=1e-5)


def pooled(pool: nn.Module, after: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Sigmoid(), pool, after, nn.Flatten(), nn.LazyLinear(3))


AVERAGES = {
    "before a convolution": (pooled(nn.AvgPool2d(2), nn.Conv2d(2, 3, 3)), 1),
    "before a linear layer": (pooled(nn.AvgPool2d((3, 2), (2, 1)), nn.Identity()), 1),
    "padded": (pooled(nn.AvgPool2d(3, padding=1), nn.Conv2d(2, 3, 2)), 1),
    "fewer at the edges": (
        pooled(nn.AvgPool2d(3, padding=1, count_include_pad=False), nn.Flatten()),
        0,
    ),
    "before an activation": (pooled(nn.AvgPool2d(2), nn.Sigmoid()), 0),
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_average_as_a_sum_answers_the_same(kind):
    network, summed = AVERAGES[kind]
    x = torch.randn((1, 2, 8, 8), generator=torch.Generator().manual_seed(0))
    network(x)  # determines the size of the last layer
    model = onnx.load_from_string(export(network, x))
    assert sum_averages(model) == summed
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node].count("AveragePool") == 1 - summed
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": x.numpy()})
    assert np.allclose(found, network(x).detach().numpy(), atol=1e-5)


def with_and_without(rewriting: str, network: nn.Module, inputs: np.ndarray, args, folder):
    """Build the circuit of a network twice, with its operators rewritten and as they are."""
    model = folder / "network.onnx"
    model.write_bytes(export(network, torch.from_numpy(inputs[:1])))
    for rewritten in (True, False):
        name = "rewritten" if rewritten else "plain"
        circuit = Circuit(
            name,
            model,
            f"{name.capitalize()}Verifier",
            lambda: Samples(inputs, inputs),
            replace(args, **{rewriting: rewritten}),
        )
        yield build(circuit, artifacts=folder, verifiers=folder)[0]


@pytest.mark.full
def test_summed_averages_cost_less_and_answer_as_well(tmp_path):
    """The circuit has fewer cells, and its answers are near those of the model."""
    torch.manual_seed(0)
    network = pooled(nn.AvgPool2d(2), nn.Conv2d(2, 3, 2))
    inputs = np.random.default_rng(0).normal(size=(6, 2, 6, 6)).astype(np.float32)
    network(torch.from_numpy(inputs))  # determines the size of the last layer
    sums, averages = with_and_without("summed_averages", network, inputs, RunArgs(8, 8), tmp_path)
    assert sums["cells"] < 0.9 * averages["cells"]
    assert sums["accuracy"]["max_error"] < 0.05
    verify(sums, prove(sums, 5, inputs[0]))


@pytest.mark.full
def test_matrix_convolutions_are_proved_with_the_same_answers(tmp_path):
    """The circuit has fewer cells and the same outputs."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 2))
    inputs = np.random.default_rng(0).integers(0, 5, (6, 1, 8, 8)).astype(np.float32)
    args = RunArgs(0, 6, 10, num_inner_cols=1, decomp_base=1000, decomp_legs=3)
    matrices, plain = with_and_without("matrix_convolutions", network, inputs, args, tmp_path)
    proof = prove(matrices, 5, inputs[0])
    assert proof.instances == prove(plain, 5, inputs[0]).instances
    assert matrices["cells"] < 0.8 * plain["cells"]
    verify(matrices, proof)

"""Circuits that are too large are refused before keys are made."""

import numpy as np
import pytest

from tests.tiny import write_model
from zk.build import build
from zk.circuit import Circuit, RunArgs, Shape
from zk.errors import CircuitError
from zk.limits import (
    LARGEST_LOGROWS,
    OVERESTIMATE,
    Estimate,
    free_memory,
    require_memory,
    require_rows,
    require_small_code,
)
from zk.samples import Samples
from zk.verifier import LARGEST_CODE


def test_rows():
    require_rows("own", 2**LARGEST_LOGROWS - 100)
    with pytest.raises(CircuitError, match=r"own takes 1,048,576 rows, and at most 2\*\*20"):
        require_rows("own", 2**LARGEST_LOGROWS)


def test_memory():
    free = free_memory()
    assert 10**8 < free < 10**14
    require_memory("own", Estimate(code=0, memory=free / 2, seconds=0))
    with pytest.raises(CircuitError, match=r"takes about .* GB of memory, and .* GB are free"):
        require_memory("own", Estimate(code=0, memory=4 * free, seconds=0))


def test_code():
    require_small_code("own", LARGEST_CODE)
    with pytest.raises(CircuitError, match="about 24,577 bytes, and a contract has at most 24,576"):
        require_small_code("own", LARGEST_CODE + 1)


def test_estimates_are_near_what_was_built(manifest):
    estimate = Estimate.of(Shape(**manifest["shape"]))
    assert 1 <= estimate.code / manifest["verifier"]["runtime_bytes"] <= OVERESTIMATE
    assert estimate.memory < 4 * manifest["files"]["pk"]["bytes"] + 2e8


def test_verifier_that_no_contract_can_hold(tmp_path):
    """Many columns make a verifier of more code than a contract may have."""
    model = write_model(tmp_path / "m.onnx", matrix=np.ones((4, 1)))
    x = np.random.default_rng(1).normal(size=(20, 4))
    args = RunArgs(num_inner_cols=24)
    circuit = Circuit.own("own", model, lambda: Samples(x, x), args)
    steps: list[str] = []
    with pytest.raises(CircuitError, match="The verifier of own has about"):
        build(circuit, artifacts=tmp_path / "a", verifiers=tmp_path, report=steps.append)
    assert "accuracy" in steps and "setup" not in steps
    assert not list(tmp_path.glob("*.sol"))

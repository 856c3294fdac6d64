"""Several processes return the same answers as one, and fail with one sentence."""

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from apps.circuits import digit_samples, view_of
from zk import proof, witness
from zk.errors import CircuitError
from zk.files import ROOT
from zk.processes import answer_all
from zk.proof import prove_all, verify
from zk.witness import answers

pytestmark = pytest.mark.slow

DRAWINGS = digit_samples(view_of("clan", "drawing"), tests=100).test


def test_answers_are_the_same(manifest, monkeypatch):
    compiled, limbs = manifest.file("compiled"), manifest.layout.widest
    several, lookups = answers(compiled, limbs, DRAWINGS)
    monkeypatch.setattr(witness, "FEW", 1000)
    alone, same = answers(compiled, limbs, DRAWINGS)
    assert np.array_equal(several, alone)
    assert lookups == same


def test_proofs_are_in_the_order_of_their_claims(manifest, monkeypatch):
    monkeypatch.setattr(proof, "FEW", 1)
    claims = list(enumerate(DRAWINGS[:3]))
    for (key, x), made in zip(claims, prove_all(manifest, claims), strict=True):
        assert made.key(manifest.layout) == key
        assert np.array_equal(made.outputs(manifest.layout), proof.answer(manifest, x))
        verify(manifest, made)


def test_failure_in_a_process_is_a_sentence(manifest):
    with pytest.raises(CircuitError, match=r"run the test samples: a value leaves the .* range"):
        answers(manifest.file("compiled"), manifest.layout.widest, DRAWINGS * 1e9)


def test_killed_process_is_a_sentence():
    with pytest.raises(CircuitError, match="could not die: one of 2 processes was killed, perhaps"):
        answer_all(os._exit, [1, 1], "die", 2)


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    words = [sys.executable, "-m", "tests.killed", "wait", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT) as parent:
        limit = time.monotonic() + 60
        while len(working := list(tmp_path.iterdir())) < 2:
            assert parent.poll() is None, "the parent ended before two processes had begun"
            assert time.monotonic() < limit, f"{len(working)} of 2 processes began in a minute"
            time.sleep(0.05)
        children = [psutil.Process(int(path.name)) for path in working]
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, f"{len(alive)} of 2 processes were alive 20 seconds after their parent"

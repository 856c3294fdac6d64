"""Several processes return the same answers as one, and fail with one sentence."""

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

import numpy as np
import psutil
import pytest

from apps.circuits import digit_samples, view_of
from zk import manifest as of_manifest
from zk import processes, proof, witness
from zk.errors import CircuitError, KilledError, RangeError, TimeLimitError
from zk.files import ROOT
from zk.private import PREFIX
from zk.processes import answer_all
from zk.proof import prove_all, verify
from zk.witness import answers

pytestmark = pytest.mark.slow

DRAWINGS = digit_samples(view_of("clan", "drawing"), tests=100).test


def test_answers_are_the_same(manifest, monkeypatch):
    compiled, layout = manifest.file("compiled"), manifest.layout
    several, lookups = answers(compiled, layout, DRAWINGS)
    monkeypatch.setattr(witness, "FEW", 1000)
    alone, same = answers(compiled, layout, DRAWINGS)
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
    with pytest.raises(
        CircuitError, match="takes whole numbers from 0 to 4, and the input has others"
    ):
        answers(manifest.file("compiled"), manifest.layout, DRAWINGS * 1e9)


def test_killed_process_is_a_sentence():
    with pytest.raises(KilledError, match="could not die: one of 2 processes was killed, perhaps"):
        answer_all(os._exit, [1, 1], "die", 2)


def stop(_: int) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def test_process_that_stands_still_is_killed():
    """Also one that no signal but SIGKILL reaches; the next work begins in another."""
    with pytest.raises(TimeLimitError, match="not stand: it had not ended after 1 seconds"):
        answer_all(stop, [1], "stand", 1, limit=1)
    assert answer_all(abs, [-1], "count", 1, limit=60) == [1]


def seconds_left(_: int) -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


@pytest.mark.parametrize(("limit", "least", "most"), [(math.inf, 0, 0), (60, 59, 61)])
def test_process_ends_itself_after_a_limit(limit, least, most):
    left = answer_all(seconds_left, [1, 2], "wait", 2, limit=limit)
    assert least <= min(left) <= max(left) <= most


def test_process_leaves_interrupts_to_its_parent(capfd):
    """From its first moment: while Python starts, an interrupt would print a traceback."""
    for pause in (0, 0.02, 0.1, 1):
        child = processes.Child(1)
        time.sleep(pause)  # to meet it at another moment of its start
        child.process.send_signal(signal.SIGINT)
        child.order(0, abs, -1, 60)
        assert child.pipe.poll(60), "no answer in a minute"
        assert child.pipe.recv() == (1, None)
        child.kill()
    assert not capfd.readouterr().err


def test_proof_that_hangs_is_stopped(hanging, monkeypatch, tmp_path):
    """ezkl's issue 1029. Nothing of it is left, and the next proof is made."""
    built, beyond = hanging
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(processes, "_idle", defaultdict(list))  # these have another TMPDIR
    monkeypatch.setattr(of_manifest, "LIMIT_FACTOR", 0)
    monkeypatch.setattr(proof, "FEW", 1)
    inputs = [(1, beyond), (2, beyond / 200)]
    for claims, which in ((inputs[:1], "it"), (inputs, "number 1 of 2")):
        monkeypatch.setattr(of_manifest, "LIMIT_SECONDS", 1)
        with pytest.raises(TimeLimitError, match=f"not prove tiny: {which} had not ended after 1"):
            prove_all(built, claims)
        assert not list(tmp_path.glob(f"{PREFIX}*"))
        monkeypatch.setattr(of_manifest, "LIMIT_SECONDS", 60)
        verify(built, prove_all(built, inputs[1:])[0])


@pytest.mark.parametrize("times", [1, -1])
def test_value_beyond_a_lookup_table_is_refused(hanging, times):
    """Before ezkl hangs on it; and what its table holds is not."""
    built, beyond = hanging
    with pytest.raises(RangeError, match="outside the lookup table of tiny"):
        proof.answer(built, times * beyond)
    assert len(proof.answer(built, times * beyond / 200)) == 3


def test_limit_of_a_proof_is_a_multiple_of_the_setup(manifest, monkeypatch):
    seconds = manifest["steps"]["setup"]["seconds"]
    assert manifest.time_limit == max(50 * seconds, 120)
    monkeypatch.setattr(of_manifest, "LIMIT_SECONDS", 0)
    assert manifest.time_limit == 50 * seconds > 0


@pytest.mark.parametrize(("what", "count"), [("wait", 2), ("hang", 1)])
def test_processes_end_with_a_parent_that_is_killed(what, count, hanging, tmp_path):
    """Also while ezkl hangs in one, which then runs no Python."""
    np.save(tmp_path / "beyond.npy", hanging[1])
    (tmp_path / "artifacts").symlink_to(hanging[0].folder.parent)
    words = [sys.executable, "-m", "tests.killed", what, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT) as parent:
        limit = time.monotonic() + 60
        while len(working := list(tmp_path.glob("*.pid"))) < count:
            assert parent.poll() is None, "the parent ended before the processes had begun"
            assert time.monotonic() < limit, f"{len(working)} of {count} began in a minute"
            time.sleep(0.05)
        children = [psutil.Process(int(path.stem)) for path in working]
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, f"{len(alive)} of {count} were alive 20 seconds after their parent"

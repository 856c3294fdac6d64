"""The benchmark: its prices, its order, its document and the figures on record."""

import json

import pytest

from bench import documents, side_by_side
from bench.growth import exponent
from bench.prices import PRICES, Price
from zk.files import ROOT
from zk.journal import Journal
from zk.proof import Proof
from zk.tuning.measure import Measured, typical

RECORD = json.loads((ROOT / "docs" / "benchmarks.json").read_text())
ROWS = RECORD["rows"]


def seconds(name: str) -> float:
    """From the input to a checked proof."""
    return sum(ROWS[name][step] for step in ("witness", "prove", "verify"))


@pytest.mark.parametrize(
    ("name", "notebook", "times"),
    [
        ("clan", "clan-notebook", 60),
        ("clan-dash", "clan-notebook", 100),
        ("clan-lenet", "clan-notebook", 3),
        ("voice", "voice-notebook", 7),
    ],
)
def test_recorded_ratios(name, notebook, times):
    assert seconds(notebook) >= times * seconds(name)


def test_recorded_figures():
    clan, lenet, voice = (ROWS[name] for name in ("clan", "clan-lenet", "voice"))
    assert clan["accuracy"]["samples"] == 10_000
    assert clan["accuracy"]["quantised"] >= 0.98
    assert clan["memory"] <= 350e6
    assert clan["gas"] <= 375_000
    assert clan["call"] <= 420_000
    assert abs(lenet["accuracy"]["float"] - lenet["accuracy"]["quantised"]) <= 0.003
    assert voice["accuracy"]["correlation"]["quantised"] >= 0.45
    notebook = ROWS["voice-notebook"]["accuracy"]
    assert voice["accuracy"]["samples"] == notebook["samples"]
    assert voice["accuracy"]["error"]["quantised"] <= min(0.85, notebook["error"]["quantised"])


def measured(seconds: float, memory: int = 1) -> Measured:
    return Measured(1, seconds, 2, memory, Proof("none", b"", []))


@pytest.mark.parametrize("name", [*side_by_side.OURS, *side_by_side.NOTEBOOKS])
def test_proofs_can_have_the_name_of_each_circuit(name):
    assert Proof.of({"circuit": name, "proof": "0x", "instances": []}, "").circuit == name


def test_typical_proof():
    found = typical([measured(5, 7), measured(90, 3), measured(4, 6)])
    assert (found.witness, found.prove, found.verify, found.memory) == (1, 5, 2, 7)


@pytest.mark.parametrize(("quick", "expected"), [(False, 5), (True, 1)])
def test_each_circuit_proves_in_turn(monkeypatch, quick, expected):
    turns = []
    subjects = {
        name: side_by_side.Subject({}, [], "Verifier", {"proving_key": size})
        for name, size in {"large": 6e8, "small": 1e7, "larger": 9e8}.items()
    }

    def prove(name, *given):
        turns.append(name)
        return measured(len(turns))

    monkeypatch.setattr(side_by_side, "measure", prove)
    assert set(side_by_side._in_turns(subjects, quick, lambda line: None)) == set(subjects)
    assert [turns.count(name) for name in subjects] == [expected, 5, expected]
    assert turns[-3:] == list(subjects) or quick


def test_gas_in_dollars():
    assert Price(gwei=10, coin=2_000).dollars(gas=500_000, calldata=3_000) == pytest.approx(10)
    # 1,000 bytes of data count as 793.9; 16 x 5,227 x 1 gwei each, in millionths.
    rollup = Price(gwei=0, coin=1_000, l1_gwei=1)
    assert rollup.dollars(gas=1, calldata=1_000) == pytest.approx(66.4e-6, rel=0.01)
    assert RECORD["prices"]["mainnet"]["gwei"] == PRICES["mainnet"].gwei


def test_exponent_of_growth():
    points = [{"cells": 2**k, "prove": 0.1 * 2 ** (0.5 * k)} for k in range(10, 19)]
    assert exponent(points) == pytest.approx(0.5)


def test_record_replaces_the_section(tmp_path, monkeypatch):
    path = tmp_path / "benchmarks.md"
    path.write_text("# Title\n\n<!-- measured: bench -->\nold\n<!-- end -->\n\nAfter.\n")
    monkeypatch.setattr(documents, "BENCHMARKS", path)
    for text in ("first", "second"):
        documents.record("bench", text)
    expected = "# Title\n\n<!-- measured: bench -->\n\nsecond\n\n<!-- end -->\n\nAfter.\n"
    assert path.read_text() == expected


def test_journal_keeps_the_answers_about_one_subject(tmp_path):
    path, asked = tmp_path / "journal.json", []

    def answer() -> int:
        asked.append(1)
        return len(asked)

    for about, expected in (("this", 1), ("this", 1), ("that", 2), ("this", 3)):
        assert Journal(path, about).once(["question", 7], answer) == expected
    path.write_text("{")  # a damaged one starts anew
    assert Journal(path, "this").once(["question", 7], answer) == 4

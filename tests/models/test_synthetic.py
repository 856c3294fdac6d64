"""The synthetic corpus: the voices that builds are calibrated on, made once."""

import hashlib
import sys
from pathlib import Path

import pytest

from models.data import DatasetError, synthetic

# Of the names and samples of all clips.
CORPUS = "58a188adb62060977da761ccefc1ccf7cc3501af41a56f2a3fd64d1a1d46330a"


def test_voices_are_those_of_all_builds():
    """A change of one sample changes the calibration of the voice circuits, and their keys."""
    import soundfile

    digest = hashlib.sha256()
    for path in sorted(synthetic.ensure().iterdir()):
        samples, rate = soundfile.read(path, dtype="int16")
        digest.update(f"{path.name} {rate} ".encode() + samples.tobytes())
    assert digest.hexdigest() == CORPUS


@pytest.fixture
def speaker(tmp_path, monkeypatch):
    """Let a shell script speak; its last argument is the folder to write."""

    def speaker(script: str) -> None:
        path = tmp_path / "speaker.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    monkeypatch.setattr(synthetic, "CACHE", tmp_path / "checkout" / ".cache")
    synthetic.CACHE.mkdir(parents=True)
    return speaker


def left() -> list[Path]:
    return sorted(synthetic.CACHE.iterdir())


def test_corpus_is_made_once(speaker):
    speaker('mkdir "$3" && echo "$1 $2" > "$3/words" && pwd > "$3/place"')
    folder = synthetic.ensure()
    assert (folder / "words").read_text() == "-m models.data.synthetic\n"
    assert (folder / "place").read_text() == f"{synthetic.CACHE.parent}\n"
    assert left() == [folder]
    speaker("exit 1")
    assert synthetic.ensure() == folder


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('mkdir "$3"; echo early >&2; echo "no voice f9" >&2; exit 1', "no voice f9"),
        ("echo out; exit 1", "no reason given"),
    ],
)
def test_voices_that_cannot_be_made(speaker, script, reason):
    speaker(script)
    with pytest.raises(DatasetError, match=rf"could not make the synthetic voices: {reason}\."):
        synthetic.ensure()
    assert left() == []


def test_corpus_that_another_process_finishes_first(speaker):
    """The folder's name ends where the process id of the partial one begins."""
    speaker(
        'mkdir "$3" && touch "$3/mine" && mkdir "${3%.*.partial}" && touch "${3%.*.partial}/his"'
    )
    folder = synthetic.ensure()
    assert left() == [folder]
    assert [path.name for path in folder.iterdir()] == ["his"]

"""The notebook, run from its first cell to its last by a kernel."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from modellers.archives import MODELS
from modellers.jupyter import SOURCE
from zk.files import ROOT

pytestmark = pytest.mark.full  # minutes; test_training.py has the recipes
PATIENCE = 900  # seconds for a cell


def executed(folder: Path, **parameters: str) -> nbformat.NotebookNode:
    """The notebook after a run with these parameters, which keeps its files in a folder."""
    notebook = jupytext.read(SOURCE)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    paths = {name: f"ROOT / {str(folder)!r} / {name.lower()!r}" for name in ("FOLDER", "ARTIFACTS")}
    given = parameters | paths | {"VERIFIERS": "FOLDER"}
    cell.source = "\n".join(f"{name} = {value}" for name, value in given.items())
    NotebookClient(
        notebook, timeout=PATIENCE, resources={"metadata": {"path": str(ROOT / "notebooks")}}
    ).execute()
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_notebook_tells_the_models_apart(tmp_path):
    """A small network in place of LeNet, whose keys have 800 MB each."""
    small = {"NETWORK": "'dense-25'", "CIRCUIT": "'mnist'", "EPOCHS": "2"}
    said = printed(notebook := executed(tmp_path, **small))
    assert "the proof of the good model, under the good key: accepted" in said
    assert "the proof of the bad model, under the bad key: accepted" in said
    assert "the proof of the bad model, under the good key: refused" in said
    assert "the proof of the good model, under the bad key: refused" in said
    assert pictures(notebook) == 3
    # Two epochs leave it below the floor of its recipe, so that no cache keeps it.
    assert not (tmp_path / "folder" / MODELS).exists()
    exports = tmp_path / "folder" / "notebook"
    assert sorted(path.name for path in exports.iterdir()) == [
        "calibration.npz",
        "dense-25-bad.onnx",
        "dense-25.onnx",
        "index.json",
    ]


def test_whole_notebook(tmp_path):
    """As people run it: LeNet reaches the accuracy of its model card."""
    said = printed(executed(tmp_path, NETWORK="'lenet'", CIRCUIT="'clan-lenet'", EPOCHS="None"))
    assert "good: 98." in said
    assert "the proof of the bad model, under the good key: refused" in said

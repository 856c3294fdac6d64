"""A drawing: 28 by 28 pixels of 0 or 1. Where one comes from, and what each model sees of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.data import DatasetError, arrays

SIDE = 28


class DrawingError(DatasetError):
    """Something that should be a drawing is not."""


def read(path: Path) -> np.ndarray:
    """A drawing from a .npy file or a picture, light strokes on dark as MNIST has them."""
    if not path.is_file():
        raise DrawingError(f"There is no drawing at {path}: give a 28x28 picture or .npy file.")
    if path.suffix == ".npy":
        return check(arrays.read(path)["x"])
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return check(np.asarray(picture.convert("L")) / 255)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DrawingError(f"{path} is no picture: {error}") from error


def check(pixels: np.ndarray) -> np.ndarray:
    """The pixels rounded to 0 or 1, or a sentence about what is wrong with them."""
    if pixels.shape != (SIDE, SIDE):
        raise DrawingError(f"A drawing has {SIDE}x{SIDE} pixels, not the shape {pixels.shape}.")
    pixels = pixels.astype(np.float64)
    outside = pixels[~((pixels >= 0) & (pixels <= 1))]
    if outside.size:
        raise DrawingError(f"A drawing's pixels lie between 0 and 1, one of these is {outside[0]}.")
    drawing = (pixels > 0.5).astype(np.uint8)
    if not drawing.any():
        raise DrawingError(
            "The drawing is empty: no pixel is above one half (strokes are light, paper dark)."
        )
    return drawing


def whole(drawings: np.ndarray) -> np.ndarray:
    """Every pixel, float32 [N, 1, 28, 28]."""
    return drawings.reshape(-1, 1, SIDE, SIDE).astype(np.float32)


def block_sums(drawings: np.ndarray) -> np.ndarray:
    """The sum of each 2x2 block, float32 [N, 1, 14, 14].

    Whole numbers from 0 to 4 enter a circuit exactly and at scale 0, a quarter as many as the
    pixels, so nothing has to be rescaled before the first activation.
    """
    half = SIDE // 2
    sums = drawings.reshape(-1, 1, half, 2, half, 2).sum(axis=(3, 5), dtype=np.uint8)
    return sums.astype(np.float32)


def middle_sums(drawings: np.ndarray) -> np.ndarray:
    """The same without the border, where hardly any digit has a stroke: [N, 1, 12, 12]."""
    return block_sums(drawings)[:, :, 1:-1, 1:-1]


# What each model of `models.digits` sees of a drawing.
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "swift": middle_sums,
    "dash": middle_sums,
    "lenet": whole,
    "dense": whole,
    "dense-56": whole,
    "dense-25": block_sums,
    "dense-24-14": block_sums,
    "conv-6-16": whole,
}


def as_text(drawing: np.ndarray) -> str:
    """The drawing for a terminal, two rows of pixels a line of half blocks."""
    upper, lower = drawing[0::2], drawing[1::2]
    rows = zip(upper, lower, strict=True)
    return "\n".join("".join(" ▄▀█"[2 * u + v] for u, v in zip(*row, strict=True)) for row in rows)

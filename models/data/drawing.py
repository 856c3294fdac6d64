"""Drawings of 28 by 28 pixels of 0 or 1: reading, checks and the view of each model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.data import DatasetError, arrays

SIDE = 28


class DrawingError(DatasetError):
    """A file or an array is not a drawing."""


def read(path: Path) -> np.ndarray:
    """Read a drawing from an .npy file or a picture, with light strokes on dark like MNIST's."""
    if not path.is_file():
        raise DrawingError(f"There is no drawing at {path}: give a 28x28 picture or .npy file.")
    if path.suffix == ".npy":
        return check(arrays.read(path)["x"])
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return check(np.asarray(picture.convert("L")) / 255)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DrawingError(f"{path} is not a picture: {error}.") from error


def check(pixels: np.ndarray) -> np.ndarray:
    """Round pixels to 0 or 1. Raise `DrawingError` unless they are a drawing."""
    if pixels.shape != (SIDE, SIDE):
        raise DrawingError(f"A drawing has {SIDE}x{SIDE} pixels, not the shape {pixels.shape}.")
    pixels = pixels.astype(np.float64)
    outside = pixels[~((pixels >= 0) & (pixels <= 1))]
    if outside.size:
        raise DrawingError(f"The pixels of a drawing are between 0 and 1, not {outside[0]}.")
    drawing = (pixels > 0.5).astype(np.uint8)
    if not drawing.any():
        raise DrawingError(
            "The drawing is empty: no pixel is above one half. Draw light strokes on dark."
        )
    return drawing


def whole(drawings: np.ndarray) -> np.ndarray:
    """All pixels, float32 [N, 1, 28, 28]."""
    return drawings.reshape(-1, 1, SIDE, SIDE).astype(np.float32)


def block_sums(drawings: np.ndarray) -> np.ndarray:
    """The sum of each 2x2 block, float32 [N, 1, 14, 14].

    Whole numbers enter a circuit exactly and at scale 0: nothing has to be rescaled before the
    first activation.
    """
    half = SIDE // 2
    sums = drawings.reshape(-1, 1, half, 2, half, 2).sum(axis=(3, 5), dtype=np.uint8)
    return sums.astype(np.float32)


def middle_sums(drawings: np.ndarray) -> np.ndarray:
    """Block sums without the border, which is empty in most digits, float32 [N, 1, 12, 12]."""
    return block_sums(drawings)[:, :, 1:-1, 1:-1]


# The view of each model in `models.digits`.
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
    """Draw with half blocks for a terminal: two rows of pixels per line."""
    upper, lower = drawing[0::2], drawing[1::2]
    rows = zip(upper, lower, strict=True)
    return "\n".join("".join(" ▄▀█"[2 * u + v] for u, v in zip(*row, strict=True)) for row in rows)

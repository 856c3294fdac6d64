"""Drawings of a digit: reading, normalising as MNIST does, and the view of each model."""

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from models.data import DatasetError

SIDE = 28
BOX = 20  # pixels of a digit's longer side, as in MNIST
LARGEST = 5000  # pixels of a picture's side
MOST_INK = 0.5  # of a picture


class DrawingError(DatasetError):
    """A file or an array is not a drawing."""


def read(path: Path) -> np.ndarray:
    """Read the pixels of an .npy file or a picture, from 0 (black) to 1."""
    if not path.is_file():
        raise DrawingError(f"There is no drawing at {path}: give a picture or an .npy file.")
    if path.suffix == ".npy":
        return check(_array(path))
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            paper = Image.new("RGBA", upright.size, "white")
            return check(np.asarray(Image.alpha_composite(paper, upright).convert("L")) / 255)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DrawingError(f"{path} is not a picture: {error}.") from error


def _array(path: Path) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DrawingError(f"{path} is not an .npy file: {error}.") from error
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "biuf":
        raise DrawingError(f"{path} does not hold one array of numbers.")
    return content


def check(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels of a picture. Raise `DrawingError` if they cannot be a drawing."""
    if pixels.ndim != 2 or not 0 < max(pixels.shape) <= LARGEST:
        raise DrawingError(
            f"A drawing has two dimensions of up to {LARGEST} pixels, not the shape {pixels.shape}."
        )
    outside = pixels[~((pixels >= 0) & (pixels <= 1))]
    if outside.size:
        raise DrawingError(f"The pixels of a drawing are between 0 and 1, not {outside[0]}.")
    ink = np.mean(_light(pixels) > 0.5)
    if ink == 0:
        raise DrawingError("The drawing is empty: draw one digit with clear strokes.")
    if ink > MOST_INK:
        raise DrawingError(
            f"The drawing has ink on {ink:.0%} of its pixels, more than {MOST_INK:.0%}: draw one "
            "digit with thinner strokes."
        )
    return pixels.astype(np.float32)


def is_dark_on_light(pixels: np.ndarray) -> bool:
    """Return whether the edge of a picture is light, thus its strokes are dark."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(edge.mean() > 0.5)


def normalised(pixels: np.ndarray) -> np.ndarray:
    """Turn a picture of a digit into a drawing like MNIST's, uint8 [28, 28], pixels of 0 or 1.

    Its strokes are light, its longer side has 20 pixels, and its centre of mass is in the middle.
    """
    strokes = _fitted(
        _fitted(_light(pixels))
    )  # the soft edges of a small picture vanish in the first
    places = [_start(strokes, axis) for axis in (0, 1)]
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[tuple(slice(at, at + n) for at, n in zip(places, strokes.shape, strict=True))] = strokes
    return drawing


def _light(pixels: np.ndarray) -> np.ndarray:
    """The pixels with light strokes on dark."""
    return 1 - pixels if is_dark_on_light(pixels) else pixels


def _fitted(light: np.ndarray) -> np.ndarray:
    """Cut out the strokes, scale the longer side to 20 pixels, and round pixels to 0 or 1."""
    from PIL import Image

    ink = light > 0.5
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis))[[0, -1]] for axis in (1, 0))
    box = light[top : bottom + 1, left : right + 1].astype(np.float32)
    height, width = (max(round(side * BOX / max(box.shape)), 1) for side in box.shape)
    if box.shape != (height, width):
        picture = Image.fromarray(box).resize((width, height), Image.Resampling.BICUBIC)
        box = np.asarray(picture)
    return box > min(box.max(), 1) / 2  # thin strokes of a large picture turn grey


def _start(strokes: np.ndarray, axis: int) -> int:
    """The place of the strokes at which their centre of mass is in the middle."""
    mean = np.nonzero(strokes)[axis].mean()
    return int(np.clip(round((SIDE - 1) / 2 - mean), 0, SIDE - strokes.shape[axis]))


def whole(drawings: np.ndarray) -> np.ndarray:
    """All pixels, float32 [N, 1, 28, 28]."""
    return drawings.reshape(-1, 1, SIDE, SIDE).astype(np.float32)


def block_sums(drawings: np.ndarray) -> np.ndarray:
    """The sum of each 2x2 block, float32 [N, 1, 14, 14].

    Whole numbers enter a circuit exactly and at scale 0: nothing has to be rescaled before the
    first activation.
    """
    squares = drawings.reshape(-1, 1, SIDE, SIDE).astype(np.uint8)
    rows = squares[:, :, ::2] + squares[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]).astype(np.float32)


def block_means(drawings: np.ndarray) -> np.ndarray:
    """The mean of each 2x2 block, float32 [N, 1, 14, 14]: a drawing at half its size."""
    return block_sums(drawings) / 4


def middle_sums(drawings: np.ndarray) -> np.ndarray:
    """Block sums without the border, which is empty in most digits, float32 [N, 1, 12, 12]."""
    return block_sums(drawings)[:, :, 1:-1, 1:-1]


def normalised_sums(drawings: np.ndarray) -> np.ndarray:
    """The middle block sums of normalised drawings, float32 [N, 1, 12, 12]."""
    normal = [normalised(drawing) for drawing in drawings.reshape(-1, SIDE, SIDE)]
    return middle_sums(np.stack(normal))


# The view of each model in `models.digits`.
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "swift": normalised_sums,
    "dash": normalised_sums,
    "lenet": whole,
    "dense": whole,
    "dense-56": whole,
    "dense-25": block_sums,
    "dense-24-14": block_sums,
    "dense-10": block_means,
    "conv-6-16": whole,
}


def as_text(drawing: np.ndarray) -> str:
    """Draw with half blocks for a terminal: two rows of pixels per line."""
    upper, lower = drawing[0::2], drawing[1::2]
    rows = zip(upper, lower, strict=True)
    return "\n".join("".join(" ▄▀█"[2 * u + v] for u, v in zip(*row, strict=True)) for row in rows)

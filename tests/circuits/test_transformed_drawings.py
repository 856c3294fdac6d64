"""The quantised reader on drawings that differ from its training data in size, place and angle."""

import math

import numpy as np
import pytest
from PIL import Image

from models.data import drawing, mnist
from tests.scale import scaled
from zk.files import ROOT
from zk.witness import answers

COUNT = scaled(100, 1000)
OTHERS = scaled(300, 1797)
# The digits of scikit-learn's `load_digits`, of 8x8 pixels from 0 to 16: E. Alpaydin and C. Kaynak,
# Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, CC BY 4.0.
OTHER_DIGITS = ROOT / "tests" / "recorded" / "digits.npz"


def transformed(image: np.ndarray, size: float, shift: int, degrees: float) -> np.ndarray:
    """Scale and turn an image about its middle, then move it right and down."""
    cosine, sine = (turn(math.radians(degrees)) / size for turn in (math.cos, math.sin))
    middle = (drawing.SIDE - 1) / 2
    from_x = middle - cosine * (middle + shift) - sine * (middle + shift)
    from_y = middle + sine * (middle + shift) - cosine * (middle + shift)
    change = (cosine, sine, from_x, -sine, cosine, from_y)
    picture, affine = Image.fromarray(image), Image.Transform.AFFINE
    moved = picture.transform(picture.size, affine, change, Image.Resampling.BILINEAR)
    return np.asarray(moved) / 255


@pytest.fixture(scope="module")
def read(manifest):
    """Return the digits that the circuit reads in pictures."""

    def read(pictures) -> np.ndarray:
        normal = np.stack([drawing.normalised(picture) for picture in pictures])
        x = drawing.VIEWS["swift"](normal)
        outputs, _ = answers(manifest.file("compiled"), manifest.layout, x)
        return outputs.argmax(axis=1)

    return read


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "shift", "degrees", "goal"),
    [
        (0.5, 0, 0, 0.90),
        (0.7, 0, 0, 0.90),
        (1.3, 0, 0, 0.90),
        (1, 3, 0, 0.95),
        (1, -3, 0, 0.95),
        (1, 0, 15, 0.93),
        (1, 0, -15, 0.93),
    ],
)
def test_transformed_drawings(read, size, shift, degrees, goal):
    some = slice(None, None, len(mnist.labels("test")) // COUNT)
    pictures = [transformed(image, size, shift, degrees) for image in mnist.images("test")[some]]
    assert np.mean(read(pictures) == mnist.labels("test")[some]) >= goal


@pytest.mark.slow
def test_digits_of_another_collection(read):
    with np.load(OTHER_DIGITS) as digits:
        pictures, labels = digits["images"] / 16, digits["labels"]
    assert len(labels) == 1797
    some = slice(OTHERS)
    assert np.mean(read(pictures[some]) == labels[some]) >= 0.85

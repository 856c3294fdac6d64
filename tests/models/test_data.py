"""MNIST, drawings, arrays and the training of digit readers."""

import shutil

import numpy as np
import pytest
from PIL import Image

from models import digits
from models.data import DatasetError, drawing, mnist

NETWORK = "dense-25"
LEAST = 50  # per cent that it reads after an epoch; a guess reads 10


def test_mnist_is_whole():
    assert mnist.images("train").shape == (60_000, 28, 28)
    assert mnist.images("test").shape == (10_000, 28, 28)
    assert mnist.labels("train").tolist()[:5] == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.labels("test")).min() > 800


def test_pixels_are_rounded_to_0_or_1():
    images, drawings = mnist.images("test"), mnist.drawings("test")
    assert set(np.unique(drawings)) == {0, 1}
    assert (drawings == np.rint(images / 255)).all()


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_damaged_mnist(tmp_path, damage):
    name = "t10k-labels-idx1-ubyte"
    path = tmp_path / name
    if damage != "missing":
        shutil.copy(mnist.FOLDER / name, path)
        content = bytearray(path.read_bytes())
        content[5000] ^= 1
        path.write_bytes(content if damage == "flipped" else content[:5000])
    with pytest.raises(DatasetError) as caught:
        mnist.labels("test", tmp_path)
    assert str(path) in str(caught.value)
    assert mnist.MD5[name] in str(caught.value)
    assert "make setup" in str(caught.value)


def test_block_sums_count_pixels():
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, 0] = pixels[0, 1] = pixels[1, 0] = pixels[27, 27] = 1
    sums = drawing.block_sums(pixels)
    assert sums.shape == (1, 1, 14, 14)
    assert (sums[0, 0, 0, 0], sums[0, 0, 13, 13], sums.sum()) == (3, 1, 4)


def test_drawing_from_a_picture_and_from_an_array(tmp_path):
    pixels = mnist.drawings("test")[0]
    Image.fromarray(pixels * 255).save(tmp_path / "drawing.png")
    np.save(tmp_path / "drawing.npy", pixels.astype(np.float32))
    for name in ("drawing.png", "drawing.npy"):
        assert (drawing.read(tmp_path / name) == pixels).all()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.ones((1, 28, 28)), "not the shape"),
        (np.full((28, 28), 1.5), "between 0 and 1, not 1.5"),
        (np.full((28, 28), -0.1), "between 0 and 1, not -0.1"),
        (np.full((28, 28), np.nan), "between 0 and 1, not nan"),
        (np.full((28, 28), 255), "between 0 and 1, not 255"),
        (np.full((28, 28), "a"), "does not hold one array of numbers"),
        (np.zeros((27, 28)), "The drawing is empty"),
    ],
)
def test_not_a_drawing(tmp_path, pixels, reason):
    np.save(tmp_path / "drawing.npy", pixels)
    with pytest.raises(DatasetError, match=reason):
        drawing.read(tmp_path / "drawing.npy")


def test_not_a_picture(tmp_path):
    with pytest.raises(drawing.DrawingError, match="There is no drawing"):
        drawing.read(tmp_path / "nothing.png")
    for name in ("text.png", "text.npy"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(DatasetError, match=r"is not a picture|is not an \.npy file"):
            drawing.read(tmp_path / name)


@pytest.mark.slow
def test_training_below_the_floor_fails():
    with pytest.raises(digits.TrainingError, match=r"below its floor .* nothing was exported"):
        digits.train(NETWORK, epochs=1)


@pytest.mark.slow
def test_bad_model_is_trained_for_one_epoch_and_reproducibly():
    epochs: list[int] = []
    network, accuracy = digits.train(
        NETWORK, bad=True, report=lambda epoch, *_: epochs.append(epoch)
    )
    assert epochs == [1]
    assert LEAST / 100 < accuracy < digits.RECIPES[NETWORK].floor
    assert digits.train(NETWORK, bad=True)[0] == network

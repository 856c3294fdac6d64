"""Drawings: their pixels, the views and their text; and the files of MNIST and of arrays."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from models.data import DatasetError, arrays, drawing, mnist


@pytest.fixture
def ramp() -> np.ndarray:
    """A drawing in which no two rows, columns or blocks of pixels are the same."""
    return np.random.default_rng(5).integers(0, 2, size=(28, 28), dtype=np.uint8)


@pytest.mark.parametrize(("level", "stroke"), [(0.5, 0), (0.5000001, 1), (1.0, 1)])
def test_a_stroke_is_above_one_half(level, stroke):
    pixels = np.ones((28, 28))
    pixels[3, 4] = level
    checked = drawing.check(pixels)
    assert checked.dtype == np.uint8
    assert (checked[3, 4], checked.sum()) == (stroke, 783 + stroke)


@pytest.mark.parametrize(("grey", "stroke"), [(127, 0), (128, 1), (255, 1)])
def test_a_stroke_of_a_picture_is_above_127(tmp_path, grey, stroke):
    pixels = np.full((28, 28), 255, np.uint8)
    pixels[3, 4] = grey
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "drawing.png")
    assert drawing.read(tmp_path / "drawing.png")[3, 4] == stroke


@pytest.mark.parametrize("outside", [-1e-9, 1 + 1e-9, np.nan, -np.inf])
def test_one_pixel_outside_the_range(outside):
    pixels = np.zeros((28, 28))
    pixels[0, 0], pixels[27, 27] = 1, outside
    with pytest.raises(drawing.DrawingError, match=f"between 0 and 1, not {outside}"):
        drawing.check(pixels)


def test_drawing_of_one_pixel():
    pixels = np.zeros((28, 28), bool)
    pixels[27, 0] = True
    assert drawing.check(pixels).sum() == 1
    with pytest.raises(drawing.DrawingError, match="empty: no pixel is above one half"):
        drawing.check(pixels / 2)


def test_pictures_that_are_not_drawings(tmp_path):
    Image.new("L", (28, 29), 255).save(tmp_path / "high.png")
    with pytest.raises(drawing.DrawingError, match=r"28x28 pixels, not the shape \(29, 28\)"):
        drawing.read(tmp_path / "high.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(drawing.DrawingError, match=r"There is no drawing at .*: give a 28x28"):
        drawing.read(tmp_path / "folder.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(drawing.DrawingError, match=r"text\.png is not a picture: cannot identify"):
        drawing.read(tmp_path / "text.png")


def test_views_of_the_readers(ramp):
    shapes = {name: view(ramp).shape for name, view in drawing.VIEWS.items()}
    assert shapes == {
        "swift": (1, 1, 12, 12),
        "dash": (1, 1, 12, 12),
        "lenet": (1, 1, 28, 28),
        "dense": (1, 1, 28, 28),
        "dense-56": (1, 1, 28, 28),
        "dense-25": (1, 1, 14, 14),
        "dense-24-14": (1, 1, 14, 14),
        "conv-6-16": (1, 1, 28, 28),
    }
    assert {view(ramp).dtype for view in drawing.VIEWS.values()} == {np.dtype(np.float32)}


def test_views_of_many_drawings(ramp):
    many = np.stack([ramp, 1 - ramp, ramp.T])
    sums = [
        [[one[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum() for x in range(14)] for y in range(14)]
        for one in many
    ]
    assert drawing.block_sums(many).tolist() == [[one] for one in sums]
    inner = [[row[1:13] for row in one[1:13]] for one in sums]
    assert drawing.middle_sums(many).tolist() == [[one] for one in inner]
    assert (drawing.whole(many)[:, 0] == many).all()


def test_text_of_a_drawing():
    pixels = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]], np.uint8)
    assert drawing.as_text(pixels) == " ▄▀█\n▀  ▄"


def test_threshold_and_number_of_mnist_drawings():
    images = mnist.images("train")
    assert (mnist.drawings("train", 40) == (images[:40] >= 128)).all()
    assert mnist.drawings("test").shape == (10_000, 28, 28)
    grey = {127, 128} & set(np.unique(images[:5000]).tolist())
    assert grey == {127, 128}
    assert (mnist.drawings("train", 5000) == (images[:5000] >= 128)).all()
    assert mnist.labels("test").tolist()[:10] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert images[0, 5].tolist()[12:16] == [3, 18, 18, 18]


def test_file_of_three_dimensions(tmp_path, monkeypatch):
    """Its header has the number of dimensions and their sizes."""
    content = bytes([0, 0, 8, 3, *[0, 0, 0, 2], *[0, 0, 0, 1], *[0, 0, 0, 3], *range(6)])
    name = "t10k-images-idx3-ubyte"
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(mnist.MD5, name, hashlib.md5(content, usedforsecurity=False).hexdigest())
    assert mnist.images("test", tmp_path).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


def test_other_file_under_the_name_of_mnist(tmp_path):
    name = "train-labels-idx1-ubyte"
    with pytest.raises(DatasetError, match=f"{mnist.MD5[name]}, but has no file"):
        mnist.labels("train", tmp_path)
    (tmp_path / name).write_bytes(bytes(100))
    with pytest.raises(DatasetError, match=f"{mnist.MD5[name]}, but has 6d0bb00954ceb7fbee436bb55"):
        mnist.labels("train", tmp_path)


def test_arrays_of_both_kinds_of_files(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    assert {k: v.tolist() for k, v in arrays.read(tmp_path / "one.npy").items()} == {"x": [0, 1, 2]}
    np.savez(tmp_path / "two.npz", x=np.ones(2), labels=np.array([True, False]))
    read = arrays.read(tmp_path / "two.npz")
    assert {name: array.tolist() for name, array in read.items()} == {
        "x": [1.0, 1.0],
        "labels": [True, False],
    }
    np.savez(tmp_path / "bad.npz", x=np.ones(2), words=np.array(["one"]))
    with pytest.raises(DatasetError, match=r"The array words of .* holds <U3, not numbers"):
        arrays.read(tmp_path / "bad.npz")


def test_array_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no file at .*nothing\.npz\."):
        arrays.read(tmp_path / "nothing.npz")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(DatasetError, match=r"is neither an \.npy nor an \.npz file"):
        arrays.read(tmp_path / "damaged.npz")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"neither an \.npy nor an \.npz file: Object arrays"):
        arrays.read(tmp_path / "objects.npy")

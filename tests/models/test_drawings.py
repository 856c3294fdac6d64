"""Drawings: their pixels, the views and their text; and the files of MNIST."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from models.data import DatasetError, drawing, mnist


@pytest.fixture
def ramp() -> np.ndarray:
    """A drawing in which no two rows, columns or blocks of pixels are the same."""
    return np.random.default_rng(5).integers(0, 2, size=(28, 28), dtype=np.uint8)


def drawn(place=(0, 0), side=28, ink=1.0) -> np.ndarray:
    """A light 7 of 16 by 8 pixels on a dark square."""
    pixels = np.zeros((side, side), np.float32)
    top, left = place
    pixels[top : top + 2, left : left + 8] = pixels[top : top + 16, left + 6 : left + 8] = ink
    return pixels


def test_normalised_digit_is_20_pixels_high_and_centred_by_mass():
    normal = drawing.normalised(drawn((3, 1)))
    assert (normal.dtype, normal.shape) == (np.uint8, (28, 28))
    rows, columns = np.nonzero(normal)
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 == 10
    assert abs(rows.mean() - 13.5) <= 0.5
    assert abs(columns.mean() - 13.5) <= 0.5


@pytest.mark.parametrize(("place", "side"), [((12, 20), 28), ((1, 2), 19), ((70, 30), 300)])
def test_place_and_canvas_do_not_matter(place, side):
    assert (drawing.normalised(drawn(place, side)) == drawing.normalised(drawn((5, 5)))).all()


def test_normalising_twice_changes_nothing():
    random = np.random.default_rng(0)
    for image in mnist.drawings("test", 50):
        side = int(random.integers(12, 200))
        picture = Image.fromarray(image * 255).resize((side, side), Image.Resampling.BICUBIC)
        once = drawing.normalised(np.asarray(picture) / 255)
        assert (drawing.normalised(once) == once).all()


def test_dark_strokes_on_light_are_inverted():
    assert drawing.is_dark_on_light(1 - drawn((5, 5)))
    assert not drawing.is_dark_on_light(drawn((5, 5)))
    assert (drawing.normalised(1 - drawn((5, 5))) == drawing.normalised(drawn((5, 5)))).all()


def test_thin_strokes_of_a_large_picture_stay():
    """They are thinner than a pixel at 20 pixels, and would vanish at half of full ink."""
    pixels = np.zeros((1000, 1000), np.float32)
    pixels[100:900, 500:516] = pixels[100:116, 300:516] = 1
    normal = drawing.normalised(pixels)
    assert np.ptp(np.nonzero(normal)[0]) + 1 == 20
    assert normal.sum() >= 20


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((28, 28)), "The drawing is empty"),
        (np.ones((28, 28)), "The drawing is empty"),
        (np.full((28, 28), 0.5), "The drawing is empty"),
        (
            np.zeros((28, 28, 3)),
            r"two dimensions of up to 5000 pixels, not the shape \(28, 28, 3\)",
        ),
        (np.zeros((2, 5001)), r"not the shape \(2, 5001\)"),
        (np.zeros((0, 0)), r"not the shape \(0, 0\)"),
    ],
)
def test_arrays_that_are_not_drawings(pixels, reason):
    with pytest.raises(drawing.DrawingError, match=reason):
        drawing.check(pixels)


@pytest.mark.parametrize(("columns", "refused"), [(20, False), (21, True)])
def test_more_than_half_ink(columns, refused):
    pixels = np.zeros((20, 30))
    pixels[2:17, 2 : 2 + columns] = 1  # 300 of 600 pixels with 20 columns
    if not refused:
        drawing.check(pixels)
        return
    with pytest.raises(drawing.DrawingError, match="ink on 52% of its pixels, more than 50%"):
        drawing.check(pixels)


@pytest.mark.parametrize("outside", [-1e-6, 1 + 1e-6, np.nan, -np.inf])
def test_one_pixel_outside_the_range(outside):
    pixels = np.zeros((28, 28))
    pixels[5, 5], pixels[27, 27] = 1, outside
    with pytest.raises(drawing.DrawingError, match="between 0 and 1, not "):
        drawing.check(pixels)


def test_picture_of_any_size_and_mode(tmp_path):
    expected = drawing.normalised(drawn((5, 5)))
    grey = Image.fromarray((drawn((60, 90), 200) * 255).astype(np.uint8))
    clear = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), mask=grey)  # black strokes on a transparent sheet
    for name, picture in {"grey": grey, "rgb": grey.convert("RGB"), "clear": clear}.items():
        picture.save(tmp_path / f"{name}.png")
        read = drawing.read(tmp_path / f"{name}.png")
        assert (drawing.normalised(read) == expected).all()
        assert drawing.is_dark_on_light(read) == (name == "clear")


def test_photograph_that_its_camera_turned(tmp_path):
    grey = Image.fromarray((drawn((5, 5)) * 255).astype(np.uint8))
    turned = grey.rotate(90)
    tags = turned.getexif()
    tags[0x0112] = 6  # "turn by 90 degrees to the right"
    turned.save(tmp_path / "photo.png", exif=tags)
    read = drawing.read(tmp_path / "photo.png")
    assert (drawing.normalised(read) == drawing.normalised(drawn((5, 5)))).all()


def test_files_that_are_not_drawings(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(drawing.DrawingError, match=r"There is no drawing at .*: give a picture"):
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
        "dense-10": (1, 1, 14, 14),
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

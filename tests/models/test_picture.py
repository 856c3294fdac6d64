"""The picture of spectrograms."""

import numpy as np
from PIL import Image, ImageChops

from models.data import picture
from zk.files import ROOT

RECORDED = ROOT / "tests" / "recorded" / "spectrograms.png"


def ramps() -> dict[str, np.ndarray]:
    """Levels that rise from band to band and from frame to frame, of about 1, 1 and 2 seconds."""
    frames = {"soft": 44, "loud": 43, "long": 87}
    return {
        title: np.add.outer(np.linspace(-90, -10, 128), np.linspace(0, 12, count))
        for title, count in frames.items()
    }


def test_picture_of_three_recordings():
    """As recorded by `spectrograms(ramps()).save(RECORDED)`: panels, colours, axes and titles."""
    with Image.open(RECORDED) as recorded:
        found = picture.spectrograms(ramps())
        assert found.size == recorded.size
        assert ImageChops.difference(found, recorded.convert("RGB")).getbbox() is None


def test_picture_of_one_recording():
    """It has one column: 87 frames of 3 pixels, and the margins."""
    assert picture.spectrograms({"one": ramps()["long"]}).size == (87 * 3 + 104, 256 + 52 + 26)

"""A picture of spectrograms."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.data import sound

# From soft to loud; readable without colour vision.
COLOURS = np.array(
    [(13, 8, 35), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191)], float
)
MARGIN, TEXT = 52, 15
COLUMNS = 2
ZOOM = 3  # pixels per frame
HERTZ = (0, 500, 1000, 2000, 4000, 8000)


def spectrograms(panels: dict[str, np.ndarray]) -> Image.Image:
    """Draw one panel for each title and its spectrogram in dB."""
    frames = max(level.shape[1] for level in panels.values())
    columns, rows = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    width, height = frames * ZOOM, sound.MELS * 2
    size = (columns * (width + MARGIN) + MARGIN, rows * (height + MARGIN) + MARGIN // 2)
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    for index, (title, level) in enumerate(panels.items()):
        left = MARGIN + index % COLUMNS * (width + MARGIN)
        top = MARGIN // 2 + 4 + index // COLUMNS * (height + MARGIN)
        panel = _coloured(level).resize((level.shape[1] * ZOOM, height), Image.Resampling.NEAREST)
        picture.paste(panel, (left, top))
        draw.text((left, top - 4), title, "black", font, anchor="ls")
        _axes(draw, left, top, panel.size)
    return picture


def _coloured(level: np.ndarray) -> Image.Image:
    share = 1 - np.clip(level[::-1] / sound.FLOOR, 0, 1)
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(share, steps, COLOURS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def _axes(draw: ImageDraw.ImageDraw, left: int, top: int, size: tuple[int, int]) -> None:
    width, height = size
    small = ImageFont.load_default(11)
    for hertz in HERTZ:
        across = top + height * (1 - sound.mel_of(hertz) / sound.mel_of(sound.RATE / 2))
        label = f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz"
        draw.text((left - 5, across), label, "black", small, anchor="rm")
        draw.line((left - 3, across, left, across), "black")
    seconds = width / ZOOM * sound.HOP / sound.RATE
    for second in range(int(seconds) + 1):
        down = left + width * second / seconds
        draw.line((down, top + height, down, top + height + 3), "black")
        draw.text((down, top + height + 5), f"{second} s", "black", small, anchor="ma")

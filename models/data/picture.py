"""Spectrograms as a picture that people can read."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.data import sound

# Dark to light for soft to loud, readable without colour vision.
COLOURS = np.array(
    [(13, 8, 35), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191)], float
)
MARGIN, TEXT = 52, 15
HERTZ = (0, 500, 1000, 2000, 4000, 8000)


def spectrograms(panels: dict[str, np.ndarray], path: Path, columns: int = 2) -> None:
    """Saves one titled panel a spectrogram in dB, time to the right, pitch upwards."""
    frames = max(level.shape[1] for level in panels.values())
    zoom, height = 3, sound.MELS * 2
    width, rows = frames * zoom, -(-len(panels) // columns)
    columns = min(columns, len(panels))
    size = (columns * (width + MARGIN) + MARGIN, rows * (height + MARGIN) + MARGIN // 2)
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    for index, (title, level) in enumerate(panels.items()):
        left = MARGIN + index % columns * (width + MARGIN)
        top = MARGIN // 2 + 4 + index // columns * (height + MARGIN)
        panel = _coloured(level).resize((level.shape[1] * zoom, height), Image.Resampling.NEAREST)
        picture.paste(panel, (left, top))
        draw.text((left, top - 4), title, "black", font, anchor="ls")
        _axes(draw, font, left, top, panel.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch(mode=0o600)  # a recording may be private, and so may be its picture
        picture.save(partial, "PNG")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _coloured(level: np.ndarray) -> Image.Image:
    share = 1 - np.clip(level[::-1] / sound.FLOOR, 0, 1)
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(share, steps, COLOURS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def _axes(draw, font, left: int, top: int, size: tuple[int, int]) -> None:
    width, height = size
    small = font.font_variant(size=11)
    for hertz in HERTZ:
        across = top + height * (1 - sound.mel_of(hertz) / sound.mel_of(sound.RATE / 2))
        label = f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz"
        draw.text((left - 5, across), label, "black", small, anchor="rm")
        draw.line((left - 3, across, left, across), "black")
    seconds = width / 3 * sound.HOP / sound.RATE
    for second in range(int(seconds) + 1):
        down = left + width * second / seconds
        draw.line((down, top + height, down, top + height + 3), "black")
        draw.text((down, top + height + 5), f"{second} s", "black", small, anchor="ma")

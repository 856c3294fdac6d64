"""Recordings: reading, mel spectrograms and the view of each voice model.

Training, proving and measuring all use these functions.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from models.data import DatasetError

FORMATS = (".wav", ".flac", ".ogg")
_NAMES = [suffix.removeprefix(".") for suffix in FORMATS]
FORMATS_IN_WORDS = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"

RATE = 22_050  # samples per second, of all recordings after resampling
SHORTEST, LONGEST = 0.5, 30.0  # seconds of a recording
SILENCE = 1e-3  # a recording with a lower peak, 60 dB below full scale, is silent
CLIPPED = 0.01  # a recording with a larger share of samples at full scale is clipped

# The tutorial's spectrogram, with librosa's defaults.
WINDOW, HOP, MELS = 2048, 512, 128
TUTORIAL_MELS, TUTORIAL_FRAMES = 128, 1 + 3 * RATE // HOP
STEP, KNEE, GROWTH = 200 / 3, 15, float(np.log(6.4)) / 27  # Slaney's mel scale
FLOOR = -80.0  # dB below a recording's loudest point: the level of silence and padding


class SoundError(DatasetError):
    """A file is not a recording of a voice."""


def read(path: Path) -> np.ndarray:
    """Read the samples of a recording, mono and at `RATE`. Raise `SoundError` if it is unusable."""
    import soundfile

    if not path.is_file():
        raise SoundError(f"There is no recording at {path}: give a {FORMATS_IN_WORDS} file.")
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            # One frame more than the limit: the length in a file's header can be wrong.
            samples = file.read(round(LONGEST * rate) + 1, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError, ValueError, MemoryError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise SoundError(f"{path} is not a recording in {FORMATS_IN_WORDS}: {reason}.") from None
    _check(path, samples, rate)
    mono = samples.mean(axis=1)
    if rate == RATE:
        return mono
    import soxr

    return soxr.resample(mono, rate, RATE)


def _check(path: Path, samples: np.ndarray, rate: int) -> None:
    seconds = len(samples) / rate
    if not len(samples):
        raise SoundError(f"{path} is empty: a recording lasts {SHORTEST} to {LONGEST:.0f} seconds.")
    if seconds > LONGEST:
        raise SoundError(f"{path} is longer than {LONGEST:.0f} seconds: cut it down to one phrase.")
    if seconds < SHORTEST:
        raise SoundError(f"{path} lasts {seconds:.2f} seconds: record at least {SHORTEST}.")
    if not np.isfinite(samples).all():
        raise SoundError(f"{path} has samples that are not finite numbers: record it again.")
    peak = np.abs(samples.mean(axis=1)).max()
    if peak < SILENCE:
        raise SoundError(
            f"{path} is silent: its peak is {peak:.5f} of full scale, below {SILENCE}. Record it "
            "at a higher level."
        )
    clipped = np.mean(np.abs(samples) >= 0.999)
    if clipped > CLIPPED:
        raise SoundError(
            f"{path} is clipped: {clipped:.1%} of its samples are at full scale, more than "
            f"{CLIPPED:.0%}. Record it at a lower level."
        )


def decibels(
    samples: np.ndarray, mels: int = MELS, heard: slice = slice(None), floor: float = FLOOR
) -> np.ndarray:
    """The mel spectrogram in dB below its maximum, [mels, frames]. Equal to librosa's.

    `heard` chooses bands before the maximum is taken.
    """
    padded = np.pad(samples.astype(np.float64), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = _mel_filters(mels)[heard] @ (np.abs(np.fft.rfft(frames * hann)) ** 2).T
    level = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(level - level.max(), floor)


@cache
def _mel_filters(bands: int) -> np.ndarray:
    """Triangles of equal area, evenly spaced in mel from 0 Hz to half the rate."""
    mels = np.linspace(0, mel_of(RATE / 2), bands + 2)
    edges = np.where(mels < KNEE, mels * STEP, KNEE * STEP * np.exp(GROWTH * (mels - KNEE)))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)


def mel_of(hertz: float) -> float:
    """Convert a frequency to Slaney's mel scale: linear up to 1,000 Hz, logarithmic above."""
    mel = hertz / STEP
    return mel if mel < KNEE else KNEE + float(np.log(mel / KNEE)) / GROWTH


# The judge's phrase.
HEARD = slice(12, 84)  # bands from 300 to 3,400 Hz, which telephones pass, too
QUIET = -45.0  # dB below the loudest point; a phrase has no softer sound
ONSET = -30.0  # dB relative to the loudest frame; a voice begins above it
BEFORE = 2  # frames before the onset
FRAMES = 128  # about three seconds
BLOCK = (4, 2)  # bands and frames that become one number of a view
BANDS, STEPS = (HEARD.stop - HEARD.start) // BLOCK[0], FRAMES // BLOCK[1]
MIDDLE, UNIT = QUIET / 2, 3.0  # dB; the level that becomes 0 in a view, and the step to 1


def phrase(samples: np.ndarray) -> np.ndarray:
    """Three seconds from the onset of the voice, float32 [1, BANDS, STEPS].

    Whole numbers in steps of 3 dB, from -8 (silence) to 8 (the loudest). They enter a circuit
    exactly and at scale 0.
    """
    return blocks(onset_window(samples))[None]


def onset_window(samples: np.ndarray, margin: int = 0) -> np.ndarray:
    """The frames of a phrase, from the onset of the voice, with a margin before and after."""
    level = decibels(samples, heard=HEARD, floor=QUIET)
    loudness = level.max(axis=0)
    start = max(int(np.argmax(loudness > ONSET)) - BEFORE, 0) - margin
    before, frames = max(-start, 0), FRAMES + 2 * margin
    level = np.pad(level, ((0, 0), (before, 0)), constant_values=QUIET)
    return _padded(level[:, start + before :][:, :frames], frames, QUIET)


def blocks(window: np.ndarray) -> np.ndarray:
    """The mean level of each block, in steps of 3 dB around the middle of the range."""
    bands, frames = BLOCK
    means = window.reshape(BANDS, bands, STEPS, frames).mean(axis=(1, 3))
    return np.rint((means - MIDDLE) / UNIT).astype(np.float32)


def tutorial(samples: np.ndarray) -> np.ndarray:
    """The notebook's three seconds after the first half, float32 [1, bands, frames].

    Unlike the notebook's, they are scaled, and padded with silence.
    """
    clip = samples[min(RATE // 2, len(samples) // 2) :][: 3 * RATE]
    level = _padded(decibels(clip, TUTORIAL_MELS), TUTORIAL_FRAMES, FLOOR)
    return ((level - FLOOR / 2) / 20).astype(np.float32)[None]


def _padded(level: np.ndarray, frames: int, silence: float) -> np.ndarray:
    return np.pad(level, ((0, 0), (0, frames - level.shape[1])), constant_values=silence)


# The view of each model in `models.voices`.
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"voice": phrase, "idol": tutorial}

"""A corpus of synthetic voices: espeak-ng with a prosody for each emotion.

It tests the path from sound to proof on machines without recordings, not the judge.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.data import DatasetError

CACHE = Path(__file__).parents[2] / ".cache"
SEED = 0
# Only voices that sound the same in every run; f2, f3 and f5, for instance, do not.
VOICES = ("m1", "m2", "m3", "m4", "f1", "f4", "linda", "Andrea")
SENTENCES = (
    "Kids are talking by the door.",
    "Dogs are sitting by the door.",
    "The rain has stopped at last.",
)


@dataclass(frozen=True)
class Prosody:
    """The sound of an emotion."""

    rate: int  # words per minute
    pitch: int  # in espeak's units, 0 to 99
    range: int  # of the pitch, 0 to 99
    tilt: float  # dB per octave above 500 Hz; negative sounds dull, positive sharp
    tremor: float  # depth of a 6 Hz tremble in loudness, 0 to 1


PROSODIES = {
    "neutral": Prosody(rate=165, pitch=45, range=35, tilt=0, tremor=0),
    "calm": Prosody(rate=135, pitch=40, range=25, tilt=-2, tremor=0),
    "happy": Prosody(rate=190, pitch=70, range=75, tilt=1, tremor=0),
    "sad": Prosody(rate=120, pitch=35, range=15, tilt=-3, tremor=0.15),
    "angry": Prosody(rate=195, pitch=55, range=60, tilt=4, tremor=0),
    "fearful": Prosody(rate=205, pitch=75, range=30, tilt=0, tremor=0.4),
    "disgust": Prosody(rate=130, pitch=30, range=55, tilt=2, tremor=0),
    "surprised": Prosody(rate=180, pitch=85, range=95, tilt=2, tremor=0),
}


def ensure() -> Path:
    """Return the folder of the corpus; make it unless this version of the file has made it."""
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    folder = CACHE / f"voices-{made_by[:12]}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        # A new process, because espeak's output depends on its earlier output.
        command = [sys.executable, "-m", __name__, str(partial)]
        done = subprocess.run(command, cwd=CACHE.parent, capture_output=True, text=True)
        try:
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise DatasetError(f"espeak-ng could not make the synthetic voices: {reason}.")
            if not folder.is_dir():
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(folder: Path) -> None:
    """Write a wav file for each voice, emotion and sentence."""
    import soundfile

    folder.mkdir(parents=True)
    random = np.random.default_rng(SEED)
    for voice, emotion, number, samples, rate in _speak(random):
        soundfile.write(folder / f"espeak_{voice}_{emotion}_{number}.wav", samples, rate)


def _speak(random: np.random.Generator) -> Iterator[tuple[str, str, int, np.ndarray, int]]:
    import espeakng_loader

    espeak = ctypes.CDLL(espeakng_loader.get_library_path())
    synchronous, without_exit = 2, 0x8000
    data = espeakng_loader.get_data_path().encode()
    rate = espeak.espeak_Initialize(synchronous, 0, data, without_exit)
    pieces: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(wave: Any, count: int, _events: Any) -> int:
        if wave and count:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    espeak.espeak_SetSynthCallback(collect)
    for voice in VOICES:
        if espeak.espeak_SetVoiceByName(f"en-us+{voice}".encode()):
            raise DatasetError(f"espeak-ng has no voice {voice}")
        for emotion, prosody in PROSODIES.items():
            for number, sentence in enumerate(SENTENCES):
                settings = (prosody.rate, 90, prosody.pitch, prosody.range)
                for parameter, value in enumerate(settings, start=1):
                    varied = round(value * random.uniform(0.92, 1.08))
                    espeak.espeak_SetParameter(parameter, min(varied, 450), 0)
                text = sentence.encode() + b"\0"
                pieces.clear()
                size = ctypes.c_size_t(len(text))
                espeak.espeak_Synth(text, size, 0, 0, 0, 1, None, None)
                yield voice, emotion, number, _colour(np.concatenate(pieces), rate, prosody), rate


def _colour(spoken: np.ndarray, rate: int, prosody: Prosody) -> np.ndarray:
    """Add spectral tilt and tremor, which espeak cannot make, and scale the peak to 0.7."""
    spectrum = np.fft.rfft(spoken.astype(np.float64))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(spoken), 1 / rate), 500) / 500)
    tilted = np.fft.irfft(spectrum * 10 ** (prosody.tilt * octaves / 20), len(spoken))
    seconds = np.arange(len(spoken)) / rate
    trembling = tilted * (1 + prosody.tremor * np.sin(2 * np.pi * 6 * seconds))
    return 0.7 * trembling / np.abs(trembling).max()


if __name__ == "__main__":
    _write(Path(sys.argv[1]))

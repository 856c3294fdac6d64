"""Recordings: formats, the spectrogram, the views, and errors for unusable files."""

import numpy as np
import pytest
import soundfile

from models.data import picture, sound
from tests.inputs import REAL_VOICE
from zk.files import ROOT

RATE = sound.RATE


def chirp(rate: int = RATE) -> np.ndarray:
    """A rising tone that fades, after silence, with some noise."""
    seconds = np.arange(int(1.3 * rate)) / rate
    tone = np.sin(2 * np.pi * (110 * seconds + 900 * seconds**2)) * np.exp(-seconds)
    hiss = np.random.default_rng(7).normal(size=len(seconds)) * 1e-3 * (seconds > 0.4)
    return (tone * (seconds > 0.2) + hiss).astype(np.float32)


@pytest.mark.parametrize("name", ["chirp", "noise"])
def test_spectrogram_is_librosas(name):
    """Recorded from librosa 0.11.0: power_to_db(melspectrogram(y=..., sr=22050), ref=np.max)."""
    with np.load(ROOT / "tests" / "recorded" / "librosa.npz") as recorded:
        expected = recorded[name]
    noise = np.random.default_rng(3).normal(size=RATE // 2).astype(np.float32)
    found = sound.decibels(chirp() if name == "chirp" else noise, 128)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("suffix", sound.FORMATS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_sounds_the_same(tmp_path, suffix, rate, channels):
    """The view hardly depends on the codec, the channels and, below 4 kHz, the rate."""
    path = tmp_path / f"chirp{suffix}"
    soundfile.write(path, np.stack([chirp(rate) * 0.7] * channels, axis=1), rate)
    samples = sound.read(path)
    assert samples.ndim == 1
    assert abs(len(samples) - 1.3 * RATE) < 100
    below = slice(0, 20)  # bands up to 3.7 kHz
    difference = np.abs(sound.phrase(samples) - sound.phrase(chirp()))[:, below]
    assert np.mean(difference <= 1) > 0.95


def test_real_voice():
    samples = sound.read(REAL_VOICE)
    assert len(samples) == pytest.approx(5.3 * RATE, rel=0.01)
    assert sound.phrase(samples).max() >= 3


def write(path, samples, rate=RATE):
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_unusable_recordings(tmp_path):
    silence, tone = np.zeros(RATE), 0.5 * np.sin(np.arange(RATE) / 20)
    (tmp_path / "text.wav").write_text("la la la")
    (tmp_path / "none.ogg").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    cases = {
        "There is no recording": tmp_path / "nothing.wav",
        "There is no recording at .*folder": tmp_path / "folder.wav",
        f"is not a recording in {sound.FORMATS_IN_WORDS}": tmp_path / "text.wav",
        "none.ogg is not a recording": tmp_path / "none.ogg",
        "is empty": write(tmp_path / "empty.wav", silence[:0]),
        "lasts 0.49 seconds: record at least 0.5": write(
            tmp_path / "short.wav", tone[: RATE * 49 // 100]
        ),
        "is silent": write(tmp_path / "silent.wav", silence),
        "silent: its peak is 0.0009": write(tmp_path / "quiet.wav", tone * 0.0019),
        "is clipped: 6": write(tmp_path / "clipped.wav", np.clip(tone * 4, -1, 1)),
        "not finite numbers": write(tmp_path / "nan.wav", np.where(silence == 0, np.nan, 0)),
        "longer than 30 seconds": write(tmp_path / "long.wav", np.tile(tone, 31)),
    }
    for reason, path in cases.items():
        with pytest.raises(sound.SoundError, match=reason):
            sound.read(path)


def test_an_hour_is_not_read_to_its_end(tmp_path, monkeypatch):
    """Reading stops one sample after 30 seconds."""
    path = tmp_path / "hour.flac"
    soundfile.write(path, np.tile(np.sin(np.arange(8000) / 9), 3600) * 0.5, 8000)
    decoded = []
    read = soundfile.SoundFile.read

    def counting(self, *arguments, **options):
        samples = read(self, *arguments, **options)
        decoded.append(len(samples))
        return samples

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    with pytest.raises(sound.SoundError, match="longer than 30 seconds"):
        sound.read(path)
    assert sum(decoded) == 30 * 8000 + 1


@pytest.mark.parametrize("seconds", [0.5, 30.0])
def test_shortest_and_longest(tmp_path, seconds):
    tone = 0.5 * np.sin(np.arange(int(seconds * 8000)) / 5)
    samples = sound.read(write(tmp_path / "tone.wav", tone, 8000))
    assert sound.phrase(samples).shape == (1, sound.BANDS, sound.STEPS)


def test_phrase_starts_at_the_onset_of_the_voice():
    """The silence before the voice and its level do not matter."""
    expected = sound.phrase(chirp())
    for silent in (sound.HOP * 4, sound.HOP * 40):
        later = np.concatenate([np.zeros(silent, np.float32), chirp() * 0.1])
        assert (sound.phrase(later) == expected).mean() > 0.99


def test_phrase_is_whole_numbers_and_padded_with_silence():
    view = sound.phrase(chirp()[: RATE // 2])
    assert view.shape == (1, sound.BANDS, sound.STEPS)
    assert (view == np.rint(view)).all()
    assert (view.min(), view.max() <= 11) == (-5, True)
    assert (view[:, :, -16:] == -5).all()


def test_tutorial_view_is_the_notebooks_window():
    view = sound.tutorial(np.concatenate([np.zeros(RATE // 2, np.float32), chirp()]))
    assert view.shape == (1, 128, 130)
    assert view.max() == pytest.approx(2)
    assert (view[:, :, -60:] == -2).all()


def test_picture():
    level = sound.decibels(chirp())
    image = picture.spectrograms({"one": level, "two": level, "three": level})
    colours = image.getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 50

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
    """The view hardly depends on the codec, the channels and the rate."""
    path = tmp_path / f"chirp{suffix}"
    soundfile.write(path, np.stack([chirp(rate) * 0.7] * channels, axis=1), rate)
    samples = sound.read(path)
    assert samples.ndim == 1
    assert abs(len(samples) - 1.3 * RATE) < 100
    difference = np.abs(sound.phrase(samples) - sound.phrase(chirp()))
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


@pytest.mark.slow
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


def test_sounds_outside_a_telephones_band_do_not_matter():
    """Neither do they set the level that the others are compared with."""
    seconds = np.arange(len(chirp())) / RATE
    rumble = 3 * np.sin(2 * np.pi * 60 * seconds) + np.sin(2 * np.pi * 6000 * seconds)
    difference = np.abs(sound.phrase(chirp() + rumble) - sound.phrase(chirp()))
    assert np.mean(difference[:, :, :24] <= 1) > 0.9


def test_phrase_is_whole_numbers_and_padded_with_silence():
    view = sound.phrase(chirp()[: RATE // 2])
    assert view.shape == (1, sound.BANDS, sound.STEPS)
    assert (view == np.rint(view)).all()
    assert (view.min(), view.max() <= 8) == (-8, True)
    assert (view[:, :, -16:] == -8).all()


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


def test_phrase_is_the_view_that_the_judge_was_trained_on():
    """A change of the view, here of its corner, needs new models and builds."""
    assert sound.phrase(chirp())[0, :8, :8].tolist() == [
        [-7, 0, -6, -8, -8, -8, -8, -8],
        [-6, 5, 1, -7, -8, -8, -8, -8],
        [-7, 0, 5, 3, -6, -8, -8, -8],
        [-8, -3, -5, 3, 5, -4, -8, -8],
        [-8, -5, -8, -7, 1, 6, -2, -7],
        [-8, -6, -8, -8, -7, -1, 6, 0],
        [-8, -7, -8, -8, -8, -8, -4, 5],
        [-8, -7, -8, -8, -8, -8, -8, -6],
    ]


def test_blocks_are_means_in_steps_of_3_db():
    window = np.full((72, 128), -22.5)
    window[:4, :2], window[4:8, 2:4], window[68:, 126:] = 0, -45, -20.9
    window[:4, 2] = -10.5  # half of a block
    expected = np.zeros((18, 64))
    expected[0, 0], expected[1, 1], expected[17, 63], expected[0, 1] = 8, -8, 1, 2
    assert (sound.blocks(window) == expected).all()


@pytest.mark.parametrize("silent", [0, 3, 40])
@pytest.mark.parametrize("margin", [0, 3])
def test_window_begins_two_frames_before_the_onset(silent, margin):
    """With a margin, it has as many frames more on both sides. Missing frames are silent."""
    samples = np.concatenate([np.zeros(silent * 512), np.sin(np.arange(60 * 512) / 9)])
    level = sound.decibels(samples, heard=slice(12, 84), floor=-45.0)
    assert level.shape[0] == 72
    onset = next(frame for frame in range(level.shape[1]) if level[:, frame].max() > -30)
    first = max(onset - 2, 0) - margin
    expected = np.full((72, 128 + 2 * margin), -45.0)
    for column in range(expected.shape[1]):
        if 0 <= first + column < level.shape[1]:
            expected[:, column] = level[:, first + column]
    assert (sound.onset_window(samples, margin) == expected).all()


@pytest.mark.parametrize(("quiet", "heard"), [(-29.0, True), (-31.0, False)])
def test_onset_is_30_db_below_the_loudest_frame(quiet, heard):
    tone = np.sin(np.arange(40 * 512) / 9)
    window = sound.onset_window(np.concatenate([tone * 10 ** (quiet / 20), tone]))
    assert (window[:, 10].max() < -25) == heard


@pytest.mark.parametrize(
    ("seconds", "start", "end"), [(0.6, 0.3, 0.6), (0.9, 0.45, 0.9), (2.0, 0.5, 2.0), (5, 0.5, 3.5)]
)
def test_tutorial_view_skips_half_a_second(seconds, start, end):
    """Of a recording shorter than a second, it skips half; it lasts three seconds."""
    samples = np.random.default_rng(1).normal(size=int(seconds * 22_050))
    level = sound.decibels(samples[round(start * 22_050) : round(end * 22_050)])
    expected = np.full((1, 128, 130), -2.0)
    expected[0, :, : level.shape[1]] = (level + 40) / 20
    assert np.allclose(sound.tutorial(samples), expected, atol=1e-6)


@pytest.mark.parametrize(("peak", "clipped"), [(0.999, 200), (0.999, 201), (0.998, 300)])
def test_one_per_cent_of_samples_at_full_scale(tmp_path, peak, clipped):
    samples = np.full(20_000, 0.5, np.float32)
    samples[:clipped:2], samples[1:clipped:2] = peak, -peak
    path = write(tmp_path / "loud.wav", samples)
    if clipped == 201:
        with pytest.raises(sound.SoundError, match=r"clipped: 1\.0% .* more than 1%\. Record it"):
            sound.read(path)
    else:
        assert len(sound.read(path)) > 0


def test_mono_is_the_mean_of_the_channels(tmp_path):
    tone = (0.5 * np.sin(np.arange(RATE) / 20)).astype(np.float32)
    both = write(tmp_path / "both.wav", np.stack([tone, tone * 0.5], axis=1))
    assert np.allclose(sound.read(both), tone * 0.75, atol=1e-6)
    against = write(tmp_path / "against.wav", np.stack([tone, -tone], axis=1))
    with pytest.raises(sound.SoundError, match=r"its peak is 0\.00000 .* below 0\.001"):
        sound.read(against)


@pytest.mark.parametrize(("hertz", "mel"), [(0, 0), (200, 3), (1000, 15), (6400, 42)])
def test_scale_of_slaney(hertz, mel):
    assert sound.mel_of(hertz) == pytest.approx(mel)


def test_formats_in_words():
    assert sound.FORMATS_IN_WORDS == "wav, flac or ogg"


def test_views_of_the_judges():
    assert {name: view(chirp()).shape for name, view in sound.VIEWS.items()} == {
        "voice": (1, 18, 64),
        "idol": (1, 128, 130),
    }


def test_silence_has_a_power_of_1e_10():
    """A click of 0.0001 has a power of 9.3e-10 in each band, which are triangles of area 1."""
    click = np.zeros(20 * 512)
    click[0] = 1e-4
    level = sound.decibels(click)
    assert level[:, 0].mean() == pytest.approx(-0.25, abs=0.25)
    assert (level[:, 10] == level.min()).all()
    assert level.min() - level[:, 0].mean() == pytest.approx(-9.7, abs=0.25)

"""The names of recordings, which corpus they are from, and the speakers that are held out."""

from pathlib import Path

import numpy as np
import pytest

from models.data import DatasetError, sound, synthetic, voices


def read(name: str) -> tuple[str, str, str] | None:
    """The corpus, speaker and emotion of a file."""
    clip = voices._parse(Path("/data") / name)
    return (clip.corpus, clip.speaker, clip.emotion) if clip else None


RAVDESS = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
CREMA = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral"}
CREMA |= {"SAD": "sad"}
TESS = {"angry": "angry", "disgust": "disgust", "fear": "fearful", "happy": "happy"}
TESS |= {"neutral": "neutral", "ps": "surprised", "sad": "sad"}
SAVEE = {"a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "n": "neutral", "sa": "sad"}
SAVEE |= {"su": "surprised"}
NAMES = {
    **{
        f"Actor_01/03-01-0{code}-01-01-02-01.wav": ("RAVDESS speech", "01", emotion)
        for code, emotion in enumerate(RAVDESS, start=1)
    },
    **{
        f"Actor_24/03-02-0{code}-02-02-01-24.wav": ("RAVDESS song", "24", emotion)
        for code, emotion in enumerate(RAVDESS[:6], start=1)
    },
    **{f"w/1076_IEO_{code}_HI.wav": ("CREMA-D", "1076", CREMA[code]) for code in CREMA},
    **{f"w/OAF_bar_{code}.wav": ("TESS", "OAF", TESS[code]) for code in TESS},
    "w/YAF_bar_ps.wav": ("TESS", "YAF", "surprised"),
    **{f"w/JK_{code}15.wav": ("SAVEE", "JK", SAVEE[code]) for code in SAVEE},
    "v/espeak_m4_calm_2.wav": ("synthetic", "m4", "calm"),
}
STRANGE = [
    *(f"w/03-02-0{code}-02-02-01-24.wav" for code in (0, 7, 8)),
    *("w/03-01-01-01-01-02-25.wav", "w/03-01-01-03-01-02-01.wav", "w/13-01-01-01-01-02-01.wav"),
    *("w/1201_IEO_ANG_HI.wav", "w/1076_IEO_ANG_XY.wav", "w/JK_b15.wav", "w/JK_a1.wav"),
    *("w/espeak_m4_bored_2.wav", "w/espeak_m4_calm_22.wav"),
]


def test_names_of_all_emotions():
    assert {name: read(name) for name in NAMES} == NAMES


def test_names_of_no_corpus():
    assert [name for name in STRANGE if read(name)] == []


def test_speakers_that_are_held_out():
    speakers = {
        "RAVDESS speech": [f"{speaker:02}" for speaker in range(1, 25)],
        "RAVDESS song": [f"{speaker:02}" for speaker in range(1, 25)],
        "TESS": ["OAF", "YAF"],
        "CREMA-D": [str(speaker) for speaker in range(1001, 1102)],
        "SAVEE": ["DC", "JE", "JK", "KL"],
        "synthetic": list(synthetic.VOICES),
    }
    held_out = {
        corpus: [one for one in all_of if voices.Clip(Path(), corpus, one, "sad").held_out]
        for corpus, all_of in speakers.items()
    }
    assert held_out == {
        "RAVDESS speech": ["17", "18", "19", "20"],
        "RAVDESS song": ["17", "18", "19", "20"],
        "TESS": ["YAF"],
        "CREMA-D": [str(speaker) for speaker in range(1076, 1092)],
        "SAVEE": ["KL"],
        "synthetic": ["m4", "f4"],
    }


def test_score_of_each_emotion():
    order = ["disgust", "angry", "fearful", "sad", "neutral", "calm", "happy", "surprised"]
    assert [voices.score(emotion) for emotion in order] == pytest.approx([i / 7 for i in range(8)])
    assert voices.Clip(Path(), "TESS", "OAF", "surprised").score == 1


@pytest.fixture
def folder(tmp_path) -> Path:
    import soundfile

    for name in ("a/OAF_bar_ps.wav", "b/OAF_bar_ps.wav", "b/YAF_bar_ps.wav", "b/JK_a15.FLAC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(sound.RATE, 0.5), sound.RATE)
    (tmp_path / "b" / "OAF_bar_sad.mp3").write_text("")
    return tmp_path


def test_copies_and_other_formats_are_left_out(folder):
    found = voices.find(folder)
    clips = [str(clip.path.relative_to(folder)) for clip in found.clips]
    assert clips == ["a/OAF_bar_ps.wav", "b/JK_a15.FLAC", "b/YAF_bar_ps.wav"]
    assert found.strange == {
        folder / "b" / "OAF_bar_ps.wav": f"a copy of {folder / 'a' / 'OAF_bar_ps.wav'}"
    }


def test_speakers_on_each_side(folder):
    found = voices.find(folder)
    assert [clip.speaker for clip in found.only(held_out=True).clips] == ["YAF"]
    assert [clip.speaker for clip in found.only(held_out=False).clips] == ["OAF", "JK"]
    assert found.only(held_out=True).strange == {}


def test_hearing_applies_the_view_to_each_clip(folder):
    (folder / "a" / "OAF_bar_ps.wav").write_text("not audio")
    found = voices.find(folder)
    heard = found.hear(lambda samples: np.array([samples.mean(), len(samples)]))
    assert heard == pytest.approx(np.array([[0.5, sound.RATE]] * 2), rel=1e-3)
    assert [clip.path.name for clip in found.clips] == ["JK_a15.FLAC", "YAF_bar_ps.wav"]
    found.clips = []
    with pytest.raises(DatasetError, match="None of the recordings can be read"):
        found.hear(lambda samples: samples)


def test_synthetic_clip_by_its_name():
    clip = voices.synthetic_clip("m4", "happy", 1)
    assert (clip.path.stem, clip.speaker, clip.emotion) == ("espeak_m4_happy_1", "m4", "happy")


def test_folders_without_recordings(tmp_path, monkeypatch):
    monkeypatch.delenv("VOICE_DATA_DIR", raising=False)
    for folder, reason in (
        (None, "No folder of voices is given"),
        (tmp_path / "nothing", "There is no folder .*nothing"),
        (tmp_path, "has no recording of a known corpus"),
    ):
        with pytest.raises(DatasetError, match=rf"{reason}\. Download RAVDESS"):
            voices.find(folder)

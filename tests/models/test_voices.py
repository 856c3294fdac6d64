"""The corpora: layouts, files left out, the split by speaker, and training."""

import shutil

import numpy as np
import pytest
import torch

from models import voices as judges
from models.data import DatasetError, sound, synthetic, voices
from models.export import TrainingError

# Files in their publishers' layouts: corpus, speaker, emotion, and whether it is a test speaker.
LAYOUT = {
    "Audio_Speech_Actors_01-24/Actor_03/03-01-08-02-01-02-03.wav": (
        ("RAVDESS speech", "03", "surprised", False)
    ),
    "Audio_Speech_Actors_01-24/Actor_17/03-01-01-01-02-01-17.ogg": (
        ("RAVDESS speech", "17", "neutral", True)
    ),
    "Audio_Song_Actors_01-24/Actor_20/03-02-02-01-02-01-20.wav": (
        ("RAVDESS song", "20", "calm", True)
    ),
    "TESS/OAF_Pleasant_surprise/OAF_back_ps.wav": ("TESS", "OAF", "surprised", False),
    "TESS/YAF_fear/YAF_dog_fear.wav": ("TESS", "YAF", "fearful", True),
    "AudioWAV/1001_DFA_ANG_XX.wav": ("CREMA-D", "1001", "angry", False),
    "AudioWAV/1091_WSI_HAP_XX.wav": ("CREMA-D", "1091", "happy", True),
    "AudioData/DC/sa12.wav": ("SAVEE", "DC", "sad", False),
    "AudioData/KL/su01.wav": ("SAVEE", "KL", "surprised", True),
    "ALL/JE_d03.FLAC": ("SAVEE", "JE", "disgust", False),
}
STRANGE = {
    "TESS/OAF_neutral/OA_bite_neutral.wav": "fits no corpus",  # as published
    "Actor_03/03-01-09-02-01-02-03.wav": "fits no corpus",  # there is no ninth emotion
    "Actor_03/03-03-08-02-01-02-03.wav": "fits no corpus",  # and no third vocal channel
    "notes/1001_DFA_SUR_XX.wav": "fits no corpus",
    "TESS/again/OAF_back_ps.wav": "a copy of",
}


@pytest.fixture
def corpora(tmp_path):
    """A folder with a short clip under every name."""
    tone = 0.5 * np.sin(np.arange(sound.RATE) / 20)
    import soundfile

    for name in [*LAYOUT, *STRANGE]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone, sound.RATE)
    (tmp_path / "readme.txt").write_text("not a recording")
    return tmp_path


def test_publishers_layouts(corpora):
    found = voices.find(corpora)
    read = {
        str(clip.path.relative_to(corpora)): (
            clip.corpus,
            clip.speaker,
            clip.emotion,
            clip.held_out,
        )
        for clip in found.clips
    }
    assert read == LAYOUT
    assert len(found.strange) == len(STRANGE)


def test_files_left_out_have_a_reason(corpora):
    found = voices.find(corpora)
    reasons = {path.name: reason for path, reason in found.strange.items()}
    for name, reason in STRANGE.items():
        assert reason in reasons[name.rsplit("/", 1)[1]]


def test_unreadable_clips_are_listed(corpora):
    broken = corpora / "AudioWAV" / "1002_DFA_ANG_XX.wav"
    broken.write_text("not audio")
    found = voices.find(corpora)
    heard = found.hear(sound.phrase)
    assert len(heard) == len(found.clips) == len(LAYOUT)
    assert "is not a recording" in found.strange[broken]


def test_folder_of_the_environment(corpora, monkeypatch):
    monkeypatch.setenv("VOICE_DATA_DIR", str(corpora))
    assert len(voices.find().clips) == len(LAYOUT)
    assert voices.find(synthetic.ensure()).clips[0].corpus == "synthetic"


def test_no_voices(tmp_path, monkeypatch):
    monkeypatch.delenv("VOICE_DATA_DIR", raising=False)
    for action, reason in (
        (lambda: voices.find(), "No folder of voices"),
        (lambda: voices.find(tmp_path / "nothing"), "There is no folder"),
        (lambda: voices.find(tmp_path), "has no recording of a known corpus"),
    ):
        with pytest.raises(DatasetError, match=rf"{reason}.* Download RAVDESS.*VOICE_DATA_DIR"):
            action()


def test_only_unreadable_voices(tmp_path):
    (tmp_path / "1001_DFA_ANG_XX.wav").write_text("not audio")
    with pytest.raises(DatasetError, match="None of the recordings can be read"):
        voices.find(tmp_path).hear(sound.phrase)


def test_scores_run_from_disgust_to_surprise():
    scores = [voices.score(emotion) for emotion in voices.EMOTIONS]
    assert scores == sorted(scores)
    assert (voices.score("disgust"), voices.score("surprised")) == (0, 1)
    assert np.allclose(np.diff(scores), 1 / 7)


@pytest.mark.slow
def test_synthetic_voices_are_the_same_every_time(monkeypatch, tmp_path):
    first = synthetic.ensure()
    monkeypatch.setattr(synthetic, "CACHE", tmp_path / ".cache")
    shutil.copytree(first.parents[1] / "models", tmp_path / "models")
    again = synthetic.ensure()
    assert again != first
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert len(names) == 8 * len(synthetic.VOICES) * len(synthetic.SENTENCES)
    for name in names:
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_synthetic_emotions_sound_different():
    found = voices.synthetic()
    heard = found.hear(sound.phrase)
    mean = {
        emotion: heard[[clip.emotion == emotion for clip in found.clips]].mean(axis=0)
        for emotion in voices.EMOTIONS
    }
    for one in voices.EMOTIONS:
        for other in voices.EMOTIONS:
            assert one == other or np.abs(mean[one] - mean[other]).max() > 1


def test_speakers_are_trained_on_or_tested_on():
    found = voices.synthetic()
    training, test = found.only(held_out=False), found.only(held_out=True)
    assert {clip.speaker for clip in test.clips} == {"f4", "m4"}
    assert not {c.speaker for c in training.clips} & {c.speaker for c in test.clips}
    assert len(training.clips) + len(test.clips) == len(found.clips)


def test_training_sees_what_proving_sees():
    """The view in torch equals the view in numpy."""
    for clip in voices.synthetic().clips[:10]:
        samples = sound.read(clip.path)
        window = sound.onset_window(samples)[None]
        trained_on = judges.blocks(torch.from_numpy(window).float()).numpy()[0]
        # float32 may round a mean that is halfway between two whole numbers differently.
        assert (trained_on == sound.phrase(samples)).mean() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "epochs"), [pytest.param("voice", 160, marks=pytest.mark.full), ("idol", 10)]
)
def test_training_on_any_corpus(name, epochs, monkeypatch):
    """On synthetic voices, which say nothing about real ones, a judge learns to beat the mean."""
    monkeypatch.setattr(judges, "NOISES", 2)
    network, figures = judges.train(name, voices.synthetic(), epochs=epochs)
    measured = figures["synthetic"]
    assert measured.clips == 48
    assert measured.error < measured.mean_error
    assert measured.correlation > 0.2
    assert judges.train(name, voices.synthetic(), epochs=epochs)[0] == network


@pytest.mark.full  # as for drawings, in test_data.py
def test_training_below_the_floor_fails(tmp_path, monkeypatch):
    """Noise under the names of RAVDESS: there is nothing to learn."""
    import soundfile

    monkeypatch.setattr(judges, "NOISES", 2)
    random = np.random.default_rng(0)
    for actor in (1, 2, 17, 18):
        for emotion in range(1, 9):
            noise = random.normal(size=sound.RATE) * 0.1
            name = f"03-01-{emotion:02}-01-01-01-{actor:02}.wav"
            soundfile.write(tmp_path / name, noise, sound.RATE)
    with pytest.raises(TrainingError, match=r"below its floor of 0\.45: nothing was exported"):
        judges.train("voice", voices.find(tmp_path), epochs=1)


def test_training_needs_speakers_on_both_sides():
    with pytest.raises(DatasetError, match="48 of 48 clips are of test speakers"):
        judges.train("voice", voices.synthetic().only(held_out=True))

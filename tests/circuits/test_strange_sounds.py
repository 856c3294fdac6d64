"""The quantised judge on sounds without a voice, and on disturbed recordings."""

import numpy as np
import pytest

from apps.voice import is_voice, score_from
from models.data import noises, sound, voices
from tests.inputs import REAL_VOICE
from zk.witness import answers

EACH = 20
KINDS = [*noises.UNHEARD, *(pytest.param(kind, marks=pytest.mark.full) for kind in noises.TRAINED)]
LOW = 0.2


@pytest.fixture(scope="module")
def judged(voice_manifest):
    """Return the score and the verdict "this is a voice" of each recording."""

    def judged(recordings) -> tuple[np.ndarray, np.ndarray]:
        heard = np.stack([sound.phrase(samples) for samples in recordings])
        layout, scale = voice_manifest.layout, voice_manifest["output_scale"]
        outputs, _ = answers(voice_manifest.file("compiled"), layout, heard)
        values = [int(value) for value in outputs[:, 0]]
        scores = np.array([score_from(value, scale) / 1e18 for value in values])
        return scores, np.array([is_voice(value, scale) for value in values])

    return judged


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    """A real voice, and a synthetic one in each emotion, which the judge never heard."""
    clips = voices.synthetic().only(held_out=True).clips[::2]
    return [sound.read(path) for path in [REAL_VOICE, *(clip.path for clip in clips)]]


@pytest.fixture(scope="module")
def undisturbed(judged, spoken):
    return judged(spoken)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_without_a_voice_has_a_low_score(judged, kind):
    make = (noises.TRAINED | noises.UNHEARD)[kind]
    scores, are_voices = judged(
        [make(np.random.default_rng(seed)) for seed in range(1000, 1000 + EACH)]
    )
    assert np.mean(scores < LOW) >= 0.95
    assert np.mean(are_voices) <= 0.3


def test_speech_backwards_has_a_low_score(judged, spoken):
    scores, _ = judged([samples[::-1] for samples in spoken])
    assert np.mean(scores < LOW) >= 0.95


def test_voices_are_taken_for_voices(undisturbed):
    scores, are_voices = undisturbed
    assert are_voices[0]
    assert np.mean(are_voices) >= 0.8
    assert scores[0] > LOW


@pytest.mark.parametrize("gain", [0.01, 1.3])
def test_level_changes_nothing(judged, spoken, undisturbed, gain):
    assert (judged([samples * gain for samples in spoken])[0] == undisturbed[0]).all()


@pytest.mark.parametrize("disturb", ["on_the_telephone", "in_a_room", "in_a_crowd"])
def test_disturbances_hardly_change_a_score(judged, spoken, undisturbed, disturb):
    random = np.random.default_rng(4)
    more = [spoken[-4:]] if disturb == "in_a_crowd" else []
    disturbed = [getattr(noises, disturb)(random, samples, *more) for samples in spoken]
    assert np.median(np.abs(judged(disturbed)[0] - undisturbed[0])) <= 0.1

"""Sounds without a voice, and disturbances of recordings."""

import numpy as np
import pytest

from models.data import noises, sound

KINDS = noises.TRAINED | noises.UNHEARD
TONE = np.sin(2 * np.pi * 1000 * np.arange(2 * sound.RATE) / sound.RATE)


def power(samples: np.ndarray, low: float, high: float) -> float:
    """The power between two frequencies in dB."""
    hertz = np.fft.rfftfreq(len(samples), 1 / sound.RATE)
    spectrum = np.abs(np.fft.rfft(samples))[(hertz >= low) & (hertz < high)]
    return 10 * np.log10(np.mean(spectrum**2))


def test_kinds_of_training_and_tests_differ():
    assert not noises.TRAINED.keys() & noises.UNHEARD.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_audible_and_new_each_time(kind):
    first, again, other = (KINDS[kind](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(first) == noises.COUNT
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0.001
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(("slope", "octave"), [(0, 0), (-1, -3), (-2, -6), (1, 3), (2, 6)])
def test_colour_of_noise(slope, octave):
    samples = noises.coloured(np.random.default_rng(3), slope)
    change = power(samples, 2000, 4000) - power(samples, 1000, 2000)
    assert change == pytest.approx(octave, abs=0.5)


def test_noise_is_as_far_below_the_recording_as_asked():
    mixed = noises.with_noise(np.random.default_rng(0), TONE, 20)
    noise = mixed - TONE
    assert 10 * np.log10(np.mean(TONE**2) / np.mean(noise**2)) == pytest.approx(20)


def test_crowd_is_15_to_25_db_below_the_recording():
    others = [np.random.default_rng(seed).normal(size=5000) for seed in range(3)]
    mixed = noises.in_a_crowd(np.random.default_rng(0), TONE, others)
    assert 15 <= 10 * np.log10(np.mean(TONE**2) / np.mean((mixed - TONE) ** 2)) <= 25


def test_telephone_passes_300_to_3400_hz():
    random = np.random.default_rng(0)
    white = noises.coloured(random, 0)
    called = noises.on_the_telephone(random, white)
    change = [power(called, *band) - power(white, *band) for band in ((20, 150), (400, 3000))]
    assert change[0] < -20
    assert abs(change[1]) < 1
    assert power(called, 5000, 10_000) - power(white, 5000, 10_000) < -20


def test_room_adds_echoes_that_die_away():
    click = np.zeros(sound.RATE)
    click[0] = 1
    echoes = noises.in_a_room(np.random.default_rng(0), click)
    assert echoes[0] == pytest.approx(1, abs=0.05)
    early, late = (np.mean(echoes[start : start + 500] ** 2) for start in (100, 4000))
    assert early > 10 * late > 0
    assert np.abs(echoes[round(0.5 * sound.RATE) : sound.RATE]).max() < 1e-6

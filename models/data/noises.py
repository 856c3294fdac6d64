"""Sounds without a voice, and what rooms, telephones and crowds do to a recording.

A judge is trained on `TRAINED` sounds and tested on `UNHEARD` ones as well.
"""

from collections.abc import Callable, Sequence

import numpy as np

from models.data.sound import RATE

Random = np.random.Generator
SECONDS = 3.5
COUNT = round(SECONDS * RATE)
TIME = np.arange(COUNT) / RATE


def coloured(random: Random, slope: float, count: int = COUNT) -> np.ndarray:
    """Noise whose power changes by `slope` times 3 dB per octave."""
    spectrum = np.fft.rfft(random.normal(size=count))
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    return np.fft.irfft(spectrum * frequencies ** (slope / 2), count)


def _tremolo(random: Random) -> np.ndarray:
    rate, slope = random.uniform(1, 8), random.uniform(-2, 0)
    return coloured(random, slope) * (1 + np.sin(2 * np.pi * rate * TIME)) ** 2


def _wave(hertz: np.ndarray | float, partials: dict[int, float]) -> np.ndarray:
    """A periodic wave with these amplitudes of its partials."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, COUNT)) / RATE
    audible = {n: a for n, a in partials.items() if n * np.max(hertz) < RATE / 2}
    amplitudes = [audible.get(n, 0) for n in range(max(audible) + 1)]
    # A sine is the imaginary part of a power of the first partial: a polynomial sums them up.
    return np.imag(np.polynomial.Polynomial(amplitudes)(np.exp(1j * phase)))


SINE = {1: 1.0}
SAW = {n: 1 / n for n in range(1, 40)}
SQUARE = {n: 1 / n for n in range(1, 40, 2)}


def _pitch(random: Random) -> float:
    return float(np.exp(random.uniform(np.log(60), np.log(2000))))


def _chord(random: Random) -> np.ndarray:
    root, partials = _pitch(random) / 2, SINE if random.random() < 0.5 else SAW
    return np.sum([_wave(root * ratio, partials) for ratio in (1, 1.26, 1.5)], axis=0)


def _decay(start: float, seconds: float) -> np.ndarray:
    """An envelope that begins at full strength and falls to a third within `seconds`."""
    return np.exp(-np.maximum(TIME - start, 0) / seconds) * (start < TIME)


def _pulses(random: Random, rate: float, seconds: float, sound: np.ndarray) -> np.ndarray:
    """A sound in short pulses, about `rate` of them per second."""
    starts = random.uniform(0, SECONDS, size=max(round(rate * SECONDS), 1))
    return sound * np.sum([_decay(start, seconds) for start in starts], axis=0)


def _clicks(random: Random) -> np.ndarray:
    return _pulses(random, random.uniform(1, 20), 0.003, coloured(random, 0))


def _music(random: Random, note: Callable[[float], np.ndarray]) -> np.ndarray:
    """Notes of a scale, one after the other, each with a decay."""
    root, length = random.uniform(100, 300), random.uniform(0.12, 0.6)
    tune = np.zeros(COUNT)
    for start in np.arange(random.uniform(0, length), SECONDS, length):
        for step in random.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16], size=random.integers(1, 4)):
            tune += note(root * 2 ** (step / 12)) * _decay(start, length * 1.5)
    return tune


def _organ(random: Random) -> np.ndarray:
    partials = {n: float(random.uniform(0, 1) / n) for n in range(1, 9)}
    return _music(random, lambda hertz: _wave(hertz, partials))


def _plucked(random: Random) -> np.ndarray:
    dull = random.uniform(1.2, 2.5)
    partials = {n: n**-dull for n in range(1, 20)}
    return _music(random, lambda hertz: _wave(hertz * (1 + 0.002 * np.exp(-TIME * 4)), partials))


def _bells(random: Random) -> np.ndarray:
    """Frequency modulation, as in early synthesizers."""
    ratio, depth = random.choice([1, 1.4, 2, 3.5]), random.uniform(0.5, 5)

    def note(hertz: float) -> np.ndarray:
        modulator = np.sin(2 * np.pi * hertz * ratio * TIME)
        return np.sin(2 * np.pi * hertz * TIME + depth * modulator)

    return _music(random, note)


def _hum(random: Random) -> np.ndarray:
    partials = {n: float(random.uniform(0, 1) / n**0.5) for n in range(1, 30)}
    return _wave(float(random.choice([50, 60, 100, 120])), partials)


def _beeps(random: Random) -> np.ndarray:
    rate = random.uniform(1, 6)
    return _wave(_pitch(random), SINE) * (np.sin(2 * np.pi * rate * TIME) > 0)


def _sweep(random: Random) -> np.ndarray:
    first, last = _pitch(random), _pitch(random)
    return _wave(first * (last / first) ** (TIME / SECONDS), SINE)


def _siren(random: Random) -> np.ndarray:
    middle, rate = random.uniform(300, 1200), random.uniform(0.5, 5)
    return _wave(middle * (1 + 0.4 * np.sin(2 * np.pi * rate * TIME)), SQUARE)


def _gusts(random: Random) -> np.ndarray:
    gusts = np.interp(TIME, np.linspace(0, SECONDS, 12), random.uniform(0, 1, 12) ** 2)
    return coloured(random, -2) * gusts


Kind = Callable[[Random], np.ndarray]
TRAINED: dict[str, Kind] = {
    "white noise": lambda random: coloured(random, 0),
    "pink noise": lambda random: coloured(random, -1),
    "brown noise": lambda random: coloured(random, -2),
    "tremolo": _tremolo,
    "sine": lambda random: _wave(_pitch(random), SINE),
    "saw": lambda random: _wave(_pitch(random), SAW),
    "chord": _chord,
    "clicks": _clicks,
    "organ": _organ,
    "plucked": _plucked,
    "hum": _hum,
    "beeps": _beeps,
    "sweep": _sweep,
}
UNHEARD: dict[str, Kind] = {
    "blue noise": lambda random: coloured(random, 1),
    "violet noise": lambda random: coloured(random, 2),
    "square": lambda random: _wave(_pitch(random), SQUARE),
    "siren": _siren,
    "bursts": lambda random: _pulses(random, random.uniform(2, 8), 0.05, coloured(random, -0.5)),
    "bells": _bells,
    "rumble": lambda random: coloured(random, -4) + 0.01 * coloured(random, 0),
    "gusts": _gusts,
}


def on_the_telephone(random: Random, samples: np.ndarray) -> np.ndarray:
    """A telephone's band, and the noise of its line."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    low, high = random.uniform(200, 350), random.uniform(3300, 3700)
    band = 1 / (1 + (low / np.maximum(hertz, 1)) ** 8) / (1 + (hertz / high) ** 16)
    return with_noise(random, np.fft.irfft(spectrum * band, len(samples)), random.uniform(35, 50))


def in_a_room(random: Random, samples: np.ndarray) -> np.ndarray:
    """Echoes that decay by 60 dB within 0.2 to 0.5 seconds."""
    seconds = random.uniform(0.2, 0.5)
    count = round(seconds * RATE)
    echoes = random.normal(size=count) * 10 ** (-3 * np.arange(count) / count)
    echoes *= random.uniform(0.1, 0.4) / np.sqrt(np.sum(echoes**2))
    echoes[0] = 1
    size = len(samples) + count
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echoes, size), size)


def with_noise(random: Random, samples: np.ndarray, above: float) -> np.ndarray:
    """A recording `above` dB louder than coloured noise."""
    noise = coloured(random, random.uniform(-2, 0), len(samples))
    return _mixed(samples, noise, above)


def in_a_crowd(random: Random, samples: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """A recording 15 to 25 dB louder than other people who talk at once."""
    babble = sum(np.resize(np.roll(other, random.integers(RATE)), len(samples)) for other in others)
    return _mixed(samples, np.asarray(babble), random.uniform(15, 25))


def _mixed(samples: np.ndarray, noise: np.ndarray, above: float) -> np.ndarray:
    """Mix a recording and a noise whose power is `above` dB lower."""
    factor = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-above / 20)
    return samples + noise * factor

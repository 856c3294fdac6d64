"""The voice judges: networks, training recipes, the training loop and figures on test speakers.

A judge that is trained to tell voices from other sounds answers `NO_VOICE` to the latter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from models.data import DatasetError, noises, sound, voices
from models.digits import dense
from models.export import TrainingError, export
from models.square import Square


class Judge(nn.Module):
    """A convolution, an activation, and linear layers of these sizes with ReLU between them."""

    def __init__(
        self, conv: nn.Conv2d, activation: type[nn.Module], *sizes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = conv
        self.activation = activation()
        self.dropout = nn.Dropout(dropout)  # in training only
        self.linear = dense(*sizes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(self.activation(self.conv(x)).flatten(1)))


def _places(size: int, window: int, stride: int) -> int:
    return (size - window) // stride + 1


def voice() -> Judge:
    """Filters over all bands and a fifth of a second, squares, and a small hidden layer."""
    filters, window, stride, hidden = 7, 8, 4, 24
    conv = nn.Conv2d(1, filters, (sound.BANDS, window), stride=(1, stride))
    places = filters * _places(sound.STEPS, window, stride)
    judge = Judge(conv, Square, places, hidden, dropout=0.3)
    with torch.no_grad():  # squares grow fast
        conv.weight /= 2
        judge.linear.get_parameter("1.weight").div_(2)
    return judge


def idol() -> Judge:
    """The tutorial's network: one 5x5 filter with stride 4 over the whole spectrogram."""
    hidden = _places(sound.TUTORIAL_MELS, 5, 4) * _places(sound.TUTORIAL_FRAMES, 5, 4)
    return Judge(nn.Conv2d(1, 1, 5, stride=4), nn.ReLU, hidden)


@dataclass(frozen=True)
class Recipe:
    """The training of a network, and the correlation that it must reach on RAVDESS speech."""

    network: Callable[[], Judge]
    epochs: int
    batch: int
    learning_rate: float  # of Adam at its peak, after warming up and before annealing
    vary: bool = False  # vary and disturb training clips, and learn to refuse other sounds
    scale: float = 1.0  # divides inputs in training, and weights in the export
    clip: float | None = None  # largest norm of a gradient
    floor: float = -1.0  # correlation below which a training run fails
    seed: int = 0  # of the committed export


WEIGHT_DECAY = 0.001  # the tutorial's
MARGIN = 8  # frames before and after a phrase, for its variations
NO_VOICE = -0.2  # the answer to a sound without a voice, which scores 0
NOISES = 60  # of each kind, in training
TALKERS = 20  # clips that a crowd is made of
ORDINARY = 0.5  # the score of a synthetic voice, whose emotions nobody feels
SPEECH, SOUNDS = 8, 32  # of synthetic voices, and without a voice, beside a batch of clips
RECIPES = {
    "voice": Recipe(
        voice,
        epochs=240,
        batch=64,
        learning_rate=0.003,
        vary=True,
        scale=8,
        clip=1.0,
        floor=0.45,
        seed=1,
    ),
    "idol": Recipe(idol, epochs=20, batch=64, learning_rate=0.001),
}


@dataclass(frozen=True)
class Figures:
    """The accuracy of scores on the test speakers of a corpus."""

    clips: int
    error: float  # mean squared
    mean_error: float  # of a constant answer, the mean score in training
    correlation: float

    def __str__(self) -> str:
        return (
            f"mean squared error {self.error:.4f}, {self.error / self.mean_error:.3f} of the "
            f"mean's {self.mean_error:.4f}; correlation {self.correlation:.3f}; {self.clips} clips"
        )


def train(
    name: str,
    found: voices.Found,
    *,
    epochs: int | None = None,
    seed: int | None = None,
) -> tuple[bytes, dict[str, Figures]]:
    """Train a network on all speakers but the test speakers.

    Return its ONNX file, and for each corpus the figures of the test speakers.
    """
    recipe, view = RECIPES[name], sound.VIEWS[name]
    epochs = epochs or recipe.epochs
    training, tests = found.only(held_out=False), found.only(held_out=True)
    if not training.clips or not tests.clips:
        raise DatasetError(
            f"{len(tests.clips)} of {len(found.clips)} clips are of test speakers, but training "
            "needs both test speakers and others: add more clips of a corpus."
        )
    seed = recipe.seed if seed is None else seed
    torch.manual_seed(seed)
    network = recipe.network()
    others = None
    if recipe.vary:
        random = np.random.default_rng(seed)
        heard, backwards = _versions(training, random)
        speech, _ = _versions(voices.synthetic().only(held_out=False), random)
        others = Others(speech, torch.cat([backwards, _noises(random)]))
    else:
        heard = torch.from_numpy(training.hear(view))
    scores = torch.tensor([clip.score for clip in training.clips])
    learn(network, heard, scores, others, recipe, epochs)
    seen = torch.from_numpy(tests.hear(view))
    with torch.no_grad():
        answers = network(seen)[:, 0].numpy()
    figures = _figures(tests.clips, answers, float(scores.mean()))
    ravdess = figures.get("RAVDESS speech")
    if ravdess and ravdess.correlation < recipe.floor:
        raise TrainingError(
            f"{name} follows RAVDESS speech with a correlation of {ravdess.correlation:.3f} after "
            f"{epochs} epochs, below its floor of {recipe.floor}: nothing was exported. Train "
            "longer or try another seed."
        )
    return export(network, seen[:1]), figures


@dataclass(frozen=True)
class Others:
    """The windows that a judge hears beside the clips in training."""

    speech: Tensor  # [clip, version, bands, frames], of synthetic voices
    sounds: Tensor  # [sound, bands, frames], without a voice


def _window(samples: np.ndarray) -> np.ndarray:
    return sound.onset_window(samples, MARGIN).astype(np.float16)


def _versions(found: voices.Found, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The windows of clips, clean and disturbed, and of the same clips backwards."""
    talkers = [found.clips[number] for number in random.choice(len(found.clips), TALKERS)]
    talk = [sound.read(clip.path) for clip in talkers]

    def versions(samples: np.ndarray) -> np.ndarray:
        crowd = [talk[number] for number in random.choice(TALKERS, 4)]
        disturbed = (
            samples,
            noises.on_the_telephone(random, samples),
            noises.in_a_room(random, samples),
            noises.with_noise(random, samples, random.uniform(15, 30)),
            noises.in_a_crowd(random, samples, crowd),
            samples[::-1],
        )
        return np.stack([_window(one) for one in disturbed])

    heard = torch.from_numpy(found.hear(versions))
    return heard[:, :-1], heard[:, -1]


def _noises(random: np.random.Generator) -> Tensor:
    kinds = [kind for kind in noises.TRAINED.values() for _ in range(NOISES)]
    made = [_window(kind(random)) for kind in tqdm(kinds, "noises", leave=False, disable=None)]
    return torch.from_numpy(np.stack(made))


def learn(
    network: Judge,
    heard: Tensor,
    scores: Tensor,
    others: Others | None,
    recipe: Recipe,
    epochs: int,
) -> None:
    """Train a network in place, on the CPU: a GPU would draw other random numbers."""
    with torch.no_grad():
        *_, bias = network.parameters()
        bias.fill_(scores.mean())  # training starts from the mean score
    optimiser = torch.optim.Adam(
        network.parameters(), lr=recipe.learning_rate, weight_decay=WEIGHT_DECAY
    )
    steps = max(epochs * math.ceil(len(heard) / recipe.batch), 20)  # a tenth of them warm up
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
    )
    network.train()
    for _ in tqdm(range(epochs), "training", unit="epoch", leave=False, disable=None):
        for chosen in torch.randperm(len(heard)).split(recipe.batch):
            loss = _loss(network, heard[chosen], scores[chosen], others, recipe)
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        network.conv.weight.div_(recipe.scale)


def _loss(
    network: Judge, heard: Tensor, scores: Tensor, others: Others | None, recipe: Recipe
) -> Tensor:
    if others is None:
        return F.mse_loss(network(heard / recipe.scale)[:, 0], scores)
    speech = _some(others.speech, SPEECH)
    windows = torch.cat([_any(heard), _any(speech), _some(others.sounds, SOUNDS)])
    answers = network(blocks(_varied(windows.float())) / recipe.scale)[:, 0]
    of_clips, of_speech, of_sounds = answers.split([len(heard), SPEECH, SOUNDS])
    wrong_speech = (of_speech - ORDINARY).square().sum() / recipe.batch
    wrong_sounds = F.relu(of_sounds - NO_VOICE).square().mean()
    return F.mse_loss(of_clips, scores) + wrong_speech + wrong_sounds


def _some(windows: Tensor, count: int) -> Tensor:
    return windows[torch.randint(len(windows), (count,))]


def _any(versions: Tensor) -> Tensor:
    """One version of each clip."""
    count = len(versions)
    return versions[torch.arange(count), torch.randint(versions.shape[1], (count,))]


def blocks(windows: Tensor) -> Tensor:
    """`sound.blocks` for a batch in training."""
    means = F.avg_pool2d(windows.unsqueeze(1), sound.BLOCK)
    return ((means - sound.MIDDLE) / sound.UNIT).round()


def _figures(clips: list[voices.Clip], answers: np.ndarray, mean: float) -> dict[str, Figures]:
    figures = {}
    for corpus in sorted({clip.corpus for clip in clips}):
        chosen = np.array([clip.corpus == corpus for clip in clips])
        wanted = np.array([clip.score for clip in clips])[chosen]
        figures[corpus] = Figures(
            clips=len(wanted),
            error=float(np.mean((answers[chosen] - wanted) ** 2)),
            mean_error=float(np.mean((mean - wanted) ** 2)),
            correlation=float(np.corrcoef(answers[chosen], wanted)[0, 1]),
        )
    return figures


def _varied(windows: Tensor) -> Tensor:
    """Vary start, tempo (10 %), pitch (two bands) and the colour of the room."""
    count = len(windows)

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count) * 2 - 1) * limit

    share = sound.FRAMES / windows.shape[2]
    turn = torch.zeros(count, 2, 3)
    turn[:, 0, 0], turn[:, 0, 2] = share * (1 + uniform(0.1)), uniform(1 - share)
    bands = windows.shape[1]
    turn[:, 1, 1], turn[:, 1, 2] = 1, uniform(4 / bands)
    # Silence becomes 0, which grid_sample also pads with.
    above = (windows - sound.QUIET).unsqueeze(1)
    grid = F.affine_grid(turn, [count, 1, bands, sound.FRAMES], align_corners=False)
    moved = F.grid_sample(above, grid, align_corners=False)
    colour = torch.randn(count, 1, 6) * 2.5  # dB, smooth from low to high
    room = F.interpolate(colour, bands, mode="linear", align_corners=True).unsqueeze(3)
    coloured = (moved + room * (moved > 2)).clamp(0, -sound.QUIET)
    return coloured.squeeze(1) + sound.QUIET

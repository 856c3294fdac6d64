"""The voice judges: networks, training recipes, the training loop and figures on test speakers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from models.data import DatasetError, sound, voices
from models.export import TrainingError, export
from models.square import Square


class Judge(nn.Module):
    """One convolution, an activation and a linear layer, as in the tutorial."""

    def __init__(
        self, conv: nn.Conv2d, hidden: int, activation: type[nn.Module], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = conv
        self.activation = activation()
        self.dropout = nn.Dropout(dropout)  # in training only
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(self.activation(self.conv(x)).flatten(1)))


def over_time(
    filters: int,
    bands: int,
    steps: int,
    window: int,
    stride: int,
    activation: type[nn.Module] = Square,
) -> Judge:
    """Filters that cover all bands and a window of steps."""
    conv = nn.Conv2d(1, filters, (bands, window), stride=(1, stride))
    judge = Judge(conv, filters * _places(steps, window, stride), activation, dropout=0.3)
    if activation is Square:
        with torch.no_grad():  # squares grow fast
            conv.weight /= 2
            judge.linear.weight /= 2
    return judge


def _places(size: int, window: int, stride: int) -> int:
    return (size - window) // stride + 1


def voice() -> Judge:
    """A network that is cheap to prove: nine filters over all bands and a third of a second."""
    return over_time(9, sound.BANDS, sound.STEPS, window=4, stride=2)


def idol() -> Judge:
    """The tutorial's network: one 5x5 filter with stride 4 over the whole spectrogram."""
    hidden = _places(sound.TUTORIAL_MELS, 5, 4) * _places(sound.TUTORIAL_FRAMES, 5, 4)
    return Judge(nn.Conv2d(1, 1, 5, stride=4), hidden, activation=nn.ReLU)


@dataclass(frozen=True)
class Recipe:
    """The training of a network, and the correlation that it must reach on RAVDESS speech."""

    network: Callable[[], Judge]
    epochs: int
    batch: int
    learning_rate: float  # of Adam at its peak, after warming up and before annealing
    vary: bool = False  # vary start, tempo, pitch and room of training clips
    scale: float = 1.0  # divides inputs in training, and weights in the export
    clip: float | None = None  # largest norm of a gradient
    floor: float = -1.0  # correlation below which a training run fails


WEIGHT_DECAY = 0.001  # the tutorial's
MARGIN = 8  # frames before and after a phrase, for its variations
RECIPES = {
    "voice": Recipe(
        voice, epochs=60, batch=64, learning_rate=0.003, vary=True, scale=8, clip=1.0, floor=0.45
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
    seed: int = 0,
) -> tuple[bytes, dict[str, Figures]]:
    """Train a network on all speakers but the test speakers.

    Return its ONNX file, and for each corpus the figures of the test speakers.
    """
    recipe = RECIPES[name]
    epochs = epochs or recipe.epochs
    view = partial(sound.onset_window, margin=MARGIN) if recipe.vary else sound.VIEWS[name]
    heard = torch.from_numpy(found.hear(view)).float()
    scores = torch.tensor([clip.score for clip in found.clips])
    held_out = torch.tensor([clip.held_out for clip in found.clips])
    if held_out.all() or not held_out.any():
        raise DatasetError(
            f"{int(held_out.sum())} of {len(held_out)} clips are of test speakers, but training "
            "needs both test speakers and others: add more clips of a corpus."
        )
    torch.manual_seed(seed)
    network = recipe.network()
    learn(network, heard[~held_out], scores[~held_out], recipe, epochs)
    tests = heard[held_out]
    if recipe.vary:
        tests = blocks(tests[:, :, MARGIN:-MARGIN])
    with torch.no_grad():
        answers = network(tests)[:, 0].numpy()
    mean = float(scores[~held_out].mean())
    figures = _figures([clip for clip in found.clips if clip.held_out], answers, mean)
    ravdess = figures.get("RAVDESS speech")
    if ravdess and ravdess.correlation < recipe.floor:
        raise TrainingError(
            f"{name} follows RAVDESS speech with a correlation of {ravdess.correlation:.3f} after "
            f"{epochs} epochs, below its floor of {recipe.floor}: nothing was exported. Train "
            "longer or try another seed."
        )
    return export(network, tests[:1]), figures


def learn(
    network: Judge,
    clips: Tensor,
    scores: Tensor,
    recipe: Recipe,
    epochs: int,
    block: tuple[int, int] = sound.BLOCK,
) -> None:
    """Train a network in place, on the CPU: a GPU would draw other random numbers."""
    with torch.no_grad():
        network.linear.bias.fill_(scores.mean())  # training starts from the mean score
    optimiser = torch.optim.Adam(
        network.parameters(), lr=recipe.learning_rate, weight_decay=WEIGHT_DECAY
    )
    steps = max(epochs * math.ceil(len(clips) / recipe.batch), 20)  # a tenth of them warm up
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
    )
    network.train()
    for _ in tqdm(range(epochs), "training", unit="epoch", leave=False, disable=None):
        for chosen in torch.randperm(len(clips)).split(recipe.batch):
            batch = blocks(_varied(clips[chosen]), block) if recipe.vary else clips[chosen]
            loss = F.mse_loss(network(batch / recipe.scale)[:, 0], scores[chosen])
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        network.conv.weight.div_(recipe.scale)


def blocks(windows: Tensor, block: tuple[int, int] = sound.BLOCK) -> Tensor:
    """`sound.blocks` for a batch in training."""
    return ((F.avg_pool2d(windows.unsqueeze(1), block) - sound.MIDDLE) / 5).round()


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
    turn[:, 1, 1], turn[:, 1, 2] = 1, uniform(4 / sound.MELS)
    shape = [count, 1, sound.MELS, sound.FRAMES]
    # Silence becomes 0, which grid_sample also pads with.
    above = (windows - sound.FLOOR).unsqueeze(1)
    moved = F.grid_sample(
        above, F.affine_grid(turn, shape, align_corners=False), align_corners=False
    )
    colour = torch.randn(count, 1, 6) * 2.5  # dB, smooth from low to high
    room = F.interpolate(colour, sound.MELS, mode="linear", align_corners=True).unsqueeze(3)
    coloured = (moved + room * (moved > 2)).clamp(0, -sound.FLOOR)
    return coloured.squeeze(1) + sound.FLOOR

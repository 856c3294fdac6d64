"""The digit readers: three networks, one way to train them, and their export to ONNX."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from models.data import drawing, mnist
from models.export import EXPORTS, TrainingError, export


class LeNet(nn.Module):
    """The Clansifier tutorial's network: sigmoids and average pools, 44,426 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(256, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.sigmoid(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.sigmoid(self.conv2(x)), 2)
        x = torch.sigmoid(self.fc1(x.flatten(1)))
        x = torch.sigmoid(self.fc2(x))
        return self.fc3(x)


class Dense(nn.Sequential):
    """The MNIST tutorial's network: 784-128-10 with ReLU."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


class Swift(nn.Sequential):
    """Cheap to prove: 196 whole numbers in, one activation for each of 288 hidden units."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 8, 4, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, and how good it must become."""

    network: Callable[[], nn.Module]
    epochs: int
    batch: int
    learning_rate: float  # of Adam; the peak, where it warms up and anneals
    floor: float  # accuracy on the test set below which a training run fails
    anneal: bool = False
    jitter: bool = False  # turn, scale and shift every training image a little, anew each time


RECIPES = {
    "lenet": Recipe(LeNet, epochs=25, batch=256, learning_rate=0.001, floor=0.98),
    "dense": Recipe(Dense, epochs=6, batch=128, learning_rate=0.001, floor=0.965),
    "swift": Recipe(
        Swift, epochs=60, batch=256, learning_rate=0.005, floor=0.98, anneal=True, jitter=True
    ),
}


def train(
    name: str,
    *,
    epochs: int | None = None,
    seed: int = 0,
    bad: bool = False,
    folder: Path = EXPORTS,
    report: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> tuple[Path, float]:
    """Trains a network and exports it; gives the ONNX file and the accuracy on the test set.

    `bad` stops after a single epoch, has no accuracy floor, and exports to `<name>-bad.onnx`.
    """
    recipe = RECIPES[name]
    epochs = 1 if bad else epochs or recipe.epochs
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = recipe.network().to(device)
    pixels = torch.tensor(mnist.images("train")).to(device)
    labels = torch.tensor(mnist.labels("train")).long().to(device)
    batches = math.ceil(len(pixels) / recipe.batch)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = None
    if recipe.anneal:
        # The schedule spans the full training also when it is cut short after one epoch.
        steps = batches * max(epochs, recipe.epochs)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
        )

    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        network.train()
        order = torch.randperm(len(pixels), device=device).split(recipe.batch)
        for chosen in tqdm(
            order, desc=f"{name} {epoch}/{epochs}", leave=False, unit="batch", disable=None
        ):
            images = pixels[chosen].unsqueeze(1) / 255
            view = view_of(name, _jitter(images) if recipe.jitter else images)
            loss = F.cross_entropy(network(view), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if schedule:
                schedule.step()
        accuracy = test(name, network)
        report(epoch, accuracy)

    if not bad and accuracy < recipe.floor:
        raise TrainingError(
            f"{name} reads {accuracy:.2%} of the test images after {epochs} epochs, below its "
            f"floor of {recipe.floor:.2%}: nothing was exported. Train longer, or try another seed."
        )
    sample = torch.from_numpy(drawing.VIEWS[name](np.zeros((1, drawing.SIDE, drawing.SIDE))))
    return export(network, sample, folder / f"{name}{'-bad' if bad else ''}.onnx"), accuracy


def test(name: str, network: nn.Module) -> float:
    """The share of the 10,000 test drawings that the network reads correctly."""
    view = torch.from_numpy(drawing.VIEWS[name](mnist.drawings("test")))
    network.eval()
    with torch.no_grad():
        logits = network(view.to(next(network.parameters()).device))
    return float(np.mean(logits.argmax(1).cpu().numpy() == mnist.labels("test")))


def view_of(name: str, images: Tensor) -> Tensor:
    """What `drawing.VIEWS` gives, for a batch of greyscale images on the training device."""
    drawings = (images > 0.5).float()
    if drawing.VIEWS[name] is drawing.block_sums:
        return F.avg_pool2d(drawings, 2) * 4
    return drawings


def _jitter(images: Tensor) -> Tensor:
    """Turns by up to 8 degrees, scales by up to 10 %, shifts by up to half a pixel."""
    count, device = len(images), images.device

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count, device=device) * 2 - 1) * limit

    angle, scale = uniform(math.radians(8)), 1 + uniform(0.1)
    across, down = uniform(1 / drawing.SIDE), uniform(1 / drawing.SIDE)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = torch.stack([cosine, -sine, across]), torch.stack([sine, cosine, down])
    grid = F.affine_grid(
        torch.stack(rows).permute(2, 0, 1), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid, align_corners=False)

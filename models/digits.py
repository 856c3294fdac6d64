"""The digit readers: networks, training recipes and the training loop."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from models.data import drawing, mnist
from models.export import TrainingError, export
from models.square import Square

View = Callable[[np.ndarray], np.ndarray]
# Called after each epoch with its number, its mean loss, and the accuracy on the test set.
Report = Callable[[int, float, float], None]


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


def dense(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes, with ReLU between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def conv() -> nn.Sequential:
    """LeNet's two convolutions with ReLU, and a single linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 10)),
    )


def strided(
    side: int, filters: int, kernel: int, stride: int, activation: type[nn.Module] = Square
) -> nn.Sequential:
    """One strided convolution of a square image, an activation, and a linear layer."""
    first = nn.Conv2d(1, filters, kernel, stride=stride)
    if activation is Square:
        with torch.no_grad():
            first.weight /= 4  # squares grow fast, and so would the first steps
    places = (side - kernel) // stride + 1
    return nn.Sequential(first, activation(), nn.Flatten(), nn.Linear(filters * places**2, 10))


VARIANTS = 6  # of each training image, for recipes that vary them


@dataclass(frozen=True)
class Recipe:
    """The training of a network, and the accuracy that it must reach."""

    network: Callable[[], nn.Module]
    epochs: int
    batch: int
    learning_rate: float  # with `anneal`, its peak
    floor: float  # accuracy on the test set below which a training run fails
    anneal: bool = False
    vary: bool = False  # vary the angle, slant, sides and thickness of each training image
    clip: float | None = None  # largest norm of a gradient
    momentum: float | None = None  # of SGD; None for Adam
    # Of a convolution, squares and a linear layer: multiplies the weights of the former. The latter
    # makes up for it: the answers stay, but more of their accuracy survives rounding the weights.
    balance: float = 1.0
    seed: int = 0  # of the committed export


def patient(
    network: Callable[[], nn.Module], floor: float, epochs: int = 80, seed: int = 0
) -> Recipe:
    """A recipe for small networks of squares, which learn slowly and have steep gradients."""
    return Recipe(network, epochs, 256, 0.01, floor, anneal=True, vary=True, clip=1.0, seed=seed)


RECIPES = {
    # Cheap to prove: the best of `ape run search` for 2**13 rows and for 3 x 2**11 cells.
    "swift": replace(patient(lambda: strided(12, 8, 4, 2), floor=0.98), balance=1.5),
    "dash": patient(lambda: strided(12, 8, 6, 3), floor=0.97),
    "lenet": Recipe(LeNet, epochs=25, batch=256, learning_rate=0.001, floor=0.98),
    # The MNIST tutorial's network.
    "dense": Recipe(lambda: dense(784, 128, 10), 6, batch=128, learning_rate=0.001, floor=0.965),
    # Networks with published figures.
    "dense-56": Recipe(lambda: dense(784, 56, 10), 10, 128, 0.001, floor=0.96),
    "dense-25": Recipe(lambda: dense(196, 25, 10), 10, 128, 0.002, floor=0.94),
    "dense-24-14": Recipe(lambda: dense(196, 24, 14, 10), 10, 128, 0.002, floor=0.94),
    # The Cairo tutorial's network, trained as there.
    "dense-10": Recipe(
        lambda: dense(196, 10, 10).append(nn.LogSoftmax(1)), 10, 1, 0.01, floor=0.92, momentum=0.5
    ),
    "conv-6-16": Recipe(conv, 10, 128, 0.002, floor=0.98),
}


def train(
    name: str,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    bad: bool = False,
    report: Report = lambda epoch, loss, accuracy: None,
) -> tuple[bytes, float]:
    """Train a network; return its ONNX file and its accuracy on the test set.

    `bad` stops after one epoch and has no accuracy floor.
    """
    recipe = RECIPES[name]
    epochs = 1 if bad else epochs or recipe.epochs
    network, accuracy = trained(name, epochs, seed, report)
    if not bad and accuracy < recipe.floor:
        raise TrainingError(
            f"{name} reads {accuracy:.2%} of the test images after {epochs} epochs, below its "
            f"floor of {recipe.floor:.2%}: nothing was exported. Train longer or try another seed."
        )
    return exported(name, network), accuracy


def trained(
    name: str,
    epochs: int,
    seed: int | None = None,
    report: Report = lambda epoch, loss, accuracy: None,
) -> tuple[nn.Module, float]:
    """Train a network; return it with its accuracy on the test set."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed if seed is None else seed)
    network = recipe.network()
    accuracy = learn(network, drawing.VIEWS[name], recipe, epochs, report)
    if recipe.balance != 1:
        balance(network, recipe.balance)
    return network, accuracy


def exported(name: str, network: nn.Module) -> bytes:
    """The ONNX file of a network."""
    sample = torch.from_numpy(drawing.VIEWS[name](mnist.drawings("test", 1)))
    return export(network, sample)


def balance(network: nn.Module, factor: float) -> None:
    """Move a factor from the last layer to the first, whose outputs are squared."""
    *first, weight, _ = network.parameters()
    with torch.no_grad():
        for parameter in first:
            parameter.mul_(factor)
        weight.div_(factor**2)


def learn(
    network: nn.Module,
    view: View,
    recipe: Recipe,
    epochs: int,
    report: Report = lambda epoch, loss, accuracy: None,
) -> float:
    """Train a network in place; return its accuracy on the test set."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    inputs = [view(drawings) for drawings in _drawings(recipe)]
    labels = torch.tensor(mnist.labels("train")).long().to(device)
    batches = math.ceil(len(labels) / recipe.batch)
    optimiser = _optimiser(network, recipe)
    schedule = None
    if recipe.anneal:
        # The schedule spans the recipe's epochs even if the training stops earlier.
        steps = batches * max(epochs, recipe.epochs)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
        )

    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        network.train()
        seen = torch.from_numpy(inputs[epoch % len(inputs)]).to(device)
        order = torch.randperm(len(seen), device=device).split(recipe.batch)
        total = torch.zeros((), device=device)
        for chosen in tqdm(
            order, desc=f"epoch {epoch}/{epochs}", leave=False, unit="batch", disable=None
        ):
            loss = F.cross_entropy(network(seen[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            if schedule:
                schedule.step()
            total += loss.detach() * len(chosen)
        accuracy = test(network, view)
        report(epoch, total.item() / len(seen), accuracy)
    return accuracy


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.momentum is None:
        return torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    return torch.optim.SGD(network.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)


def test(network: nn.Module, view: View) -> float:
    """Return the share of the 10,000 test drawings that the network reads correctly."""
    seen = torch.from_numpy(view(mnist.drawings("test")))
    network.eval()
    with torch.no_grad():
        logits = network(seen.to(next(network.parameters()).device))
    return float(np.mean(logits.argmax(1).cpu().numpy() == mnist.labels("test")))


def _drawings(recipe: Recipe) -> Iterator[np.ndarray]:
    """The training images as drawings; with `vary`, several different ones of each."""
    if not recipe.vary:
        yield mnist.drawings("train")
        return
    for _ in tqdm(range(VARIANTS), "varying drawings", leave=False, disable=None):
        images = torch.tensor(mnist.images("train")).unsqueeze(1) / 255
        yield torch.cat([_varied(some) for some in images.split(10_000)]).numpy()


def _varied(images: Tensor) -> Tensor:
    """Turn by up to 8 degrees, slant, scale each side by up to 8 %, thin or thicken strokes."""
    count = len(images)

    def uniform(limit: float) -> Tensor:
        return (torch.rand(count) * 2 - 1) * limit

    angle, slant = uniform(math.radians(8)), uniform(0.15)
    wide, high = 1 + uniform(0.08), 1 + uniform(0.08)
    rows = (
        torch.stack([angle.cos() * wide, (slant - angle.sin()) * high, torch.zeros(count)]),
        torch.stack([angle.sin() * wide, angle.cos() * high, torch.zeros(count)]),
    )
    grid = F.affine_grid(
        torch.stack(rows).permute(2, 0, 1), list(images.shape), align_corners=False
    )
    grey = F.grid_sample(images, grid, align_corners=False)[:, 0]
    return (grey > 0.5 + uniform(0.2)[:, None, None]).byte()

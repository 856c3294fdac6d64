"""The search for the best network among those of equal cost."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from apps.circuits import ARTIFACTS
from bench.documents import record, table
from bench.sizes import largest
from models.data import drawing, sound, voices
from zk.circuit import RunArgs, Shape
from zk.journal import Journal
from zk.tuning.costs import CostModel

Kind = Literal["digits", "voice"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# As `ape run tune` finds them for these networks: integer inputs, and no rescaling.
ARGS = RunArgs(0, 6, 10, decomp_base=4096, decomp_legs=2)
MOST_FILTERS = 32
SHOWN = 5  # of each size

EPOCHS = 12  # of a digit reader: enough to compare
SIDES = {14: drawing.block_sums, 12: drawing.middle_sums}
KERNELS = ((4, 2), (4, 3), (4, 4), (5, 3), (6, 3))  # side, stride
DIGIT_SIZES = ((12, 1), (11, 3), (13, 1))  # rows as powers of two, columns

FOLDS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16))  # RAVDESS's actors
PHRASES = ((32, 32), (32, 16), (16, 32), (16, 16), (8, 32))  # bands, steps
VOICE_SIZES = ((13, 1), (14, 1))


@dataclass(frozen=True)
class Variant:
    """A design of network for circuits of one size."""

    words: str
    activation: str
    logrows: int
    columns: int
    shape: tuple[int, ...]  # of its input
    network: Callable  # makes a network of a number of filters
    reached: Callable[[int], float]  # trains it, and returns its accuracy or correlation


def search(kind: Kind, data: Path | None, report: Callable[[str], None]) -> None:
    """Compare networks of equal cost, and record the best in docs/benchmarks.md.

    Each network is as large as its circuit allows. A search that is stopped resumes.
    """
    journal = Journal(ARTIFACTS / "search" / f"{kind}.json", [EPOCHS, FOLDS])
    found = []
    for variant in _digits() if kind == "digits" else _voices(data):
        question = [variant.words, variant.activation, variant.logrows, variant.columns]
        filters = journal.once(["filters", *question], partial(_most_filters, variant))
        if not filters:
            continue
        reached = journal.once(question, partial(variant.reached, filters))
        report(
            f"{variant.columns} x 2**{variant.logrows} rows, {variant.words}, "
            f"{variant.activation}, {filters} filters: {reached:.4f}"
        )
        found.append((variant, filters, reached))
    record(f"search {kind}", _report(kind, found))


def _digits() -> Iterator[Variant]:
    import torch

    from models import digits

    def reached(view: Callable, network: Callable, filters: int) -> float:
        torch.manual_seed(0)
        recipe = digits.patient(partial(network, filters), floor=0, epochs=EPOCHS)
        return digits.learn(recipe.network(), view, recipe, EPOCHS)

    designs = [
        (
            f"{kernel}x{kernel}, stride {stride}, on {side}x{side}",
            (1, 1, side, side),
            partial(digits.strided, side, kernel=kernel, stride=stride),
            partial(reached, view),
        )
        for side, view in SIDES.items()
        for kernel, stride in KERNELS
    ]
    return _variants(DIGIT_SIZES, designs)


def _voices(data: Path | None) -> Iterator[Variant]:
    """Cross-validated on training speakers, four left out at a time; test speakers stay unseen."""
    import torch

    from models import voices as judges

    found = voices.find(data)
    found.clips = [c for c in found.clips if c.corpus == "RAVDESS speech" and not c.held_out]
    clips = torch.from_numpy(found.hear(partial(sound.onset_window, margin=judges.MARGIN))).float()
    scores = torch.tensor([clip.score for clip in found.clips])
    actors = np.array([int(clip.speaker) for clip in found.clips])
    recipe = judges.RECIPES["voice"]

    def reached(block: tuple[int, int], network: Callable, filters: int) -> float:
        correlations = []
        for fold in FOLDS:
            out = torch.from_numpy(np.isin(actors, fold))
            torch.manual_seed(0)
            judge = network(filters)
            judges.learn(judge, clips[~out], scores[~out], recipe, recipe.epochs, block)
            heard = judges.blocks(clips[out][:, :, judges.MARGIN : -judges.MARGIN], block)
            with torch.no_grad():
                answers = judge(heard)[:, 0].numpy()
            correlations.append(float(np.corrcoef(answers, scores[out].numpy())[0, 1]))
        return float(np.mean(correlations))

    designs = []
    for bands, steps in PHRASES:
        window = steps // 8  # a third of a second
        network = partial(
            judges.over_time,
            bands=bands,
            steps=steps,
            window=window,
            stride=max(1, window // 2),
        )
        block = (sound.MELS // bands, sound.FRAMES // steps)
        words = f"{bands} bands, {steps} steps, window {window}"
        designs.append((words, (1, 1, bands, steps), network, partial(reached, block)))
    return _variants(VOICE_SIZES, designs)


def _variants(sizes: Iterable[tuple[int, int]], designs: list[tuple]) -> Iterator[Variant]:
    """Every design in every size, with squares and with ReLU."""
    from torch import nn

    from models.square import Square

    for size in sizes:
        for words, shape, design, reached in designs:
            for name, activation in (("square", Square), ("ReLU", nn.ReLU)):
                network = partial(design, activation=activation)
                yield Variant(words, name, *size, shape, network, partial(reached, network))


def _most_filters(variant: Variant) -> int:
    args = replace(ARGS, num_inner_cols=variant.columns)
    return min(MOST_FILTERS, largest(variant.network, variant.shape, args, variant.logrows))


def _report(kind: Kind, found: list[tuple[Variant, int, float]]) -> str:
    """Tabulate the best few of each size."""
    costs = CostModel.load()
    lines = []
    for size in dict.fromkeys((variant.logrows, variant.columns) for variant, *_ in found):
        same = [row for row in found if (row[0].logrows, row[0].columns) == size]
        predicted = costs.predict(Shape(*size, tables=0, matrices=0)).seconds
        for variant, filters, reached in sorted(same, key=lambda row: -row[2])[:SHOWN]:
            score = f"{reached:.2%}" if kind == "digits" else f"{reached:.3f}"
            cells = f"{variant.columns} x 2^{variant.logrows}"
            line = [cells, f"{predicted:.2f} s", variant.words, variant.activation, str(filters)]
            lines.append([*line, score])
    reads = "accuracy" if kind == "digits" else "correlation"
    head = ["cells", "predicted", "convolution", "activation", "filters", reads]
    return table(head, lines)

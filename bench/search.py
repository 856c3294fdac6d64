"""The search for the best network among those of equal cost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from apps.circuits import ARTIFACTS
from bench.documents import record, table
from bench.sizes import largest
from models.data import drawing
from zk.circuit import RunArgs, Shape
from zk.journal import Journal
from zk.tuning.costs import CostModel

# As `ape run tune` finds them for these networks: integer inputs, and no rescaling.
ARGS = RunArgs(0, 6, 10, decomp_base=4096, decomp_legs=2)
MOST_FILTERS = 32
SHOWN = 5  # of each size

EPOCHS = 12  # enough to compare
SIDES = {14: drawing.block_sums, 12: drawing.middle_sums}
KERNELS = ((4, 2), (4, 3), (4, 4), (5, 3), (6, 3))  # side, stride
SIZES = ((12, 1), (11, 3), (13, 1))  # rows as powers of two, columns


@dataclass(frozen=True)
class Variant:
    """A design of network for circuits of one size."""

    words: str
    activation: str
    logrows: int
    columns: int
    shape: tuple[int, ...]  # of its input
    network: Callable  # makes a network of a number of filters
    reached: Callable[[int], float]  # trains it, and returns its accuracy


def search(report: Callable[[str], None]) -> None:
    """Compare digit readers of equal cost, and record the best in docs/benchmarks.md.

    Each network is as large as its circuit allows. A search that is stopped resumes.
    """
    journal = Journal(ARTIFACTS / "search" / "digits.json", EPOCHS)
    found = []
    for variant in _variants():
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
    record("search digits", _report(found))


def _variants() -> Iterator[Variant]:
    """Every design in every size, with squares and with ReLU."""
    import torch
    from torch import nn

    from models import digits
    from models.square import Square

    def reached(view: Callable, network: Callable, filters: int) -> float:
        torch.manual_seed(0)
        recipe = digits.patient(partial(network, filters), floor=0, epochs=EPOCHS)
        return digits.learn(recipe.network(), view, recipe, EPOCHS)

    choices = product(SIZES, SIDES.items(), KERNELS)
    for (logrows, columns), (side, view), (kernel, stride) in choices:
        words = f"{kernel}x{kernel}, stride {stride}, on {side}x{side}"
        for name, activation in (("square", Square), ("ReLU", nn.ReLU)):
            network = partial(
                digits.strided, side, kernel=kernel, stride=stride, activation=activation
            )
            reach = partial(reached, view, network)
            shape = (1, 1, side, side)
            yield Variant(words, name, logrows, columns, shape, network, reach)


def _most_filters(variant: Variant) -> int:
    args = replace(ARGS, num_inner_cols=variant.columns)
    return min(MOST_FILTERS, largest(variant.network, variant.shape, args, variant.logrows))


def _report(found: list[tuple[Variant, int, float]]) -> str:
    """Tabulate the best few of each size."""
    costs = CostModel.load()
    lines = []
    for size in dict.fromkeys((variant.logrows, variant.columns) for variant, *_ in found):
        same = [row for row in found if (row[0].logrows, row[0].columns) == size]
        predicted = costs.predict(Shape(*size, tables=0, matrices=0)).seconds
        for variant, filters, reached in sorted(same, key=lambda row: -row[2])[:SHOWN]:
            cells = f"{variant.columns} x 2^{variant.logrows}"
            line = [cells, f"{predicted:.2f} s", variant.words, variant.activation, str(filters)]
            lines.append([*line, f"{reached:.2%}"])
    head = ["cells", "predicted", "convolution", "activation", "filters", "accuracy"]
    return table(head, lines)

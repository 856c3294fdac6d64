"""How the cost of proving grows with a circuit, and the shapes that the cost model is fitted to."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts._circuits import ARTIFACTS
from scripts._contracts import gas_of
from scripts._sizes import largest
from zk.circuit import Circuit, RunArgs, Samples
from zk.costs import Cost, Shape, save
from zk.journal import Journal
from zk.manifest import digest
from zk.measure import figures_of

SIDE = 6
SHAPE = (1, 1, SIDE, SIDE)
ARGS = RunArgs(0, 6, 10, num_inner_cols=1, decomp_base=992, decomp_legs=3)
SIZES, QUICK_SIZES = range(10, 19), range(10, 15)  # rows as powers of two


def series(journal: Journal, quick: bool) -> list[dict[str, Any]]:
    """Measures circuits of one column that are all but full, from 2**10 cells to 2**18."""
    points = []
    for size in QUICK_SIZES if quick else SIZES:
        hidden = journal.once(["hidden", size], partial(largest, _dense, SHAPE, ARGS, size))
        points.append(_measure(journal, ["dense", hidden], partial(_dense, hidden), ARGS))
    return points


def exponent(points: list[dict[str, Any]]) -> float:
    """The power of the cells with which the seconds of proving grow."""
    cells = np.log([point["cells"] for point in points])
    seconds = np.log([point["prove"] for point in points])
    return float(np.polyfit(cells, seconds, 1)[0])


def survey(journal: Journal) -> None:
    """Measures a small circuit of every shape, for the cost model of `ape run tune`."""
    found = []
    for sigmoids in range(3):
        for matrices in (False, True):
            for columns, logrows in ((1, 12), (2, 12), (3, 12), (4, 12), (1, 14), (2, 14)):
                args = replace(
                    ARGS,
                    num_inner_cols=columns,
                    logrows=logrows,
                    matrix_convolutions=matrices,
                )
                network = partial(_convolution, sigmoids)
                point = _measure(journal, ["sigmoids", sigmoids], network, args)
                found.append((Shape(**point["shape"]), Cost(**point["cost"])))
    save(found)


def _dense(hidden: int):
    import torch
    from torch import nn

    from models.square import Square

    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, hidden), Square(), nn.Linear(hidden, 10))


def _convolution(sigmoids: int):
    """A convolution and two linear layers, with up to two sigmoids between them."""
    import torch
    from torch import nn

    from models.square import Square

    torch.manual_seed(0)
    first = nn.Sigmoid if sigmoids > 0 else Square
    second = nn.Sigmoid if sigmoids > 1 else nn.ReLU
    return nn.Sequential(
        *(nn.Conv2d(1, 2, 3, stride=3), first(), nn.Flatten()),
        *(nn.Linear(8, 8), second(), nn.Linear(8, 10)),
    )


def _measure(journal: Journal, question: list, network: Callable, args: RunArgs) -> dict[str, Any]:
    """The figures of an untrained network's circuit, which is not kept."""
    return journal.once([*question, asdict(args)], partial(_figures, network, args))


def _figures(network: Callable, args: RunArgs) -> dict[str, Any]:
    import torch

    from models.export import export

    inputs = np.random.default_rng(0).integers(0, 5, (4, SIDE**2)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        circuit = Circuit(
            name=f"size-{digest([asdict(args), str(network)])[:12]}",
            model=export(network(), torch.zeros(SHAPE), Path(folder, "network.onnx")),
            contract="SizeVerifier",
            samples=lambda: Samples(inputs, inputs),
            run_args=args,
        )
        return figures_of(circuit, artifacts=ARTIFACTS, verifiers=Path(folder), gas=gas_of)

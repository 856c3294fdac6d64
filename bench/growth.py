"""The growth of proving cost with the size of a circuit, and the data of the cost model."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from apps.circuits import ARTIFACTS
from chain.contracts import gas_of
from zk.circuit import Circuit, RunArgs, Shape
from zk.journal import Journal
from zk.samples import Samples
from zk.tuning.costs import Cost, save
from zk.tuning.measure import figures_of

ARGS = RunArgs(0, 6, 10, num_inner_cols=1, decomp_base=992, decomp_legs=3)
SERIES_SIDE, SURVEY_SIDE = 4, 6  # of the square inputs
# Hidden units that almost fill 2**10 to 2**18 rows, and the number that --quick measures.
HIDDEN = (2, 39, 112, 258, 551, 1136, 2306, 4646, 9328)
QUICK = 4


def series(journal: Journal, quick: bool) -> list[dict[str, Any]]:
    """Measure almost full circuits of one column, from 2**10 cells to 2**18.

    The quick series measures the smallest, and takes the others from earlier runs.
    """
    return [
        _measure(journal, ["dense", hidden], partial(_dense, hidden), SERIES_SIDE, ARGS)
        for place, hidden in enumerate(HIDDEN)
        if not quick or place < QUICK or ["dense", hidden, _chosen(ARGS)] in journal
    ]


def exponent(points: list[dict[str, Any]]) -> float:
    """The exponent with which the seconds of proving grow with the cells."""
    cells = np.log([point["cells"] for point in points])
    seconds = np.log([point["prove"] for point in points])
    return float(np.polyfit(cells, seconds, 1)[0])


def survey(journal: Journal) -> None:
    """Measure a small circuit of every shape, for the cost model of `ape run tune`."""
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
                point = _measure(journal, ["sigmoids", sigmoids], network, SURVEY_SIDE, args)
                found.append((Shape(**point["shape"]), Cost(**point["cost"])))
    save(found)


def _dense(hidden: int):
    import torch
    from torch import nn

    from models.square import Square

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SERIES_SIDE**2, hidden), Square(), nn.Linear(hidden, 10)
    )


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


def _chosen(args: RunArgs) -> dict[str, Any]:
    """The knobs that are not the default ones."""
    usual = asdict(RunArgs())
    return {name: value for name, value in asdict(args).items() if value != usual[name]}


def _measure(
    journal: Journal, question: list, network: Callable, side: int, args: RunArgs
) -> dict[str, Any]:
    """Measure an untrained network's circuit; the circuit is not kept."""
    return journal.once([*question, _chosen(args)], partial(_figures, network, side, args))


def _figures(network: Callable, side: int, args: RunArgs) -> dict[str, Any]:
    import torch

    from models.export import export

    inputs = np.random.default_rng(0).integers(0, 5, (4, side**2)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        model = Path(folder, "network.onnx")
        model.write_bytes(export(network(), torch.zeros(1, 1, side, side)))
        circuit = Circuit(
            name="size",
            model=model,
            verifier_name="SizeVerifier",
            samples=lambda: Samples(inputs, inputs),
            run_args=args,
        )
        return figures_of(circuit, artifacts=ARTIFACTS, verifiers=Path(folder), gas=gas_of)

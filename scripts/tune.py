import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from apps.circuits import ARTIFACTS, for_search, keep, sources
from bench.charts import BLUE, GREY, ORANGE, chart, frontier
from chain.contracts import gas_of
from chain.network import is_dev
from scripts._builds import chosen_circuit
from scripts._cli import ChainCommand, suggest
from verdict.builds import fetched, own_model_options
from verdict.commands import json_option
from zk.circuit import Choice
from zk.errors import CircuitError
from zk.solc import require_solc
from zk.tuning.tuner import GOALS, Finalist, Limits, Outcome, knobs, tune


@click.command(cls=ChainCommand)
@click.option(
    "--circuit",
    "name",
    type=click.Choice([name for name, source in sources().items() if not source.tuned_as]),
)
@own_model_options
@click.option(
    "--for",
    "goal",
    type=click.Choice(GOALS),
    default="balanced",
    show_default=True,
    help="The cost to minimise.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=Limits.tolerance,
    show_default=True,
    help="Accuracy that quantising may lose, as a share of samples.",
)
@click.option(
    "--max-key",
    type=click.FloatRange(0, min_open=True),
    default=Limits.proving_key / 1e6,
    show_default=True,
    help="Largest proving key, in MB.",
)
@click.option(
    "--measure",
    type=click.IntRange(1, 50),
    default=4,
    show_default=True,
    help="Number of circuits to build and prove.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the choice of samples."
)
@json_option
def cli(
    name,
    onnx,
    data,
    own_name,
    output,
    shape,
    largest_input,
    goal,
    tolerance,
    max_key,
    measure,
    seed,
) -> dict:
    """Find the knobs that make a model cheapest to prove, and record them for `ape run build`.

    \b
    Example:
        ape run tune --circuit clan --for gas --network ethereum:local
        ape run tune --onnx model.onnx --data samples.npz --name mine --for prove
    """
    if not is_dev():
        raise CircuitError("Gas is measured on a dev network: give --network ethereum:local.")
    require_solc()
    onnx, data = fetched(onnx), fetched(data)
    chosen = chosen_circuit(name, onnx, data, own_name, largest_input, Choice(output, shape))
    chosen, samples = for_search(chosen, data, seed)
    started = time.monotonic()
    limits = Limits(tolerance=tolerance, proving_key=max_key * 1e6)
    outcome = tune(
        chosen,
        samples,
        goal,
        limits,
        finalists=measure,
        artifacts=ARTIFACTS,
        gas=gas_of,
        report=lambda step: click.echo(f"  {time.monotonic() - started:6.1f} s  {step}"),
    )
    _table(outcome)
    path = ARTIFACTS / "tune" / chosen.name / f"{goal}.png"
    _picture(outcome, chosen.name, path)
    click.echo(f"picture: {path}")
    kept = keep(chosen.name, outcome.winner.candidate.run_args)
    click.echo(f"{chosen.name} is tuned: {knobs(outcome.winner.candidate.run_args)}")
    click.echo(f"recorded in {kept}")
    given = f"--onnx {onnx} --data {data} --name {own_name}" if onnx else f"--circuit {name}"
    suggest(f"build {given}")
    return {
        "circuit": chosen.name,
        "goal": goal,
        "recorded": str(kept),
        "picture": str(path),
        "measured": [_facts(finalist, outcome) for finalist in outcome.finalists],
    }


def _facts(finalist: Finalist, outcome: Outcome) -> dict[str, Any]:
    return {
        "run_args": asdict(finalist.candidate.run_args),
        "cost": asdict(finalist.cost),
        "cells": finalist.cells,
        "loss": finalist.loss,
        "winner": finalist is outcome.winner,
    }


def _table(outcome: Outcome) -> None:
    """Print the measured costs, and how far the predictions were off."""
    pace = outcome.pace
    click.echo(
        "   rows columns     cells  seconds        gas   key MB   proof  verifier    lost  knobs"
    )
    for finalist in outcome.finalists:
        args, shape, cost = finalist.candidate.run_args, finalist.candidate.shape, finalist.cost
        mark = "*" if finalist is outcome.winner else " "
        click.echo(
            f"{mark} 2**{shape.logrows:<2} {shape.columns:7} {finalist.cells:9,} "
            f"{cost.seconds:8.2f} {cost.gas:10,.0f} {cost.proving_key / 1e6:8.1f} "
            f"{cost.proof:7,.0f} {cost.code:9,.0f} {finalist.loss:7.2%}  {knobs(args)}"
        )
    off = ", ".join(
        f"{name} {max(_off(f, name, pace) for f in outcome.finalists):.1%}"
        for name in ("seconds", "gas", "proving_key", "proof", "code")
    )
    click.echo(
        f"the predictions were off by at most: {off} (proving takes {pace:.2f} times as long here "
        "as on the machine of the cost model, which is corrected for)"
    )


def _off(finalist: Finalist, name: str, pace: float) -> float:
    predicted = getattr(finalist.candidate.cost, name) * (pace if name == "seconds" else 1)
    return abs(getattr(finalist.cost, name) / predicted - 1)


def _picture(outcome: Outcome, name: str, path: Path) -> None:
    """Plot time against gas: predictions, measurements and their frontier."""
    points = {f.candidate.run_args: (f.cost.seconds, f.cost.gas) for f in outcome.finalists}
    with chart(path) as axes:
        predicted = {
            (cost.seconds * outcome.pace, cost.gas)
            for cost in (candidate.cost for candidate in outcome.candidates)
        }
        axes.scatter(*zip(*predicted, strict=True), s=12, color=GREY, label="predicted")
        axes.scatter(*zip(*points.values(), strict=True), s=36, color=BLUE, label="measured")
        axes.plot(*zip(*frontier(list(points.values())), strict=True), color=BLUE, label="frontier")
        winner = points[outcome.winner.candidate.run_args]
        axes.scatter(
            *winner, s=140, facecolors="none", edgecolors=ORANGE, linewidths=2, label="winner"
        )
        axes.set_xscale("log")
        axes.set(xlabel="seconds to prove", ylabel="gas to verify", title=f"Circuits of {name}")
        axes.legend(frameon=False)

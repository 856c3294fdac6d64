import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ape
import click
import numpy as np

from scripts._circuits import (
    CALIBRATION_SAMPLES,
    EXPORTS,
    ROOT,
    circuit,
    digit_samples,
    run_build,
    voice_samples,
)
from scripts._cli import ChainCommand, is_dev
from scripts._contracts import deploy
from zk.binding import KeyLayout, bind, read_model
from zk.circuit import Samples
from zk.errors import CircuitError, sentences
from zk.manifest import Manifest, write_whole
from zk.proof import prove
from zk.witness import accuracy

PROOFS = 3  # of each circuit; the median counts
RECIPE_SAMPLES = 200  # a witness of the recipe takes many times longer than one of clan
ETHER = 10**18


@click.command(cls=ChainCommand)
@click.option("--only", type=click.Choice(["clan", "voice"]), help="Default: both.")
def cli(only: str | None) -> None:
    """Measure clan and voice against their notebooks, in one run; note it in docs/benchmarks.md.

    \b
    Example:
        ape run bench --network ethereum:local
    """
    if not is_dev():
        raise CircuitError("A benchmark runs on a dev network: give --network ethereum:local.")
    if only != "voice":
        _write("clan", _clan_report())
    if only != "clan":
        _write("voice", _voice_report())


def _write(name: str, report: str) -> None:
    """Replaces what the last run measured in docs/benchmarks.md."""
    begin, end = f"<!-- {name}, measured by ape run bench -->", "<!-- end -->"
    path = ROOT / "docs" / "benchmarks.md"
    before, rest = path.read_text().split(begin)
    after = rest.split(end, maxsplit=1)[1]
    write_whole(path, f"{before}{begin}\n{report}{end}{after}")
    click.echo(report)


def _clan_report() -> str:
    manifest = run_build(circuit("clan"))
    samples = digit_samples("clan", tests=10_000)
    ours = _measure(manifest, samples.test[0]) | accuracy(
        manifest.file("model"),
        manifest.file("compiled"),
        samples,
        manifest["output_scale"],
        manifest.layout.widest,
    )
    first, later, ours["proof"] = _measure_join(manifest, samples.test[0])
    recipe = _measure_recipe(
        EXPORTS / "lenet.onnx", digit_samples("clan-lenet", tests=RECIPE_SAMPLES), scales=[2, 7]
    )
    accuracies = [
        (f"accuracy, {kind}", lambda r, kind=kind: f"{r[kind]:.2%} of {r['samples']:,}")
        for kind in ("quantised", "float")
    ]
    return f"""
{_table("clan", ours, recipe, accuracies)}

| on chain, under the gas rules of Prague | |
|---|---|
| `join`, the whole transaction, first member of all | {first:,} gas |
| `join`, a later member of the same clan | {later:,} gas |
| `ClanVerifier`, runtime code without metadata | {ours["verifier"]:,} bytes |

"""


def _voice_report() -> str:
    manifest = run_build(circuit("voice"))
    samples = voice_samples("voice")
    measured = manifest["accuracy"]
    ours = _measure(manifest, samples.test[0])
    first, later, ours["proof"] = _measure_judge(manifest, samples.test[0])
    from models.data import sound, voices

    training = voices.synthetic().only(held_out=False)
    training.clips = training.clips[:CALIBRATION_SAMPLES]
    heard = training.hear(sound.VIEWS["idol"])
    recipe = _measure_recipe(
        EXPORTS / "idol.onnx", Samples(heard, heard), scales=[4], key=manifest.layout
    )
    figures = "\n".join(
        f"| {name} | {measured[key]['quantised']:.3f} | {measured[key]['float']:.3f} |"
        for name, key in (
            ("correlation with the emotions' scores", "correlation"),
            ("mean squared error, as a share of the mean's", "error"),
        )
    )
    return f"""
{_table("voice", ours, recipe, [])}

| on {measured["samples"]:,} {measured["source"]} | quantised | float |
|---|---|---|
{figures}

| on chain, under the gas rules of Prague | |
|---|---|
| `judge`, the whole transaction, first reward of all | {first:,} gas |
| `judge`, the same singer in a later round | {later:,} gas |
| `VoiceJudgeVerifier`, runtime code without metadata | {ours["verifier"]:,} bytes |

"""


def _measure(manifest: Manifest, x: np.ndarray) -> dict:
    return {
        "logrows": manifest["logrows"],
        "cells": manifest["cells"],
        "pk": manifest["files"]["pk"]["bytes"],
        "verifier": manifest["verifier"]["runtime_bytes"],
        "prove": statistics.median(_times(lambda: prove(manifest, 2**224 - 1, x))),
    }


def _measure_join(manifest: Manifest, x: np.ndarray) -> tuple[int, int, int]:
    """The gas of the first join, which fills two empty storage slots, and of a later one."""
    clan, gas = deploy(manifest, ape.accounts.test_accounts[0]), []
    for member in ape.accounts.test_accounts[:2]:
        proof = prove(manifest, clan.keyOf(member), x)
        gas.append(clan.join(member, proof.proof, proof.instances, sender=member).gas_used)
    return gas[0], gas[1], len(proof.proof)


def _measure_judge(manifest: Manifest, x: np.ndarray) -> tuple[int, int, int]:
    """The gas of a singer's first reward, and of the next, when the credit is not empty."""
    sponsor, singer = ape.accounts.test_accounts[:2]
    judge, gas = deploy(manifest, sponsor), []
    for number in range(2):
        deadline = ape.chain.blocks.head.timestamp + 3600
        judge.openRound(0, ETHER, deadline, value=2 * ETHER, sender=sponsor)
        proof = prove(manifest, judge.keyOf(singer, number), x)
        receipt = judge.judge(number, singer, proof.proof, proof.instances, sender=singer)
        gas.append(receipt.gas_used)
    return gas[0], gas[1], len(proof.proof)


def _measure_recipe(
    model: Path, samples: Samples, scales: list[int], key: KeyLayout | None = None
) -> dict:
    """What the notebooks do, in ezkl's own calls; with a bound key where one is given."""
    import ezkl

    limbs = key.widest if key else []
    with tempfile.TemporaryDirectory(prefix="verdict-bench-") as folder:
        path = {
            name: str(Path(folder, name))
            for name in ("cal", "settings", "compiled", "srs", "vk", "pk", "witness", "proof")
        }
        if key:
            bound = Path(folder, "bound.onnx")
            bind(read_model(model), key, Path(folder, "model.onnx"), bound)
            model = bound
        first = json.dumps({"input_data": _inputs(limbs, samples.test[:1])})

        def once() -> None:
            ezkl.gen_witness(first, path["compiled"], path["witness"])
            ezkl.prove(path["witness"], path["compiled"], path["pk"], path["proof"], path["srs"])
            ezkl.verify(path["proof"], path["settings"], path["vk"], path["srs"])

        with sentences("follow the notebook recipe"):
            settings = _follow_recipe(path, model, _inputs(limbs, samples.calibration[:20]), scales)
            times = _times(once)
        measured = {}
        if samples.labels is not None:
            scale = settings["model_output_scales"][-1]
            measured = accuracy(model, Path(path["compiled"]), samples, scale, limbs)
        return {
            "logrows": settings["run_args"]["logrows"],
            "cells": settings["total_assignments"],
            "pk": Path(path["pk"]).stat().st_size,
            "proof": len(json.loads(Path(path["proof"]).read_text())["proof"]),
            "prove": statistics.median(times),
            **measured,
        }


def _inputs(limbs: list[int], samples: np.ndarray) -> list[list]:
    """Samples as ezkl's files hold them: one list an input, one sample after the other."""
    return [*([limbs * len(samples)] if limbs else []), samples.reshape(-1).tolist()]


def _follow_recipe(
    path: dict[str, str], model: Path, calibration: list[list], scales: list[int]
) -> dict:
    """From a model to its keys; gives the settings."""
    import ezkl

    Path(path["cal"]).write_text(json.dumps({"input_data": calibration}))
    args = ezkl.PyRunArgs()
    args.input_visibility, args.param_visibility = "private", "fixed"
    args.output_visibility, args.num_inner_cols = "public", 2
    ezkl.gen_settings(str(model), path["settings"], py_run_args=args)
    ezkl.calibrate_settings(path["cal"], str(model), path["settings"], "resources", scales=scales)
    ezkl.compile_circuit(str(model), path["compiled"], path["settings"])
    settings = json.loads(Path(path["settings"]).read_text())
    ezkl.gen_srs(path["srs"], settings["run_args"]["logrows"])
    ezkl.setup(path["compiled"], path["vk"], path["pk"], path["srs"])
    return settings


def _times(action: Callable[[], object]) -> list[float]:
    """Seconds of each run, witness and verification included, after one that warms up."""
    action()
    times = []
    for _ in range(PROOFS):
        started = time.monotonic()
        action()
        times.append(time.monotonic() - started)
    return times


def _table(name: str, ours: dict, recipe: dict, more: list) -> str:
    """What a circuit costs beside the notebook's, a line a figure."""
    figures: list[tuple[str, Callable[[dict], str]]] = [
        ("proving, times the recipe's speed", lambda r: f"{recipe['prove'] / r['prove']:.1f}"),
        ("proving, seconds", lambda r: f"{r['prove']:.2f}"),
        *more,
        ("proving key", lambda r: f"{r['pk'] / 1e6:,.1f} MB"),
        ("rows", lambda r: f"2^{r['logrows']}"),
        ("cells", lambda r: f"{r['cells']:,}"),
        ("proof", lambda r: f"{r['proof']:,} bytes"),
    ]
    rows = "\n".join(f"| {title} | {show(ours)} | {show(recipe)} |" for title, show in figures)
    return f"| | `{name}` | notebook recipe |\n|---|---|---|\n{rows}"

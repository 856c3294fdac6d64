import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ape
import click

from scripts._circuits import EXPORTS, ROOT, circuit, digit_samples, run_build
from scripts._clan import deploy_clan
from scripts._cli import ChainCommand, is_dev
from zk.errors import CircuitError, sentences
from zk.manifest import Manifest, write_whole
from zk.proof import prove
from zk.witness import accuracy

PROOFS = 3  # of each circuit; the median counts
RECIPE_SAMPLES = 200  # a witness of the recipe takes many times longer than one of clan


@click.command(cls=ChainCommand)
def cli() -> None:
    """Measure clan against the notebook recipe, in one run, and note it in docs/benchmarks.md.

    \b
    Example:
        ape run bench --network ethereum:local
    """
    if not is_dev():
        raise CircuitError("A benchmark runs on a dev network: give --network ethereum:local.")
    manifest = run_build(circuit("clan"))
    ours = {**_measure_clan(manifest), **_measure_join(manifest)}
    click.echo(f"clan: {ours}")
    recipe = _measure_recipe()
    click.echo(f"notebook recipe: {recipe}")
    _write(_report(ours, recipe))


def _write(report: str) -> None:
    """Replaces what the last run measured in docs/benchmarks.md."""
    begin, end = "<!-- measured by ape run bench -->", "<!-- end -->"
    path = ROOT / "docs" / "benchmarks.md"
    before, rest = path.read_text().split(begin)
    after = rest.split(end)[1]
    write_whole(path, f"{before}{begin}\n{report}{end}{after}")
    click.echo(report)


def _measure_clan(manifest: Manifest) -> dict:
    samples = digit_samples("clan", tests=10_000)
    measured = accuracy(
        manifest.file("model"),
        manifest.file("compiled"),
        samples,
        manifest["output_scale"],
        manifest.layout.widest,
    )
    times = _times(lambda: prove(manifest, 2**224 - 1, samples.test[0]))
    return {
        "logrows": manifest["logrows"],
        "cells": manifest["cells"],
        "pk": manifest["files"]["pk"]["bytes"],
        "verifier": manifest["verifier"]["runtime_bytes"],
        "prove": statistics.median(times),
        **measured,
    }


def _measure_join(manifest: Manifest) -> dict:
    """The gas of the first join, which fills two empty storage slots, and of a later one."""
    clan = deploy_clan(manifest, ape.accounts.test_accounts[0])
    x, gas = digit_samples("clan", tests=1).test[0], []
    for member in ape.accounts.test_accounts[:2]:
        proof = prove(manifest, clan.keyOf(member), x)
        gas.append(clan.join(member, proof.proof, proof.instances, sender=member).gas_used)
    return {"proof": len(proof.proof), "join_first": gas[0], "join_next": gas[1]}


def _measure_recipe() -> dict:
    """What the notebooks do, in ezkl's own calls: no key, scales 2 and 7."""
    import ezkl

    samples = digit_samples("clan-lenet", tests=RECIPE_SAMPLES)
    model = EXPORTS / "lenet.onnx"
    with tempfile.TemporaryDirectory(prefix="verdict-bench-") as folder:
        path = {
            name: str(Path(folder, name))
            for name in ("cal", "settings", "compiled", "srs", "vk", "pk", "witness", "proof")
        }
        calibration = samples.calibration[:20].reshape(-1).tolist()
        Path(path["cal"]).write_text(json.dumps({"input_data": [calibration]}))
        args = ezkl.PyRunArgs()
        args.input_visibility, args.param_visibility = "private", "fixed"
        args.output_visibility, args.num_inner_cols = "public", 2
        with sentences("follow the notebook recipe"):
            ezkl.gen_settings(str(model), path["settings"], py_run_args=args)
            ezkl.calibrate_settings(
                path["cal"], str(model), path["settings"], "resources", scales=[2, 7]
            )
            ezkl.compile_circuit(str(model), path["compiled"], path["settings"])
            settings = json.loads(Path(path["settings"]).read_text())
            logrows = settings["run_args"]["logrows"]
            ezkl.gen_srs(path["srs"], logrows)
            ezkl.setup(path["compiled"], path["vk"], path["pk"], path["srs"])
            first = json.dumps({"input_data": [samples.test[0].reshape(-1).tolist()]})

            def once() -> None:
                ezkl.gen_witness(first, path["compiled"], path["witness"])
                ezkl.prove(
                    path["witness"], path["compiled"], path["pk"], path["proof"], path["srs"]
                )
                ezkl.verify(path["proof"], path["settings"], path["vk"], path["srs"])

            times = _times(once)
        measured = accuracy(
            model,
            Path(path["compiled"]),
            samples,
            settings["model_output_scales"][-1],
            limbs=[],
        )
        return {
            "logrows": logrows,
            "cells": settings["total_assignments"],
            "pk": Path(path["pk"]).stat().st_size,
            "proof": len(json.loads(Path(path["proof"]).read_text())["proof"]),
            "prove": statistics.median(times),
            **measured,
        }


def _times(action: Callable[[], object]) -> list[float]:
    """Seconds of each run, witness and verification included, after one that warms up."""
    action()
    times = []
    for _ in range(PROOFS):
        started = time.monotonic()
        action()
        times.append(time.monotonic() - started)
    return times


def _report(ours: dict, recipe: dict) -> str:
    def row(name: str, value: Callable[[dict], str]) -> str:
        return f"| {name} | {value(ours)} | {value(recipe)} |"

    rows = [
        row("proving, times the recipe's speed", lambda r: f"{recipe['prove'] / r['prove']:.1f}"),
        row("proving, seconds", lambda r: f"{r['prove']:.2f}"),
        row("accuracy, quantised", lambda r: f"{r['quantised']:.2%} of {r['samples']:,}"),
        row("accuracy, float", lambda r: f"{r['float']:.2%} of {r['samples']:,}"),
        row("proving key", lambda r: f"{r['pk'] / 1e6:,.1f} MB"),
        row("rows", lambda r: f"2^{r['logrows']}"),
        row("cells", lambda r: f"{r['cells']:,}"),
        row("proof", lambda r: f"{r['proof']:,} bytes"),
    ]
    return f"""
| | `clan` | notebook recipe |
|---|---|---|
{chr(10).join(rows)}

| on chain, under the gas rules of Prague | |
|---|---|
| `join`, the whole transaction, first member of all | {ours["join_first"]:,} gas |
| `join`, a later member of the same clan | {ours["join_next"]:,} gas |
| `ClanVerifier`, runtime code without metadata | {ours["verifier"]:,} bytes |

"""

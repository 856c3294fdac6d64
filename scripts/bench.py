import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ape
import click
import numpy as np

from scripts._charts import BLUE, GREY, ORANGE, chart
from scripts._circuits import ROOT, circuit, digit_samples, run_build
from scripts._cli import ChainCommand, is_dev
from scripts._contracts import application, deploy, gas_of
from scripts._documents import note, table
from scripts._growth import exponent, series, survey
from scripts._prices import PRICES
from scripts._recipes import FOLDER, IDOL, LENET, Recipe, follow, inputs
from zk.circuit import Samples
from zk.errors import CircuitError
from zk.journal import Journal
from zk.manifest import Manifest, sha256, write_whole
from zk.measure import Measured, measure, typical
from zk.proof import LARGE_KEY, prove
from zk.verifier import require_solc
from zk.witness import accuracy

PROOFS = 5  # of each circuit; with --quick, of one with a LARGE_KEY a single one
ETHER = 10**18

# Each circuit, its network in words, and the notebook that it is held against; those without one
# have shapes that others published figures for, and are not measured with --quick.
OURS = {
    "clan": ("8 of 4x4/2 on 12x12, squares, linear", "clan notebook"),
    "clan-dash": ("8 of 6x6/3 on 12x12, squares, linear", "clan notebook"),
    "clan-lenet": ("LeNet 784-6-16-120-84-10, tuned", "clan notebook"),
    "voice": ("9 of 16x4/2 on 16x32, squares, linear", "voice notebook"),
    "clan-dense-25": ("dense 196-25-10", None),
    "clan-dense-24-14": ("dense 196-24-14-10", None),
    "clan-dense-56": ("dense 784-56-10", None),
    "clan-conv-6-16": ("784-6-16-10, 5x5 kernels", None),
}
NOTEBOOKS: dict[str, tuple[Recipe, str]] = {
    "clan notebook": (LENET, "LeNet 784-6-16-120-84-10, sigmoids"),
    "voice notebook": (IDOL, "one 5x5/4 on 128x130, ReLU, linear"),
}


@dataclass(frozen=True)
class Row:
    """What a circuit costs, and how well it answers."""

    network: str
    command: str
    accuracy: dict[str, Any]
    logrows: int
    cells: int
    setup: float
    witness: float
    prove: float
    verify: float
    memory: int
    key: int
    proof: int
    code: int
    gas: int  # of a transaction that has a proof checked
    calldata: int  # bytes of it
    call: int | None = None  # gas of `join` or `judge`

    @property
    def seconds(self) -> float:
        return self.witness + self.prove + self.verify


@dataclass(frozen=True)
class Subject:
    """A circuit whose keys are made: what it is proved with, and what is known of it."""

    files: dict[str, Path]
    data: list[list]
    contract: str
    facts: dict[str, Any]  # of its `Row`


@click.command(cls=ChainCommand)
@click.option("--quick", is_flag=True, help="Fewer circuits, and one proof where the key is large.")
def cli(quick: bool) -> None:
    """Measure the circuits, the notebooks and how cost grows, in one run; note it in docs/.

    \b
    Example:
        ape run bench --quick --network ethereum:local
    """
    if not is_dev():
        raise CircuitError("A benchmark runs on a dev network: give --network ethereum:local.")
    require_solc()
    journal = Journal(FOLDER / "journal.json", about="bench")
    subjects = {
        name: _notebook(journal, recipe, network) for name, (recipe, network) in NOTEBOOKS.items()
    }
    for name, (network, notebook) in OURS.items():
        if notebook or not quick:
            subjects[name] = _ours(journal, name, network)
    found = _in_turns(subjects, quick)
    rows = {name: _row(subject, found[name]) for name, subject in subjects.items()}
    if not quick:
        survey(journal)
    points = series(journal, quick)
    _picture(rows, points)
    content = {
        "rows": {name: asdict(row) for name, row in rows.items()},
        "growth": points,
        "prices": {name: asdict(price) for name, price in PRICES.items()},
    }
    write_whole(ROOT / "docs" / "benchmarks.json", json.dumps(content, indent=2) + "\n")
    published = {name: rows.pop(name) for name in OURS if name in rows and not OURS[name][1]}
    sections = {"bench": _report(rows, points)}
    if published:
        sections["bench published"] = _circuits(
            {"clan notebook": rows["clan notebook"]} | published
        )
    for section, report in sections.items():
        note(section, report)
        click.echo(report)


def _notebook(journal: Journal, recipe: Recipe, network: str) -> Subject:
    samples = recipe.samples()
    files, facts = follow(recipe, samples.calibration, journal)
    known = dict(facts)
    scale = known.pop("output_scale")
    measured = _accuracy(journal, recipe.model, files["compiled"], samples, scale, recipe.limbs)
    return Subject(
        files,
        inputs(recipe.limbs, samples.test[:1]),
        "RecipeVerifier",
        {"network": network, "command": "ape run bench", "accuracy": measured, **known},
    )


def _ours(journal: Journal, name: str, network: str) -> Subject:
    manifest = run_build(circuit(name))
    labels = ("compiled", "pk", "vk", "settings", "srs", "verifier")
    x = circuit(name).samples().test[0]
    return Subject(
        {label: manifest.file(label) for label in labels},
        inputs(manifest.layout.widest, x[None]),
        manifest["verifier"]["contract"],
        {
            "network": network,
            "command": f"ape run build --circuit {name}",
            "accuracy": _all_drawings(journal, manifest)
            if name == "clan"
            else manifest["accuracy"],
            "logrows": manifest["logrows"],
            "cells": manifest["cells"],
            "setup": manifest["steps"]["setup"]["seconds"],
            "key": manifest["files"]["pk"]["bytes"],
            "code": manifest["verifier"]["runtime_bytes"],
            "call": _call(manifest, x) if name in ("clan", "clan-dash", "voice") else None,
        },
    )


def _all_drawings(journal: Journal, manifest: Manifest) -> dict[str, Any]:
    """The accuracy on all of MNIST's test images, which a build does not take the time for."""
    return _accuracy(
        journal,
        manifest.file("model"),
        manifest.file("compiled"),
        digit_samples(manifest["circuit"], tests=10_000),
        manifest["output_scale"],
        manifest.layout.widest,
    )


def _accuracy(
    journal: Journal, model: Path, compiled: Path, samples: Samples, scale: int, limbs: list[int]
) -> dict[str, Any]:
    question = ["accuracy", sha256(compiled), len(samples.test), samples.source]
    return journal.once(question, lambda: accuracy(model, compiled, samples, scale, limbs))


def _in_turns(subjects: dict[str, Subject], quick: bool) -> dict[str, Measured]:
    """Proves with every circuit in turn, so that a slow minute of the machine touches them all."""
    proofs: dict[str, list[Measured]] = {name: [] for name in subjects}
    for turn in range(PROOFS):
        click.echo(f"proving with each circuit, {turn + 1} of {PROOFS}")
        for place, (name, subject) in enumerate(subjects.items()):
            large = subject.facts["key"] > LARGE_KEY
            if not (quick and large) or place % PROOFS == turn:
                proofs[name].append(measure(name, subject.files, subject.data))
    return {name: typical(made) for name, made in proofs.items()}


def _row(subject: Subject, found: Measured) -> Row:
    names = ("witness", "prove", "verify", "memory")
    proof = found.proof
    return Row(
        **subject.facts,
        **{name: getattr(found, name) for name in names},
        proof=len(proof.proof),
        # `verifyProof(bytes,uint256[])`: selector, two offsets, two lengths, and the contents.
        calldata=4 + 32 * (4 + len(proof.instances)) + -(-len(proof.proof) // 32) * 32,
        gas=gas_of(subject.contract, subject.files["verifier"], proof),
    )


def _call(manifest: Manifest, x: np.ndarray) -> int:
    """The gas of the first `join`, or of the first `judge` that is rewarded."""
    sponsor, account = ape.accounts.test_accounts[:2]
    contract = deploy(manifest, sponsor)
    if application(manifest) == "Clan":
        proof = prove(manifest, contract.keyOf(account), x)
        return contract.join(account, proof.proof, proof.instances, sender=account).gas_used
    deadline = ape.chain.blocks.head.timestamp + 3600
    contract.openRound(0, ETHER, deadline, value=ETHER, sender=sponsor)
    proof = prove(manifest, contract.keyOf(account, 0), x)
    return contract.judge(0, account, proof.proof, proof.instances, sender=account).gas_used


def _report(rows: dict[str, Row], points: list[dict[str, Any]]) -> str:
    """Markdown, the ratios first."""
    ratios = table(
        ["", "proving", "memory", "proving key", "gas to verify", "notebook"],
        [
            [
                f"`{name}`",
                f"**{other.seconds / row.seconds:.1f} x faster**",
                f"{other.memory / row.memory:.1f} x less",
                f"{other.key / row.key:.1f} x smaller",
                f"{1 - row.gas / other.gas:.0%} less",
                other.network,
            ]
            for name, row in rows.items()
            if (other := _notebook_of(name, rows))
        ],
    )
    growth = table(
        ["cells", "rows", "prove", "memory", "key"],
        [
            [
                f"{point['cells']:,}",
                f"2^{point['shape']['logrows']}",
                f"{point['prove']:.2f} s",
                f"{point['memory'] / 1e6:,.0f} MB",
                f"{point['cost']['key'] / 1e6:,.1f} MB",
            ]
            for point in points
        ],
    )
    return "\n\n".join(
        [
            ratios,
            _circuits(rows),
            f"Proving takes time as the number of cells to the power of {exponent(points):.2f}:",
            growth,
        ]
    )


def _circuits(rows: dict[str, Row]) -> str:
    """What each circuit costs to prove, and on chain."""
    circuits = table(
        [
            *("", "network", "accuracy, float", "quantised", "on", "rows", "cells", "setup"),
            *("witness", "prove", "verify", "memory", "key", "proof", "verifier", "by"),
        ],
        [
            [
                f"`{name}`" if name in OURS else name,
                row.network,
                *_in_words(row.accuracy),
                f"2^{row.logrows}",
                f"{row.cells:,}",
                f"{row.setup:.1f} s",
                f"{row.witness:.2f} s",
                f"{row.prove:.2f} s",
                f"{row.verify:.3f} s",
                f"{row.memory / 1e6:,.0f} MB",
                f"{row.key / 1e6:,.1f} MB",
                f"{row.proof:,} B",
                f"{row.code:,} B",
                f"`{row.command}`",
            ]
            for name, row in rows.items()
        ],
    )
    chain = table(
        ["", "gas to verify", "`join` or `judge`", *PRICES],
        [
            [
                f"`{name}`" if name in OURS else name,
                f"{row.gas:,}",
                f"{row.call:,}" if row.call else "–",
                *(f"${p.dollars(row.call or row.gas, row.calldata):,.4f}" for p in PRICES.values()),
            ]
            for name, row in rows.items()
        ],
    )
    prices = "; ".join(f"{name} {price}" for name, price in PRICES.items())
    return "\n\n".join(
        [
            circuits,
            f"Dollars are those of `join` or `judge` where it says, else of verifying: {prices}.",
            chain,
        ]
    )


def _notebook_of(name: str, rows: dict[str, Row]) -> Row | None:
    return rows[notebook] if name in OURS and (notebook := OURS[name][1]) else None


def _in_words(measured: dict[str, Any]) -> list[str]:
    """That of the float model, of the circuit, and on what."""
    kinds, on = ("float", "quantised"), f"{measured['samples']:,} {measured['source']}"
    if "correlation" in measured:
        return [
            f"correlation {measured['correlation'][kind]:.3f}, error {measured['error'][kind]:.3f}"
            for kind in kinds
        ] + [on]
    return [*(f"{measured[kind]:.2%}" for kind in kinds), on]


def _picture(rows: dict[str, Row], points: list[dict[str, Any]]) -> None:
    """How long each circuit takes, and how that grows with the cells."""
    with chart(ROOT / "docs" / "benchmarks.svg", width=10, columns=2) as (bars, growth):
        ordered = sorted(rows.items(), key=lambda item: item[1].seconds)
        names = [name for name, _ in ordered]
        colours = [GREY if name in NOTEBOOKS else BLUE for name in names]
        drawn = bars.barh(names, [row.seconds for _, row in ordered], color=colours)
        bars.bar_label(drawn, [f" {row.seconds:.2f} s" for _, row in ordered])
        bars.set_xscale("log")
        bars.spines["bottom"].set_visible(False)
        bars.set(title="From input to a checked proof", xticks=[])
        bars.set_xlim(right=max(row.seconds for row in rows.values()) * 6)
        cells = [point["cells"] for point in points]
        growth.loglog(cells, [point["prove"] for point in points], "o-", color=ORANGE)
        growth.set(
            title=f"Proving grows as cells to the power of {exponent(points):.2f}",
            xlabel="cells",
            ylabel="seconds",
        )

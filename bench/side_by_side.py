"""The project's circuits beside the notebooks' and published ones, measured in one run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ape
from ape.contracts import ContractInstance

from apps.batches import Batch, joined
from apps.circuits import ARTIFACTS, VERIFIERS, circuit, digit_samples, sources
from apps.consents import sign
from apps.registry import Application, RefusedError, application_of
from bench.documents import record
from bench.growth import series, survey
from bench.prices import PRICES
from bench.recipes import FOLDER, IDOL, LENET, Recipe, follow, inputs
from bench.report import Row, batches, picture, summary, tables
from chain.contracts import deploy, gas_of
from zk.build import build
from zk.errors import CircuitError
from zk.files import ROOT, sha256, write_json
from zk.journal import Journal
from zk.layout import Layout
from zk.manifest import Manifest
from zk.proof import answer, prove, prove_all
from zk.samples import Array, Samples
from zk.tuning.measure import Measured, measure, typical
from zk.witness import accuracy

PROOFS = 5  # of each circuit; with --quick, of one with a HUGE_KEY a single one
HUGE_KEY = 5e8  # bytes

# Each circuit, its network in words, and the notebook that it is held against; those without one
# have shapes that others published figures for, and are not measured with --quick.
OURS = {
    "clan": ("8 of 4x4/2 on 12x12, squares, linear", "clan-notebook"),
    "clan-dash": ("8 of 6x6/3 on 12x12, squares, linear", "clan-notebook"),
    "clan-lenet": ("LeNet 784-6-16-120-84-10, tuned", "clan-notebook"),
    "voice": ("7 of 18x8/4 on 18x64, squares, 24 ReLU, linear", "voice-notebook"),
    "clan-groth16": ("that of `clan`, by Groth16", "clan-notebook"),
    "voice-groth16": ("that of `voice`, by Groth16", "voice-notebook"),
    "clan-dense-25": ("dense 196-25-10", None),
    "clan-dense-24-14": ("dense 196-24-14-10", None),
    "clan-dense-56": ("dense 784-56-10", None),
    "clan-conv-6-16": ("784-6-16-10, 5x5 kernels", None),
}
# The circuits whose application acts on a proof.
CALLED = ("clan", "clan-dash", "clan-groth16", "voice", "voice-groth16")
# The circuits that prove several inputs of a single one at once.
BATCHES = {name: str(one.tuned_as) for name, one in sources().items() if one.batch > 1}
NOTEBOOKS: dict[str, tuple[Recipe, str]] = {
    "clan-notebook": (LENET, "LeNet 784-6-16-120-84-10, sigmoids"),
    "voice-notebook": (IDOL, "one 5x5/4 on 128x130, ReLU, linear"),
}


@dataclass(frozen=True)
class Subject:
    """A circuit whose keys are made: what it is proved with, and what is known of it."""

    files: dict[str, Path]
    data: list[list]
    contract: str
    facts: dict[str, Any]  # of its `Row`


def compare(quick: bool, report: Callable[[str], None]) -> list[str]:
    """Measure the circuits, the notebooks and the growth of cost; record and return the sections.

    A quick comparison leaves out circuits without a notebook.
    """
    journal = Journal(FOLDER / "journal.json", about="bench 2")
    subjects = {
        name: _notebook(journal, recipe, network) for name, (recipe, network) in NOTEBOOKS.items()
    }
    for name, (network, notebook) in OURS.items():
        if notebook or not quick:
            subjects[name] = _ours(journal, name, network)
    for name, single in BATCHES.items():
        subjects[name] = _batch(journal, name, single)
    found = _in_turns(subjects, quick, report)
    rows = {name: _row(subject, found[name]) for name, subject in subjects.items()}
    if not quick:
        survey(journal)
    points = series(journal, quick)
    picture(rows, points, ROOT / "docs" / "benchmarks.svg")
    content = {
        "rows": {name: asdict(row) for name, row in rows.items()},
        "growth": points,
        "prices": {name: asdict(price) for name, price in PRICES.items()},
    }
    write_json(ROOT / "docs" / "benchmarks.json", content)
    return [record(section, text) for section, text in _sections(rows, points).items()]


def _sections(rows: dict[str, Row], points: list[dict[str, Any]]) -> dict[str, str]:
    """Markdown for docs/benchmarks.md; circuits without a notebook have a section of their own."""
    published = {name: row for name, row in rows.items() if name in OURS and not OURS[name][1]}
    compared = {name: row for name, row in rows.items() if name not in published}
    notebooks = {name: notebook for name, (_, notebook) in OURS.items()}
    notebooks |= dict.fromkeys(BATCHES)
    together = {name: rows[single] for name, single in BATCHES.items()}
    sections = {
        "bench": summary(compared, notebooks, points),
        "bench batches": batches(rows, together),
    }
    if published:
        clan = {"clan-notebook": rows["clan-notebook"]}
        sections["bench published"] = tables(clan | published, notebooks)
    return sections


def _notebook(journal: Journal, recipe: Recipe, network: str) -> Subject:
    samples = recipe.samples()
    files, facts = follow(recipe, samples.calibration, journal)
    known = dict(facts)
    scale = known.pop("output_scale")
    measured = _accuracy(journal, recipe.model, files["compiled"], samples, scale, recipe.layout)
    return Subject(
        files,
        inputs(recipe.layout, samples.test[:1]),
        "RecipeVerifier",
        {"network": network, "command": "ape run bench", "accuracy": measured, **known},
    )


def _ours(journal: Journal, name: str, network: str) -> Subject:
    manifest, _ = build(circuit(name), artifacts=ARTIFACTS, verifiers=VERIFIERS)
    samples = circuit(name).samples()
    call = _call(manifest, samples) if name in CALLED else None
    return _built(journal, manifest, samples, network, call)


def _batch(journal: Journal, name: str, single: str) -> Subject:
    manifest, several = (
        build(circuit(one), artifacts=ARTIFACTS, verifiers=VERIFIERS)[0] for one in (single, name)
    )
    samples = circuit(name).samples()
    network = f"`{single}` for {several.layout.batch} accounts"
    return _built(journal, several, samples, network, _call_together(manifest, several, samples))


def _built(
    journal: Journal, manifest: Manifest, samples: Samples, network: str, call: int | None
) -> Subject:
    name, some = manifest["circuit"], samples.test[: manifest.layout.batch]
    groth16 = [[manifest.layout.widest], some.reshape(-1).tolist()]
    return Subject(
        {label: manifest.file(label) for label in (*manifest.proving_files, "verifier")},
        groth16 if manifest.prover == "groth16" else inputs(manifest.layout, some),
        manifest["verifier"]["contract"],
        {
            "network": network,
            "command": f"ape run build --circuit {name}",
            "accuracy": _all_drawings(journal, manifest)
            if name in ("clan", "clan-groth16")
            else manifest["accuracy"],
            "logrows": manifest["logrows"],
            "cells": manifest["cells"],
            "setup": manifest["steps"]["setup"]["seconds"],
            "proving_key": manifest["files"]["pk"]["bytes"],
            "code": manifest["verifier"]["runtime_bytes"],
            "call": call,
            "accounts": manifest.layout.batch,
        },
    )


def _all_drawings(journal: Journal, manifest: Manifest) -> dict[str, Any]:
    """The accuracy on all of MNIST's test images, which a build does not take the time for."""
    samples = digit_samples(sources()[manifest["circuit"]].view, tests=10_000)
    if manifest.prover == "groth16":
        from zk.groth16.build import accuracy_of

        return accuracy_of(manifest, samples)
    return _accuracy(
        journal,
        manifest.file("model"),
        manifest.file("compiled"),
        samples,
        manifest["output_scale"],
        manifest.layout,
    )


def _accuracy(
    journal: Journal, model: Path, compiled: Path, samples: Samples, scale: int, layout: Layout
) -> dict[str, Any]:
    question = ["accuracy", sha256(compiled), len(samples.test), samples.source]
    return journal.once(question, lambda: accuracy(model, compiled, samples, scale, layout))


def _in_turns(
    subjects: dict[str, Subject], quick: bool, report: Callable[[str], None]
) -> dict[str, Measured]:
    """Proves with every circuit in turn, so that a slow minute of the machine touches them all."""
    proofs: dict[str, list[Measured]] = {name: [] for name in subjects}
    for turn in range(PROOFS):
        report(f"proving with each circuit, {turn + 1} of {PROOFS}")
        for place, (name, subject) in enumerate(subjects.items()):
            large = subject.facts["proving_key"] > HUGE_KEY
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


def _call(manifest: Manifest, samples: Samples) -> int:
    """The gas of the first transaction that has the application act on a proof."""
    sponsor, account = ape.accounts.test_accounts[:2]
    application, contract = application_of(manifest), deploy(manifest, sponsor)
    application.prepare(contract, sponsor, proofs=1)
    round_number = application.choose_round(contract, None)
    claim = (contract, account.address, round_number)
    x = next(x for x in samples.test if _accepted(application, claim, answer(manifest, x)))
    proof = prove(manifest, application.key(*claim), x)
    receipt = application.submit(*claim, proof, account)
    return int(receipt.gas_used)


def _call_together(manifest: Manifest, batch: Manifest, samples: Samples) -> int:
    """The gas of a transaction in which accounts join by their signatures, the first members."""
    sponsor, *some = ape.accounts.test_accounts
    size, contract = batch.layout.batch, deploy(manifest, sponsor, batch=batch)
    new = [ape.accounts.test_accounts.generate_test_account() for _ in range(size - len(some))]
    accounts = [*some, *new][:size]
    keys = [contract.keyOf(account) for account in accounts]
    (proof,) = prove_all(batch, [(keys, samples.test[:size])])
    read = Batch.read(contract, proof)
    agreed = [sign(contract, one, read.digits[str(one.address)], days=1) for one in accounts]
    receipt = read.join(sponsor, read.consents(sponsor, agreed)[0])
    clans, skipped = joined(read, receipt)
    if len(clans) != size:
        raise CircuitError(f"{len(skipped)} accounts of a batch of {size} did not join.")
    return int(receipt.gas_used)


def _accepted(
    application: Application, claim: tuple[ContractInstance, str, int | None], outputs: Array
) -> bool:
    try:
        application.require_open(*claim, outputs.tolist())
    except RefusedError:
        return False
    return True

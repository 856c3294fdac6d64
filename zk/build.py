"""The steps from an ONNX file to keys, a Solidity verifier and a manifest.

knobs (if it is not tuned) -> bind -> settings (calibrated on real samples) -> compile -> accuracy
-> SRS -> setup -> verifier

These are the steps for ezkl. Those for Groth16 are in `zk.groth16.build`.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from zk import ezkl
from zk.binding import Model, bind, read_model
from zk.circuit import Circuit, Shape
from zk.files import locked, sha256
from zk.limits import OVERESTIMATE, Estimate, require_memory, require_rows
from zk.manifest import Manifest
from zk.samples import Samples, check_samples, digest_of
from zk.solc import SETTINGS, SOLC
from zk.srs import Kind, ensure_srs
from zk.steps import Steps
from zk.tuning.defaults import cheapest_knobs
from zk.verifier import write_verifier
from zk.witness import accuracy, answers, require_faithful, require_translated

# The width of a lookup table, relative to the range that the calibration samples need.
LOOKUP_MARGIN = 2
LONG = 5  # seconds that are worth a word
FILES_OF_EZKL = {
    "model": "model.onnx",
    "bound": "bound.onnx",
    "settings": "settings.json",
    "compiled": "circuit.compiled",
    "vk": "vk.key",
    "pk": "pk.key",
}


def build(
    circuit: Circuit,
    *,
    artifacts: Path,
    verifiers: Path,
    srs: Kind = "insecure-dev",
    report: Callable[[str], None] = lambda step: None,
) -> tuple[Manifest, list[str]]:
    """Repeat the steps that are out of date; return the manifest and the names of these steps.

    `report` is called with the name of each step that begins.
    """
    samples = circuit.samples()
    model = read_model(circuit.model, circuit.choice, samples.constants)
    check_samples(circuit.name, samples, model.path, model.input_shape)
    if model.translated:
        require_translated(model, samples)
    folder = artifacts / circuit.name
    busy = f"Another build of {circuit.name} is running: wait for it, then build again."
    with locked(folder, busy):
        if circuit.run_args.prover == "groth16":
            from zk.groth16.build import FILES, Build

            return Build(circuit, model, samples, folder, verifiers, srs, report, FILES).run()
        return _Build(circuit, model, samples, folder, verifiers, srs, report, FILES_OF_EZKL).run()


class _Build(Steps):
    """One method for each step, with its inputs, its files and the call that makes them."""

    def run(self) -> tuple[Manifest, list[str]]:
        self.knobs()
        slim = self.bind()
        sizes = self.settings() | slim
        self.compile()
        measured = self.accuracy(sizes["output_scale"])  # before the keys, which take longest
        if not self.circuit.accept_loss:
            require_faithful(self.circuit.name, measured)
        estimate = Estimate.of(Shape(**sizes["shape"]))
        self.require_small_code(estimate.code / OVERESTIMATE)
        srs = ensure_srs(self.folder.parent / "srs", self.kind, sizes["logrows"], self.report)
        srs_facts = {"kind": self.kind, "sha256": sha256(srs)}
        self.setup(srs, srs_facts, estimate)
        code = self.verifier(srs, srs_facts)
        self.require_small_code(code["runtime_bytes"])
        facts = {
            "run_args": asdict(self.circuit.run_args),
            **sizes,
            "srs": {**srs_facts, "path": os.path.relpath(srs, self.folder)},
            "verifier": {"contract": self.circuit.verifier_name, **code},
            "accuracy": measured,
        }
        return self.finish({"ezkl": ezkl.VERSION}, facts)

    def knobs(self) -> None:
        """Choose the knobs with the smallest keys, unless the circuit is tuned or slim."""
        args = self.circuit.run_args
        if args.untuned and not args.slim:
            inputs = {"model": self.model.digest, "run_args": asdict(args)}
            chosen = self.step("knobs", inputs, [], lambda: cheapest_knobs(self.model, args))
            self.circuit = replace(self.circuit, run_args=replace(args, **chosen))

    def bind(self) -> dict[str, Any]:
        rewriting = self.circuit.run_args.rewriting
        return self.step(
            "bind",
            {"model": self.model.digest, "layout": self.layout.as_json(), **rewriting},
            ["model", "bound"],
            lambda model, bound: bind(self.model, self.layout, model, bound, **rewriting),
        )

    def settings(self) -> dict[str, Any]:
        return self.step(
            "settings",
            {
                "bound": self.sha("bound"),
                "run_args": asdict(self.circuit.run_args),
                "calibration": digest_of(self.samples.calibration),
                "margins": [LOOKUP_MARGIN, ezkl.RESERVED_ROWS],
            },
            ["settings"],
            lambda settings: _calibrate(
                self.circuit, self.model, self.samples, self.path("bound"), settings
            ),
        )

    def compile(self) -> None:
        self.step(
            "compile",
            {"bound": self.sha("bound"), "settings": self.sha("settings")},
            ["compiled"],
            lambda compiled: ezkl.compile_circuit(
                self.path("bound"), self.path("settings"), compiled
            ),
        )

    def setup(self, srs: Path, srs_facts: dict[str, str], estimate: Estimate) -> None:
        def make_keys(vk: Path, pk: Path) -> None:
            require_memory(self.circuit.name, estimate)
            if estimate.seconds > LONG:
                self.report(f"  the keys take about {estimate.seconds:.0f} s")
            ezkl.make_keys(self.path("compiled"), srs, vk, pk)

        inputs = {"compiled": self.sha("compiled"), "srs": srs_facts}
        self.step("setup", inputs, ["vk", "pk"], make_keys)

    def verifier(self, srs: Path, srs_facts: dict[str, str]) -> dict[str, Any]:
        name = self.circuit.verifier_name
        return self.step(
            "verifier",
            {
                "vk": self.sha("vk"),
                "srs": srs_facts,
                "contract": name,
                "solc": [SOLC, SETTINGS],
                "proof_offset": ezkl.PROOF_OFFSET,
            },
            ["verifier"],
            lambda verifier: write_verifier(
                name, self.path("vk"), self.path("settings"), srs, verifier
            ),
        )

    def accuracy(self, output_scale: int) -> dict[str, Any]:
        model, compiled = self.path("model"), self.path("compiled")
        return self.step(
            "accuracy",
            {
                "model": self.sha("model"),
                "compiled": self.sha("compiled"),
                "test": [digest_of(self.samples.test, self.samples.labels), self.samples.source],
            },
            [],
            lambda: accuracy(model, compiled, self.samples, output_scale, self.layout),
        )


def _calibrate(
    circuit: Circuit, model: Model, samples: Samples, bound: Path, settings: Path
) -> dict[str, Any]:
    """Write settings with the lookup range that real samples need and as few rows as possible.

    Return the facts that the manifest records.
    """
    draft, layout = settings.with_name("draft.compiled"), circuit.run_args.layout(model.outputs)

    def generate(**args: Any) -> ezkl.Settings:
        return ezkl.write_settings(bound, settings, circuit.run_args, model.translating, **args)

    require_rows(circuit.name, generate().rows)
    ezkl.compile_circuit(bound, settings, draft)
    _, (smallest, largest) = answers(
        draft, layout, samples.calibration, "run the calibration samples"
    )
    lookups = [min(-1, LOOKUP_MARGIN * smallest), max(1, LOOKUP_MARGIN * largest)]
    rows = generate(lookup_range=tuple(lookups)).rows
    logrows = circuit.run_args.logrows or ezkl.fewest_logrows(rows, circuit.run_args.decomp_base)
    found = generate(lookup_range=tuple(lookups), logrows=logrows)
    draft.unlink()
    return {
        "logrows": found.logrows,
        "rows": found.rows,
        "cells": found.cells,
        "shape": asdict(found.shape(found.logrows)),
        "lookup_range": lookups,
        "output_scale": found.output_scale,
    }

"""The steps from an ONNX file to Groth16's keys, a Solidity verifier and a manifest.

constraints -> accuracy -> powers of tau -> setup -> verifier
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from zk.binding import Model
from zk.circuit import RunArgs
from zk.errors import CircuitError
from zk.files import digest, sha256
from zk.groth16 import curve
from zk.groth16.ceremony import Ceremony, begun, require_sound
from zk.groth16.keys import VerificationKey, logrows_of
from zk.groth16.powers import ensure_powers
from zk.groth16.verifier import TEMPLATE, write_verifier
from zk.layout import FIELD, LARGEST, Layout
from zk.manifest import Manifest
from zk.r1cs.lowering import lower
from zk.r1cs.system import System
from zk.samples import Array, Samples, digest_of
from zk.solc import SOLC
from zk.steps import Steps
from zk.witness import compare, float_answers, require_faithful

FILES = {
    "model": "model.onnx",
    "constraints": "constraints.json.gz",
    "vk": "vk.json",
    "pk": "pk.key",
    "transcript": "transcript.json",
}
CEREMONY = "ceremony.json"  # in the folder of a circuit: a finished one
FINER = "give finer knobs in apps/run_args.json"
EXACT = 2**62  # below it, numpy's whole numbers are exact


class Build(Steps):
    """One method for each step, with its inputs, its files and the call that makes them."""

    def run(self) -> tuple[Manifest, list[str]]:
        sizes = self.constraints()
        measured = self.accuracy(sizes)  # before the keys, which take longest
        if not self.circuit.accept_loss:
            require_faithful(self.circuit.name, measured, FINER)
        powers = ensure_powers(self.folder.parent / "srs", self.kind, sizes["logrows"], self.report)
        srs = {"kind": self.kind, "sha256": sha256(powers)}
        held = self.setup(powers, srs)
        code = self.verifier()
        self.require_small_code(code["runtime_bytes"])
        facts = {
            "run_args": asdict(self.circuit.run_args),
            **sizes,
            "srs": {**srs, "path": os.path.relpath(powers, self.folder)},
            "ceremony": held,
            "verifier": {"contract": self.circuit.verifier_name, **code},
            "accuracy": measured,
        }
        return self.finish({"zksnake": curve.VERSION}, facts)

    def constraints(self) -> dict[str, Any]:
        args = self.circuit.run_args
        return self.step(
            "constraints",
            {"model": self.model.digest, "run_args": asdict(args)},
            ["model", "constraints"],
            lambda model, constraints: write_constraints(
                self.model, self.layout, args, model, constraints
            ),
        )

    def accuracy(self, sizes: dict[str, Any]) -> dict[str, Any]:
        samples = self.samples
        return self.step(
            "accuracy",
            {
                "constraints": self.sha("constraints"),
                "test": [digest_of(samples.test, samples.labels), samples.source],
            },
            [],
            lambda: accuracy(
                self.path("model"),
                System.load(self.path("constraints")),
                samples,
                sizes,
                self.layout,
            ),
        )

    def setup(self, powers: Path, srs: dict[str, str]) -> dict[str, Any]:
        """Take the key of a finished ceremony, or make one for local chains."""
        finished = self.folder / CEREMONY
        inputs = {
            "constraints": self.sha("constraints"),
            "srs": srs,
            "ceremony": sha256(finished) if finished.is_file() else None,
        }

        def make_keys(vk: Path, pk: Path, transcript: Path) -> dict[str, Any]:
            constraints = self.path("constraints")
            if finished.is_file():
                held = Ceremony.load(finished)
                require_sound(held, constraints, powers, finished)
            else:
                held = begun(self.circuit.name, constraints, powers).contributed("dev")
            held.key.verification.save(vk)
            pk.write_bytes(held.key.content)
            held.save_transcript(transcript)
            return held.facts

        return self.step("setup", inputs, ["vk", "pk", "transcript"], make_keys)

    def verifier(self) -> dict[str, Any]:
        name = self.circuit.verifier_name
        return self.step(
            "verifier",
            {"vk": self.sha("vk"), "contract": name, "template": digest(TEMPLATE), "solc": SOLC},
            ["verifier"],
            lambda verifier: write_verifier(name, VerificationKey.load(self.path("vk")), verifier),
        )


def write_constraints(
    model: Model, layout: Layout, args: RunArgs, model_path: Path, path: Path
) -> dict[str, Any]:
    """Write the model and its constraints; return their sizes and the bounds of all tensors."""
    onnx.save(model.proto, model_path)
    system, facts = lower(model.proto, layout, args)
    system.save(path)
    terms = sum(len(sum_) for constraint in system.constraints for sum_ in constraint)
    return {
        "logrows": logrows_of(system),
        "rows": len(system.constraints),
        "cells": terms,
        **facts,
    }


def answers(
    system: System, layout: Layout, inputs: Array, bounds: dict[str, Sequence[int]]
) -> Array:
    """Return the outputs for each input as whole numbers."""
    largest = max(abs(end) for span in bounds.values() for end in span)
    batches = layout.batches(inputs)
    numbers = system.numbers(batches)
    if largest >= EXACT:
        numbers = [one.astype(object) for one in numbers]
    wires = system.values(0, numbers)
    instances = np.empty((len(batches), system.outputs), object)
    for place in range(system.outputs):
        instances[:, place] = wires[1 + system.keys + place] % FIELD
    outputs = np.array([layout.read(list(one)) for one in instances])
    return outputs.reshape(len(batches) * layout.batch, -1)[: len(inputs)]


def accuracy(
    model: Path, system: System, samples: Samples, sizes: dict[str, Any], layout: Layout
) -> dict[str, Any]:
    """Compare the float model with the constraints on every test sample, for the manifest."""
    floats = float_answers(model, samples.test)
    bits = layout.lane_bits if layout.lanes > 1 else LARGEST.bit_length()
    reach, room = float(np.abs(floats).max()), 2.0 ** (bits - 1 - sizes["output_scale"])
    if reach >= room:
        raise CircuitError(
            f"The model's outputs reach {reach:.4g} on the samples, and an instance has room for "
            f"numbers below {room:.4g}: lower param_scale in apps/run_args.json, or declare inputs "
            "that are whole numbers with a largest_input."
        )
    whole = answers(system, layout, samples.test, sizes["bounds"])[:, : layout.outputs]
    return {
        "samples": len(samples.test),
        "source": samples.source,
        **compare(floats, whole / 2.0 ** sizes["output_scale"], samples.labels),
    }


def accuracy_of(manifest: Manifest, samples: Samples) -> dict[str, Any]:
    """Compare a built circuit with its float model on other samples than those of the build."""
    system = System.load(manifest.file("constraints"))
    return accuracy(manifest.file("model"), system, samples, manifest.content, manifest.layout)

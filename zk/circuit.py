"""From an ONNX file to everything a proof needs: the steps of a build, in order.

bind -> settings (calibrated on real samples) -> compile -> SRS -> setup -> verifier -> accuracy
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from zk.binding import KeyLayout, bind, input_shape
from zk.errors import CircuitError, sentences
from zk.manifest import Manifest, Record, sha256
from zk.srs import Kind, ensure_srs
from zk.verifier import SOLC, write_verifier
from zk.witness import accuracy, witness

# Rows that halo2 keeps for blinding and ezkl for padding, rounded up.
RESERVED_ROWS = 16
# A lookup table spans this many times the range that the calibration samples needed.
LOOKUP_MARGIN = 2


@dataclass(frozen=True)
class RunArgs:
    """The knobs that decide what a circuit costs; `logrows` is the smallest that fits."""

    input_scale: int = 7
    param_scale: int = 7
    scale_rebase_multiplier: int = 1
    num_inner_cols: int = 2
    decomp_base: int = 16384
    decomp_legs: int = 2

    def to_ezkl(self, **more: Any):
        import ezkl

        args = ezkl.PyRunArgs()
        args.input_visibility, args.output_visibility = "private", "public"
        args.param_visibility = "fixed"
        for name, value in {**asdict(self), **more}.items():
            setattr(args, name, value)
        return args


@dataclass(frozen=True)
class Samples:
    """Real inputs: some to calibrate on, others, unseen by it, to measure accuracy on."""

    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Circuit:
    """What a build starts from. `samples` is called by `build` alone."""

    name: str
    model: Path
    contract: str  # the name of the generated verifier
    samples: Callable[[], Samples]
    run_args: RunArgs = field(default_factory=RunArgs)

    @cached_property
    def layout(self) -> KeyLayout:
        return KeyLayout.within(self.run_args.decomp_base**self.run_args.decomp_legs)


def build(
    circuit: Circuit,
    *,
    artifacts: Path,
    verifiers: Path,
    srs: Kind = "insecure-dev",
    report: Callable[[str], None] = lambda step: None,
) -> tuple[Manifest, list[str]]:
    """Builds what is not up to date; gives the manifest and the names of the steps it did."""
    folder, layout, samples = artifacts / circuit.name, circuit.layout, circuit.samples()
    files = {
        "model": folder / "model.onnx",
        "bound": folder / "bound.onnx",
        "settings": folder / "settings.json",
        "compiled": folder / "circuit.compiled",
        "vk": folder / "vk.key",
        "pk": folder / "pk.key",
        "verifier": verifiers / f"{circuit.contract}.sol",
    }
    record = Record(folder, files)
    path, sha = record.path, record.hash

    def step(name: str, inputs: dict[str, Any], labels: list[str], make: Callable) -> dict:
        def announced(**partials: Path) -> dict | None:
            report(name)
            return make(**partials)

        return record.step(name, inputs, labels, announced)

    def bind_model(model: Path, bound: Path) -> None:
        bind(circuit.model, layout, bound)
        shutil.copyfile(circuit.model, model)

    if not circuit.model.is_file():
        raise CircuitError(f"There is no ONNX file at {circuit.model}.")
    step(
        "bind",
        {"model": sha256(circuit.model), "layout": asdict(layout)},
        ["model", "bound"],
        bind_model,
    )
    sizes = step(
        "settings",
        {
            "bound": sha("bound"),
            "run_args": asdict(circuit.run_args),
            "calibration": digest_of(samples.calibration),
        },
        ["settings"],
        lambda settings: _calibrate(circuit, samples, path("bound"), settings),
    )
    step(
        "compile",
        {"bound": sha("bound"), "settings": sha("settings")},
        ["compiled"],
        lambda compiled: _compile(path("bound"), path("settings"), compiled),
    )
    srs_file = ensure_srs(artifacts / "srs", srs, sizes["logrows"], report)
    srs_facts = {"kind": srs, "sha256": sha256(srs_file)}
    step(
        "setup",
        {"compiled": sha("compiled"), "srs": srs_facts},
        ["vk", "pk"],
        lambda vk, pk: _setup(path("compiled"), srs_file, vk, pk),
    )
    code = step(
        "verifier",
        {"vk": sha("vk"), "srs": srs_facts, "contract": circuit.contract},
        ["verifier"],
        lambda verifier: write_verifier(
            circuit.contract, path("vk"), path("settings"), srs_file, verifier
        ),
    )
    measured = step(
        "accuracy",
        {"compiled": sha("compiled"), "test": digest_of(samples.test, samples.labels)},
        [],
        lambda: accuracy(
            path("model"), path("compiled"), samples, sizes["output_scale"], layout.widest
        ),
    )
    record.finish(
        {
            "circuit": circuit.name,
            "versions": {name: version(name) for name in ("ezkl", "torch", "onnx")}
            | {"solc": SOLC},
            "run_args": asdict(circuit.run_args),
            **sizes,
            "key": asdict(layout),
            "srs": {**srs_facts, "path": os.path.relpath(srs_file, folder)},
            "verifier": {"contract": circuit.contract, **code},
            "accuracy": measured,
        }
    )
    return Manifest(folder), record.redone


def digest_of(*arrays: np.ndarray | None) -> str:
    """The hash of samples: their shape, their type and every number."""
    found = hashlib.sha256()
    for array in arrays:
        if array is not None:
            found.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()


def _check(circuit: Circuit, samples: Samples) -> None:
    """Refuses samples that have not the model's shape, or numbers that are not finite."""
    shape = input_shape(circuit.model)
    for name, array in (("calibration", samples.calibration), ("test", samples.test)):
        if len(array) == 0 or array[0].size != np.prod(shape) or not np.isfinite(array).all():
            raise CircuitError(
                f"The {name} samples of {circuit.name} have shape {array.shape}: {circuit.model} "
                f"takes one or more samples of shape {shape}, of finite numbers."
            )
    if samples.labels is not None and len(samples.labels) != len(samples.test):
        raise CircuitError(
            f"{circuit.name} has {len(samples.labels)} labels for {len(samples.test)} test samples."
        )


def _calibrate(circuit: Circuit, samples: Samples, bound: Path, settings: Path) -> dict[str, Any]:
    """Settings with the lookup range that real samples need and the fewest rows that fit."""
    import ezkl

    _check(circuit, samples)
    lookups = [-1, 1]
    draft = settings.with_name(".draft.compiled")
    operators = ", ".join(_operators(circuit.model))
    try:
        with sentences(f"translate {circuit.model} (operators: {operators})"):
            ezkl.gen_settings(str(bound), str(settings), py_run_args=circuit.run_args.to_ezkl())
            ezkl.compile_circuit(str(bound), str(draft), str(settings))
        with sentences(f"run the calibration samples of {circuit.name}"):
            for sample in samples.calibration:
                run = witness(draft, circuit.layout.widest, sample)
                lookups[0] = min(lookups[0], LOOKUP_MARGIN * int(run["min_lookup_inputs"]))
                lookups[1] = max(lookups[1], LOOKUP_MARGIN * int(run["max_lookup_inputs"]))
        with sentences(f"settle the size of {circuit.name}"):
            args = {"lookup_range": (lookups[0], lookups[1])}
            ezkl.gen_settings(
                str(bound), str(settings), py_run_args=circuit.run_args.to_ezkl(**args)
            )
            rows = json.loads(settings.read_text())["num_rows"]
            needed = max(rows, circuit.run_args.decomp_base) + RESERVED_ROWS
            args["logrows"] = (needed - 1).bit_length()
            ezkl.gen_settings(
                str(bound), str(settings), py_run_args=circuit.run_args.to_ezkl(**args)
            )
    finally:
        draft.unlink(missing_ok=True)
    content = json.loads(settings.read_text())
    return {
        "logrows": content["run_args"]["logrows"],
        "rows": content["num_rows"],
        "cells": content["total_assignments"],
        "lookup_range": lookups,
        "outputs": int(np.prod(content["model_instance_shapes"][-1])),
        "output_scale": content["model_output_scales"][-1],
    }


def _operators(model: Path) -> list[str]:
    import onnx

    return sorted({node.op_type for node in onnx.load(model).graph.node})


def _compile(bound: Path, settings: Path, compiled: Path) -> None:
    import ezkl

    with sentences(f"compile {bound}"):
        ezkl.compile_circuit(str(bound), str(compiled), str(settings))


def _setup(compiled: Path, srs: Path, vk: Path, pk: Path) -> None:
    import ezkl

    with sentences(f"make the keys of {compiled}"):
        ezkl.setup(str(compiled), str(vk), str(pk), str(srs))

"""From an ONNX file to everything a proof needs: the steps of a build, in order.

bind -> settings (calibrated on real samples) -> compile -> SRS -> setup -> verifier -> accuracy
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from zk.binding import KeyLayout, Model, bind, read_model
from zk.costs import RESERVED_ROWS, shape_of
from zk.errors import CircuitError, sentences
from zk.manifest import Manifest, Record, locked, sha256
from zk.srs import Kind, ensure_srs
from zk.verifier import PROOF_OFFSET, SETTINGS, SOLC, write_verifier
from zk.witness import accuracy, answers

# A lookup table spans this many times the range that the calibration samples needed.
LOOKUP_MARGIN = 2


@dataclass(frozen=True)
class RunArgs:
    """The knobs that decide what a circuit costs; `zk.tuner` searches them."""

    input_scale: int = 7
    param_scale: int = 7
    scale_rebase_multiplier: int = 1
    num_inner_cols: int = 2
    decomp_base: int = 1024  # with three legs, a range of 2**30 without a large table
    decomp_legs: int = 3
    logrows: int | None = None  # None: the smallest that fits
    matrix_convolutions: bool = False  # see `zk.rewriting`, here and below
    summed_averages: bool = False

    @property
    def rewriting(self) -> dict[str, bool]:
        """How the model's operators are to be bound."""
        return {
            "matrix_convolutions": self.matrix_convolutions,
            "summed_averages": self.summed_averages,
        }

    @property
    def value_range(self) -> int:
        """Inputs, outputs and all that is rescaled or compared with 0 are smaller than this."""
        return self.decomp_base**self.decomp_legs

    def to_ezkl(self, **more: Any):
        import ezkl

        args = ezkl.PyRunArgs()
        args.input_visibility, args.output_visibility = "private", "public"
        args.param_visibility = "fixed"
        ours = ("logrows", *self.rewriting)
        knobs = {name: value for name, value in asdict(self).items() if name not in ours}
        for name, value in {**knobs, **more}.items():
            setattr(args, name, value)
        return args


@dataclass(frozen=True)
class Samples:
    """Real inputs: some to calibrate on, others, unseen by it, to measure accuracy on."""

    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None = None
    source: str = "test samples"  # what the test samples are, in words


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
        return KeyLayout.within(self.run_args.value_range)


def build(
    circuit: Circuit,
    *,
    artifacts: Path,
    verifiers: Path,
    srs: Kind = "insecure-dev",
    report: Callable[[str], None] = lambda step: None,
) -> tuple[Manifest, list[str]]:
    """Builds what is not up to date; gives the manifest and the names of the steps it did."""
    samples, model = circuit.samples(), read_model(circuit.model)
    check_samples(circuit.name, samples, model)
    folder = artifacts / circuit.name
    busy = f"Another build of {circuit.name} is under way: wait for it, then build again."
    with locked(folder, busy):
        return _build(circuit, model, samples, folder, verifiers, srs, report)


def _build(
    circuit: Circuit,
    original: Model,
    samples: Samples,
    folder: Path,
    verifiers: Path,
    srs: Kind,
    report: Callable[[str], None],
) -> tuple[Manifest, list[str]]:
    layout = circuit.layout
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

    step(
        "bind",
        {
            "model": original.digest,
            "layout": asdict(layout),
            **circuit.run_args.rewriting,
        },
        ["model", "bound"],
        lambda model, bound: bind(original, layout, model, bound, **circuit.run_args.rewriting),
    )
    sizes = step(
        "settings",
        {
            "bound": sha("bound"),
            "run_args": asdict(circuit.run_args),
            "calibration": digest_of(samples.calibration),
            "margins": [LOOKUP_MARGIN, RESERVED_ROWS],
        },
        ["settings"],
        lambda settings: _calibrate(circuit, original, samples, path("bound"), settings),
    )
    step(
        "compile",
        {"bound": sha("bound"), "settings": sha("settings")},
        ["compiled"],
        lambda compiled: compile_circuit(path("bound"), path("settings"), compiled),
    )
    srs_file = ensure_srs(folder.parent / "srs", srs, sizes["logrows"], report)
    srs_facts = {"kind": srs, "sha256": sha256(srs_file)}
    step(
        "setup",
        {"compiled": sha("compiled"), "srs": srs_facts},
        ["vk", "pk"],
        lambda vk, pk: make_keys(path("compiled"), srs_file, vk, pk),
    )
    code = step(
        "verifier",
        {
            "vk": sha("vk"),
            "srs": srs_facts,
            "contract": circuit.contract,
            "solc": [SOLC, SETTINGS],
            "proof_offset": PROOF_OFFSET,
        },
        ["verifier"],
        lambda verifier: write_verifier(
            circuit.contract, path("vk"), path("settings"), srs_file, verifier
        ),
    )
    measured = step(
        "accuracy",
        {
            "model": sha("model"),
            "compiled": sha("compiled"),
            "test": [digest_of(samples.test, samples.labels), samples.source],
        },
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


def check_samples(name: str, samples: Samples, model: Model) -> None:
    """Refuses samples that have not the model's shape, or numbers that are not finite."""
    for kind, array in (("calibration", samples.calibration), ("test", samples.test)):
        fits = len(array) > 0 and array[0].size == np.prod(model.input_shape)
        if not fits or not np.isfinite(array).all():
            raise CircuitError(
                f"The {kind} samples of {name} have shape {array.shape}: {model.path} takes one or "
                f"more samples of shape {model.input_shape}, of finite numbers."
            )
    labels = samples.labels
    if labels is not None and labels.shape != samples.test.shape[:1]:
        raise CircuitError(
            f"The labels of {name} have shape {labels.shape}: there is one number for each of the "
            f"{len(samples.test)} test samples."
        )


def _calibrate(
    circuit: Circuit, model: Model, samples: Samples, bound: Path, settings: Path
) -> dict[str, Any]:
    """Settings with the lookup range that real samples need and the fewest rows that fit."""
    draft = settings.with_name("draft.compiled")

    def generate(**args: Any) -> dict[str, Any]:
        return write_settings(model, bound, settings, circuit.run_args, **args)

    generate()
    compile_circuit(bound, settings, draft)
    _, (smallest, largest) = answers(
        draft, circuit.layout.widest, samples.calibration, "run the calibration samples"
    )
    lookups = [min(-1, LOOKUP_MARGIN * smallest), max(1, LOOKUP_MARGIN * largest)]
    rows = generate(lookup_range=tuple(lookups))["num_rows"]
    logrows = circuit.run_args.logrows or fewest_logrows(rows, circuit.run_args)
    content = generate(lookup_range=tuple(lookups), logrows=logrows)
    draft.unlink()
    return {
        "logrows": content["run_args"]["logrows"],
        "rows": content["num_rows"],
        "cells": content["total_assignments"],
        "shape": asdict(shape_of(content)),
        "lookup_range": lookups,
        "outputs": int(np.prod(content["model_instance_shapes"][-1])),
        "output_scale": content["model_output_scales"][-1],
    }


def fewest_logrows(rows: int, run_args: RunArgs) -> int:
    """The smallest circuit that has room for its rows and for the table of `decomp_base`."""
    return (max(rows, run_args.decomp_base) + RESERVED_ROWS - 1).bit_length()


def write_settings(
    model: Model, bound: Path, settings: Path, run_args: RunArgs, **more: Any
) -> dict[str, Any]:
    """Has ezkl lay the circuit out, and gives what it says of it."""
    import ezkl

    with sentences(f"translate {model.path} (operators: {model.operators})"):
        ezkl.gen_settings(str(bound), str(settings), py_run_args=run_args.to_ezkl(**more))
    return json.loads(settings.read_text())


def compile_circuit(bound: Path, settings: Path, compiled: Path) -> None:
    import ezkl

    with sentences(f"compile {bound}"):
        ezkl.compile_circuit(str(bound), str(compiled), str(settings))


def make_keys(compiled: Path, srs: Path, vk: Path, pk: Path) -> None:
    import ezkl

    with sentences(f"make the keys of {compiled}"):
        ezkl.setup(str(compiled), str(vk), str(pk), str(srs))

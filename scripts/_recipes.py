"""What the notebooks do, in ezkl's own calls: the circuits that this project's are measured by."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts._circuits import ARTIFACTS, EXPORTS, digit_samples, voice_samples
from zk.binding import KeyLayout, bind, read_model
from zk.circuit import Samples
from zk.errors import sentences
from zk.journal import Journal
from zk.manifest import sha256
from zk.measure import measure_setup
from zk.srs import ensure_srs
from zk.verifier import write_verifier

FOLDER = ARTIFACTS / "bench"
CALIBRATION = 10  # samples: ezkl chooses the same rows and ranges with twice as many
TESTS = 200  # drawings: a witness takes many times longer than one of clan


@dataclass(frozen=True)
class Recipe:
    """A notebook's model, and how it has ezkl calibrate it."""

    name: str
    model: Path
    scales: list[int]
    samples: Callable[[], Samples]
    key: KeyLayout | None = None  # bound as the project's circuits are, where the notebook is not

    @property
    def limbs(self) -> list[int]:
        return self.key.widest if self.key else []

    def files(self) -> dict[str, Path]:
        names = ("bound", "cal", "settings", "compiled", "vk", "pk", "verifier")
        return {name: FOLDER / f"{self.name}.{name}" for name in names}


LENET = Recipe(
    "lenet-recipe", EXPORTS / "lenet.onnx", [2, 7], partial(digit_samples, "clan-lenet", TESTS)
)
IDOL = Recipe(
    "voice-recipe", EXPORTS / "idol.onnx", [4], partial(voice_samples, "idol"), KeyLayout(10, 24)
)


def follow(
    recipe: Recipe, calibration: np.ndarray, journal: Journal
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Makes the keys, unless they are there; gives the files, and what is known of the circuit."""
    files = recipe.files()
    question = [recipe.name, sha256(recipe.model), recipe.scales, CALIBRATION]
    if not all(path.is_file() for path in files.values()):
        journal.forget(question)
    facts = journal.once(question, lambda: _make(recipe, calibration[:CALIBRATION], files))
    return files | {"srs": _srs(facts["logrows"])}, facts


def _make(recipe: Recipe, some: np.ndarray, files: dict[str, Path]) -> dict[str, Any]:
    import ezkl

    FOLDER.mkdir(parents=True, exist_ok=True)
    path = {name: str(file) for name, file in files.items()}
    if recipe.key:
        bind(read_model(recipe.model), recipe.key, FOLDER / "model.onnx", files["bound"])
    else:
        files["bound"].write_bytes(recipe.model.read_bytes())
    files["cal"].write_text(json.dumps({"input_data": inputs(recipe.limbs, some)}))
    args = ezkl.PyRunArgs()
    args.input_visibility, args.param_visibility = "private", "fixed"
    args.output_visibility, args.num_inner_cols = "public", 2
    with sentences(f"follow the notebook of {recipe.name}"):
        ezkl.gen_settings(path["bound"], path["settings"], py_run_args=args)
        ezkl.calibrate_settings(
            path["cal"], path["bound"], path["settings"], "resources", scales=recipe.scales
        )
        ezkl.compile_circuit(path["bound"], path["compiled"], path["settings"])
    settings = json.loads(files["settings"].read_text())
    files = files | {"srs": _srs(settings["run_args"]["logrows"])}
    seconds = measure_setup(recipe.name, files)
    code = write_verifier(
        "RecipeVerifier", files["vk"], files["settings"], files["srs"], files["verifier"]
    )
    return {
        "logrows": settings["run_args"]["logrows"],
        "cells": settings["total_assignments"],
        "key": files["pk"].stat().st_size,
        "code": code["runtime_bytes"],
        "setup": seconds,
        "output_scale": settings["model_output_scales"][-1],
    }


def _srs(logrows: int) -> Path:
    return ensure_srs(ARTIFACTS / "srs", "insecure-dev", logrows)


def inputs(limbs: list[int], samples: np.ndarray) -> list[list]:
    """Samples as ezkl's files hold them: one list an input, one sample after the other."""
    return [*([limbs * len(samples)] if limbs else []), samples.reshape(-1).tolist()]

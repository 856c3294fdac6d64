"""The notebooks' circuits, made as the notebooks make them, for comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from apps.circuits import ARTIFACTS, EXPORTS, digit_samples, voice_samples
from models.data import drawing, sound
from zk import ezkl
from zk.binding import bind, read_model
from zk.files import sha256
from zk.journal import Journal
from zk.layout import Layout
from zk.samples import Array, Samples
from zk.srs import ensure_srs
from zk.tuning.measure import measure_setup
from zk.verifier import write_verifier

FOLDER = ARTIFACTS / "bench"
CALIBRATION = 10  # samples; ezkl chooses the same rows and ranges with twice as many
TESTS = 200  # drawings; a witness takes many times longer than one of `clan`


@dataclass(frozen=True)
class Recipe:
    """A notebook's model, and the scales that it lets ezkl choose from."""

    name: str
    model: Path
    scales: list[int]
    samples: Callable[[], Samples]
    layout: Layout

    def files(self) -> dict[str, Path]:
        names = ("bound", "settings", "compiled", "vk", "pk", "verifier")
        return {name: FOLDER / f"{self.name}.{name}" for name in names}


LENET = Recipe(
    "lenet-recipe",
    EXPORTS / "lenet.onnx",
    [2, 7],
    partial(digit_samples, drawing.VIEWS["lenet"], TESTS),
    Layout(0, 0, outputs=10),  # this notebook binds no key
)
IDOL = Recipe(
    "voice-recipe",
    EXPORTS / "idol.onnx",
    [4],
    partial(voice_samples, sound.VIEWS["idol"]),
    Layout(11, 24, outputs=1),
)


def follow(
    recipe: Recipe, calibration: Array, journal: Journal
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Make the keys unless they exist; return the files and the circuit's figures."""
    files = recipe.files()
    layout = recipe.layout.as_json()
    question = [recipe.name, sha256(recipe.model), layout, recipe.scales, CALIBRATION]
    if not all(path.is_file() for path in files.values()):
        journal.forget(question)
    facts = journal.once(question, lambda: _make(recipe, calibration[:CALIBRATION], files))
    return files | {"srs": _srs(facts["logrows"])}, facts


def _make(recipe: Recipe, some: Array, files: dict[str, Path]) -> dict[str, Any]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    if recipe.layout.limbs:
        bind(read_model(recipe.model), recipe.layout, FOLDER / "model.onnx", files["bound"])
    else:
        files["bound"].write_bytes(recipe.model.read_bytes())
    settings = ezkl.calibrate(
        files["bound"],
        files["settings"],
        inputs(recipe.layout, some),
        recipe.scales,
        f"follow the notebook of {recipe.name}",
    )
    ezkl.compile_circuit(files["bound"], files["settings"], files["compiled"])
    files = files | {"srs": _srs(settings.logrows)}
    seconds = measure_setup(recipe.name, files)
    code = write_verifier(
        "RecipeVerifier", files["vk"], files["settings"], files["srs"], files["verifier"]
    )
    return {
        "logrows": settings.logrows,
        "cells": settings.cells,
        "proving_key": files["pk"].stat().st_size,
        "code": code["runtime_bytes"],
        "setup": seconds,
        "output_scale": settings.output_scale,
    }


def _srs(logrows: int) -> Path:
    return ensure_srs(ARTIFACTS / "srs", "insecure-dev", logrows)


def inputs(layout: Layout, samples: Array) -> list[list]:
    """Samples, or batches of them, in ezkl's format: one list per input, one after the other."""
    each = [layout.numbers(layout.widest, batch) for batch in layout.batches(samples)]
    return [list(chain.from_iterable(lists)) for lists in zip(*each, strict=True)]

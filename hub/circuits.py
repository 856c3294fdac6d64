"""The circuits that a hub serves: what goes in, what comes out, and what everybody may know."""

import base64
import binascii
import logging
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from hub.proving import LABELS, Artifact
from hub.shapes import CircuitState, Input, Logits, Outputs, Picture, Prediction, Result, Score
from models.data import drawing, sound
from scripts._circuits import ARTIFACTS, HEARS, READS
from scripts._contracts import APPLICATIONS
from scripts._voice import score_from, written
from zk.binding import read_model
from zk.errors import CircuitError, InvalidProofError
from zk.manifest import Manifest
from zk.private import private_folder
from zk.processes import process_pool
from zk.proof import Proof, answer, verify

log = logging.getLogger("hub")
SHOWN = (  # of a manifest
    "accuracy",
    "cells",
    "key",
    "logrows",
    "output_scale",
    "outputs",
    "rows",
    "run_args",
    "verifier",
    "versions",
)


class Served:
    """A circuit of `artifacts/`, and the process that runs it without proving."""

    def __init__(self, manifest: Manifest, url: str) -> None:
        self.manifest, self.name = manifest, manifest["circuit"]
        self.application = APPLICATIONS.get(manifest["outputs"])
        entries = {**manifest["files"], "srs": manifest["srs"]}
        self.files = {
            label: (manifest.folder / entry["path"]).resolve() for label, entry in entries.items()
        }
        self.sha256 = {label: entry["sha256"] for label, entry in entries.items()}
        self.artifacts = {
            label: Artifact(
                str(self.files[label]),
                self.sha256[label],
                f"{url}/v1/circuits/{self.name}/files/{label}",
            )
            for label in LABELS
        }

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return read_model(self.files["model"]).input_shape

    def state(self) -> CircuitState:
        """What everybody may know."""
        return CircuitState(
            name=self.name,
            application=self.application,
            takes=self.takes,
            shape=list(self.shape),
            files=self.sha256,
            manifest={name: self.manifest[name] for name in SHOWN},
        )

    @property
    def takes(self) -> list[str]:
        more = ["drawing"] if self.name in READS else ["clip"] if self.name in HEARS else []
        return [*more, "input"]

    @property
    def _takes(self) -> str:
        return " or ".join(self.takes)

    def read(self, given: Input) -> np.ndarray:
        """The model's input, of whatever was given. A recording's bytes take a while."""
        if given.input is not None:
            with np.errstate(over="ignore"):
                x = np.array(given.input, np.float32)
            size = int(np.prod(self.shape))
            if not np.isfinite(x).all() or x.size != size:
                raise CircuitError(f"{self.name} takes {size} finite numbers, not {x.size}.")
            return x
        if given.drawing is not None:
            if self.name not in READS:
                raise CircuitError(f"{self.name} reads no drawings: give {self._takes}.")
            pixels = np.array([int(bit) for bit in given.drawing], np.uint8)
            return READS[self.name](drawing.check(pixels.reshape(drawing.SIDE, drawing.SIDE)))
        if self.name not in HEARS:
            raise CircuitError(f"{self.name} hears no recordings: give {self._takes}.")
        return aside(_hear, self.name, given.clip)

    def predict(self, given: Input) -> Prediction:
        """What the quantised model answers; of a recording also what it looks like."""
        x = self.read(given)
        outputs = [int(value) for value in aside(_answer, self.manifest.folder, x)]
        picture = aside(_picture, given.clip) if given.clip is not None else None
        return Prediction(result=self.result(outputs), picture=picture)

    def result(self, outputs: list[int]) -> Result:
        scale = self.manifest["output_scale"]
        values = [value / 2**scale for value in outputs]
        if self.application == "Clan":
            return Logits(digit=values.index(max(values)), logits=values)
        if self.application == "VoiceJudge":
            score = score_from(outputs[0], scale)
            return Score(score=str(score), written=written(score))
        return Outputs(outputs=values)

    def result_of(self, proof: Proof) -> Result:
        return self.result(proof.outputs(self.manifest.layout))

    def refusal(self, proof: Proof) -> str | None:
        """Why a proof is not valid under this circuit's key; nothing if it is."""
        return aside(_refusal, self.manifest.folder, proof)


def find(url: str) -> dict[str, Served]:
    """Every finished build of `artifacts/`, but those of another version of ezkl."""
    served = {}
    for path in sorted(ARTIFACTS.glob("*/manifest.json")):
        try:
            served[path.parent.name] = Served(Manifest(path.parent), url)
        except CircuitError as error:
            log.warning("not served: %s", error)
    if not served:
        raise CircuitError("There is nothing to serve: run `ape run build` first.")
    return served


_pool: ProcessPoolExecutor | None = None
_making = Lock()


def aside(task, *arguments: Any) -> Any:
    """Runs what ezkl does without proving in a process beside the hub, which ezkl would hold up."""
    global _pool
    for last in (False, True):
        with _making:
            pool = _pool = _pool or process_pool(1)
        try:
            return pool.submit(task, *arguments).result()
        except BrokenProcessPool:
            _pool = None
            if last:
                raise CircuitError(
                    "The process that runs models was killed, perhaps because the memory was used "
                    "up: try again."
                ) from None
    raise AssertionError


def _answer(folder: Path, x: np.ndarray) -> np.ndarray:
    return answer(Manifest(folder), x)


def _refusal(folder: Path, proof: Proof) -> str | None:
    try:
        verify(Manifest(folder), proof)
    except InvalidProofError as error:
        return str(error)
    except CircuitError as error:
        return str(error)
    return None


def _hear(name: str, clip: str) -> np.ndarray:
    return HEARS[name](_samples(clip))


def _picture(clip: str) -> Picture:
    level = sound.onset_window(_samples(clip))
    points = np.rint(255 * (1 - np.clip(level / sound.FLOOR, 0, 1))).astype(np.uint8)
    height, width = points.shape
    return Picture(width=width, height=height, levels=base64.b64encode(points.tobytes()).decode())


def _samples(clip: str) -> np.ndarray:
    try:
        content = base64.b64decode(clip, validate=True)
    except (binascii.Error, ValueError):
        raise CircuitError("The clip is not in base64.") from None
    with private_folder() as folder:
        path = folder / "clip"
        path.write_bytes(content)
        try:
            return sound.read(path)
        except sound.SoundError as error:
            raise CircuitError(str(error).replace(str(path), "The clip")) from None

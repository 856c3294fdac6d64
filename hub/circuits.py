"""The circuits that a hub serves: reading inputs, predicting, and checking proofs."""

import base64
import binascii
import logging
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import numpy as np

from apps.circuits import ARTIFACTS, sources, view_of
from apps.registry import Application, Outputs, Result, application_of
from hub.limits import largest_order
from hub.proving import Artifact
from hub.schemas import CircuitState, Input, Picture, Prediction
from models.data import drawing, sound
from zk.binding import read_model
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.private import private_folder
from zk.processes import process_pool
from zk.proof import Proof, answer, verify
from zk.samples import Array

log = logging.getLogger("hub")
Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
SHOWN = (  # of a manifest
    "accuracy",
    "cells",
    "logrows",
    "output_scale",
    "rows",
    "run_args",
    "verifier",
    "versions",
)


class Served:
    """A circuit of `artifacts/`. Everything but proving runs in a process beside the hub."""

    def __init__(self, manifest: Manifest, url: str) -> None:
        self.manifest: Manifest = manifest
        self.name: str = manifest["circuit"]
        self.application = _application(manifest)
        entries = {**manifest["files"], "srs": manifest["srs"]}
        self.files = {
            label: (manifest.folder / entry["path"]).resolve() for label, entry in entries.items()
        }
        self.sha256: dict[str, str] = {label: entry["sha256"] for label, entry in entries.items()}
        self.artifacts = {
            label: Artifact(
                str(self.files[label]),
                self.sha256[label],
                f"{url}/v1/circuits/{self.name}/files/{label}",
            )
            for label in manifest.proving_files
        }

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return read_model(self.files["model"]).input_shape

    @cached_property
    def largest_order(self) -> int:
        """The bytes of the largest request with an input of the circuit."""
        source = sources().get(self.name)
        return largest_order(source is not None and source.medium == "clip", math.prod(self.shape))

    def state(self) -> CircuitState:
        """The public description of the circuit."""
        source = sources().get(self.name)
        return CircuitState(
            name=self.name,
            application=self.application.name if self.application else None,
            takes=sorted({source.medium if source else "input", "input"}),
            shape=list(self.shape),
            features=list(source.features) if source else [],
            labels=list(self.application.labels) if self.application else [],
            files=self.sha256,
            manifest={name: self.manifest[name] for name in SHOWN}
            | {"layout": self.manifest.layout.as_json()},
        )

    def read(self, given: Input) -> Array:
        """The model's input. Reading a recording takes a while."""
        if given.drawing is not None:
            return view_of(self.name, "drawing")(_drawing(given.drawing))
        if given.clip is not None:
            return aside(_hear, view_of(self.name, "clip"), given.clip)
        with np.errstate(over="ignore"):
            x: Array = np.array(given.input, np.float32)
        size = int(np.prod(self.shape))
        if not np.isfinite(x).all() or x.size != size:
            raise CircuitError(f"{self.name} takes {size} finite numbers, not {x.size}.")
        return x

    def predict(self, given: Input) -> Prediction:
        """The answer of the quantised model, and what it saw of a drawing or recording."""
        x = self.read(given)
        outputs = [int(value) for value in aside(_answer, self.manifest.folder, x)]
        picture = aside(_picture, given.clip) if given.clip is not None else None
        seen = _drawing(given.drawing) if given.drawing is not None else None
        return Prediction(
            result=self.result(outputs),
            picture=picture,
            drawing=None if seen is None else "".join(map(str, seen.flat)),
        )

    def result(self, outputs: list[int]) -> Result:
        """The meaning of the circuit's outputs."""
        scale = self.manifest["output_scale"]
        if self.application:
            return self.application.result(outputs, scale)
        return Outputs([value / 2**scale for value in outputs])

    def result_of(self, proof: Proof) -> Result:
        return self.result(proof.outputs(self.manifest.layout))

    def flaw(self, proof: Proof) -> str | None:
        """The reason why a proof is not valid under this circuit's key."""
        return aside(_flaw, self.manifest.folder, proof)


def _application(manifest: Manifest) -> Application | None:
    """The application of a build. A circuit without one is served for predictions only."""
    try:
        return application_of(manifest)
    except CircuitError:
        return None


def find(url: str) -> dict[str, Served]:
    """Every finished build of one input in `artifacts/`, except those of other versions of ezkl."""
    served = {}
    for path in sorted(ARTIFACTS.glob("*/manifest.json")):
        try:
            manifest = Manifest(path.parent)
            if manifest.layout.batch == 1:
                served[path.parent.name] = Served(manifest, url)
        except CircuitError as error:
            log.warning("not served: %s", error)
    if not served:
        raise CircuitError("No circuit is built: run `ape run build` first.")
    return served


_pool: ProcessPoolExecutor | None = None
_making = Lock()


def aside(
    task: Callable[Parameters, Answer], *arguments: Parameters.args, **more: Parameters.kwargs
) -> Answer:
    """Run a task in a process beside the hub, because ezkl would block the hub's threads."""
    global _pool
    for last in (False, True):
        with _making:
            pool = _pool = _pool or process_pool(1)
        try:
            return pool.submit(task, *arguments, **more).result()
        except BrokenProcessPool:
            _pool = None
            if last:
                raise CircuitError(
                    "The process that runs models was killed, perhaps for lack of memory: try "
                    "again."
                ) from None
    raise AssertionError


def _answer(folder: Path, x: Array) -> Array:
    return answer(Manifest(folder), x)


def _flaw(folder: Path, proof: Proof) -> str | None:
    try:
        verify(Manifest(folder), proof)
    except CircuitError as error:
        return str(error)
    return None


def _drawing(bits: str) -> Array:
    """The normalised drawing of a request."""
    pixels = np.array([int(bit) for bit in bits], np.uint8).reshape(drawing.SIDE, drawing.SIDE)
    return drawing.normalised(drawing.check(pixels))


def _hear(view: Callable[[Array], Array], clip: str) -> Array:
    return view(_samples(clip))


def _picture(clip: str) -> Picture:
    level = sound.onset_window(_samples(clip))
    points = np.rint(255 * (1 - np.clip(level / sound.QUIET, 0, 1))).astype(np.uint8)
    height, width = points.shape
    return Picture(width=width, height=height, levels=base64.b64encode(points.tobytes()).decode())


def _samples(clip: str) -> Array:
    try:
        content = base64.b64decode(clip, validate=True)
    except (binascii.Error, ValueError):
        raise CircuitError("The clip is not valid base64.") from None
    with private_folder() as folder:
        path = folder / "clip"
        path.write_bytes(content)
        try:
            samples: Array = sound.read(path)
        except sound.SoundError as error:
            raise CircuitError(str(error).replace(str(path), "The clip")) from None
    return samples

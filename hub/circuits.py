"""The circuits that a hub serves: reading inputs, predicting, and checking proofs."""

import base64
import logging
import math
from functools import cached_property

import numpy as np

from apps.circuits import ARTIFACTS, sources, view_of
from apps.registry import Application, Outputs, Result, application_of
from hub.aside import answer_of, aside, flaw_of, hear, levels_of
from hub.limits import largest_order
from hub.proving import Artifact
from hub.schemas import CircuitState, Input, Picture, Prediction
from models.data import drawing
from zk.binding import read_model
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof
from zk.samples import Array

log = logging.getLogger("hub")
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
            return aside(hear, view_of(self.name, "clip"), given.clip)
        with np.errstate(over="ignore"):
            x: Array = np.array(given.input, np.float32)
        size = int(np.prod(self.shape))
        if not np.isfinite(x).all() or x.size != size:
            raise CircuitError(f"{self.name} takes {size} finite numbers, not {x.size}.")
        return x

    def predict(self, given: Input) -> Prediction:
        """The answer of the quantised model, and what it saw of a drawing or recording."""
        x = self.read(given)
        outputs = [int(value) for value in aside(answer_of, self.manifest.folder, x)]
        picture = _picture(aside(levels_of, given.clip)) if given.clip is not None else None
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
        return aside(flaw_of, self.manifest.folder, proof)


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


def _drawing(bits: str) -> Array:
    """The normalised drawing of a request."""
    pixels = np.array([int(bit) for bit in bits], np.uint8).reshape(drawing.SIDE, drawing.SIDE)
    return drawing.normalised(drawing.check(pixels))


def _picture(levels: Array) -> Picture:
    height, width = levels.shape
    return Picture(width=width, height=height, levels=base64.b64encode(levels.tobytes()).decode())

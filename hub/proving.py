"""What a worker does: fetch the artifacts that it lacks, and prove one input at a time."""

import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from zk.errors import CircuitError

LABELS = ("compiled", "pk", "vk", "settings", "srs")  # what proving takes
STEPS = "proofs"  # the topic under which workers say how far they are
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verdict"


@dataclass(frozen=True)
class Artifact:
    """A file of a build: where it lies beside the hub, its hash, and where others fetch it."""

    path: str
    sha256: str
    url: str


@dataclass(frozen=True)
class Order:
    """A job as a worker gets it. What is private stays out of its `repr`, which Dask logs."""

    job: str
    circuit: str
    artifacts: dict[str, Artifact] = field(repr=False)
    limbs: list[int]
    x: np.ndarray = field(repr=False)


class ArtifactError(Exception):
    """A worker could not get what it has to prove with; another one may."""


def prove(order: Order) -> dict[str, Any]:
    """Proves an order; gives the proof as files hold it, and when the worker began."""
    from distributed import get_worker

    from zk.proof import prove_with

    worker = get_worker()

    def say(step: str) -> None:
        worker.log_event(STEPS, {"job": order.job, "step": step})

    started = time.time()
    say("fetching")
    files = {label: _local(artifact) for label, artifact in order.artifacts.items()}
    say("proving")
    try:
        proof = prove_with(order.circuit, files, order.limbs, order.x)
    except CircuitError as error:
        return {"reason": str(error)}
    return {"proof": proof.content(), "started": started}


def _local(artifact: Artifact) -> str:
    """Where this machine has a file, fetched once if it has not."""
    beside, cached = Path(artifact.path), CACHE / artifact.sha256
    for path in (beside, cached):
        if path.is_file() and _hash(path, path.stat().st_mtime_ns) == artifact.sha256:
            return str(path)
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f".{cached.name}.{os.getpid()}.partial")
    try:
        with urllib.request.urlopen(artifact.url, timeout=60) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file)
        if _hash(partial, partial.stat().st_mtime_ns) != artifact.sha256:
            raise ArtifactError(f"{artifact.url} is not the file with SHA-256 {artifact.sha256}.")
        partial.replace(cached)
    except (urllib.error.URLError, OSError) as error:
        raise ArtifactError(f"A worker could not fetch {artifact.url}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return str(cached)


@lru_cache(maxsize=256)
def _hash(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

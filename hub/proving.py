"""The work of a worker: fetch missing artifacts, and prove one input at a time."""

import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from zk.errors import CircuitError, KilledError, TimeLimitError
from zk.files import CACHE, sha256, whole
from zk.layout import Key, Layout
from zk.samples import Array

STEPS = "proofs"  # the topic under which workers report their steps


@dataclass(frozen=True)
class Artifact:
    """A file of a build: its path on the hub's machine, its hash, and its URL for others."""

    path: str
    sha256: str
    url: str


@dataclass(frozen=True)
class Order:
    """A job for a worker. Its `repr`, which Dask logs, leaves out everything private."""

    job: str
    circuit: str
    artifacts: dict[str, Artifact] = field(repr=False)
    layout: Layout = field(repr=False)
    key: Key  # of each input of a batch
    x: Array = field(repr=False)
    limit: float  # seconds after which the proof is taken to hang


class ArtifactError(Exception):
    """This worker could not get an artifact; another worker may succeed."""


def prove(order: Order) -> dict[str, Any]:
    """Prove an order on a worker; return the proof and the time of the start, or the reason."""
    from distributed import get_worker

    from zk.proof import prove_claim

    worker = get_worker()

    def say(step: str) -> None:
        worker.log_event(STEPS, {"job": order.job, "step": step})

    started = time.time()
    say("fetching")
    files = {label: _local(artifact) for label, artifact in order.artifacts.items()}
    say("proving")
    try:
        proof = prove_claim(order.circuit, files, order.layout, order.key, order.x, order.limit)
    except (KilledError, TimeLimitError):
        raise  # Dask tries the order again
    except CircuitError as error:
        return {"reason": str(error)}
    return {"proof": proof.content(), "started": started}


def _local(artifact: Artifact) -> str:
    """The path of an artifact on this machine, which downloads it once if it is missing."""
    beside, cached = Path(artifact.path), CACHE / artifact.sha256
    for path in (beside, cached):
        if path.is_file() and _hash(path, path.stat().st_mtime_ns) == artifact.sha256:
            return str(path)
    try:
        with whole(cached) as partial:
            with (
                urllib.request.urlopen(artifact.url, timeout=60) as answer,
                partial.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file)
            if (found := sha256(partial)) != artifact.sha256:
                raise ArtifactError(
                    f"{artifact.url} has the SHA-256 {found}, not {artifact.sha256}: build the "
                    "circuit again, and restart the hub."
                )
    except (urllib.error.URLError, OSError) as error:
        raise ArtifactError(f"A worker could not fetch {artifact.url}: {error}.") from error
    return str(cached)


@lru_cache(maxsize=256)
def _hash(path: Path, changed: int) -> str:
    return sha256(path)

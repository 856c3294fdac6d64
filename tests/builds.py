"""Builds of the project's circuits, for tests, and of small ones beside them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from apps.circuits import ARTIFACTS, VERIFIERS, circuit
from zk.build import build
from zk.circuit import Circuit
from zk.files import ROOT, locked
from zk.manifest import Manifest


def built(name: str) -> Manifest:
    """Build one of the project's circuits, unless it is up to date. Other workers wait."""
    with locked(ROOT / ".cache" / "builds" / name):
        return build(circuit(name), artifacts=ARTIFACTS, verifiers=VERIFIERS)[0]


@contextmanager
def beside(circuit: Circuit) -> Iterator[Manifest]:
    """Build a circuit where commands and hubs find it; remove it at the end.

    Its verifier stays: Ape would miss it in the middle of a compilation by another worker.
    """
    manifest, _ = build(circuit, artifacts=ARTIFACTS, verifiers=VERIFIERS)
    yield manifest
    shutil.rmtree(manifest.folder)

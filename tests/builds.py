"""Builds of the project's circuits, for tests."""

from apps.circuits import ARTIFACTS, VERIFIERS, circuit
from zk.build import build
from zk.files import ROOT, locked
from zk.manifest import Manifest


def built(name: str) -> Manifest:
    """Build one of the project's circuits, unless it is up to date. Other workers wait."""
    with locked(ROOT / ".cache" / "builds" / name):
        return build(circuit(name), artifacts=ARTIFACTS, verifiers=VERIFIERS)[0]

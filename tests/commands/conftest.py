"""One chain with both applications for all tests of this folder, and one proof for each."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inputs import DRAW
from tests.nodes import Node, own_node
from tests.typed import ape


@pytest.fixture(scope="session")
def chain(manifest, voice_manifest) -> Iterator[Node]:
    """The chain. Tests take `node`, which keeps it as it is."""
    with own_node() as started:
        result = ape(started, "deploy")
        assert result.returncode == 0, result.stderr
        yield started


@pytest.fixture
def node(chain) -> Iterator[Node]:
    """The chain for one test; no other test sees what it changes there."""
    with chain.unchanged():
        yield chain


@pytest.fixture
def record(node) -> dict:
    """The record of both deployments."""
    return json.loads(node.record.read_text())


@pytest.fixture(scope="session")
def drawing_proof(chain, tmp_path_factory) -> Path:
    """The proof file of account 1's drawing, a 7."""
    return proved(chain, tmp_path_factory.mktemp("drawn"), *DRAW)


def proved(node: Node, folder: Path, *words: str) -> Path:
    """Prove; the file is the only one in its folder."""
    result = ape(node, *words, "--out", str(folder / "proof.json"))
    assert result.returncode == 0, result.stderr
    return folder / "proof.json"

"""One chain, one PostgreSQL server and one hub for most tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.builds import beside
from tests.hubs import PAGE, Running, new_database, running
from tests.nodes import Node, own_node
from tests.tiny import ECHO_ARGS, echo_in
from tests.typed import ape, open_round
from zk.manifest import Manifest


@pytest.fixture(scope="session")
def node(manifest, voice_manifest) -> Iterator[Node]:
    """A chain with both applications. The real voice passes round 0."""
    with own_node() as started:
        result = ape(started, "deploy")
        assert result.returncode == 0, result.stderr
        assert open_round(started, "--threshold", "0.2") == 0
        yield started


@pytest.fixture
def same_chain(node: Node) -> Iterator[None]:
    """Undo each test's transactions."""
    before = node.rpc("evm_snapshot")
    yield
    assert node.rpc("evm_revert", before)


@pytest.fixture(
    scope="session",
    params=["postgres", pytest.param("sqlite", marks=pytest.mark.full)],
)
def hub(request, node, bad_manifest, quick, tmp_path_factory) -> Iterator[Running]:
    """A hub that also serves `quick`, and `clan-bad`, which is not deployed."""
    words = []
    if request.param == "postgres":
        words = ["--database", new_database(request.getfixturevalue("postgres_server"))]
    with running(tmp_path_factory.mktemp("hub"), node, *words) as started:
        yield started


@pytest.fixture(scope="session")
def quick(node, tmp_path_factory) -> Iterator[Manifest]:
    """A small circuit of Clan for tests that need many proofs. Its logits are its input."""
    folder = tmp_path_factory.mktemp("quick")
    with beside(echo_in(folder, "quick", 10, ECHO_ARGS, "Clan")) as manifest:
        result = ape(node, "deploy", "--only", "quick")
        assert result.returncode == 0, result.stderr
        yield manifest


@pytest.fixture(scope="session")
def open_database(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('open') / 'jobs.sqlite'}"


@pytest.fixture(scope="session")
def tokens(node, open_database) -> dict[str, str]:
    made = {}
    for name in ("ada", "ben"):
        shown = ape(node, "hub", "--database", open_database, "--new-token", name)
        made[name] = shown.stdout.strip().split()[-1]
    return made


@pytest.fixture(scope="session")
def open_hub(node, open_database, tokens, tmp_path_factory):
    """A hub that listens on all addresses, with low limits."""
    words = ("--host", "0.0.0.0", "--database", open_database, "--origin", PAGE)
    limits = ("--share", "3", "--queue", "5", "--pace", "10", "--url", "http://127.0.0.1:9")
    with running(tmp_path_factory.mktemp("hub"), node, *words, *limits) as started:
        yield started

"""The chain of the hub's tests."""

import pytest

from tests.nodes import Node
from tests.typed import ape, open_round


@pytest.fixture(scope="module", autouse=True)
def deployed(node: Node) -> None:
    """Deploy both applications on the node, and open round 0, which the real voice passes."""
    result = ape(node, "deploy")
    assert result.returncode == 0, result.stderr
    assert open_round(node, "--threshold", "0.2") == 0

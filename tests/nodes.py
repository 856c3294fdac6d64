"""Anvils that tests start."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chain.network import free_port
from zk.files import ROOT


def start_anvil(port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start an anvil and wait until it answers; fail with its own message if it ends."""
    anvil = shutil.which("anvil")
    assert anvil, "anvil is not on the PATH: run `make setup` and `source .venv/bin/activate`"
    node = subprocess.Popen(
        [anvil, "--silent", "--port", str(port), *options], stderr=subprocess.PIPE
    )
    for _ in range(300):
        if node.poll() is not None:
            pytest.exit(f"anvil on port {port} ended: {node.stderr.read().decode()}")  # type: ignore[union-attr]
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return node
        except OSError:
            time.sleep(0.1)
    node.terminate()
    return pytest.exit(f"anvil on port {port} did not answer within 30 s")


@contextmanager
def own_node(chain: int) -> Iterator[dict[str, str]]:
    """Run a node for commands, which reach it by the environment that this yields.

    The record of deployments on its chain ends with it.
    """
    port = free_port()
    process = start_anvil(port, "--chain-id", str(chain))
    record = ROOT / "deployments" / f"{chain}.json"
    before = record.read_bytes() if record.is_file() else None
    record.unlink(missing_ok=True)
    try:
        yield {"APE_FOUNDRY_HOST": f"http://127.0.0.1:{port}"}
    finally:
        process.terminate()
        record.unlink(missing_ok=True)
        if before is not None:
            record.write_bytes(before)

"""Anvils that tests start."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from web3 import HTTPProvider, Web3

from chain.network import free_port
from zk.files import ROOT

PATIENCE = 30  # seconds for an anvil to answer
# With a port appended, this is a chain id that no other node has.
TEST_CHAINS = "1337"


@dataclass(frozen=True)
class Node:
    """A running anvil, and the chain that commands reach with its environment."""

    port: int
    chain_id: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"APE_FOUNDRY_HOST": self.url}

    @property
    def record(self) -> Path:
        """The record of deployments on this chain."""
        return ROOT / "deployments" / f"{self.chain_id}.json"

    @property
    def web3(self) -> Web3:
        return Web3(HTTPProvider(self.url))

    def rpc(self, method: str, *params: object) -> Any:
        """Call a JSON-RPC method and return its result."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return requests.post(self.url, json=question, timeout=PATIENCE).json()["result"]

    def pass_time(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Undo what the block changes on the chain and in the record of deployments."""
        record = self.record.read_bytes() if self.record.is_file() else None
        before = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            assert self.rpc("evm_revert", before)
            self.rpc("evm_setTime", int(time.time()))
            if record is None:
                self.record.unlink(missing_ok=True)
            else:
                self.record.write_bytes(record)


def start_anvil(port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start an anvil and wait until it answers; fail with its own message if it ends."""
    anvil = shutil.which("anvil")
    assert anvil, "anvil is not on the PATH: run `make setup` and `source .venv/bin/activate`"
    words = [anvil, "--silent", "--port", str(port), *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    for _ in range(10 * PATIENCE):
        if process.poll() is not None:
            assert process.stderr
            pytest.exit(f"anvil on port {port} ended: {process.stderr.read().decode()}")
        with suppress(requests.RequestException):
            question = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
            requests.post(f"http://127.0.0.1:{port}", json=question, timeout=PATIENCE)
            return process
        time.sleep(0.1)
    process.terminate()
    return pytest.exit(f"anvil on port {port} did not answer within {PATIENCE} s")


@contextmanager
def own_node(chain_id: int | None = None, *options: str) -> Iterator[Node]:
    """Run a node; remove the record of deployments on its chain when it ends."""
    port = free_port()
    chain_id = chain_id or int(f"{TEST_CHAINS}{port}")
    node = Node(port, chain_id, start_anvil(port, "--chain-id", str(chain_id), *options))
    try:
        yield node
    finally:
        node.process.terminate()
        node.process.wait()
        if str(chain_id).startswith(TEST_CHAINS):
            node.record.unlink(missing_ok=True)

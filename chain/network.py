"""The connected network: development or live, and the one table of networks."""

import os
import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import ape

from zk.errors import CircuitError

UPSTREAM = "http://127.0.0.1:8544"  # the node that forks copy, as in ape-config.yaml


@dataclass(frozen=True)
class Network:
    """A live network. Tests run on a fork of those that have a `fork_upstream`."""

    ecosystem: str
    name: str
    chain_id: int
    explorer: str
    fork_upstream: str | None = None

    @property
    def choice(self) -> str:
        """The network as `--network` takes it."""
        return f"{self.ecosystem}:{self.name}"


NETWORKS = (
    Network("ethereum", "mainnet", 1, "https://etherscan.io", UPSTREAM),
    Network("ethereum", "sepolia", 11155111, "https://sepolia.etherscan.io", UPSTREAM),
    Network("polygon", "mainnet", 137, "https://polygonscan.com"),
    Network("polygon", "amoy", 80002, "https://amoy.polygonscan.com", UPSTREAM),
    Network("optimism", "sepolia", 11155420, "https://sepolia-optimism.etherscan.io", UPSTREAM),
)


def is_dev() -> bool:
    """Return whether the chain has no value: local or a fork, and served by anvil."""
    provider = ape.networks.provider
    anvil = provider.web3.client_version.lower().startswith("anvil")
    return bool(provider.network.is_dev and anvil)


def explorer() -> str | None:
    """The block explorer of a live chain."""
    chain_id = ape.networks.provider.chain_id
    if is_dev():
        return None
    return next((one.explorer for one in NETWORKS if one.chain_id == chain_id), None)


def now() -> int:
    """The time that decides whether a deadline is over; an idle chain's last block may be old."""
    return max(int(ape.chain.blocks.head.timestamp), int(time.time()))


def moment(timestamp: int) -> str:
    """A time as people read it."""
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError):  # anyone can open a round with any deadline
        return "after the year 9999"


def free_port() -> int:
    """A port for a node, below those that Linux lends to connections (32768 and up)."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CircuitError("No port between 20000 and 32000 is free for a node: stop some servers.")


def listen(host: str, port: int, program: str) -> socket.socket:
    """Open the socket of a program. Do it first: a taken port then fails at once."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        door = socket.create_server((host, port), family=family)
    except OSError as error:
        number = error.errno or 0
        # The error numbers of name resolution are negative.
        reason = os.strerror(number) if number > 0 else "no such name"
        raise CircuitError(
            f"{program} cannot listen at {host}, port {port} ({reason}): stop the program that "
            "uses it, or choose another --host or --port."
        ) from error
    # asyncio does not set this for a given socket; without it, answers end 40 ms later.
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return door

"""Contracts sent once: what a cut-off deployment has sent is found again, and not sent again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ape
import click

from zk.errors import CircuitError
from zk.manifest import digest, read_whole, write_whole

PATIENCE = 600  # seconds until a transaction that waits is given up for this time
# What a contract's creation costs, in gas: for itself, a byte of code on chain, a byte of calldata.
CREATION, CODE_BYTE, DATA_BYTE, WORD_OF_CODE = 53_000, 200, 16, 2
CONSTRUCTOR = 60_000  # more than the constructors of this project take
# Optimism's contract that says what publishing a transaction's bytes costs, and its question.
PUBLISHING = "0x420000000000000000000000000000000000000F"
PUBLISHING_COST = bytes.fromhex("f1c7a58b")  # getL1FeeUpperBound(uint256)


class Sending:
    """The contracts of one build that were sent from here to the connected chain.

    Before anything is sent, its sender and nonce are noted, which decide its address.
    """

    def __init__(self, path: Path | None = None, about: Any = None) -> None:
        self._path, self._about = path, digest(about)
        content = read_whole(path) if path else {}
        self._sent = content["sent"] if content.get("about") == self._about else {}

    def deploy(self, name: str, container, sender, *arguments, ours: Callable[[str], bool]):
        """A contract, deployed now or by an earlier run; `ours` looks if it is the right one."""
        there, nonce = self._found(name, sender)
        if there is None or not ours(there):
            self._sent[name] = {"sender": sender.address, "nonce": nonce}
            self._note()
            there = sender.deploy(container, *arguments, nonce=nonce).address
        return container.at(there)

    def finish(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)

    def _found(self, name: str, sender) -> tuple[str | None, int]:
        """Where an earlier run's contract is, if it is there; and which nonce is next."""
        noted = self._sent.get(name)
        if noted and noted["sender"] == sender.address:
            nonce = noted["nonce"]
            if _wait(sender, nonce) > nonce:
                address = sender.get_deployment_address(nonce=nonce)
                if ape.networks.provider.get_code(address):
                    return address, _count(sender, "pending")
        return None, _count(sender, "pending")

    def _note(self) -> None:
        if self._path:
            content = {"about": self._about, "sent": self._sent}
            write_whole(self._path, json.dumps(content, indent=2) + "\n")


def _count(sender, block: str) -> int:
    """How many transactions of an account there are, on chain or also waiting."""
    return ape.networks.provider.web3.eth.get_transaction_count(sender.address, block)


def _wait(sender, nonce: int) -> int:
    """Waits for a transaction that an earlier run sent; gives how many are on chain."""
    started = time.monotonic()
    while _count(sender, "pending") > nonce >= _count(sender, "latest"):
        if time.monotonic() - started > PATIENCE:
            raise CircuitError(
                f"Transaction {nonce} of {sender.address} waits for longer than {PATIENCE} "
                "seconds: run the same again later."
            )
        time.sleep(0.5)
    return _count(sender, "latest")


def announce_cost(sender, containers: list) -> None:
    """Says what deploying will cost about, and stops where the account cannot pay."""
    from hexbytes import HexBytes

    provider = ape.networks.provider
    created = [HexBytes(c.contract_type.deployment_bytecode.bytecode) for c in containers]
    gas = sum(map(_gas_of, created))
    price = provider.gas_price
    cost = gas * price + _publishing_cost(sum(map(len, created)))
    owned = provider.get_balance(sender.address)
    symbol = provider.network.ecosystem.fee_token_symbol
    click.echo(
        f"deploying takes about {gas:,} gas, at {price / 1e9:.3g} gwei some {cost / 1e18:.4g} "
        f"{symbol}; {sender.address} has {owned / 1e18:.4g}"
    )
    if owned < cost:
        raise CircuitError(
            f"{sender.address} has {owned / 1e18:.4g} {symbol}, and deploying takes about "
            f"{cost / 1e18:.4g}: send it some, or wait for a lower gas price."
        )


def _gas_of(code: bytes) -> int:
    """What creating a contract takes, by the bytes that create it."""
    words = -(-len(code) // 32)
    return CREATION + CONSTRUCTOR + len(code) * (CODE_BYTE + DATA_BYTE) + words * WORD_OF_CODE


def _publishing_cost(size: int) -> int:
    """What a rollup asks for publishing so many bytes, in wei."""
    provider = ape.networks.provider
    if not provider.get_code(PUBLISHING):
        return 0
    question = {"to": PUBLISHING, "data": PUBLISHING_COST + size.to_bytes(32)}
    return int.from_bytes(provider.web3.eth.call(question))

"""Contracts sent once: an interrupted deployment finds what it sent, and resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ape

from zk.errors import CircuitError
from zk.files import ROOT, digest, locked, read_json, write_json

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractContainer, ContractInstance

Report = Callable[[str], None]

SENDERS = ROOT / ".cache" / "senders"  # a lock for each account
PATIENCE = 600  # seconds to wait for a pending transaction
# Gas of creating a contract: fixed, and for each byte that stays, byte of calldata and code word.
CREATION, CODE_BYTE, DATA_BYTE, ZERO_BYTE, WORD_OF_CODE = 53_000, 200, 16, 4, 2
CONSTRUCTOR = 60_000  # an upper bound for the constructors of this project
# Optimism's contract that quotes the fee for publishing a transaction's bytes, and its selector.
PUBLISHING = "0x420000000000000000000000000000000000000F"
PUBLISHING_COST = bytes.fromhex("f1c7a58b")  # getL1FeeUpperBound(uint256)


@contextmanager
def turn(sender: AccountAPI) -> Iterator[None]:
    """Keep an account's nonces from the other processes and threads of this machine."""
    with locked(SENDERS / f"{ape.networks.provider.chain_id}-{sender.address}"):
        yield


def send(function: Any, *arguments: object, sender: AccountAPI, value: int = 0) -> ReceiptAPI:
    """Call a contract's function in a transaction, after those of the account that are pending."""
    with turn(sender):
        nonce = count(sender, "pending")
        receipt: ReceiptAPI = function(*arguments, sender=sender, nonce=nonce, value=value)
    return receipt


class Sending:
    """The contracts of one build that this machine has sent to the connected chain.

    Sender and nonce, which decide a contract's address, are recorded before it is sent.
    """

    def __init__(self, path: Path | None = None, about: Any = None) -> None:
        self._path, self._about = path, digest(about)
        content = read_json(path) if path else {}
        self._sent = content["sent"] if content.get("about") == self._about else {}

    def deploy(
        self,
        name: str,
        container: ContractContainer,
        sender: AccountAPI,
        *arguments: object,
        ours: Callable[[str], bool],
    ) -> ContractInstance:
        """Deploy a contract, or find the one of an earlier run that `ours` recognises."""
        with turn(sender):
            there, nonce = self._found(name, sender)
            if there is None or not ours(there):
                self._sent[name] = {"sender": sender.address, "nonce": nonce}
                self._record()
                there = str(sender.deploy(container, *arguments, nonce=nonce).address)
        return container.at(there)

    def finish(self) -> None:
        if self._path:
            self._path.unlink(missing_ok=True)

    def _found(self, name: str, sender: AccountAPI) -> tuple[str | None, int]:
        """The address of an earlier run's contract, if it exists, and the next nonce."""
        sent = self._sent.get(name)
        if sent and sent["sender"] == sender.address:
            nonce = sent["nonce"]
            if _wait(sender, nonce) > nonce:
                address = sender.get_deployment_address(nonce=nonce)
                if ape.networks.provider.get_code(address):
                    return str(address), count(sender, "pending")
        return None, count(sender, "pending")

    def _record(self) -> None:
        if self._path:
            write_json(self._path, {"about": self._about, "sent": self._sent})


def count(sender: AccountAPI, block: Literal["latest", "pending"]) -> int:
    """The number of an account's transactions: on chain, or with pending ones."""
    return int(ape.networks.provider.web3.eth.get_transaction_count(sender.address, block))


def _wait(sender: AccountAPI, nonce: int) -> int:
    """Wait for a transaction that an earlier run sent; return the number of those on chain."""
    started = time.monotonic()
    while count(sender, "pending") > nonce >= count(sender, "latest"):
        if time.monotonic() - started > PATIENCE:
            raise CircuitError(
                f"Transaction {nonce} of {sender.address} has been pending for {PATIENCE} seconds: "
                "rerun the command later to resume."
            )
        time.sleep(0.5)
    return count(sender, "latest")


def require_funds(sender: AccountAPI, containers: list[ContractContainer], report: Report) -> None:
    """Report the estimated cost of deploying, and refuse if the account cannot pay it."""
    provider = ape.networks.provider
    created = [_codes(container) for container in containers]
    gas = sum(_gas_of(creation, runtime) for creation, runtime in created)
    price = provider.gas_price
    cost = gas * price + _publishing_cost(sum(len(creation) for creation, _ in created))
    owned = provider.get_balance(sender.address)
    symbol = provider.network.ecosystem.fee_token_symbol
    report(
        f"deploying takes about {gas:,} gas: {cost / 1e18:.4g} {symbol} at {price / 1e9:.3g} gwei; "
        f"{sender.address} has {owned / 1e18:.4g}"
    )
    if owned < cost:
        raise CircuitError(
            f"{sender.address} has {owned / 1e18:.4g} {symbol}, but deploying costs about "
            f"{cost / 1e18:.4g}: send it more, or wait for a lower gas price."
        )


def _codes(container: ContractContainer) -> tuple[bytes, bytes]:
    """The code that creates a contract, and the code that stays."""
    from hexbytes import HexBytes

    made = container.contract_type
    return HexBytes(made.deployment_bytecode.bytecode), HexBytes(made.runtime_bytecode.bytecode)


def _gas_of(creation: bytes, runtime: bytes) -> int:
    """The gas of creating a contract."""
    zeros, words = creation.count(0), -(-len(creation) // 32)
    data = zeros * ZERO_BYTE + (len(creation) - zeros) * DATA_BYTE
    return CREATION + CONSTRUCTOR + data + words * WORD_OF_CODE + len(runtime) * CODE_BYTE


def _publishing_cost(size: int) -> int:
    """The fee of a rollup for publishing this many bytes, in wei; 0 elsewhere."""
    provider = ape.networks.provider
    if not provider.get_code(PUBLISHING):
        return 0
    question = {"to": PUBLISHING, "data": PUBLISHING_COST + size.to_bytes(32)}
    return int.from_bytes(provider.web3.eth.call(question))


def race(*transactions: tuple[Any, Sequence[Any], AccountAPI, int]) -> list[Any]:
    """Send transactions into one block of a dev chain; return their receipts.

    Each is a contract's function, its arguments, the sender and the tip in wei.
    """
    provider = ape.chain.provider
    provider.auto_mine = False
    try:
        sent = [
            function(
                *arguments,
                sender=sender,
                gas_limit=1_000_000,
                max_fee=100 * tip,
                max_priority_fee=tip,
                required_confirmations=0,
                raise_on_revert=False,
            )
            for function, arguments, sender, tip in transactions
        ]
        ape.chain.mine()
    finally:
        provider.auto_mine = True
    # Ape's own receipts date from before the block.
    return [provider.web3.eth.get_transaction_receipt(one.txn_hash) for one in sent]

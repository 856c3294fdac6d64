"""The chosen singers of a round, and the Merkle tree whose root its contract knows.

The tree is that of OpenZeppelin's `StandardMerkleTree` of type `["address"]`.
"""

from __future__ import annotations

from pathlib import Path

from eth_abi import encode
from eth_utils import is_address, keccak, to_checksum_address

from zk.errors import CircuitError


class Singers:
    """A list of accounts and its tree: a heap whose node i has the children 2 i + 1 and 2 i + 2."""

    def __init__(self, accounts: list[str]) -> None:
        self.accounts = accounts
        parents = len(accounts) - 1
        self._nodes = [b""] * parents + sorted(map(_leaf, accounts), reverse=True)
        for i in reversed(range(parents)):
            self._nodes[i] = keccak(b"".join(sorted(self._nodes[2 * i + 1 : 2 * i + 3])))

    @staticmethod
    def read(path: Path) -> Singers:
        """Read a file with one address per line."""
        try:
            words = path.read_text("utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise CircuitError(f"{path} cannot be read as a list of addresses: {error}.") from None
        for word in words:
            if not is_address(word):
                raise CircuitError(f"{word!r} in {path} is not an address: write one per line.")
        if not words:
            raise CircuitError(f"{path} is empty: write one address per line.")
        return Singers(list(dict.fromkeys(map(to_checksum_address, words))))

    @property
    def root(self) -> bytes:
        return self._nodes[0]

    def branch(self, account: str) -> list[bytes]:
        """The siblings on the path from an account to the root."""
        position = self._nodes.index(_leaf(account))
        siblings = []
        while position:
            siblings.append(self._nodes[position + 1 if position % 2 else position - 1])
            position = (position - 1) // 2
        return siblings


def _leaf(account: str) -> bytes:
    return keccak(keccak(encode(["address"], [account])))

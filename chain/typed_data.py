"""Messages that accounts sign for one contract (EIP-712)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

VERSION = "1"  # of every domain
DOMAIN = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
}


@dataclass(frozen=True)
class TypedData:
    """A kind of message, and the domain of the contracts that take it."""

    domain: str  # its name
    message: str  # the name of its type
    fields: dict[str, str]  # the types of its values, by name

    def encode(self, contract: str, chain_id: int, values: tuple[Any, ...]) -> SignableMessage:
        """Return a message for a contract, with the values of its fields."""
        from eth_account.messages import encode_typed_data

        def fields(types: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": name, "type": kind} for name, kind in types.items()]

        domain = zip(DOMAIN, (self.domain, VERSION, chain_id, contract), strict=True)
        return encode_typed_data(
            full_message={
                "types": {"EIP712Domain": fields(DOMAIN), self.message: fields(self.fields)},
                "primaryType": self.message,
                "domain": dict(domain),
                "message": dict(zip(self.fields, values, strict=True)),
            }
        )

    def immutables(self, contract: str, chain_id: int) -> dict[str, int]:
        """Return the immutable values of OpenZeppelin's EIP712 in a contract, by name."""
        from eth_utils.crypto import keccak

        def short(text: str) -> int:  # as OpenZeppelin's ShortStrings
            return int.from_bytes(text.encode().ljust(31, b"\0") + bytes([len(text)]))

        empty = tuple(contract if kind == "address" else 0 for kind in self.fields.values())
        return {
            "_cachedDomainSeparator": int.from_bytes(self.encode(contract, chain_id, empty).header),
            "_cachedChainId": chain_id,
            "_cachedThis": int(contract, 16),
            "_hashedName": int.from_bytes(keccak(text=self.domain)),
            "_hashedVersion": int.from_bytes(keccak(text=VERSION)),
            "_name": short(self.domain),
            "_version": short(VERSION),
        }

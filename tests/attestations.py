"""Attestations for tests: an issuer that signs everything."""

from collections.abc import Iterator
from contextlib import contextmanager

import ape

AGREE = "631626ba7e60e01b60005260206000f3"  # isValidSignature returns its selector


@contextmanager
def agreeing(contract) -> Iterator:
    """Let the issuer of a contract be a contract account that agrees to all attestations."""
    provider, issuer = ape.chain.provider, contract.issuer()
    before = provider.get_code(issuer)
    provider.set_code(issuer, AGREE)
    yield contract
    provider.set_code(issuer, before)


def attest(contract, account, commitment: int) -> None:
    """Record a commitment to an input of an account, unless it is recorded."""
    if contract.commitmentOf(account) != commitment:
        time = ape.chain.blocks.head.timestamp
        contract.attest(account, commitment, time, b"", sender=account)

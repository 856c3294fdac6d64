"""Accounts: signers, addresses, and the account inside a key."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import ape

from chain.network import is_dev
from zk.errors import CircuitError

if TYPE_CHECKING:
    from ape.api import AccountAPI

STRANGER = "ALIAS"  # instead of the name of an account that is not ours


def signer(name: str | None) -> AccountAPI:
    """The account that signs: an alias or, on a dev network, also the number of a test account."""
    dev = is_dev()
    if name is None and dev:
        return ape.accounts.test_accounts[0]
    if name is None:
        raise CircuitError(
            f"{ape.networks.provider.network.choice} is a live network: choose the signer with "
            "--account ALIAS (`ape accounts list` shows your aliases)."
        )
    if name.isdigit() and dev:
        return _test_account(name)
    if name in ape.accounts.aliases:
        account = ape.accounts.load(name)
        if os.environ.get(f"APE_ACCOUNTS_{name}_PASSPHRASE"):
            account.set_autosign(True)  # the passphrase is given, so nothing is asked
        return account
    raise CircuitError(
        f"There is no account {name!r} to sign with: give an alias of `ape accounts list`"
        + (" or the number of a test account (0 to 9)." if dev else ".")
    )


def name_of(address: str) -> str:
    """The name under which `signer` knows an account, or else `STRANGER`."""
    ours = dict(_test_addresses()) if is_dev() else {}
    ours |= {str(ape.accounts.load(alias).address): alias for alias in ape.accounts.aliases}
    return ours.get(address, STRANGER)


def holder(address: str) -> AccountAPI | None:
    """The signer of an address, if its key is ours."""
    name = name_of(address)
    return None if name == STRANGER else signer(name)


def require_holder(address: str) -> AccountAPI:
    """The signer of an address; raises if its key is not ours."""
    if (found := holder(address)) is None:
        raise CircuitError(
            f"The key of {address} is not here: import it with `ape accounts import ALIAS`, or let "
            "its holder run this command."
        )
    return found


def account_named(name: str) -> str:
    """The account that `--account` means: an address, an alias, or a test account's number."""
    return checked_account(name) if name.startswith("0x") else str(signer(name).address)


def checked_account(text: str) -> str:
    """The account with its checksum; raises for a wrong checksum and for the zero address."""
    account = checked_address(text)
    if int(account, 16) == 0:
        raise CircuitError("The zero address cannot be an account: give another one.")
    return account


def checked_address(text: str) -> str:
    """The address with its checksum; raises if the text has a wrong checksum or length."""
    from eth_utils.address import (
        is_address,
        is_checksum_formatted_address,
        to_checksum_address,
    )

    if not is_address(text) or (
        is_checksum_formatted_address(text) and text != to_checksum_address(text)
    ):
        raise CircuitError(f"{text} is not an address with a valid checksum: check for typos.")
    return str(to_checksum_address(text))


def account_of(key: int) -> str:
    """The account inside a key."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(f"0x{key % 2**160:040x}"))


@cache
def _test_addresses() -> dict[str, str]:
    """Return the numbers of the test accounts by address. Deriving the addresses takes a while."""
    return {str(one.address): str(number) for number, one in enumerate(ape.accounts.test_accounts)}


def _test_account(number: str) -> AccountAPI:
    known = ape.accounts.test_accounts
    if int(number) >= len(known):
        raise CircuitError(
            f"There is no test account {number}: there are {len(known)}, numbered from 0."
        )
    return known[int(number)]

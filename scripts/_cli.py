"""What the commands share: errors in one sentence, and how people name accounts."""

import os
import random
import socket
from contextlib import suppress

import ape
import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException, ContractLogicError

from models.data import DatasetError
from zk.errors import CircuitError, obstacle


class Command(click.Command):
    """A command whose foreseeable failures are one sentence and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except (CircuitError, DatasetError) as error:
            raise click.ClickException(str(error)) from error
        except ContractLogicError as error:
            raise click.ClickException(f"The contract refuses: {refusal(error)}.") from error
        except OSError as error:
            raise click.ClickException(obstacle(error)) from error
        except ApeException as error:
            message = str(error)
            # By name, because importing ape_foundry would slow every command down.
            if type(error).__name__ == "FoundryNotInstalledError":
                message = "There is no anvil here: run `make setup`, `source .venv/bin/activate`."
            raise click.ClickException(message) from error


class ChainCommand(Command, ConnectedProviderCommand):
    """A command that talks to a chain: `--network`, ethereum:local by default."""


def refusal(error: ContractLogicError) -> str:
    """A revert as the contract's interface names it, with the values that it reports."""
    name = type(error).__name__ if type(error) is not ContractLogicError else error.revert_message
    values = getattr(error, "inputs", None) or {}
    return f"{name}({', '.join(f'{k}={v}' for k, v in values.items())})" if values else name


def is_dev() -> bool:
    """Whether this is a chain of no value: local or a fork, and truly an anvil."""
    provider = ape.networks.provider
    anvil = provider.web3.client_version.lower().startswith("anvil")
    return provider.network.is_dev and anvil


def free_port() -> int:
    """A port for a node of one's own, below those that the system lends to connections (on Linux
    from 32768 on), which could take it before the node does."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CircuitError("No port between 20000 and 32000 is free for a node.")


def signer(name: str | None):
    """The account that signs: an alias, or on a dev network also the number of a test account."""
    dev = is_dev()
    if name is None and dev:
        return ape.accounts.test_accounts[0]
    if name is None:
        raise CircuitError(
            f"{ape.networks.provider.network.choice} is a live network: say who signs with "
            f"--account ALIAS (`ape accounts list` shows yours)."
        )
    if name.isdigit() and dev:
        return _test_account(name)
    if name in ape.accounts.aliases:
        account = ape.accounts.load(name)
        if os.environ.get(f"APE_ACCOUNTS_{name}_PASSPHRASE"):
            account.set_autosign(True)  # nobody is there to be asked
        return account
    raise CircuitError(
        f"There is no account {name!r} to sign with: give an alias of `ape accounts list`"
        + (" or the number of a test account (0 to 9)." if dev else ".")
    )


def address(name: str) -> str:
    """The address that a person means: an address, an alias, or the number of a test account."""
    if not name.startswith("0x"):
        return signer(name).address
    from eth_utils import is_address, is_checksum_formatted_address, to_checksum_address

    if not is_address(name) or (
        is_checksum_formatted_address(name) and name != to_checksum_address(name)
    ):
        raise CircuitError(f"{name} is not an address with a valid checksum.")
    return to_checksum_address(name)


def _test_account(number: str):
    known = ape.accounts.test_accounts
    if int(number) >= len(known):
        raise CircuitError(f"There are {len(known)} test accounts, numbered from 0, no {number}.")
    return known[int(number)]

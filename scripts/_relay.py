"""The options of a hub that relays."""

import os

import ape
import click

from chain.accounts import signer
from chain.network import is_dev
from zk.errors import CircuitError

GWEI, ETHER = 10**9, 10**18


def relay_options(command):
    """Let a hub send batches of joins from an account."""
    for option in (
        click.option(
            "--relay-budget",
            type=click.FloatRange(0, min_open=True),
            help="Most coins that relaying may cost in a day. Default: 1 on a dev chain.",
        ),
        click.option(
            "--relay-gas-price",
            default=50.0,
            show_default=True,
            type=click.FloatRange(0, min_open=True),
            help="Highest price of gas for relaying, in gwei.",
        ),
        click.option(
            "--relay-wait",
            default=60.0,
            show_default=True,
            type=click.FloatRange(0, 86_400),
            help="Seconds after which a batch is sent that is not full.",
        ),
        click.option(
            "--relay", metavar="ACCOUNT", help="Account that sends the joins of those who consent."
        ),
    ):
        command = option(command)
    return command


def terms_of(relay: str, relay_wait: float, relay_gas_price: float, relay_budget: float | None):
    """The account and the limits of a relaying hub."""
    from hub.relay import Terms

    if relay_budget is None and not is_dev():
        raise click.UsageError("On a live network, limit the cost of a day with --relay-budget.")
    passphrase = f"APE_ACCOUNTS_{relay}_PASSPHRASE"
    if not is_dev() and not os.environ.get(passphrase):
        raise CircuitError(f"A hub signs without asking: give the passphrase in {passphrase}.")
    provider, sender = ape.networks.provider, signer(relay)
    if not provider.get_balance(sender.address):
        raise CircuitError(f"{sender.address} has no coins to relay with: send it some.")
    return Terms(
        sender=sender,
        wait=relay_wait,
        gas_price=int(relay_gas_price * GWEI),
        budget=int((relay_budget or 1) * ETHER),
        confirmations=provider.network.required_confirmations,
    )

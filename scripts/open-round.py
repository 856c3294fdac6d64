from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from apps.singers import Singers
from apps.voice import ANYONE, application, exactly
from chain.accounts import signer
from chain.network import moment, now
from chain.sending import send
from scripts._cli import ChainCommand, suggest
from verdict.commands import json_option


class Units(click.ParamType):
    """A decimal number in a range, converted exactly to units of 1e-18."""

    name = "decimal"

    def __init__(self, smallest: Decimal, largest: Decimal) -> None:
        self.smallest, self.largest = smallest, largest

    def convert(self, value, param, ctx) -> int:
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        # Decimal holds 28 digits exactly, enough for these.
        fits = number.is_finite() and self.smallest <= number <= self.largest
        if not fits or int(number.as_tuple().exponent) < -18:
            self.fail(
                f"{value!r} is not a decimal number from {self.smallest:f} to {self.largest:,f} "
                "with at most 18 decimals.",
                param,
                ctx,
            )
        return int(number.scaleb(18))


SCORE = Units(Decimal(0), Decimal(1))
ETHER = Units(Decimal("1e-18"), Decimal(10**9))


@click.command(cls=ChainCommand)
@click.option("--threshold", type=SCORE, required=True, help="Lowest score that earns the reward.")
@click.option("--reward", type=ETHER, required=True, help="Ether for each account that earns it.")
@click.option("--rewards", type=click.IntRange(min=1), default=1, help="Number (default: 1).")
@click.option(
    "--hours", type=click.IntRange(1, 100_000), default=24, help="To the deadline (default: 24)."
)
@click.option(
    "--singers",
    type=click.Path(path_type=Path),
    help="List of the only accounts that may win, one address per line.",
)
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Account that pays; on a dev network test account 0.")
@json_option
def cli(threshold, reward, rewards, hours, singers, circuit, account) -> dict:
    """Sponsor a round: a reward for every account whose score reaches the threshold.

    \b
    Example:
        ape run open-round --threshold 0.6 --reward 0.01 --rewards 3 --network ethereum:local
    """
    chosen = Singers.read(singers) if singers else None
    contract = application.contract_of(circuit)
    sponsor = signer(account)
    deadline = now() + hours * 3600
    terms = threshold, reward, deadline, chosen.root if chosen else ANYONE
    receipt = send(contract.openRound, *terms, sender=sponsor, value=reward * rewards)
    (opened,) = receipt.decode_logs(contract.RoundOpened)
    click.echo(
        f"round {opened.round} is open until {moment(deadline)}: {rewards} x "
        f"{exactly(reward)} ether for a score of {exactly(threshold)} or more"
    )
    singing = f"prove --circuit {circuit} --clip song.wav --account ACCOUNT --round {opened.round}"
    suggest(f"admit {singers} --round {opened.round}" if chosen else singing)
    return {
        "round": opened.round,
        "threshold": exactly(threshold),
        "reward": exactly(reward),
        "rewards": rewards,
        "deadline": deadline,
        "singers": chosen.accounts if chosen else None,
    }

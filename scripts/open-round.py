from decimal import Decimal, InvalidOperation

import click

from apps.voice import application, exactly, moment
from chain.accounts import signer
from chain.network import now
from chain.sending import send
from scripts._cli import ChainCommand, json_option, suggest


class Units(click.ParamType):
    """A decimal number in a range, converted exactly to units of 1e-18."""

    name = "decimal"

    def __init__(self, smallest: Decimal, largest: Decimal) -> None:
        self.smallest, self.largest = smallest, largest

    def convert(self, value, param, ctx) -> int:
        if isinstance(value, int):
            return value
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
@click.option(
    "--reward",
    type=ETHER,
    required=True,
    help="Ether for each account that reaches the threshold.",
)
@click.option(
    "--rewards", type=click.IntRange(min=1), default=1, show_default=True, help="Number of rewards."
)
@click.option(
    "--hours",
    type=click.IntRange(1, 100_000),
    default=24,
    show_default=True,
    help="Time until the deadline.",
)
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Account that pays; on a dev network test account 0.")
@json_option
def cli(threshold, reward, rewards, hours, circuit, account) -> dict:
    """Sponsor a round: a reward for every account whose score reaches the threshold.

    \b
    Example:
        ape run open-round --threshold 0.6 --reward 0.01 --rewards 3 --network ethereum:local
    """
    contract = application.contract_of(circuit)
    sponsor = signer(account)
    deadline = now() + hours * 3600
    paid = reward * rewards
    terms = threshold, reward, deadline
    receipt = send(contract.openRound, *terms, sender=sponsor, value=paid)
    (opened,) = receipt.decode_logs(contract.RoundOpened)
    click.echo(
        f"round {opened.round} is open until {moment(deadline)}: {rewards} x "
        f"{exactly(reward)} ether for a score of {exactly(threshold)} or more"
    )
    suggest(f"prove --circuit {circuit} --clip song.wav --account ACCOUNT --round {opened.round}")
    return {
        "round": opened.round,
        "threshold": exactly(threshold),
        "reward": exactly(reward),
        "rewards": rewards,
        "deadline": deadline,
    }

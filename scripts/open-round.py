from decimal import Decimal, InvalidOperation

import click

from scripts import _deployments
from scripts._cli import ChainCommand, signer
from scripts._voice import exactly, moment, now

LARGEST = 10**9  # no score is that high, and there is less ether


class Units(click.ParamType):
    """A decimal number of whole things, as a whole number of their 1e-18 parts, exactly."""

    name = "decimal"

    def convert(self, value, param, ctx) -> int:
        if isinstance(value, int):
            return value
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        # Small enough for Decimal's 28 digits to hold all of it.
        fits = number.is_finite() and 0 <= number < LARGEST
        if not fits or int(number.as_tuple().exponent) < -18:
            self.fail(
                f"{value!r} is no decimal number below {LARGEST:,} of at most 18 decimals.",
                param,
                ctx,
            )
        return int(number.scaleb(18))


@click.command(cls=ChainCommand)
@click.option("--threshold", type=Units(), required=True, help="The lowest score that is rewarded.")
@click.option("--reward", type=Units(), required=True, help="For each singer, in ether.")
@click.option("--rewards", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--hours", type=click.IntRange(1, 100_000), default=24, show_default=True)
@click.option("--circuit", default="voice", show_default=True)
@click.option("--account", help="Who pays; on a dev network test account 0 unless said otherwise.")
def cli(threshold, reward, rewards, hours, circuit, account) -> None:
    """Sponsor a round of VoiceJudge: a reward for every singer whose score reaches the threshold.

    \b
    Example:
        ape run open-round --threshold 0.6 --reward 0.01 --rewards 3 --network ethereum:local
    """
    judge = _deployments.contract(circuit, "VoiceJudge")
    sponsor = signer(account)
    deadline = now() + hours * 3600
    receipt = judge.openRound(threshold, reward, deadline, value=reward * rewards, sender=sponsor)
    (opened,) = receipt.decode_logs(judge.RoundOpened)
    click.echo(
        f"round {opened.round} is open until {moment(deadline)}: {rewards} x "
        f"{exactly(reward)} ether for a score of {exactly(threshold)} or more"
    )

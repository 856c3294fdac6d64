from decimal import Decimal, InvalidOperation

import ape
import click

from scripts import _deployments
from scripts._cli import ChainCommand, signer
from scripts._voice import ONE, exactly, moment


class Units(click.ParamType):
    """A decimal number of whole things, as a whole number of their 1e-18 parts, exactly."""

    name = "decimal"

    def convert(self, value, param, ctx) -> int:
        if isinstance(value, int):
            return value
        try:
            units = Decimal(value) * ONE
        except InvalidOperation:
            self.fail(f"{value!r} is no decimal number.", param, ctx)
        if not units.is_finite() or units != int(units) or units < 0:
            self.fail(f"{value!r} is no positive number of at most 18 decimals.", param, ctx)
        return int(units)


@click.command(cls=ChainCommand)
@click.option("--threshold", type=Units(), required=True, help="The lowest score that is rewarded.")
@click.option("--reward", type=Units(), required=True, help="For each singer, in ether.")
@click.option("--rewards", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=24, show_default=True)
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
    deadline = ape.chain.blocks.head.timestamp + round(hours * 3600)
    judge.openRound(threshold, reward, deadline, value=reward * rewards, sender=sponsor)
    click.echo(
        f"round {judge.rounds() - 1} is open until {moment(deadline)}: {rewards} x "
        f"{exactly(reward)} ether for a score of {exactly(threshold)} or more"
    )

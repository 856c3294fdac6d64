"""VoiceJudge in words: scores, rounds, and what will not be rewarded."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import ape

from scripts._contracts import ask
from zk.errors import CircuitError
from zk.proof import Proof

ONE = 10**18  # a score of 1, and an ether


def score_from(output: int, scale: int) -> int:
    """The score that an output stands for, in units of 1e-18; as `VoiceJudge.scoreFrom`."""
    return max(0, min(output, 2**scale)) * ONE // 2**scale


def written(score: int) -> str:
    """A score with the digits that people compare."""
    return f"{score / ONE:.4f}"


def exactly(units: int) -> str:
    """A score, or an amount in ether, to the last of its 18 decimals that is not 0."""
    return f"{(Decimal(units) / ONE).normalize():f}"


def read_score(judge, number: int, singer: str, proof: Proof) -> int:
    """What VoiceJudge would read in a proof; raises what it would refuse it for. Costs nothing."""
    return ask(judge, "readScore", number, singer, proof.proof, proof.instances)


def chosen_round(judge, number: int | None) -> int:
    """The round of that number, the newest by default."""
    rounds = judge.rounds()
    if rounds == 0:
        raise CircuitError("No round has been opened: run `ape run open-round` first.")
    if number is not None and number >= rounds:
        raise CircuitError(f"There is no round {number}: the newest is {rounds - 1}.")
    return rounds - 1 if number is None else number


def require_winnable(judge, number: int, singer: str, score: int) -> None:
    """Says why the judge would not reward the score, before anybody pays or proves."""
    offer = judge.roundOf(number)
    if now() > offer.deadline:
        raise CircuitError(f"Round {number} is over: its deadline was {moment(offer.deadline)}.")
    if judge.isRewarded(number, singer):
        raise CircuitError(f"{singer} has earned the reward of round {number} already.")
    if offer.rewardsLeft == 0:
        raise CircuitError(f"Round {number} has no reward left.")
    if score < offer.threshold:
        raise CircuitError(
            f"A score of {exactly(score)} will not pass: round {number} asks for "
            f"{exactly(offer.threshold)}. Sound more pleasantly surprised, or choose another "
            "round."
        )


def table(judge, first_block: int) -> str:
    """Every round in a line, with its best singers."""
    if not (rounds := judge.rounds()):
        return "no round has been opened yet"
    best, today = _best(judge, first_block), now()
    rows = [f"  {'round':>5}  {'threshold':>9}  {'reward':>10}  {'left':>5}  {'deadline':20}  best"]
    for number in range(rounds):
        offer = judge.roundOf(number)
        over = " (over)" if today > offer.deadline else ""
        singers = ", ".join(f"{written(score)} {singer}" for score, singer in best.get(number, []))
        rows.append(
            f"  {number:5}  {written(offer.threshold):>9}  {exactly(offer.reward):>10}  "
            f"{offer.rewardsLeft:5}  {moment(offer.deadline)}{over}  {singers or '-'}"
        )
    return "\n".join(rows)


def now() -> int:
    """The time by which a deadline is over; an idle chain's last block may be old."""
    return max(ape.chain.blocks.head.timestamp, int(time.time()))


def moment(timestamp: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError):  # anybody may open a round, with any deadline
        return "after the year 9999"


def _best(judge, first_block: int) -> dict[int, list[tuple[int, str]]]:
    """The three highest scores of each round, and who sang them."""
    singers: dict[int, list[tuple[int, str]]] = {}
    for log in judge.Rewarded.range(first_block, ape.chain.blocks.height + 1):
        singers.setdefault(log.round, []).append((log.score, log.singer))
    return {number: sorted(found, reverse=True)[:3] for number, found in singers.items()}

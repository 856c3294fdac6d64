"""VoiceJudge: sing, prove the score, earn a sponsor's reward."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import ape
from tqdm import tqdm

from apps.registry import Application, RefusedError, Score, Source
from apps.singers import Singers
from chain.contracts import ask, round_with
from chain.network import moment, now
from chain.sending import send
from models.data import sound

if TYPE_CHECKING:
    from ape.api import AccountAPI
    from ape.contracts import ContractInstance

ONE = 10**18  # a score of 1, and an ether
ANYONE = bytes(32)  # the singers of a round that admits every account
FAINTEST_VOICE = 0.05  # 95 % of the test speakers' recordings score more


class VoiceJudge(Application):
    name = "VoiceJudge"
    outputs = 1
    circuits: ClassVar[Mapping[str, Source]] = {
        "voice": Source("voice", "VoiceJudgeVerifier", "clip", sound.VIEWS["voice"]),
        "voice-groth16": Source(
            "voice",
            "VoiceJudgeGroth16Verifier",
            "clip",
            sound.VIEWS["voice"],
            prover="groth16",
        ),
    }
    has_rounds = True
    dry_run = "readScore"
    action = "judge"
    order: ClassVar[Mapping[str, Any]] = {"clip": "UklGRg==", "account": f"0x{1:040x}", "round": 0}

    def choose_round(self, contract: ContractInstance, round_number: int | None) -> int:
        """The chosen round, or else the newest."""
        rounds = ask(contract, "rounds")
        if rounds == 0:
            raise RefusedError("No round is open: open one with `ape run open-round`.")
        if round_number is not None and round_number >= rounds:
            raise RefusedError(f"There is no round {round_number}: the newest is {rounds - 1}.")
        return rounds - 1 if round_number is None else round_number

    def round_of(self, contract: ContractInstance, account: str, key: int) -> int:
        round_number = round_with(contract, key >> 160, ask(contract, "rounds"))
        if round_number is None or self.key(contract, account, round_number) != key:
            raise self._elsewhere(contract)
        return round_number

    def require_open(
        self,
        contract: ContractInstance,
        account: str,
        round_number: int | None,
        answer: list[int] | None = None,
    ) -> None:
        offer = contract.roundOf(round_number)
        if now() > offer.deadline:
            raise RefusedError(
                f"Round {round_number} ended at its deadline, {moment(offer.deadline)}."
            )
        rewarded = ask(contract, "isRewarded", round_number, account)
        if not ask(contract, "isAdmitted", round_number, account):
            raise RefusedError(
                f"{account} was not admitted to round {round_number}, which is for chosen singers: "
                "admit those of its sponsor's list with `ape run admit`."
            )
        if offer.rewardsLeft == 0 and not rewarded:
            raise RefusedError(f"Round {round_number} has no rewards left.")
        if answer is None:
            return
        score = score_from(answer[0], ask(contract, "outputScale"))
        if score < offer.threshold:
            raise RefusedError(
                f"A score of {exactly(score)} is too low: round {round_number} asks for "
                f"{exactly(offer.threshold)}. Sound more pleasantly surprised, or choose another "
                "round."
            )
        if rewarded and score <= (recorded := ask(contract, "scoreOf", round_number, account)):
            raise RefusedError(
                f"{account} has already earned the reward of round {round_number} with "
                f"{exactly(recorded)}: only a higher score changes its record."
            )

    def result(self, answer: list[int], scale: int) -> Score:
        score = score_from(answer[0], scale)
        return Score(str(score), written(score), is_voice(answer[0], scale))

    def lines(self, answer: list[int], scale: int) -> list[str]:
        return [f"the judge's score is {written(score_from(answer[0], scale))}"]

    def doubt(self, answer: list[int], scale: int) -> str | None:
        return None if is_voice(answer[0], scale) else "the recording does not sound like a voice"

    def terms(self, contract: ContractInstance, round_number: int | None) -> str:
        offer = contract.roundOf(round_number)
        return (
            f"round {round_number} pays {exactly(offer.reward)} ether for a score of "
            f"{exactly(offer.threshold)} or more"
        )

    def prepare(self, contract: ContractInstance, sender: AccountAPI, proofs: int = 10) -> None:
        """Open a round, if there is none: rewards of 0.01 ether for a score of 0.25 or more."""
        if contract.rounds() == 0:
            reward, week = ONE // 100, 7 * 86_400
            terms = (ONE // 4, reward, now() + week, ANYONE)
            send(contract.openRound, *terms, sender=sender, value=proofs * reward)


application = VoiceJudge()


def score_from(output: int, scale: int) -> int:
    """The score of an output, in units of 1e-18. As `VoiceJudge.scoreFrom`."""
    return int(max(0, min(output, 2**scale)) * ONE // 2**scale)


def is_voice(output: int, scale: int) -> bool:
    """Return whether the judge takes a recording for a voice.

    It was trained to answer -0.2 to other sounds, and 0 to 1 to voices.
    """
    return bool(output > FAINTEST_VOICE * 2**scale)


def written(score: int) -> str:
    """A score with as many digits as people compare."""
    return f"{score / ONE:.4f}"


def exactly(units: int) -> str:
    """A score, or an amount in ether, with all of its decimals."""
    return f"{(Decimal(units) / ONE).normalize():f}"


def admit(
    contract: ContractInstance, round_number: int, chosen: Singers, sender: AccountAPI
) -> list[str]:
    """Admit the chosen singers of a round; return those who were not admitted before."""
    new = [one for one in chosen.accounts if not ask(contract, "isAdmitted", round_number, one)]
    root = bytes(contract.roundOf(round_number).singers)
    if root == ANYONE:
        raise RefusedError(f"Round {round_number} is open to every account: nobody is admitted.")
    if root != chosen.root:
        raise RefusedError(
            f"These {len(chosen.accounts)} accounts are not the singers that round {round_number} "
            "was opened for: use the sponsor's list."
        )
    for one in tqdm(new, "admitting singers", leave=False, disable=None):
        send(contract.admit, round_number, one, chosen.branch(one), sender=sender)
    return new


def rounds(contract: ContractInstance, first_block: int) -> list[dict[str, Any]]:
    """The rounds with their three best scores, in JSON's types."""
    best, today = _best(contract, first_block), now()
    offers = [(number, contract.roundOf(number)) for number in range(contract.rounds())]
    return [
        {
            "round": number,
            "threshold": exactly(offer.threshold),
            "reward": exactly(offer.reward),
            "rewards_left": offer.rewardsLeft,
            "chosen": bytes(offer.singers) != ANYONE,
            "deadline": offer.deadline,
            "open": today <= offer.deadline and offer.rewardsLeft > 0,
            "best": [
                {"account": account, "score": written(score)}
                for score, account in best.get(number, [])
            ],
        }
        for number, offer in offers
    ]


def table(found: list[dict[str, Any]]) -> str:
    """One line for each of the `rounds`, with its best accounts."""
    if not found:
        return "no round has been opened yet"
    today = now()
    rows = [f"  {'round':>5}  {'threshold':>9}  {'reward':>10}  {'left':>5}  {'deadline':20}  best"]
    for one in found:
        over = " (over)" if today > one["deadline"] else ""
        over += " (chosen singers)" if one["chosen"] else ""
        best = ", ".join(f"{of['score']} {of['account']}" for of in one["best"])
        rows.append(
            f"  {one['round']:5}  {float(one['threshold']):9.4f}  {one['reward']:>10}  "
            f"{one['rewards_left']:5}  {moment(one['deadline'])}{over}  {best or '-'}"
        )
    return "\n".join(rows)


def _best(contract: ContractInstance, first_block: int) -> dict[int, list[tuple[int, str]]]:
    """The three highest scores of each round, and their accounts."""
    scores: dict[int, dict[str, int]] = {}
    for event in (contract.Rewarded, contract.ScoreRaised):  # each raise is higher than the last
        for log in event.range(first_block, ape.chain.blocks.height + 1):
            scores.setdefault(log.round, {})[log.account] = log.score
    return {
        round_number: sorted(((score, one) for one, score in found.items()), reverse=True)[:3]
        for round_number, found in scores.items()
    }

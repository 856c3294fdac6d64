"""What holds after any sequence of calls, with real proofs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from models.data import mnist
from tests.conftest import DRAWINGS, SONGS

REWARD = 10**16
ROUNDS = 2  # for which there are proofs
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def crowd(proof_of):
    return [proof_of(number) for number in range(len(DRAWINGS))]


@given(joins=st.lists(st.integers(0, len(DRAWINGS) - 1), max_size=12))
@settings(SETTINGS, max_examples=12)
def test_counts_sum_to_members_and_the_leader_is_a_maximum(clan, crowd, accounts, chain, joins):
    members = {}
    with chain.isolate():
        for number in joins:
            proof = crowd[number]
            receipt = clan.join(
                accounts[number],
                proof.proof,
                proof.instances,
                sender=accounts[8],
                raise_on_revert=False,
                gas_limit=1_000_000,
            )
            assert receipt.failed == (number in members)
            members[number] = int(mnist.labels("test")[DRAWINGS[number]])
        counts = clan.counts()
        assert sum(counts) == len(members)
        assert counts == [list(members.values()).count(digit) for digit in range(10)]
        assert tuple(clan.leader()) == (counts.index(max(counts)), max(counts))
        for number, digit in members.items():
            assert clan.clanOf(accounts[number]) == digit


class Ledger(RuleBasedStateMachine):
    """VoiceJudge beside a ledger in Python, while everybody does as they like."""

    singers = st.integers(0, len(SONGS) - 1)
    actors = st.integers(0, len(SONGS) + 1)  # two sponsors more
    rounds = st.integers(0, ROUNDS - 1)

    def __init__(self, judge, sung, scores, accounts, chain) -> None:
        super().__init__()
        self.judge, self.sung, self.scores = judge, sung, scores
        self.accounts, self.chain = accounts, chain
        self.snapshot = chain.snapshot()
        self.offers: list[dict] = []
        self.credits: dict[int, int] = {}
        self.won: set[tuple[int, int]] = set()

    def teardown(self) -> None:
        for actor in range(len(SONGS) + 2):
            assert self.judge.creditOf(self.accounts[actor]) == self.credits.get(actor, 0)
        self.chain.restore(self.snapshot)

    def call(self, function, *arguments, sender: int, value: int = 0) -> bool:
        """Whether the contract did it."""
        receipt = function(
            *arguments,
            sender=self.accounts[sender],
            value=value,
            gas_limit=1_000_000,
            raise_on_revert=False,
        )
        return not receipt.failed

    @property
    def now(self) -> int:
        return self.chain.blocks.head.timestamp

    @initialize(lowest=singers, rewards=st.integers(1, 2))
    def open_a_round_that_can_be_won(self, lowest, rewards):
        self.open_round(len(SONGS), lowest, 0, rewards, 0, 3600)

    @rule(
        sponsor=actors,
        lowest=singers,
        above=st.integers(0, 1),
        rewards=st.integers(0, 3),
        change=st.sampled_from([0, 0, 1]),
        seconds=st.sampled_from([-5, 60, 3600]),
    )
    def open_round(self, sponsor, lowest, above, rewards, change, seconds):
        threshold, deadline = self.scores[lowest] + above, self.now + seconds
        value = rewards * REWARD + change
        done = self.call(
            self.judge.openRound, threshold, REWARD, deadline, sender=sponsor, value=value
        )
        assert done == (rewards > 0 and change == 0 and seconds > 0)
        if done:
            self.offers.append(
                {"sponsor": sponsor, "threshold": threshold, "deadline": deadline, "left": rewards}
            )

    @rule(number=rounds, singer=singers, other=st.sampled_from([0, 0, 0, 1]), sender=actors)
    def sing(self, number, singer, other, sender):
        """Mostly with a proof for the round, sent by anybody."""
        proved = (number + other) % ROUNDS
        proof = self.sung(singer, proved)
        done = self.call(
            self.judge.judge,
            number,
            self.accounts[singer],
            proof.proof,
            proof.instances,
            sender=sender,
        )
        offer = self.offers[number] if number < len(self.offers) else None
        assert done == bool(
            offer
            and proved == number
            and self.now <= offer["deadline"]
            and (number, singer) not in self.won
            and offer["left"]
            and self.scores[singer] >= offer["threshold"]
        )
        if done:
            offer["left"] -= 1
            self.won.add((number, singer))
            self.credits[singer] = self.credits.get(singer, 0) + REWARD

    @rule(actor=actors)
    def withdraw(self, actor):
        done = self.call(self.judge.withdraw, sender=actor)
        assert done == (self.credits.pop(actor, 0) > 0)

    @rule(number=rounds, actor=actors)
    def take_back(self, number, actor):
        done = self.call(self.judge.takeBack, number, sender=actor)
        offer = self.offers[number] if number < len(self.offers) else None
        assert done == bool(
            offer and actor == offer["sponsor"] and self.now > offer["deadline"] and offer["left"]
        )
        if done:
            self.credits[actor] = self.credits.get(actor, 0) + offer["left"] * REWARD
            offer["left"] = 0

    @rule(seconds=st.sampled_from([30, 4000]))
    def wait(self, seconds):
        self.chain.mine(deltatime=seconds)

    @invariant()
    def can_always_pay(self):
        """To the last wei: nobody has more than was won, nothing is lost."""
        left = sum(offer["left"] for offer in self.offers) * REWARD
        balance = self.chain.provider.get_balance(self.judge.address)
        assert balance == sum(self.credits.values()) + left
        for number, offer in enumerate(self.offers):
            assert self.judge.rewardsLeft(number) == offer["left"]


def test_voice_judge_can_always_pay_what_it_owes(judge, sung, scores, accounts, chain):
    for singer in range(len(SONGS)):
        for number in range(ROUNDS):
            sung(singer, number)
    run_state_machine_as_test(
        lambda: Ledger(judge, sung, scores, accounts, chain),
        settings=settings(SETTINGS, max_examples=6, stateful_step_count=20),
    )

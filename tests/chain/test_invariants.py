"""What holds after any sequence of calls by a crowd, with real proofs of everybody.

The contracts are the real ones. Their circuits are so small that hundreds of proofs take a minute:
models that answer with what they are shown, so that everybody chooses what is read.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from eth_utils import keccak, to_checksum_address
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from scripts._voice import ONE, score_from
from tests.tiny import run_in, write_model
from zk.circuit import Circuit, RunArgs, Samples
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove_all
from zk.verifier import runtime_code

REWARD = 10**16
ROUNDS = 2  # for which there are proofs
SMALL = RunArgs(decomp_base=256)
# 200 actors and 2,400 calls in all; on a fork fewer of both, since the rules are the same.
CALLS = settings(
    deadline=None, suppress_health_check=list(HealthCheck), max_examples=6, stateful_step_count=200
)
FEW_CALLS = settings(CALLS, max_examples=2, stateful_step_count=50)


@dataclass
class Crowd:
    """Accounts of which this chain takes transactions without a signature."""

    chain: Any
    members: list[str]
    settings: settings

    @property
    def anybody(self):
        return st.integers(0, len(self.members) - 1)

    @property
    def now(self) -> int:
        """The time of the last call; the next is a second later, however slow this machine is."""
        return self.chain.blocks.head.timestamp

    def send(self, method, *arguments, sender: int, value: int = 0) -> bool:
        """Whether the contract did it."""
        request = self.chain.provider.make_request
        transaction = {
            "from": self.members[sender],
            "to": method.contract.address,
            "data": "0x" + bytes(method.encode_input(*arguments)).hex(),
            "gas": hex(1_000_000),
            "value": hex(value),
        }
        request("evm_setNextBlockTimestamp", [self.now + 1])
        sent = request("eth_sendTransaction", [transaction])
        while not (receipt := request("eth_getTransactionReceipt", [sent])):
            pass
        return receipt["status"] == "0x1"


@pytest.fixture(scope="module")
def crowd(chain, pytestconfig):
    forked = "fork" in (pytestconfig.getoption("network") or "")
    members = [
        to_checksum_address(keccak(text=f"actor {number}")[-20:])
        for number in range(20 if forked else 200)
    ]
    for member in members:
        chain.provider.set_balance(member, 10**21)
    chain.provider.make_request("anvil_autoImpersonateAccount", [True])
    yield Crowd(chain, members, FEW_CALLS if forked else CALLS)
    chain.provider.make_request("anvil_autoImpersonateAccount", [False])


@pytest.fixture(scope="module")
def deploy_on(project, chain, deployer, tmp_path_factory):
    """Builds a circuit that answers with its input, and deploys a contract that believes it."""

    def deploy_on(application, outputs: int) -> tuple[Any, Manifest]:
        folder = tmp_path_factory.mktemp("crowd")
        model = write_model(folder / "same.onnx", matrix=np.eye(outputs), operator="Identity")
        shown = np.linspace(-2, 2, 16 * outputs, dtype=np.float32).reshape(16, outputs)
        samples = Samples(calibration=shown[::2], test=shown[1::2])
        manifest, _ = run_in(folder, Circuit("same", model, "SameVerifier", lambda: samples, SMALL))
        verifier = to_checksum_address(keccak(text=folder.name)[-20:])
        code = runtime_code("SameVerifier", manifest.file("verifier").read_text())
        chain.provider.set_code(verifier, code)
        layout = (manifest["key"]["limbs"], manifest["key"]["bits"], manifest["output_scale"])
        return application.deploy(verifier, layout, sender=deployer), manifest

    return deploy_on


def forged(proof: Proof, how: str, thief: list[int]) -> Proof:
    """A proof, honest or tampered with in one of the ways that a thief would try first."""
    limbs = len(thief)
    return {
        "honest": proof,
        "with a bit flipped": replace(proof, proof=bytes([proof.proof[0] ^ 1, *proof.proof[1:]])),
        "for the thief": replace(proof, instances=[*thief, *proof.instances[limbs:]]),
        "with more": replace(proof, instances=[*proof.instances[:-1], proof.instances[-1] + 1]),
    }[how]


TAMPERED = st.sampled_from(["with a bit flipped", "for the thief", "with more"])


class Members(RuleBasedStateMachine):
    """Clan beside a dictionary in Python."""

    def __init__(self, clan, crowd: Crowd, proofs: list[Proof], digits: list[int]) -> None:
        super().__init__()
        self.clan, self.crowd, self.proofs, self.digits = clan, crowd, proofs, digits
        self.snapshot = crowd.chain.snapshot()
        self.joined: dict[int, int] = {}

    def teardown(self) -> None:
        for number, member in enumerate(self.crowd.members):
            assert self.clan.isMember(member) == (number in self.joined)
        self.crowd.chain.restore(self.snapshot)

    @rule(data=st.data())
    def join(self, data):
        """Somebody's proof, sent by anybody."""
        member = data.draw(self.crowd.anybody, "member")
        self.join_as(member, member, data.draw(self.crowd.anybody, "sender"))

    @rule(data=st.data(), how=TAMPERED)
    def tamper(self, data, how):
        member = data.draw(self.crowd.anybody, "member")
        self.join_as(member, member, member, how)

    @rule(data=st.data())
    def steal(self, data):
        """Another's proof, sent by somebody for themselves."""
        thief = data.draw(self.crowd.anybody, "thief")
        self.join_as(thief, data.draw(self.crowd.anybody, "owner"), thief)

    def join_as(self, member: int, owner: int, sender: int, how: str = "honest") -> None:
        thief = self.proofs[(owner + 1) % len(self.proofs)].instances[:-10]
        proof = forged(self.proofs[owner], how, thief)
        account = self.crowd.members[member]
        done = self.crowd.send(self.clan.join, account, proof.proof, proof.instances, sender=sender)
        assert done == (owner == member and how == "honest" and member not in self.joined)
        if done:
            self.joined[member] = self.digits[member]
            assert self.clan.clanOf(account) == self.digits[member]

    @invariant()
    def counts_sum_to_members_and_the_leader_is_a_maximum(self):
        counts = self.clan.counts()
        clans = list(self.joined.values())
        assert counts == [clans.count(digit) for digit in range(10)]
        assert tuple(self.clan.leader()) == (counts.index(max(counts)), max(counts))


def test_clan_counts_whoever_joins(project, deploy_on, crowd):
    clan, manifest = deploy_on(project.Clan, outputs=10)
    logits = np.random.default_rng(0).uniform(-2, 2, size=(len(crowd.members), 10))
    logits[::7, 3] = logits[::7, 8] = 2  # ties, which go to the lower digit
    claims = [(clan.keyOf(account), x) for account, x in zip(crowd.members, logits, strict=True)]
    digits = [int(np.argmax(answer(manifest, x))) for x in logits]
    proofs = prove_all(manifest, claims)
    run_state_machine_as_test(lambda: Members(clan, crowd, proofs, digits), settings=crowd.settings)


class Ledger(RuleBasedStateMachine):
    """VoiceJudge beside a ledger in Python, while everybody does as they like."""

    rounds = st.integers(0, ROUNDS - 1)

    def __init__(self, judge, crowd: Crowd, proofs: list[list[Proof]], scores: list[int]) -> None:
        super().__init__()
        self.judge, self.crowd, self.proofs, self.scores = judge, crowd, proofs, scores
        self.snapshot = crowd.chain.snapshot()
        self.offers: list[dict] = []
        self.credits: dict[int, int] = {}
        self.won: set[tuple[int, int]] = set()

    def teardown(self) -> None:
        for number, member in enumerate(self.crowd.members):
            assert self.judge.creditOf(member) == self.credits.get(number, 0)
        self.crowd.chain.restore(self.snapshot)

    @initialize(data=st.data())
    def open_rounds_that_can_be_won(self, data):
        for _ in range(ROUNDS):
            self.open_round(data, above=0, rewards=20, change=0, seconds=40_000)

    @rule(
        data=st.data(),
        above=st.integers(0, 1),
        rewards=st.integers(0, 9),
        change=st.sampled_from([0, 0, 1]),
        seconds=st.sampled_from([-5, 60, 3600]),
    )
    def open_round(self, data, above, rewards, change, seconds):
        """With a threshold that somebody reaches exactly, or misses by the smallest unit."""
        sponsor = data.draw(self.crowd.anybody, "sponsor")
        reached = self.scores[data.draw(self.crowd.anybody, "who reaches the threshold")]
        threshold, deadline = reached + above, self.crowd.now + seconds
        done = self.crowd.send(
            self.judge.openRound,
            threshold,
            REWARD,
            deadline,
            sender=sponsor,
            value=rewards * REWARD + change,
        )
        possible = threshold <= ONE and seconds > 0
        assert done == (possible and rewards > 0 and change == 0)
        if done:
            self.offers.append(
                {"sponsor": sponsor, "threshold": threshold, "deadline": deadline, "left": rewards}
            )

    @rule(data=st.data(), number=rounds, other=st.sampled_from([0, 0, 0, 1]))
    def sing(self, data, number, other):
        """Mostly with a proof for the round, sent by anybody."""
        singer = data.draw(self.crowd.anybody, "singer")
        sender = data.draw(self.crowd.anybody, "sender")
        self.sing_as(singer, singer, sender, number, (number + other) % ROUNDS)

    @rule(data=st.data(), number=rounds, how=TAMPERED)
    def tamper(self, data, number, how):
        singer = data.draw(self.crowd.anybody, "singer")
        self.sing_as(singer, singer, singer, number, number, how)

    @rule(data=st.data(), number=rounds)
    def steal(self, data, number):
        thief = data.draw(self.crowd.anybody, "thief")
        owner = data.draw(self.crowd.anybody, "owner")
        self.sing_as(thief, owner, thief, number, number)

    def sing_as(
        self, singer: int, owner: int, sender: int, number: int, proved: int, how: str = "honest"
    ) -> None:
        thief = self.proofs[proved][(owner + 1) % len(self.crowd.members)].instances[:-1]
        proof = forged(self.proofs[proved][owner], how, thief)
        account = self.crowd.members[singer]
        done = self.crowd.send(
            self.judge.judge, number, account, proof.proof, proof.instances, sender=sender
        )
        offer = self.offers[number] if number < len(self.offers) else None
        assert done == bool(
            offer
            and (singer, proved, how) == (owner, number, "honest")
            and self.crowd.now <= offer["deadline"]
            and (number, singer) not in self.won
            and offer["left"]
            and self.scores[singer] >= offer["threshold"]
        )
        if offer and done:
            offer["left"] -= 1
            self.won.add((number, singer))
            self.credits[singer] = self.credits.get(singer, 0) + REWARD

    @rule(data=st.data())
    def withdraw(self, data):
        """Anybody tries, mostly somebody who has something."""
        some = st.sampled_from(sorted(self.credits)) if self.credits else self.crowd.anybody
        actor = data.draw(st.one_of(some, self.crowd.anybody), "actor")
        done = self.crowd.send(self.judge.withdraw, sender=actor)
        assert done == (self.credits.pop(actor, 0) > 0)

    @rule(data=st.data(), number=rounds)
    def take_back(self, data, number):
        offer = self.offers[number] if number < len(self.offers) else None
        sponsor = st.just(offer["sponsor"]) if offer else self.crowd.anybody
        actor = data.draw(st.one_of(sponsor, self.crowd.anybody), "actor")
        done = self.crowd.send(self.judge.takeBack, number, sender=actor)
        assert done == bool(
            offer
            and actor == offer["sponsor"]
            and self.crowd.now > offer["deadline"]
            and offer["left"]
        )
        if offer and done:
            self.credits[actor] = self.credits.get(actor, 0) + offer["left"] * REWARD
            offer["left"] = 0

    @rule(seconds=st.sampled_from([1, 30, 30, 4000]))
    def wait(self, seconds):
        self.crowd.chain.mine(deltatime=seconds)

    @invariant()
    def can_always_pay(self):
        """To the last wei: nobody has more than was won, nothing is lost."""
        left = sum(offer["left"] for offer in self.offers) * REWARD
        balance = self.crowd.chain.provider.get_balance(self.judge.address)
        assert balance == sum(self.credits.values()) + left
        for number, offer in enumerate(self.offers):
            assert self.judge.rewardsLeft(number) == offer["left"]


def test_voice_judge_can_always_pay_what_it_owes(project, deploy_on, crowd):
    judge, manifest = deploy_on(project.VoiceJudge, outputs=1)
    songs = np.random.default_rng(0).uniform(-0.3, 1.3, size=(len(crowd.members), 1))
    songs[:3] = [[0], [1], [0.5]]
    scores = [score_from(int(answer(manifest, x)[0]), manifest["output_scale"]) for x in songs]
    claims = [
        (judge.keyOf(account, number), x)
        for number in range(ROUNDS)
        for account, x in zip(crowd.members, songs, strict=True)
    ]
    proofs = prove_all(manifest, claims)
    rounds = [proofs[: len(songs)], proofs[len(songs) :]]
    run_state_machine_as_test(lambda: Ledger(judge, crowd, rounds, scores), settings=crowd.settings)

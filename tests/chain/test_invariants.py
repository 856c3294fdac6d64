"""Invariants of both contracts after random sequences of calls by a crowd, with real proofs.

The contracts are the deployed ones, and their circuits are tiny: hundreds of proofs take a minute.
The models return their input, which lets each account choose its logits or its score.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from eth_account import Account
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

from apps.batches import short
from apps.consents import DAY, NO_CONSENT, typed
from apps.singers import Singers
from apps.voice import ANYONE, ONE, score_from
from chain.contracts import ask
from tests.scale import scaled
from tests.tiny import ECHO_ARGS, SLIM_ARGS, echo_in, run_in
from zk.circuit import RunArgs
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove_all
from zk.verifier import runtime_code

pytestmark = [pytest.mark.plain, pytest.mark.slow]

REWARD = 10**16
ROUNDS = 2  # the rounds that the proofs are for
TAKES = {0: 2, 1: 1}  # in the first round, each account sings twice
TOGETHER = 4  # accounts in a batch
ACCOUNTS = scaled(16, 100)
CALLS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=scaled(2, 6),
    stateful_step_count=scaled(40, 100),
)


@dataclass
class Crowd:
    """Accounts whose transactions this chain accepts without a signature."""

    chain: Any
    keys: list[bytes]
    accounts: list[str]

    @property
    def anybody(self):
        return st.integers(0, len(self.accounts) - 1)

    @property
    def now(self) -> int:
        """The time of the last call. The next call is a second later on any machine."""
        return self.chain.blocks.head.timestamp

    def send(self, method, *arguments, sender: int, value: int = 0) -> bool:
        """Send a transaction; return True if it succeeded."""
        request = self.chain.provider.make_request
        transaction = {
            "from": self.accounts[sender],
            "to": method.contract.address,
            "data": "0x" + bytes(method.encode_input(*arguments)).hex(),
            "gas": hex(2_000_000),
            "value": hex(value),
        }
        request("evm_setNextBlockTimestamp", [self.now + 1])
        sent = request("eth_sendTransaction", [transaction])
        while not (receipt := request("eth_getTransactionReceipt", [sent])):
            pass
        return receipt["status"] == "0x1"


@pytest.fixture(scope="module")
def crowd(chain):
    keys = [keccak(text=f"actor {number}") for number in range(ACCOUNTS)]
    accounts = [Account.from_key(key).address for key in keys]
    for account in accounts:
        chain.provider.set_balance(account, 10**21)
    chain.provider.make_request("anvil_autoImpersonateAccount", [True])
    yield Crowd(chain, keys, accounts)
    chain.provider.make_request("anvil_autoImpersonateAccount", [False])


@pytest.fixture(scope="module")
def verifier_of(chain, tmp_path_factory):
    """Build a circuit that returns its input; return the address of its verifier, and the build."""

    def verifier_of(outputs: int, args: RunArgs) -> tuple[str, Manifest]:
        folder = tmp_path_factory.mktemp("crowd")
        manifest, _ = run_in(folder, echo_in(folder, "same", outputs, args))
        verifier = to_checksum_address(keccak(text=folder.name)[-20:])
        code = runtime_code("SameVerifier", manifest.file("verifier").read_text())
        chain.provider.set_code(verifier, code)
        return verifier, manifest

    return verifier_of


def layout_of(manifest: Manifest) -> tuple[int, ...]:
    return tuple(manifest.contract_layout.values())


def forged(proof: Proof, how: str, thief: list[int]) -> Proof:
    """Return the proof unchanged, or altered in one of three ways that a thief could try."""
    limbs = len(thief)
    return {
        "honest": proof,
        "with a bit flipped": replace(proof, proof=bytes([proof.proof[0] ^ 1, *proof.proof[1:]])),
        "for the thief": replace(proof, instances=[*thief, *proof.instances[limbs:]]),
        "with more": replace(proof, instances=[*proof.instances[:-1], proof.instances[-1] + 1]),
    }[how]


TAMPERED = st.sampled_from(["with a bit flipped", "for the thief", "with more"])


class Members(RuleBasedStateMachine):
    """Compare Clan with a dictionary in Python."""

    def __init__(
        self, clan, crowd: Crowd, proofs: list[Proof], digits: list[int], batches: list["Batch"]
    ) -> None:
        super().__init__()
        self.clan, self.crowd, self.proofs, self.digits = clan, crowd, proofs, digits
        self.batches = batches
        self.snapshot = crowd.chain.snapshot()
        self.joined: dict[int, int] = {}
        self.nonces = [0] * len(crowd.accounts)

    def teardown(self) -> None:
        for number, account in enumerate(self.crowd.accounts):
            assert ask(self.clan, "isMember", account) == (number in self.joined)
        self.crowd.chain.restore(self.snapshot)

    @rule(data=st.data())
    def join(self, data):
        account = data.draw(self.crowd.anybody, "account")
        self.join_as(account, account, account)

    @rule(data=st.data())
    def press(self, data):
        """Any account sends a valid proof of another account."""
        account = data.draw(self.crowd.anybody, "account")
        self.join_as(account, account, data.draw(self.crowd.anybody, "sender"))

    @rule(
        data=st.data(),
        seconds=st.sampled_from([DAY, DAY, DAY, 0]),
        digit=st.sampled_from([0, 0, 0, 1]),
        nonce=st.sampled_from([0, 0, 0, 1, -1]),
    )
    def relay(self, data, seconds, digit, nonce):
        """Any account sends a valid proof with a signature, in three of four cases a consent."""
        account, sender, signer = (
            data.draw(self.crowd.anybody, who) for who in ("account", "sender", "signer")
        )
        signer = account if sender % 4 else signer
        address, proof = self.crowd.accounts[account], self.proofs[account]
        wanted = self.digits[account], self.nonces[account]
        signed = wanted[0] + digit, max(0, wanted[1] + nonce)
        deadline = self.crowd.now + seconds
        signature = self.sign(signer, address, *signed, deadline)
        claim = (address, proof.proof, proof.instances, (deadline, signature))
        done = self.crowd.send(self.clan.joinFor, *claim, sender=sender)
        fitting = signed == wanted and signer == account and seconds > 0
        assert done == (fitting and account not in self.joined)
        if done:
            self.joined[account] = self.digits[account]

    def sign(self, signer: int, account: str, digit: int, nonce: int, deadline: int) -> bytes:
        where = (str(self.clan.address), self.crowd.chain.chain_id)
        message = typed(*where, (account, digit, nonce, deadline))
        return bytes(Account.sign_message(message, self.crowd.keys[signer]).signature)

    @rule(
        data=st.data(),
        how=st.sampled_from(["honest", "honest", "honest", "with a bit flipped", "with more"]),
        agreeing=st.lists(
            st.sampled_from(["yes", "yes", "no", "late", "not again"]),
            min_size=TOGETHER,
            max_size=TOGETHER,
        ),
    )
    def join_together(self, data, how, agreeing):
        """Any account sends a batch, with the consents of some of its accounts."""
        batch = data.draw(st.sampled_from(self.batches), "batch")
        sender = data.draw(self.crowd.anybody, "sender")
        consents, agreed = [], set[int]()
        for account, said in zip(batch.accounts, agreeing, strict=True):
            if account is None or said == "no":
                consents.append(NO_CONSENT)
                continue
            deadline = self.crowd.now + (-1 if said == "late" else DAY)
            nonce = self.nonces[account] + (said == "not again")
            values = (self.crowd.accounts[account], self.digits[account], nonce, deadline)
            consents.append(short(deadline, self.sign(account, *values)))
            if said == "yes":
                agreed.add(account)
        proof = forged(batch.proof, how, [])
        given = (proof.proof, proof.instances, consents)
        assert self.crowd.send(self.clan.joinMany, *given, sender=sender) == (how == "honest")
        for account in {*batch.accounts} & {*agreed, sender} if how == "honest" else ():
            self.joined.setdefault(account, self.digits[account])

    @rule(data=st.data())
    def revoke(self, data):
        account = data.draw(self.crowd.anybody, "account")
        assert self.crowd.send(self.clan.revokeConsents, sender=account)
        self.nonces[account] += 1
        assert ask(self.clan, "nonceOf", self.crowd.accounts[account]) == self.nonces[account]

    @rule(data=st.data(), how=TAMPERED)
    def tamper(self, data, how):
        account = data.draw(self.crowd.anybody, "account")
        self.join_as(account, account, account, how)

    @rule(data=st.data())
    def steal(self, data):
        """An account sends a proof that was made for another account."""
        thief = data.draw(self.crowd.anybody, "thief")
        self.join_as(thief, data.draw(self.crowd.anybody, "proved"), thief)

    def join_as(self, account: int, proved: int, sender: int, how: str = "honest") -> None:
        """Join with the proof made for the account `proved`."""
        thief = self.proofs[(proved + 1) % len(self.proofs)].instances[:1]
        proof = forged(self.proofs[proved], how, thief)
        address = self.crowd.accounts[account]
        done = self.crowd.send(self.clan.join, address, proof.proof, proof.instances, sender=sender)
        own = sender == account == proved and how == "honest"
        assert done == (own and account not in self.joined)
        if done:
            self.joined[account] = self.digits[account]
            assert ask(self.clan, "clanOf", address) == self.digits[account]

    @invariant()
    def counts_sum_to_members_and_the_leader_is_a_maximum(self):
        counts = self.clan.counts()
        clans = list(self.joined.values())
        assert counts == [clans.count(digit) for digit in range(10)]
        assert tuple(self.clan.leader()) == (counts.index(max(counts)), max(counts))


@dataclass(frozen=True)
class Batch:
    """A proof for several of the crowd; padding is None."""

    accounts: list[int | None]
    proof: Proof


def test_clan_counts_its_members(contracts, verifier_of, deployer, crowd):
    (one, manifest), (several, batch) = (
        verifier_of(10, args) for args in (SLIM_ARGS, replace(SLIM_ARGS, batch=TOGETHER))
    )
    clan = contracts.Clan.deploy(one, layout_of(manifest), several, TOGETHER, sender=deployer)
    random = np.random.default_rng(0)
    logits = random.integers(0, 5, size=(len(crowd.accounts), 10))
    logits[::7, 3] = logits[::7, 8] = 4  # ties, which go to the lower digit
    keys = [clan.keyOf(account) for account in crowd.accounts]
    digits = [int(np.argmax(answer(manifest, x))) for x in logits]
    proofs = prove_all(manifest, list(zip(keys, logits, strict=True)))
    # Some accounts are twice in a batch, and some places are empty.
    chosen = [
        [
            None if place >= len(keys) else place
            for place in random.integers(0, len(keys) + 3, TOGETHER)
        ]
        for _ in range(len(keys) // 2)
    ]
    nobody = (clan.keyOf("0x" + "00" * 20), np.zeros(10))
    claims = [
        [nobody if place is None else (keys[place], logits[place]) for place in places]
        for places in chosen
    ]
    made = prove_all(
        batch, [([key for key, _ in claim], np.stack([x for _, x in claim])) for claim in claims]
    )
    batches = [Batch(*pair) for pair in zip(chosen, made, strict=True)]
    run_state_machine_as_test(lambda: Members(clan, crowd, proofs, digits, batches), settings=CALLS)


class Ledger(RuleBasedStateMachine):
    """Compare VoiceJudge with a ledger in Python."""

    rounds = st.integers(0, ROUNDS - 1)

    def __init__(
        self,
        judge,
        crowd: Crowd,
        proofs: dict[tuple[int, int], list[Proof]],
        scores: list[list[int]],
    ) -> None:
        super().__init__()
        self.judge, self.crowd, self.proofs, self.scores = judge, crowd, proofs, scores
        self.snapshot = crowd.chain.snapshot()
        self.chosen = Singers(crowd.accounts[::2])
        self.offers: list[dict] = []
        self.credits: dict[int, int] = {}
        self.won: dict[tuple[int, int], int] = {}  # the score by round and account

    def teardown(self) -> None:
        for number, account in enumerate(self.crowd.accounts):
            assert ask(self.judge, "creditOf", account) == self.credits.get(number, 0)
        for (number, winner), score in self.won.items():
            assert ask(self.judge, "scoreOf", number, self.crowd.accounts[winner]) == score
        self.crowd.chain.restore(self.snapshot)

    @initialize(data=st.data())
    def open_rounds_that_can_be_won(self, data):
        for number in range(ROUNDS):
            self.open_round(data, above=0, rewards=20, change=0, seconds=40_000, chosen=number > 0)

    @rule(
        data=st.data(),
        above=st.integers(0, 1),
        rewards=st.integers(0, 9),
        change=st.sampled_from([0, 0, 1]),
        seconds=st.sampled_from([-5, 60, 3600]),
        chosen=st.booleans(),
    )
    def open_round(self, data, above, rewards, change, seconds, chosen):
        """Set a threshold that one account reaches exactly or misses by one unit."""
        sponsor = data.draw(self.crowd.anybody, "sponsor")
        reached = self.scores[0][data.draw(self.crowd.anybody, "account that sets the threshold")]
        threshold, deadline = reached + above, self.crowd.now + seconds
        done = self.crowd.send(
            self.judge.openRound,
            threshold,
            REWARD,
            deadline,
            self.chosen.root if chosen else ANYONE,
            sender=sponsor,
            value=rewards * REWARD + change,
        )
        possible = threshold <= ONE and seconds > 0
        assert done == (possible and rewards > 0 and change == 0)
        if done:
            self.offers.append(
                {
                    "sponsor": sponsor,
                    "threshold": threshold,
                    "deadline": deadline,
                    "left": rewards,
                    "admitted": set() if chosen else set(range(len(self.crowd.accounts))),
                    "chosen": chosen,
                }
            )

    @rule(data=st.data(), number=rounds)
    def admit(self, data, number):
        """Any account sends the branch of a chosen singer, in half of the cases for itself."""
        account = data.draw(self.crowd.anybody, "account")
        singer = account if account % 2 == 0 else data.draw(self.crowd.anybody, "singer") // 2 * 2
        address = self.crowd.accounts
        branch = self.chosen.branch(address[singer])
        done = self.crowd.send(self.judge.admit, number, address[account], branch, sender=account)
        offer = self.offers[number] if number < len(self.offers) else None
        assert done == bool(offer and offer["chosen"] and account == singer)
        if offer and done:
            offer["admitted"].add(account)

    @rule(data=st.data(), number=rounds, other=st.sampled_from([0, 0, 0, 1]))
    def sing(self, data, number, other):
        """Any account sends a valid proof, in one of four cases for another round."""
        account = data.draw(self.crowd.anybody, "account")
        sender = data.draw(self.crowd.anybody, "sender")
        proved = account, (number + other) % ROUNDS
        take = data.draw(st.integers(0, TAKES[proved[1]] - 1), "take")
        self.sing_as(account, number, proved, sender, take=take)

    @rule(data=st.data(), number=rounds, how=TAMPERED)
    def tamper(self, data, number, how):
        account = data.draw(self.crowd.anybody, "account")
        self.sing_as(account, number, (account, number), account, how)

    @rule(data=st.data(), number=rounds)
    def steal(self, data, number):
        thief = data.draw(self.crowd.anybody, "thief")
        proved = data.draw(self.crowd.anybody, "proved"), number
        self.sing_as(thief, number, proved, thief)

    def sing_as(
        self,
        account: int,
        number: int,
        proved: tuple[int, int],
        sender: int,
        how: str = "honest",
        take: int = 0,
    ) -> None:
        """Call `judge` with the proof made for the account and the round of `proved`."""
        proved_account, proved_round = proved
        proofs = self.proofs[proved_round, take]
        thief = proofs[(proved_account + 1) % len(proofs)].instances[:-1]
        proof = forged(proofs[proved_account], how, thief)
        address = self.crowd.accounts[account]
        done = self.crowd.send(
            self.judge.judge, number, address, proof.proof, proof.instances, sender=sender
        )
        offer = self.offers[number] if number < len(self.offers) else None
        score, recorded = self.scores[take][account], self.won.get((number, account))
        assert done == bool(
            offer
            and (proved, how) == ((account, number), "honest")
            and self.crowd.now <= offer["deadline"]
            and account in offer["admitted"]
            and (offer["left"] if recorded is None else score > recorded)
            and score >= offer["threshold"]
        )
        if offer and done:
            if recorded is None:
                offer["left"] -= 1
                self.credits[account] = self.credits.get(account, 0) + REWARD
            self.won[number, account] = score

    @rule(data=st.data())
    def withdraw(self, data):
        """Any account withdraws; half of the time, one that has credit."""
        some = st.sampled_from(sorted(self.credits)) if self.credits else self.crowd.anybody
        sender = data.draw(st.one_of(some, self.crowd.anybody), "sender")
        done = self.crowd.send(self.judge.withdraw, sender=sender)
        assert done == (self.credits.pop(sender, 0) > 0)

    @rule(data=st.data(), number=rounds)
    def take_back(self, data, number):
        offer = self.offers[number] if number < len(self.offers) else None
        sponsor = st.just(offer["sponsor"]) if offer else self.crowd.anybody
        sender = data.draw(st.one_of(sponsor, self.crowd.anybody), "sender")
        done = self.crowd.send(self.judge.takeBack, number, sender=sender)
        assert done == bool(
            offer
            and sender == offer["sponsor"]
            and self.crowd.now > offer["deadline"]
            and offer["left"]
        )
        if offer and done:
            self.credits[sender] = self.credits.get(sender, 0) + offer["left"] * REWARD
            offer["left"] = 0

    @rule(seconds=st.sampled_from([1, 30, 30, 4000]))
    def wait(self, seconds):
        self.crowd.chain.mine(deltatime=seconds)

    @invariant()
    def can_always_pay(self):
        """The balance is exactly the sum of all credits and of all rewards left."""
        left = sum(offer["left"] for offer in self.offers) * REWARD
        balance = self.crowd.chain.provider.get_balance(self.judge.address)
        assert balance == sum(self.credits.values()) + left
        for number, offer in enumerate(self.offers):
            assert ask(self.judge, "rewardsLeft", number) == offer["left"]


def test_voice_judge_can_always_pay_what_it_owes(contracts, verifier_of, deployer, crowd):
    verifier, manifest = verifier_of(1, ECHO_ARGS)
    judge = contracts.VoiceJudge.deploy(verifier, layout_of(manifest), sender=deployer)
    songs = np.random.default_rng(0).uniform(-0.3, 1.3, size=(2, len(crowd.accounts), 1))
    songs[0, :3] = [[0], [1], [0.5]]
    scale = manifest["output_scale"]
    scores = [[score_from(int(answer(manifest, x)[0]), scale) for x in take] for take in songs]
    sung = [(number, take) for number in range(ROUNDS) for take in range(TAKES[number])]
    claims = [
        (judge.keyOf(account, number), x)
        for number, take in sung
        for account, x in zip(crowd.accounts, songs[take], strict=True)
    ]
    made = iter(prove_all(manifest, claims))
    proofs = {one: [next(made) for _ in crowd.accounts] for one in sung}
    run_state_machine_as_test(lambda: Ledger(judge, crowd, proofs, scores), settings=CALLS)

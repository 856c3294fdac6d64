"""The money of `VoiceJudge`: opening a round, taking back, withdrawing; failures first."""

import ape
import pytest
from ape.contracts import ContractContainer
from ethpm_types import ContractType

from apps.voice import ANYONE, ONE
from chain.contracts import ask
from tests.inputs import SONGS
from tests.refusals import refusal
from zk import solc
from zk.files import ROOT
from zk.proof import prove

pytestmark = pytest.mark.plain

REWARD = 10**16
HOUR = 3600


@pytest.fixture
def now(chain):
    """Set and return the time of the next block."""
    time = chain.blocks.head.timestamp + 10
    chain.provider.set_timestamp(time)
    return time


@pytest.fixture
def sponsor(accounts):
    return accounts[7]


@pytest.fixture
def open_round(judge, sponsor, chain):
    def open_round(threshold=0, reward=REWARD, rewards=2, seconds=HOUR, singers=ANYONE):
        deadline = chain.blocks.head.timestamp + seconds
        terms = threshold, reward, deadline, singers
        return judge.openRound(*terms, value=reward * rewards, sender=sponsor)

    return open_round


def balance(chain, contract) -> int:
    return chain.provider.get_balance(contract.address)


def payee(name: str, deployer):
    """Deploy a contract of tests/contracts/Payees.sol."""
    source = ROOT / "tests" / "contracts" / "Payees.sol"
    selected = {"*": {"*": ["abi", "evm.bytecode.object"]}}
    given = {source.name: source.read_text()}
    output = solc.compiled(name, given, {"outputSelection": selected})
    made = output["contracts"][source.name][name]
    bytecode = {"bytecode": "0x" + made["evm"]["bytecode"]["object"]}
    contract = ContractType.model_validate(
        {"contractName": name, "abi": made["abi"], "deploymentBytecode": bytecode}
    )
    return deployer.deploy(ContractContainer(contract))


# Opening


def test_threshold_above_every_score(judge, sponsor, now):
    with ape.reverts(judge.VoiceJudge__ThresholdTooHigh, threshold=ONE + 1):
        judge.openRound(ONE + 1, REWARD, now + HOUR, ANYONE, value=REWARD, sender=sponsor)


def test_threshold_of_the_highest_score(judge, sponsor, now):
    judge.openRound(ONE, REWARD, now + HOUR, ANYONE, value=REWARD, sender=sponsor)
    assert judge.roundOf(0).threshold == ONE


@pytest.mark.parametrize("seconds", [-HOUR, -1, 0])
def test_deadline_in_the_past(judge, sponsor, now, seconds):
    with ape.reverts(judge.VoiceJudge__DeadlinePassed, deadline=now + seconds, time=now):
        judge.openRound(0, REWARD, now + seconds, ANYONE, value=REWARD, sender=sponsor)
    assert judge.rounds() == 0


def test_deadline_a_second_away(judge, sponsor, now):
    judge.openRound(0, REWARD, now + 1, ANYONE, value=REWARD, sender=sponsor)
    assert judge.roundOf(0).deadline == now + 1


@pytest.mark.parametrize(
    ("paid", "reward"),
    [(0, REWARD), (REWARD - 1, REWARD), (REWARD + 1, REWARD), (REWARD, 0), (0, 0)],
    ids=["no money", "less", "more", "no reward", "neither"],
)
def test_money_for_a_fraction_of_rewards(judge, chain, sponsor, now, paid, reward):
    with ape.reverts(judge.VoiceJudge__BrokenRewards, paid=paid, reward=reward):
        judge.openRound(0, reward, now + HOUR, ANYONE, value=paid, sender=sponsor)
    assert balance(chain, judge) == 0


def test_opening(judge, chain, sponsor, now):
    receipt = judge.openRound(5, REWARD, now + HOUR, ANYONE, value=3 * REWARD, sender=sponsor)
    assert receipt.events == [
        judge.RoundOpened(
            round=0,
            sponsor=sponsor,
            threshold=5,
            reward=REWARD,
            rewards=3,
            deadline=now + HOUR,
            singers=ANYONE,
        )
    ]
    assert judge.rounds() == 1
    assert judge.rewardsLeft(0) == 3
    offer = judge.roundOf(0)
    assert (offer.sponsor, offer.deadline) == (sponsor, now + HOUR)
    assert (offer.threshold, offer.reward, offer.rewardsLeft) == (5, REWARD, 3)
    assert balance(chain, judge) == 3 * REWARD


def test_money_without_a_call_is_refused(judge, chain, sponsor):
    with pytest.raises(ape.exceptions.ContractLogicError):
        sponsor.transfer(judge.address, REWARD)
    assert balance(chain, judge) == 0


@pytest.mark.parametrize("view", ["roundOf", "rewardsLeft"])
def test_views_of_a_round_that_does_not_exist(judge, open_round, view):
    open_round()
    with refusal("VoiceJudge__NoSuchRound", round=1):
        ask(judge, view, 1)


def test_views_of_an_account_without_rewards(judge, open_round, accounts):
    open_round()
    assert judge.creditOf(accounts[0]) == 0
    assert not judge.isRewarded(0, accounts[0])
    with refusal("VoiceJudge__NotRewarded", round=0, account=accounts[0].address):
        ask(judge, "scoreOf", 0, accounts[0].address)
    for view in ("scoreOf", "isRewarded"):
        with refusal("VoiceJudge__NoSuchRound", round=1):
            ask(judge, view, 1, accounts[0].address)


# Taking back


def test_taking_back_before_the_deadline_is_over(judge, chain, open_round, sponsor):
    open_round()
    deadline = judge.roundOf(0).deadline
    for time in (deadline - 1, deadline):
        chain.provider.set_timestamp(time)
        with ape.reverts(judge.VoiceJudge__RoundNotOver, round=0, deadline=deadline):
            judge.takeBack(0, sender=sponsor)
    assert judge.creditOf(sponsor) == 0


def test_taking_back_a_second_after_the_deadline(judge, chain, open_round, sponsor):
    open_round()
    chain.provider.set_timestamp(judge.roundOf(0).deadline + 1)
    receipt = judge.takeBack(0, sender=sponsor)
    assert receipt.events == [judge.TakenBack(round=0, sponsor=sponsor, amount=2 * REWARD)]
    assert judge.rewardsLeft(0) == 0
    assert judge.creditOf(sponsor) == 2 * REWARD
    assert balance(chain, judge) == 2 * REWARD


def test_taking_back_twice(judge, chain, open_round, sponsor):
    open_round()
    open_round()  # its money must stay
    chain.provider.set_timestamp(judge.roundOf(0).deadline + 1)
    judge.takeBack(0, sender=sponsor)
    with ape.reverts(judge.VoiceJudge__NoRewardsLeft, round=0):
        judge.takeBack(0, sender=sponsor)
    assert judge.creditOf(sponsor) == 2 * REWARD


def test_taking_back_as_a_stranger(judge, chain, open_round, accounts):
    open_round()
    chain.provider.set_timestamp(judge.roundOf(0).deadline + 1)
    with ape.reverts(judge.VoiceJudge__NotTheSponsor, round=0, account=accounts[0]):
        judge.takeBack(0, sender=accounts[0])


def test_taking_back_a_round_that_does_not_exist(judge, sponsor):
    with ape.reverts(judge.VoiceJudge__NoSuchRound, round=0):
        judge.takeBack(0, sender=sponsor)


def test_taking_back_the_rewards_left(judge, chain, open_round, sponsor, sung, accounts):
    open_round()
    proof = sung(0)
    judge.judge(0, accounts[0], proof.proof, proof.instances, sender=accounts[0])
    chain.provider.set_timestamp(judge.roundOf(0).deadline + 1)
    judge.takeBack(0, sender=sponsor)
    assert judge.creditOf(sponsor) == REWARD
    assert judge.creditOf(accounts[0]) == REWARD


# Withdrawing


def test_withdrawing_nothing(judge, open_round, accounts):
    open_round()
    with ape.reverts(judge.VoiceJudge__NoCredit, account=accounts[0]):
        judge.withdraw(sender=accounts[0])


def test_withdrawing(judge, chain, open_round, sung, accounts, relayer):
    open_round()
    proof = sung(0)
    judge.judge(0, accounts[0], proof.proof, proof.instances, sender=relayer)
    before = accounts[0].balance
    receipt = judge.withdraw(sender=accounts[0])
    assert receipt.events == [judge.Withdrawn(account=accounts[0], amount=REWARD)]
    assert accounts[0].balance == before + REWARD - receipt.total_fees_paid
    assert judge.creditOf(accounts[0]) == 0
    assert balance(chain, judge) == REWARD
    with ape.reverts(judge.VoiceJudge__NoCredit, account=accounts[0]):
        judge.withdraw(sender=accounts[0])


@pytest.fixture
def credited(judge, song_manifest, open_round, deployer, relayer):
    """A contract of Payees.sol that has earned a reward."""

    def credited(name: str):
        account = payee(name, deployer)
        open_round()
        proof = prove(song_manifest, judge.keyOf(account, 0), SONGS[0])
        judge.judge(0, account, proof.proof, proof.instances, sender=relayer)
        return account

    return credited


def test_account_that_refuses_money_blocks_nobody(judge, chain, credited, sung, accounts, relayer):
    refusing = credited("Refusing")
    with ape.reverts(judge.VoiceJudge__PaymentRefused, account=refusing.address, amount=REWARD):
        refusing.withdrawFrom(judge, sender=relayer)
    assert judge.creditOf(refusing) == REWARD
    proof = sung(1)
    judge.judge(0, accounts[1], proof.proof, proof.instances, sender=accounts[1])
    judge.withdraw(sender=accounts[1])
    assert judge.creditOf(accounts[1]) == 0
    assert balance(chain, judge) == REWARD


def test_reentering_is_paid_once(judge, chain, credited, relayer):
    reentering = credited("Reentering")
    reentering.withdrawFrom(judge, sender=relayer)
    assert reentering.payments() == 1
    assert balance(chain, reentering) == REWARD
    assert judge.creditOf(reentering) == 0
    assert balance(chain, judge) == REWARD

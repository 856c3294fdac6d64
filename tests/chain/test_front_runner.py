"""A thief copies a transaction from the mempool and pays more to be first."""

import pytest

from apps.consents import consent_for
from apps.voice import ANYONE
from chain.sending import race

GWEI = 10**9
REWARD = 10**16


@pytest.fixture(autouse=True)
def empty_mempool(chain):
    """Drop the transactions that a failed race leaves in the mempool."""
    yield
    chain.provider.make_request("anvil_dropAllTransactions", [])
    chain.provider.auto_mine = True


def landed_first(first, late) -> bool:
    assert late.blockNumber == first.blockNumber
    return first.transactionIndex < late.transactionIndex


def test_thief_of_a_join_gains_nothing_and_stops_nothing(clan, proof, accounts):
    member, thief = accounts[0], accounts[6]
    join = (member, proof.proof, proof.instances)
    late, first = race((clan.join, join, member, GWEI), (clan.join, join, thief, 10 * GWEI))
    assert landed_first(first, late)
    assert (first.status, late.status) == (0, 1)
    assert first.gasUsed < 200_000  # mostly its calldata
    assert clan.clanOf(member) == 7
    assert not clan.isMember(thief)


def test_thief_of_a_consent_pays_for_the_join(clan, proof, accounts, relayer):
    """The copied transaction needs nothing of the relayer, and makes the account join."""
    member, thief = accounts[0], accounts[6]
    consent = consent_for(clan, str(member), 7, None)
    join = (member, proof.proof, proof.instances, consent)
    late, first = race((clan.joinFor, join, relayer, GWEI), (clan.joinFor, join, thief, 10 * GWEI))
    assert landed_first(first, late)
    assert (first.status, late.status) == (1, 0)
    assert late.gasUsed < 200_000
    assert clan.clanOf(member) == 7
    assert clan.counts() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]


@pytest.fixture
def open_round(judge, accounts, chain):
    deadline = chain.blocks.head.timestamp + 3600
    judge.openRound(0, REWARD, deadline, ANYONE, value=2 * REWARD, sender=accounts[7])


def test_thief_of_a_reward_pays_for_it(judge, chain, open_round, sung, accounts):
    account, thief, proof = accounts[0], accounts[6], sung(0)
    wealth = thief.balance
    song = (0, account, proof.proof, proof.instances)
    late, first = race((judge.judge, song, account, GWEI), (judge.judge, song, thief, 10 * GWEI))
    assert landed_first(first, late)

    # The thief's transaction credited the account in the proof, and the thief paid its gas.
    assert (first.status, late.status) == (1, 0)
    assert judge.creditOf(account) == REWARD
    assert judge.creditOf(thief) == 0
    assert judge.rewardsLeft(0) == 1
    assert thief.balance == wealth - first.gasUsed * first.effectiveGasPrice
    assert late.gasUsed < 200_000


@pytest.mark.parametrize("changed", ["argument", "instances"])
def test_thief_who_changes_what_it_copied(
    judge, song_manifest, open_round, sung, accounts, changed
):
    """The thief names itself as the account, and in one case also overwrites the key.

    The thief's transaction fails, and the honest one succeeds.
    """
    account, thief, proof = accounts[0], accounts[6], sung(0)
    instances = proof.instances
    if changed == "instances":
        limbs = song_manifest.layout.split(judge.keyOf(thief, 0))
        instances = [*limbs, proof.instances[-1]]
    honest = (0, account, proof.proof, proof.instances)
    stolen = (0, thief, proof.proof, instances)
    late, first = race(
        (judge.judge, honest, account, GWEI), (judge.judge, stolen, thief, 10 * GWEI)
    )
    assert landed_first(first, late)
    assert (first.status, late.status) == (0, 1)
    assert judge.creditOf(account) == REWARD
    assert judge.creditOf(thief) == 0

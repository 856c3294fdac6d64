"""A thief copies a transaction out of the mempool and pays more to be first."""

import pytest

GWEI = 10**9
REWARD = 10**16


@pytest.fixture
def race(chain):
    """Sends transactions that wait, each with its tip, mines them, and gives their receipts."""

    def race(*waiting):
        sent = [
            function(
                *arguments,
                sender=sender,
                gas_limit=1_000_000,
                max_fee=100 * tip,
                max_priority_fee=tip,
                required_confirmations=0,
                raise_on_revert=False,
            )
            for function, arguments, sender, tip in waiting
        ]
        chain.mine()
        web3 = chain.provider.web3
        return [web3.eth.get_transaction_receipt(transaction.txn_hash) for transaction in sent]

    chain.provider.auto_mine = False
    yield race
    chain.provider.make_request("anvil_dropAllTransactions", [])
    chain.provider.auto_mine = True


def landed_first(first, late) -> bool:
    assert late.blockNumber == first.blockNumber
    return first.transactionIndex < late.transactionIndex


def test_thief_of_a_join_gains_nothing_and_stops_nothing(clan, proof, accounts, race):
    member, thief = accounts[0], accounts[6]
    join = (member, proof.proof, proof.instances)
    late, first = race((clan.join, join, member, GWEI), (clan.join, join, thief, 10 * GWEI))
    assert landed_first(first, late)

    # The thief's copy landed first, and did the member's work at the thief's expense.
    assert first.status == 1
    assert clan.isMember(member)
    assert clan.clanOf(member) == 7
    assert not clan.isMember(thief)
    assert clan.counts() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]

    # The member's own transaction came too late, and stops at the first check.
    assert late.status == 0
    assert late.gasUsed < 200_000  # its calldata, mostly


@pytest.fixture
def open_round(judge, accounts, chain):
    deadline = chain.blocks.head.timestamp + 3600
    judge.openRound(0, REWARD, deadline, value=2 * REWARD, sender=accounts[7])


def test_thief_of_a_reward_pays_for_it(judge, chain, open_round, sung, accounts, race):
    singer, thief, proof = accounts[0], accounts[6], sung(0)
    wealth = thief.balance
    song = (0, singer, proof.proof, proof.instances)
    late, first = race((judge.judge, song, singer, GWEI), (judge.judge, song, thief, 10 * GWEI))
    assert landed_first(first, late)

    # The singer is paid, by the thief's transaction; the thief paid gas for it.
    assert (first.status, late.status) == (1, 0)
    assert judge.creditOf(singer) == REWARD
    assert judge.creditOf(thief) == 0
    assert judge.rewardsLeft(0) == 1
    assert thief.balance == wealth - first.gasUsed * first.effectiveGasPrice
    assert late.gasUsed < 200_000


def test_thief_with_a_changed_argument(judge, open_round, sung, accounts, race):
    """The thief names itself as the singer, and stops nobody."""
    singer, thief, proof = accounts[0], accounts[6], sung(0)
    honest = (0, singer, proof.proof, proof.instances)
    stolen = (0, thief, proof.proof, proof.instances)
    late, first = race((judge.judge, honest, singer, GWEI), (judge.judge, stolen, thief, 10 * GWEI))
    assert landed_first(first, late)
    assert (first.status, late.status) == (0, 1)
    assert judge.creditOf(singer) == REWARD
    assert judge.creditOf(thief) == 0


def test_thief_with_changed_instances(judge, voice_manifest, open_round, sung, accounts, race):
    """The thief writes its own key over the singer's, which the proof does not bear."""
    singer, thief, proof = accounts[0], accounts[6], sung(0)
    limbs = voice_manifest.layout.split(judge.keyOf(thief, 0))
    honest = (0, singer, proof.proof, proof.instances)
    stolen = (0, thief, proof.proof, [*limbs, proof.instances[-1]])
    late, first = race((judge.judge, honest, singer, GWEI), (judge.judge, stolen, thief, 10 * GWEI))
    assert landed_first(first, late)
    assert (first.status, late.status) == (0, 1)
    assert judge.creditOf(singer) == REWARD
    assert judge.creditOf(thief) == 0

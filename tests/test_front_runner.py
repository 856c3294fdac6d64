"""A thief copies a join out of the mempool and pays more to be first."""

import pytest


@pytest.fixture
def mempool(chain):
    """Transactions wait until the test mines."""
    chain.provider.auto_mine = False
    yield chain
    chain.provider.make_request("anvil_dropAllTransactions", [])
    chain.provider.auto_mine = True


def test_front_runner_gains_nothing_and_stops_nothing(clan, proof, accounts, mempool):
    member, thief = accounts[0], accounts[6]

    def send(sender, tip):
        return clan.join(
            member,
            proof.proof,
            proof.instances,
            sender=sender,
            gas_limit=1_000_000,
            max_fee=100 * tip,
            max_priority_fee=tip,
            required_confirmations=0,
            raise_on_revert=False,
        )

    slow, fast = send(member, 10**8), send(thief, 10**9)
    mempool.mine()
    late, first = (
        mempool.provider.web3.eth.get_transaction_receipt(tx.txn_hash) for tx in (slow, fast)
    )
    assert late.blockNumber == first.blockNumber
    assert first.transactionIndex < late.transactionIndex

    # The thief's copy landed first, and did the member's work at the thief's expense.
    assert first.status == 1
    assert clan.isMember(member)
    assert clan.clanOf(member) == 7
    assert not clan.isMember(thief)
    assert clan.counts() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]

    # The member's own transaction came too late, and stops at the first check.
    assert late.status == 0
    assert late.gasUsed < 200_000  # its calldata, mostly

"""Transactions that one account sends at once."""

from concurrent.futures import ThreadPoolExecutor

from apps.voice import ANYONE
from chain.sending import send

MANY = 4


def test_transactions_at_once_have_a_nonce_each(chain, judge, accounts):
    """They are sent while the others of the account wait for a block."""
    sender, web3 = accounts[6], chain.provider.web3
    before, deadline = sender.nonce, chain.pending_timestamp + 3600

    def open_round(_: int):
        return send(judge.openRound, 1, 1, deadline, ANYONE, sender=sender, value=1)

    chain.provider.auto_mine = False
    try:
        with ThreadPoolExecutor(MANY) as pool:
            sent = list(pool.map(open_round, range(MANY)))
        chain.mine(MANY)  # a transaction may take the gas of a whole block
    finally:
        chain.provider.auto_mine = True
    assert sorted(one.nonce for one in sent) == list(range(before, before + MANY))
    found = [web3.eth.get_transaction_receipt(one.txn_hash)["status"] for one in sent]
    assert found == [1] * MANY

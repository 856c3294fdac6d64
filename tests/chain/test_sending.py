"""Transactions that one account sends at once."""

from concurrent.futures import ThreadPoolExecutor

from chain.sending import send

MANY = 4


def test_transactions_at_once_have_a_nonce_each(chain, judge, accounts):
    """They are sent while the others of the account wait for a block."""
    sender, web3 = accounts[6], chain.provider.web3
    before, deadline = sender.nonce, chain.pending_timestamp + 3600

    def open_round(_: int) -> str:
        return send(judge.openRound, 1, 1, deadline, sender=sender, value=1).txn_hash

    chain.provider.auto_mine = False
    try:
        with ThreadPoolExecutor(MANY) as pool:
            sent = list(pool.map(open_round, range(MANY)))
        chain.mine()
    finally:
        chain.provider.auto_mine = True
    nonces = sorted(web3.eth.get_transaction(one)["nonce"] for one in sent)
    assert nonces == list(range(before, before + MANY))
    assert all(web3.eth.get_transaction_receipt(one)["status"] == 1 for one in sent)

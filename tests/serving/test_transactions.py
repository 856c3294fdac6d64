"""The transactions of a relay: recorded before they are sent, followed, and sent once."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from eth_account import Account
from eth_utils import keccak
from pydantic import ValidationError

from apps.consents import typed
from chain.contracts import deploy
from chain.sending import count
from hub import relay as relaying
from hub.batches import Batch, Batches
from hub.circuits import Served
from hub.jobs import Job, Jobs, new_job
from hub.metrics import Metrics
from hub.relay import Relay, Route, Terms
from hub.schemas import ProofOrder
from tests.hubs import until
from zk.proof import prove_all

pytestmark = pytest.mark.slow

PEOPLE = [Account.from_key((8000 + number).to_bytes(32)) for number in range(3)]
DIGITS = (7, 2, 1)  # theirs
GWEI, ETHER = 10**9, 10**18


@pytest.fixture(scope="module")
def route(crowd, deployer) -> Route:
    one, many = crowd
    return Route(Served(one, ""), Served(many, ""), deploy(one, deployer, batch=many))


@pytest.fixture
def jobs(tmp_path) -> Iterator[Jobs]:
    found = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    yield found
    found.close()


@pytest.fixture
def terms(relayer) -> Terms:
    return Terms(relayer, wait=0, gas_price=50 * GWEI, budget=ETHER, confirmations=0)


@pytest.fixture(scope="module")
def proof(route) -> dict:
    """A proof for the people, and padding."""
    keys = [route.contract.keyOf(one.address) for one in PEOPLE]
    keys += [route.contract.keyOf("0x" + "00" * 20)] * (route.size - len(PEOPLE))
    x = np.zeros((route.size, 10), np.float32)
    x[range(len(PEOPLE)), DIGITS] = 4
    (made,) = prove_all(route.several.manifest, [(keys, x)])
    return made.content()


@pytest.fixture
def batch(route, jobs, proof, chain) -> Batch:
    """A proved batch of the people, who all consent."""
    where = str(route.contract.address), chain.chain_id
    for one, digit in zip(PEOPLE, DIGITS, strict=True):
        signed = one.sign_message(typed(*where, (one.address, digit, 0, 2**40)))
        consent = (2**40, "0x" + bytes(signed.signature).hex())
        key = route.contract.keyOf(one.address)
        build = route.single.sha256["vk"]
        job = new_job("", "clan", build, one.address, None, key, np.zeros(10), consent)
        jobs.accept(job, lambda *_: None)
    store = Batches(jobs)
    made = store.collect("clan", route.several.sha256["vk"], store.waiting("clan"))
    store.keep(made, proof=proof)
    return made


@pytest.fixture
def by_hand(chain) -> Iterator[None]:
    """Blocks are mined when the test says so."""
    chain.provider.auto_mine = False
    yield
    chain.provider.auto_mine = True


def relay_of(terms: Terms, route: Route, jobs: Jobs) -> Relay:
    """A relay, as it starts: it knows what its database says."""
    return Relay(terms, [route], jobs, None, Metrics())  # type: ignore[arg-type] # without workers


def newest(jobs: Jobs) -> Batch:
    (found,) = Batches(jobs).open()
    return found


def states(jobs: Jobs, batch: Batch) -> list[Job]:
    return list(Batches(jobs).jobs_of(batch))


def joins(chain, contract) -> int:
    """The mined transactions that called `joinMany`."""
    selector = contract.joinMany.abis[0].selector
    called = keccak(text=selector)[:4]
    blocks = range(chain.blocks.height + 1)
    web3 = chain.provider.web3.eth
    found = [web3.get_block(number, full_transactions=True) for number in blocks]
    return sum(
        bytes(tx["input"])[:4] == called and tx["to"] == contract.address
        for block in found
        for tx in block["transactions"]
    )


def test_receipt_of_a_batch(terms, route, jobs, batch):
    relay = relay_of(terms, route, jobs)
    assert not relay._advance(route, batch)
    until(lambda: relay._advance(route, batch), "the transaction is mined")
    ended = states(jobs, batch)
    assert [job.state for job in ended] == ["done"] * 3
    assert [job.mined["result"] for job in ended if job.mined] == list(DIGITS)
    assert all(job.x is None for job in ended)
    assert Batches(jobs).open() == []


def test_a_restart_finds_what_was_sent(terms, route, jobs, batch, chain, by_hand):
    """Also if the hub was killed between recording and sending."""
    relay_of(terms, route, jobs)._advance(route, batch)
    (sent,) = newest(jobs).sent
    chain.provider.make_request("anvil_dropTransaction", [sent["hash"]])
    again = newest(jobs)
    assert not relay_of(terms, route, jobs)._advance(route, again)
    assert [one["hash"] for one in again.sent] == [sent["hash"]]
    chain.mine()
    assert relay_of(terms, route, jobs)._advance(route, newest(jobs))
    assert joins(chain, route.contract) == 1


def test_a_reorganised_chain_gets_the_transaction_again(terms, route, jobs, batch, chain):
    relay = relay_of(replace(terms, confirmations=2), route, jobs)

    def confirming() -> bool:
        assert not relay._advance(route, batch)
        return relay._steps[batch.number] == "waiting for confirmations"

    before = chain.snapshot()
    until(confirming, "the transaction is mined")
    chain.restore(before)
    assert not route.contract.isMember(PEOPLE[0].address)
    relay._steps[batch.number] = "gone"
    until(confirming, "the same transaction is mined again")
    assert len(batch.sent) == 1
    assert route.contract.isMember(PEOPLE[0].address)
    chain.mine(2)
    assert relay._advance(route, batch)
    assert [job.state for job in states(jobs, batch)] == ["done"] * 3


def test_receipts_behind_nonces_send_nothing_again(terms, route, jobs, batch, chain, monkeypatch):
    """A node, or another one behind the same URL, may know a nonce before the receipt."""
    relay, clock = relay_of(replace(terms, confirmations=2), route, jobs), [0.0]
    relay._advance(route, batch)
    until(lambda: count(terms.sender, "latest") > batch.nonce, "the transaction is mined")
    times = SimpleNamespace(monotonic=lambda: clock[0], time=time.time)
    monkeypatch.setattr(relaying, "time", times)
    for _ in range(2):
        with monkeypatch.context() as behind:
            behind.setattr(relaying, "_receipt", lambda _: None)
            assert not relay._advance(route, batch)
        assert not relay._advance(route, batch)
        clock[0] += 2 * relaying.LAG
    chain.mine(2)
    assert relay._advance(route, batch)
    assert len(batch.sent) == 1


def test_a_nonce_that_something_else_took(
    terms, route, jobs, batch, chain, relayer, by_hand, monkeypatch
):
    monkeypatch.setattr(relaying, "LAG", 0)
    relay = relay_of(terms, route, jobs)
    relay._advance(route, batch)
    chain.provider.make_request("anvil_dropTransaction", [batch.sent[0]["hash"]])
    relayer.transfer(PEOPLE[0].address, 1, required_confirmations=0, nonce=batch.nonce)
    chain.mine()
    assert not relay._advance(route, batch)
    assert len(batch.sent) == 2
    chain.mine()
    assert relay._advance(route, batch)
    assert joins(chain, route.contract) == 1


def test_a_stuck_transaction_is_replaced(terms, route, jobs, batch, chain, by_hand, monkeypatch):
    """By one with the same nonce and a higher price, up to the limit."""
    relay = relay_of(terms, route, jobs)
    relay._advance(route, batch)
    monkeypatch.setattr(relaying, "STUCK", -1)
    relay._advance(route, batch)
    first, second = batch.sent
    assert int(second["price"]) >= int(first["price"]) * 9 // 8
    low = replace(terms, gas_price=int(second["price"]))
    relay_of(low, route, jobs)._advance(route, batch)
    assert len(batch.sent) == 2
    chain.mine()
    assert relay._advance(route, batch)
    assert joins(chain, route.contract) == 1
    assert {job.mined["hash"] for job in states(jobs, batch) if job.mined} == {second["hash"]}


def test_budget_of_a_day(terms, route, jobs, batch, chain, by_hand):
    relay = relay_of(replace(terms, budget=1), route, jobs)
    assert not relay._advance(route, batch)
    assert batch.sent == []
    relay_of(terms, route, jobs)._advance(route, batch)
    cost = int(batch.sent[0]["cost"])
    store = Batches(jobs)
    assert store.spent(time.time() - 60) == cost
    assert store.spent(batch.sent[0]["at"]) == cost
    assert store.spent(time.time() + 60) == 0


def test_contract_that_refuses_a_batch(terms, route, jobs, batch):
    spoilt = {**batch.proof, "instances": [*batch.proof["instances"][:-1], "0x1"]}
    Batches(jobs).keep(batch, proof=spoilt)
    assert relay_of(terms, route, jobs)._advance(route, batch)
    reasons = {job.reason for job in states(jobs, batch)}
    assert len(reasons) == 1
    assert "The contract refuses the batch" in reasons.pop()
    assert [job.state for job in states(jobs, batch)] == ["failed"] * 3


def test_batch_of_a_build_that_was_replaced(terms, route, jobs, batch):
    other = replace(route, several=route.single)
    asyncio.run(relay_of(terms, other, jobs)._carry(batch))
    assert {job.state for job in states(jobs, batch)} == {"failed"}


@pytest.mark.parametrize("relay", [True, False])
def test_a_relayed_order_has_a_consent_and_no_other(relay):
    consent = None if relay else {"deadline": 1, "signature": "0x" + "00" * 65}
    given = {"drawing": "0" * 784, "account": f"0x{1:040x}", "relay": relay, "consent": consent}
    with pytest.raises(ValidationError, match="give a consent and relay together, or neither"):
        ProofOrder(**given)

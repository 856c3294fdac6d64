"""A hub that relays: it collects consents, proves them together, and sends each batch once."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak
from playwright.sync_api import Page, expect

from apps.circuits import circuit, digit_samples, view_of
from apps.consents import typed
from tests.browsers import draw_seven, use_dev_account
from tests.builds import beside
from tests.hubs import ADA, Running, ended, running, until
from tests.nodes import Node, own_node
from tests.scale import scaled
from tests.tiny import echo_in
from tests.typed import ape
from zk.circuit import RunArgs
from zk.errors import CircuitError

SIZE = 4
LATE = 2**40
REVOKE = keccak(text="revokeConsents()")[:4].hex()
KILLS = scaled(3, 25)
SENDER = 9  # the relayer's number


def person(number: int) -> LocalAccount:
    return Account.from_key((9000 + number).to_bytes(32))


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Iterator[None]:
    """Small circuits of Clan for Groth16, `few` and `few-batch`. Their logits are their input."""
    folder = tmp_path_factory.mktemp("few")
    single = RunArgs(prover="groth16", param_scale=2, largest_input=4)
    batch = replace(single, batch=SIZE)
    with (
        beside(echo_in(folder, "few", 10, single, "Clan")),
        beside(echo_in(folder, "few-batch", 10, batch, "Clan")),
    ):
        yield


@pytest.fixture(scope="module")
def pair() -> Iterator[None]:
    """The circuit of `clan` for two drawings at once, which is built and proved in seconds."""
    many = circuit("clan-batch")
    args = replace(many.run_args, batch=2, logrows=14)  # as few columns as `clan` has
    seen = view_of("clan", "drawing")
    with beside(
        replace(
            many,
            name="clan-pair",
            verifier_name="ClanPairVerifier",
            run_args=args,
            samples=lambda: digit_samples(seen, 100),
        )
    ):
        yield


@pytest.fixture(scope="module")
def chain(manifest, pair, few) -> Iterator[Node]:
    """A chain with two Clans that take batches, one for each prover."""
    with own_node() as started:
        for single, many in (("few", "few-batch"), ("clan", "clan-pair")):
            result = ape(started, "deploy", "--only", single, "--batch", many)
            assert result.returncode == 0, result.stderr
        yield started


@pytest.fixture
def fresh(chain) -> Iterator[Node]:
    with chain.unchanged():
        yield chain


@pytest.fixture(scope="module")
def relaying(chain, tmp_path_factory) -> Iterator[Running]:
    """A hub that relays. Each test joins with other people, because it remembers their jobs."""
    folder = tmp_path_factory.mktemp("relaying")
    with running(folder, chain, "--relay", str(SENDER), "--relay-wait", "3") as hub:
        yield hub


def digit(number: int) -> int:
    return number % 10


def drawing(number: int) -> np.ndarray:
    """An input of `few`, whose largest logit is that of the person's digit."""
    return 4 * np.eye(10, dtype=np.float32)[digit(number)]


def consent(
    node: Node,
    signer: LocalAccount,
    number: int,
    deadline: int = LATE,
    nonce: int = 0,
    more: int = 0,
    circuit: str = "few",
) -> tuple[int, str]:
    """The consent of a person to join the clan of its drawing, perhaps spoilt."""
    contract = json.loads(node.record.read_text())[circuit]["contract"]
    values = (person(number).address, (digit(number) + more) % 10, nonce, deadline)
    signed = signer.sign_message(typed(contract, node.chain_id, values))
    return deadline, "0x" + bytes(signed.signature).hex()


def order(hub: Running, node: Node, number: int, circuit: str = "few") -> dict:
    who = person(number)
    given = consent(node, who, number, circuit=circuit)
    return hub.client.order(circuit, who.address, drawing(number), consent=given)


def sent_by_the_relayer(node: Node) -> list[dict]:
    """The mined transactions of the relayer, in their order."""
    blocks = range(int(node.rpc("eth_blockNumber"), 16) + 1)
    found = [node.rpc("eth_getBlockByNumber", hex(number), True) for number in blocks]
    sender = "0xa0ee7a142d267c1f36714e4a8f75612f20a79720"
    return [tx for block in found for tx in block["transactions"] if tx["from"] == sender]


def test_a_full_batch_is_sent_at_once(relaying, fresh):
    started = time.monotonic()
    jobs = [order(relaying, fresh, number) for number in range(SIZE)]
    assert {job["state"] for job in jobs} == {"queued"}
    assert order(relaying, fresh, 0)["id"] == jobs[0]["id"]  # the same order again
    last = [ended(relaying, job) for job in jobs]
    assert [job["state"] for job in last] == ["done"] * SIZE, last
    assert [job["transaction"]["result"] for job in last] == [digit(n) for n in range(SIZE)]
    (sent,) = sent_by_the_relayer(fresh)
    assert {job["transaction"]["hash"] for job in last} == {sent["hash"]}
    receipt = fresh.rpc("eth_getTransactionReceipt", sent["hash"])
    assert {job["transaction"]["gas"] for job in last} == {int(receipt["gasUsed"], 16)}
    assert time.monotonic() - started < 90


def test_a_few_are_sent_after_a_while(relaying, fresh):
    """With padding; a normal proof is made in the meantime."""
    jobs = [order(relaying, fresh, number) for number in range(10, 13)]
    alone = relaying.client.order("few", person(15).address, drawing(15))
    assert ended(relaying, alone)["proof"]
    assert [ended(relaying, job)["state"] for job in jobs] == ["done"] * 3
    assert len(sent_by_the_relayer(fresh)) == 1


def test_one_who_revokes_does_not_stop_the_others(relaying, fresh):
    jobs = [order(relaying, fresh, number) for number in (20, 21)]
    contract = json.loads(fresh.record.read_text())["few"]["contract"]
    account = person(20).address
    fresh.rpc("anvil_setBalance", account, hex(10**18))
    fresh.rpc("anvil_impersonateAccount", account)
    revoke = {"from": account, "to": contract, "data": "0x" + REVOKE}
    fresh.rpc("eth_sendTransaction", revoke)
    fresh.rpc("anvil_stopImpersonatingAccount", account)
    first, second = (ended(relaying, job) for job in jobs)
    assert (first["state"], second["state"]) == ("failed", "done")
    assert "was skipped: it did not consent" in first["reason"]


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"more": 1}, "is not a consent of"),
        ({"nonce": 1}, "is not a consent of"),
        ({"deadline": 1}, "seconds too early for this hub"),
        ({"signer": person(50)}, "is not a consent of"),
    ],
    ids=["digit", "nonce", "deadline", "signer"],
)
def test_orders_without_a_consent_are_refused(relaying, fresh, spoilt, reason):
    given = {"signer": person(30)} | spoilt
    with pytest.raises(CircuitError, match=reason):
        relaying.client.order(
            "few", person(30).address, drawing(30), consent=consent(fresh, number=30, **given)
        )


def test_page_lets_the_hub_join(relaying, fresh, browser):
    """The account signs, and pays for nothing. The batch is one of `clan-pair`."""

    def story(page: Page) -> None:
        page.goto(f"{relaying.url}/#clan")
        use_dev_account(page, 1)
        draw_seven(page)
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()
        page.get_by_role("button", name="Let this hub join for you").click()
        expect(page.get_by_text("Waiting for others who join with you")).to_be_visible()
        joined = page.get_by_text("has joined clan 7. The hub paid, in transaction")
        expect(joined).to_be_visible(timeout=60_000)
        expect(joined.get_by_title(f"Copy {ADA}")).to_be_visible()
        expect(page.get_by_text("You are in clan 7, number 1 of 10")).to_be_visible()

    owned = fresh.rpc("eth_getBalance", ADA, "latest")
    browser(lambda chromium: story(chromium.new_page()))
    assert fresh.rpc("eth_getBalance", ADA, "latest") == owned
    (sent,) = sent_by_the_relayer(fresh)
    assert int(sent["value"], 16) == 0


@pytest.mark.parametrize(
    ("limit", "step"),
    [
        (("--relay-gas-price", "0.000000001"), "waiting for a lower gas price"),
        pytest.param(
            ("--relay-budget", "0.0000001"),
            "waiting, because today's budget is spent",
            marks=pytest.mark.full,  # test_transactions.py has a budget, too
        ),
    ],
    ids=["price", "budget"],
)
def test_the_limits_are_kept(fresh, tmp_path, limit, step):
    """Above the highest price or the day's budget, jobs wait, and nothing is sent."""
    with running(tmp_path, fresh, "--relay", str(SENDER), "--relay-wait", "0", *limit) as hub:
        job = order(hub, fresh, 1)

        def waits() -> bool:
            progress = hub.client.job(job["id"])["progress"]
            return bool(progress and progress["step"] == step)

        until(waits, step)
    assert sent_by_the_relayer(fresh) == []


def test_kills_while_relaying(fresh, tmp_path):
    """The hub is killed at random moments: nobody is lost, and nothing is sent twice."""
    chosen, people = random.Random(22), iter(range(1000))
    accepted: dict[int, str] = {}
    words = ("--relay", str(SENDER), "--relay-wait", "1")
    with running(tmp_path, fresh, *words) as hub:
        for _ in range(KILLS):
            for number in (next(people), next(people)):
                with suppress(CircuitError):
                    accepted[number] = order(hub, fresh, number)["id"]
            time.sleep(chosen.uniform(0, 3))  # any moment from collecting to the receipt
            hub.kill()
            hub.start()
        states = [ended(hub, {"id": identity}) for identity in accepted.values()]
    assert [state["state"] for state in states] == ["done"] * len(states), states
    sent = sent_by_the_relayer(fresh)
    assert len({transaction["input"] for transaction in sent}) == len(sent)
    assert {state["transaction"]["hash"] for state in states} == {one["hash"] for one in sent}
    assert len(accepted) == 2 * KILLS
    reasons = [state["transaction"]["result"] for state in states]
    assert reasons == [digit(number) for number in accepted]

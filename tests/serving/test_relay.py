"""The hub and the chain: keys, refusals, the contracts for the page, and the relayed calls."""

import json
from collections.abc import Callable, Iterator

import ape
import pytest
import requests

from apps.registry import RefusedError
from apps.voice import ANYONE
from chain import deployments
from chain.contracts import UnreachableError
from chain.deployments import MissingError
from hub import chain as module
from hub.chain import Chain
from tests.hubs import ADA, BEN
from tests.inputs import NO_BATCH
from zk.files import write_json

HOUR = 3600


@pytest.fixture
def hub_chain(both_recorded) -> Chain:
    return Chain()


@pytest.fixture
def open_round(voice_judge, deployer, chain):
    """A function that opens a round, and returns its number."""

    def open_round(threshold: int = 10**18, hours: int = 1) -> int:
        offer = (threshold, 1, chain.pending_timestamp + hours * HOUR, ANYONE)
        voice_judge.openRound(*offer, value=1, sender=deployer)
        return voice_judge.rounds() - 1

    return open_round


@pytest.fixture
def asked(monkeypatch, clan_served, voice_served) -> list[str]:
    """The names of the things that the chain is asked for, one for each time."""
    asked = []

    def counted(place, name):
        before = getattr(place, name)

        def call(*words):
            asked.append(name)
            return before(*words)

        monkeypatch.setattr(place, name, call)

    counted(deployments, "read")
    counted(clan_served.application, "key")
    counted(voice_served.application, "key")
    return asked


# Keys


def test_keys_are_those_of_the_contracts(
    hub_chain, clan, voice_judge, clan_served, voice_served, asked
):
    for account in (ADA, BEN, ADA):
        assert hub_chain.key(clan_served, account, None) == (clan.keyOf(account), None)
    assert asked == ["read", "key"]


def test_each_round_has_keys(hub_chain, voice_judge, voice_served, open_round, asked):
    first, second = open_round(), open_round()
    for round_number in (first, second, first):
        for account in (ADA, BEN):
            expected = voice_judge.keyOf(account, round_number), round_number
            assert hub_chain.key(voice_served, account, round_number) == expected
    assert hub_chain.key(voice_served, ADA, None) == (voice_judge.keyOf(ADA, second), second)
    assert asked == ["read", "key", "key"]


def test_a_key_that_would_be_refused_is_not_given(
    hub_chain, voice_judge, voice_served, open_round, chain
):
    with pytest.raises(RefusedError, match="No round is open"):
        hub_chain.key(voice_served, ADA, None)
    round_number = open_round()
    with pytest.raises(RefusedError, match=f"There is no round {round_number + 1}"):
        hub_chain.key(voice_served, ADA, round_number + 1)
    chain.mine(timestamp=voice_judge.roundOf(round_number).deadline + 1)
    with pytest.raises(RefusedError, match="ended at its deadline"):
        hub_chain.key(voice_served, ADA, round_number)


def test_a_new_record_is_read_at_once(
    hub_chain, both_recorded, clan, manifest, clan_served, project, deployer
):
    before, _ = hub_chain.key(clan_served, ADA, None)
    assert before == clan.keyOf(ADA)
    layout = (clan.limbs(), clan.limbBits(), clan.outputScale(), clan.lanes())
    other = deployer.deploy(project.Clan, clan.verifier(), layout, *NO_BATCH)
    write_json(both_recorded, {"clan": deployments.entry_for(manifest, other)})
    assert hub_chain.key(clan_served, ADA, None) == (other.keyOf(ADA), None) != (before, None)
    both_recorded.unlink()
    with pytest.raises(MissingError, match="clan is not deployed"):
        hub_chain.key(clan_served, ADA, None)


def test_a_circuit_without_an_application_has_no_keys(hub_chain, plain_served):
    with pytest.raises(RefusedError, match="built without an application"):
        hub_chain.key(plain_served, ADA, None)


# Proofs that are sent for verification


def test_a_proof_that_the_contract_would_accept(
    hub_chain, clan, voice_judge, clan_served, voice_served, open_round
):
    assert hub_chain.submission(clan_served, clan.keyOf(ADA), [0] * 10) == (None, "accepted", None)
    first, _ = open_round(threshold=0), open_round()
    found = hub_chain.submission(voice_served, voice_judge.keyOf(ADA, first), [0])
    assert found == (first, "accepted", None)


def test_a_score_that_is_too_low(hub_chain, voice_judge, voice_served, open_round, voice_manifest):
    round_number, one = open_round(), 2 ** voice_manifest["output_scale"]
    key = voice_judge.keyOf(ADA, round_number)
    found, answer, reason = hub_chain.submission(voice_served, key, [one - 1])
    assert (found, answer) == (round_number, "refused")
    assert "is too low" in reason
    assert hub_chain.submission(voice_served, key, [one]) == (round_number, "accepted", None)


def test_a_proof_for_another_contract_or_for_no_account(hub_chain, clan, clan_served):
    found = hub_chain.submission(clan_served, clan.keyOf(ADA) ^ 1 << 160, [0] * 10)
    assert found[:2] == (None, "refused")
    assert found[2].startswith("The proof was made for another chain, contract or round")
    domain = clan.keyOf(ADA) >> 160 << 160
    reason = "The zero address cannot be an account: give another one."
    assert hub_chain.submission(clan_served, domain, [0] * 10) == (None, "refused", reason)


def test_a_proof_of_a_circuit_that_is_not_deployed(record, clan_served):
    round_number, answer, reason = Chain().submission(clan_served, int(ADA, 16), [0] * 10)
    assert (round_number, answer) == (None, "missing")
    assert reason.startswith("clan is not deployed according to")


@pytest.mark.parametrize("error", [requests.ConnectionError, UnreachableError])
def test_a_node_that_does_not_answer_after_the_round_was_found(
    hub_chain, voice_judge, voice_served, open_round, monkeypatch, error
):
    round_number = open_round()
    key = voice_judge.keyOf(ADA, round_number)

    def silent(*_):
        raise error

    monkeypatch.setattr(voice_served.application, "require_open", silent)
    reason = "The chain's node does not answer: check the proof again later."
    assert hub_chain.submission(voice_served, key, [0]) == (round_number, "unreachable", reason)


def test_a_node_that_does_not_answer_is_no_refusal(hub_chain, clan_served, monkeypatch):
    def silent(*_):
        raise UnreachableError

    monkeypatch.setattr(clan_served.application, "contract_of", silent)
    with pytest.raises(UnreachableError):
        hub_chain.key(clan_served, ADA, None)


# A chain that is reset or gone


@pytest.fixture
def reset(chain, clan, voice_judge) -> Iterator[Callable[[], None]]:
    """A function that takes the contracts off the chain, like a reset."""
    codes = {one.address: chain.provider.get_code(one.address) for one in (clan, voice_judge)}

    def reset() -> None:
        for address in codes:
            chain.provider.set_code(address, b"")

    yield reset
    for address, code in codes.items():
        chain.provider.set_code(address, code)


def test_after_a_reset_orders_and_proofs_find_no_contract(hub_chain, clan, clan_served, reset):
    key, _ = hub_chain.key(clan_served, ADA, None)
    genesis, problem = hub_chain.health()
    assert (len(genesis), problem) == (66, None)
    reset()
    again = f"^Contract {clan.address} not found on chain .*: run `ape run deploy --only clan"
    with pytest.raises(MissingError, match=again):
        hub_chain.key(clan_served, ADA, None)
    round_number, answer, reason = hub_chain.submission(clan_served, key, [0] * 10)
    assert (round_number, answer) == (None, "missing")
    assert reason.startswith(f"Contract {clan.address} not found")
    described = hub_chain.described(False)
    assert described.applications == {}
    assert described.genesis == genesis
    assert described.problem.startswith("The chain was reset: it has none of the recorded")
    assert hub_chain.health() == (genesis, described.problem)


def test_a_node_that_cannot_be_asked_is_said(hub_chain, monkeypatch):
    def silent():
        raise UnreachableError

    monkeypatch.setattr(module, "first_block", silent)
    assert hub_chain.health() == (None, "The chain's node does not answer: start it again.")


# The page


@pytest.mark.parametrize("tokens", [True, False])
def test_the_chain_as_the_page_gets_it(hub_chain, clan, voice_judge, manifest, chain, tokens):
    described = hub_chain.described(tokens)
    assert (described.chain_id, described.tokens) == (chain.chain_id, tokens)
    assert described.network == ape.networks.provider.network.choice
    assert described.dev is True
    assert described.explorer is None
    assert set(described.applications) == {"clan", "voice"}
    entry = described.applications["clan"]
    recorded = deployments.read()["clan"]
    assert (entry.application, entry.contract) == ("Clan", clan.address)
    assert (entry.verifier, entry.block) == (clan.verifier(), recorded["block"])
    assert entry.srs == manifest["srs"]["kind"]
    assert {"join", "keyOf", "Joined"} <= {item.get("name") for item in entry.abi}
    assert "null" not in json.dumps(entry.abi)
    assert described.applications["voice"].application == "VoiceJudge"


READ = {
    "eth_blockNumber": [],
    "eth_call": [{"to": ADA}, "latest"],
    "eth_chainId": [],
    "eth_estimateGas": [{"to": ADA}],
    "eth_feeHistory": ["0x1", "latest", []],
    "eth_gasPrice": [],
    "eth_getBalance": [ADA, "latest"],
    "eth_getBlockByNumber": ["latest", False],
    "eth_getCode": [ADA, "latest"],
    "eth_getLogs": [{"fromBlock": "latest"}],
    "eth_getTransactionByHash": [f"0x{0:064x}"],
    "eth_getTransactionCount": [ADA, "latest"],
    "eth_getTransactionReceipt": [f"0x{0:064x}"],
    "eth_maxPriorityFeePerGas": [],
}
REFUSED = [
    "anvil_setBalance",
    "debug_traceTransaction",
    "eth_sendRawTransaction",
    "eth_sign",
    "eth_signTransaction",
    "eth_subscribe",
    "evm_mine",
    "personal_unlockAccount",
    "admin_nodeInfo",
    "ETH_CALL",
    "",
]
SENT = ["eth_accounts", "eth_sendTransaction", "eth_signTypedData_v4"]


@pytest.mark.parametrize("dev", [True, False])
def test_calls_that_only_read_are_relayed(dev, monkeypatch):
    monkeypatch.setattr(module, "is_dev", lambda: dev)
    for method, parameters in READ.items():
        assert list(Chain().relay(method, parameters)) == ["result"], method


@pytest.mark.parametrize("dev", [True, False])
def test_other_calls_are_not_relayed(dev, monkeypatch):
    monkeypatch.setattr(module, "is_dev", lambda: dev)
    for method in REFUSED + ([] if dev else SENT):
        error = {"code": -32601, "message": f"This hub does not relay {method}."}
        assert Chain().relay(method, []) == {"error": error}


def test_on_a_dev_chain_the_node_signs_for_its_accounts(accounts, chain):
    relay = Chain().relay
    listed = relay("eth_accounts", [])["result"]
    assert accounts[0].address.lower() in listed
    before = accounts[1].balance
    value = {"from": accounts[0].address, "to": accounts[1].address, "value": "0x7"}
    sent = relay("eth_sendTransaction", [value])
    assert list(sent) == ["result"]
    chain.provider.web3.eth.wait_for_transaction_receipt(sent["result"], timeout=60)
    assert accounts[1].balance == before + 7


def test_the_answer_of_the_node_is_relayed(accounts, clan):
    relay = Chain().relay
    balance = relay("eth_getBalance", [accounts[0].address, "latest"])["result"]
    assert int(balance, 16) == accounts[0].balance
    refused = relay("eth_call", [{"to": clan.address, "data": "0x12345678"}, "latest"])
    assert list(refused) == ["error"]
    assert "revert" in refused["error"]["message"]

"""Accounts, contracts and their deployment on the connected chain."""

import copy
import json
import socket
import time
from dataclasses import replace

import ape
import pytest
from ape.exceptions import ApeException
from ape_accounts.accounts import KeyfileAccount
from eth_account import Account

from chain import accounts as chain_accounts
from chain import contracts, network, sending
from chain.accounts import (
    account_named,
    account_of,
    checked_account,
    checked_address,
    name_of,
    signer,
)
from chain.contracts import NodeError, accepts, ask, deploy_verifier, gas_of, layout_of, round_with
from chain.sending import Sending, require_funds
from tests.inputs import NO_BATCH
from zk.errors import CircuitError
from zk.files import digest, write_json
from zk.manifest import Manifest
from zk.proof import Proof
from zk.srs import CEREMONY_SHA256

ADDRESS = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
RETURNS_5, REVERTS, INVALID = "0x600560005260206000f3", "0x60006000fd", "0xfe"
RETURNS_SIZE = "0x60043560005260206000f3"  # its first argument


@pytest.fixture
def code_at(chain):
    """Put code at an address; return the address."""

    def code_at(code: str, address: str = ADDRESS) -> str:
        chain.provider.make_request("anvil_setCode", [address, code])
        return address

    return code_at


# Accounts


def test_signers_of_a_dev_chain(accounts):
    assert [signer(name).address for name in (None, "0", "3", "9")] == [
        accounts[number].address for number in (0, 0, 3, 9)
    ]
    for name, reason in (
        ("10", "There is no test account 10: there are 10, numbered from 0"),
        ("nobody", r"no account 'nobody' to sign with: .* number of a test account \(0 to 9\)\."),
    ):
        with pytest.raises(CircuitError, match=reason):
            signer(name)


def test_account_by_address_or_number(accounts):
    assert account_named(ADDRESS.lower()) == ADDRESS
    assert account_named("4") == accounts[4].address
    with pytest.raises(CircuitError, match="The zero address cannot be an account"):
        account_named("0x" + "0" * 40)
    assert checked_account(f"0x{1:040x}") == f"0x{1:040x}"


@pytest.mark.parametrize("text", [ADDRESS[:-1], ADDRESS + "0", ADDRESS.swapcase(), "0xd", ""])
def test_address_with_a_typo(text):
    text = text.replace("0X", "0x")
    with pytest.raises(CircuitError, match="is not an address with a valid checksum"):
        checked_address(text)


@pytest.mark.parametrize("text", [ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper()])
def test_address_gets_its_checksum(text):
    assert checked_address(text) == ADDRESS


def test_account_of_a_key():
    assert account_of(7 << 160 | int(ADDRESS, 16)) == ADDRESS
    assert account_of(1 << 160) == "0x" + "0" * 40
    assert int(account_of(2**160 - 1), 16) == 2**160 - 1


# The network


def test_dev_chain(chain):
    assert network.is_dev()
    assert network.explorer() is None
    assert [str(one.choice) for one in network.NETWORKS if one.chain_id == 80002] == [
        "polygon:amoy"
    ]


def test_chain_ids_are_the_registered_ones():
    assert {one.choice: one.chain_id for one in network.NETWORKS} == {
        "ethereum:mainnet": 1,
        "ethereum:sepolia": 11155111,
        "polygon:mainnet": 137,
        "polygon:amoy": 80002,
        "optimism:sepolia": 11155420,
    }


def test_time_is_the_later_of_the_clock_and_the_last_block(chain):
    chain.pending_timestamp += 100_000
    chain.mine()
    assert network.now() == chain.blocks.head.timestamp > time.time()


def test_time_of_an_idle_chain(monkeypatch, chain):
    later = chain.blocks.head.timestamp + 5000
    monkeypatch.setattr(time, "time", lambda: later + 0.9)
    assert network.now() == later


def test_free_port_is_bound_by_nobody_and_never_lent_to_connections(monkeypatch):
    asked = []
    with socket.socket() as busy, socket.socket() as free:
        for one in (busy, free):
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (busy, free)]
        free.close()

        def sample(population, count):
            asked.append((min(population), max(population), count))
            return ports[:count]

        monkeypatch.setattr(network.random, "sample", sample)
        assert network.free_port() == ports[1]
        ports.pop()
        with pytest.raises(CircuitError, match="No port between 20000 and 32000 is free"):
            network.free_port()
    assert asked == [(20_000, 31_999, 100)] * 2


# Questions to contracts


def test_answers_of_a_node(contracts, code_at, monkeypatch):
    contract = contracts.Clan.at(code_at(RETURNS_5))
    assert ask(contract, "isMember", ADDRESS) == 5
    assert accepts(ADDRESS, b"")
    code_at(REVERTS)
    assert not accepts(ADDRESS, b"")
    with pytest.raises(NodeError, match=r"did not answer isMember: .*revert"):
        ask(contract, "isMember", ADDRESS)
    code_at("0x")
    with pytest.raises(NodeError, match=f"{ADDRESS} did not answer isMember: it returned nothing"):
        ask(contract, "isMember", ADDRESS)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ({"result": "0x"}, True),
        ({"error": {"code": 3, "message": "failed"}}, False),
        ({"error": {"code": -32000, "message": "execution reverted"}}, False),
        ({"error": {"code": -32003, "message": "EVM error MemoryOOG"}}, False),
        ({"error": {"code": -32000, "message": "out of gas"}}, False),
        ({"error": {"code": -32000, "message": "invalid opcode: INVALID"}}, False),
        ({"error": {"code": -32000, "message": "stack underflow (0 <=> 2)"}}, False),
        ({"error": {"code": -32015, "message": "VM execution error."}}, False),
        ({"error": {"code": -32000, "message": "out of memory"}}, None),
        ({"error": {"message": "too many requests"}}, None),
        ({}, None),
    ],
)
def test_only_a_stopped_call_is_a_refusal(monkeypatch, answer, accepted):
    monkeypatch.setattr(contracts, "call", lambda address, data: answer)
    if accepted is None:
        with pytest.raises(NodeError, match=f"did not answer a call of {ADDRESS}"):
            accepts(ADDRESS, b"")
    else:
        assert accepts(ADDRESS, b"") == accepted


def test_newest_round_of_a_domain(judge, accounts):
    domains = [judge.keyOf(accounts[0], number) >> 160 for number in range(4)]
    assert [round_with(judge, domain, 4) for domain in domains] == [0, 1, 2, 3]
    assert [round_with(judge, domains[3], rounds) for rounds in (0, 3)] == [None, None]
    assert round_with(judge, domains[0] ^ 1, 4) is None


def test_layout_of_a_contract(clan, manifest, accounts):
    key = clan.keyOf(accounts[3])
    proof = Proof("clan", b"", [*manifest.layout.split(key), 2**29, 7])
    layout = layout_of(clan, 10)
    assert layout == replace(manifest.layout, largest_input=None)
    assert proof.key(layout) == key
    assert proof.outputs(layout) == [0, 1, 0, 0, 0, 0, 0, 0, 7, 0]


@pytest.mark.plain
@pytest.mark.slow
def test_gas_of_a_check(manifest, proof, chain):
    gas = gas_of(manifest["verifier"]["contract"], manifest.file("verifier"), proof)
    assert 200_000 < gas < 600_000
    spoilt = Proof("clan", proof.proof, [*proof.instances[:-1], proof.instances[-1] ^ 1])
    with pytest.raises(ApeException):
        gas_of(manifest["verifier"]["contract"], manifest.file("verifier"), spoilt)


# Deployments


def changed(manifest: Manifest, **content: dict) -> Manifest:
    other = copy.copy(manifest)
    other.content = manifest.content | content
    return other


def test_only_the_ceremonys_srs_is_deployed_to_a_live_network(manifest, chain, monkeypatch):
    public = CEREMONY_SHA256[manifest["logrows"]]

    def require(kind: str, sha256: str) -> None:
        contracts._require_ceremony(changed(manifest, srs={"kind": kind, "sha256": sha256}))

    require("insecure-dev", "0")
    monkeypatch.setattr(contracts, "is_dev", lambda: False)
    require("ceremony", public)
    for kind, sha256 in (("insecure-dev", public), ("ceremony", "0" * 64)):
        with pytest.raises(CircuitError, match="clan uses a dev SRS, whose maker can forge any"):
            require(kind, sha256)


@pytest.mark.slow
def test_deployment_to_a_live_network_needs_funds(manifest, accounts, chain, monkeypatch):
    sender, public = accounts[5], CEREMONY_SHA256[manifest["logrows"]]
    nonce = sender.nonce
    live = changed(manifest, srs={"kind": "ceremony", "sha256": public})
    monkeypatch.setattr(contracts, "is_dev", lambda: False)
    monkeypatch.setattr(type(chain.provider), "gas_price", 10**9)
    chain.provider.make_request("anvil_setBalance", [sender.address, "0x1"])
    with pytest.raises(
        CircuitError, match=rf"^{sender.address} has 1e-18 \w+, but deploying costs"
    ):
        contracts.deploy(live, sender)
    assert sender.nonce == nonce


def test_code_that_is_not_the_built_code(manifest, deployer):
    other = changed(manifest, verifier=manifest["verifier"] | {"runtime_sha256": "0" * 64})
    with pytest.raises(
        CircuitError, match=r"has the SHA-256 \w{64}, but 0{64} was built: build the circuit again"
    ):
        deploy_verifier(other, deployer)


@pytest.fixture
def send(contracts, clan, tmp_path):
    """Deploy a contract as one run of a command would; return its address."""
    layout = (11, 24, 12, 1)

    def send(sender, about="build", ours=lambda there: True, layout=layout):
        run = Sending(tmp_path / "sent.json", about)
        return run.deploy(
            "clan", contracts.Clan, sender, clan.verifier(), layout, *NO_BATCH, ours=ours
        ).address

    return send


def test_rerun_finds_the_contract_of_the_first(send, accounts, tmp_path):
    sender = accounts[5]
    first, nonce = send(sender), sender.nonce
    recognised = []
    assert send(sender, ours=lambda there: recognised.append(there) or True) == first
    assert recognised == [first]
    assert sender.nonce == nonce
    Sending(tmp_path / "sent.json", "build").finish()
    assert not (tmp_path / "sent.json").exists()
    assert send(sender) != first
    assert sender.nonce == nonce + 1


def test_contracts_of_other_runs_are_deployed_again(send, accounts):
    sender, other = accounts[5], accounts[6]
    first = send(sender)
    assert send(sender, about="another build") != first
    again = send(sender)
    assert again != first
    assert send(other) != again
    later = send(other, ours=lambda there: False)
    assert later == other.get_deployment_address(nonce=other.nonce - 1)


def test_transaction_is_recorded_before_it_is_sent(send, accounts, tmp_path):
    sender = accounts[5]
    nonce = sender.nonce
    with pytest.raises(ApeException):
        send(sender, layout=(1, 1, 1, 1))
    recorded = json.loads((tmp_path / "sent.json").read_text())["sent"]
    assert recorded == {"clan": {"sender": sender.address, "nonce": nonce}}


@pytest.mark.parametrize("taken", [False, True])
def test_recorded_transaction_that_was_never_sent(send, accounts, tmp_path, taken):
    """The rerun takes its nonce, or, if another transaction has it, the next one."""
    sender = accounts[5]
    sent = {"clan": {"sender": sender.address, "nonce": sender.nonce}}
    write_json(tmp_path / "sent.json", {"about": digest("build"), "sent": sent})
    if taken:
        sender.transfer(accounts[6], 1)
    expected = sender.get_deployment_address(nonce=sender.nonce)
    assert send(sender) == expected


def test_pending_transaction_is_awaited(send, accounts, chain, monkeypatch):
    sender = accounts[5]
    nonce, provider = sender.nonce, chain.provider
    assert sending._wait(sender, nonce) == nonce
    provider.auto_mine = False
    try:
        sender.transfer(accounts[6], 1, required_confirmations=0)
        monkeypatch.setattr(sending, "PATIENCE", -1)
        with pytest.raises(CircuitError, match=f"Transaction {nonce} of {sender.address} has been"):
            sending._wait(sender, nonce)
        assert sending._wait(sender, nonce + 1) == nonce
        monkeypatch.setattr(sending, "PATIENCE", 600)
        monkeypatch.setattr(sending.time, "sleep", lambda seconds: chain.mine())
        assert sending._wait(sender, nonce) == nonce + 1
    finally:
        provider.auto_mine = True


def test_without_a_record_nothing_is_found_again(contracts, clan, accounts):
    run = Sending()
    made = [
        run.deploy(
            "clan",
            contracts.Clan,
            accounts[5],
            clan.verifier(),
            (11, 24, 12, 1),
            *NO_BATCH,
            ours=bool,
        )
        for _ in range(2)
    ]
    run.finish()
    assert made[0].address == made[1].address
    assert Sending()._sent == {}


@pytest.mark.parametrize("rollup", [False, True])
def test_funds_that_a_deployment_needs(contracts, accounts, chain, code_at, monkeypatch, rollup):
    gas_price = 3 * 10**9  # the chain of the tests asks for none
    monkeypatch.setattr(type(chain.provider), "gas_price", gas_price)
    provider, sender = chain.provider, accounts[5]
    code_at(RETURNS_SIZE if rollup else "0x", sending.PUBLISHING)
    both = [contracts.Clan, contracts.VoiceJudge]
    codes = [
        [
            bytes.fromhex(str(code.bytecode)[2:])
            for code in (one.contract_type.deployment_bytecode, one.contract_type.runtime_bytecode)
        ]
        for one in both
    ]
    sizes = [len(creation) for creation, _ in codes]
    gas = sum(
        113_000
        + sum(16 if byte else 4 for byte in creation)
        + 2 * ((len(creation) + 31) // 32)
        + 200 * len(runtime)
        for creation, runtime in codes
    )
    cost = gas * gas_price + (sum(sizes) if rollup else 0)
    said: list[str] = []
    provider.make_request("anvil_setBalance", [sender.address, hex(cost)])
    require_funds(sender, both, said.append)
    assert f"takes about {gas:,} gas: {cost / 1e18:.4g} ETH at " in said[0].replace("POL", "ETH")
    assert f"{sender.address} has {cost / 1e18:.4g}" in said[0]
    assert f" at {gas_price / 1e9:.3g} gwei" in said[0]
    provider.make_request("anvil_setBalance", [sender.address, hex(cost - 1)])
    with pytest.raises(CircuitError, match=rf"but deploying costs about {cost / 1e18:.4g}: send"):
        require_funds(sender, both, said.append)


def test_failed_race_leaves_the_chain_mining(clan, accounts, chain):
    with pytest.raises(ApeException):
        sending.race((clan.join, ("no account",), accounts[5], 10**9))
    assert chain.provider.auto_mine


@pytest.mark.parametrize("passphrase", [None, "a passphrase"])
def test_signer_with_a_keyfile(monkeypatch, tmp_path, passphrase):
    """With its passphrase in the environment, it signs without asking."""
    keyfile = Account.encrypt(f"0x{7:064x}", "a passphrase", iterations=16)
    (tmp_path / "tester.json").write_text(json.dumps(keyfile | {"address": ADDRESS}))
    keyfiles = ape.accounts.containers["accounts"]
    monkeypatch.setitem(keyfiles.__dict__, "data_folder", tmp_path)
    monkeypatch.setattr(type(keyfiles), "loaded_accounts", {})
    asked: list[bool] = []
    monkeypatch.setattr(KeyfileAccount, "set_autosign", lambda self, enabled: asked.append(enabled))
    if passphrase:
        monkeypatch.setenv("APE_ACCOUNTS_tester_PASSPHRASE", passphrase)
    assert signer("tester").address == ADDRESS
    assert asked == [True] * bool(passphrase)


def test_live_network_needs_a_named_signer(monkeypatch):
    monkeypatch.setattr(chain_accounts, "is_dev", lambda: False)
    with pytest.raises(CircuitError, match="is a live network: choose the signer with --account"):
        signer(None)
    with pytest.raises(
        CircuitError, match=r"no account '3' to sign with: .*`ape accounts list`\.$"
    ):
        signer("3")


def test_names_of_accounts(accounts, clan):
    """The number of a test account; of an account that is not ours, the word for any alias."""
    assert [name_of(str(accounts[number])) for number in (0, 3)] == ["0", "3"]
    assert name_of(str(clan.address)) == "ALIAS"

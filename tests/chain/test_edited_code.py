"""The audit finds each changed bit of a deployed contract, or the bit changes nothing."""

import random

import pytest
import requests

from apps.audit import attack, audit_contracts
from apps.consents import immutables
from chain import contracts
from chain.contracts import UnreachableError, creation_of, deploy_verifier
from chain.deployments import entry_for
from tests.audits import named
from tests.scale import scaled
from zk.audit.verifier import audit_verifier

pytestmark = [pytest.mark.plain, pytest.mark.slow]

EDITS = scaled(10, 200)  # of each contract
ATTACKED = scaled(1, 20)  # of these


@pytest.mark.parametrize(
    ("subject", "findings"),
    [
        ("contract", [["application-code"], ["parameter-differs"]]),
        ("verifier", [["verifier-code"]]),
    ],
)
def test_edited_bits(deployed, chain, subject, findings):
    manifest, entry = deployed
    where = entry[subject]
    genuine = bytes(chain.provider.get_code(where))
    metadata = len(genuine) - 53
    chosen = random.Random(20)
    for number in range(EDITS):
        bit = chosen.randrange(8 * len(genuine))
        code = bytearray(genuine)
        code[bit // 8] ^= 1 << bit % 8
        chain.provider.set_code(where, bytes(code))
        found = named(audit_contracts(manifest, entry))
        assert found in findings if bit // 8 < metadata else found in [[], *findings], bit
        if number < ATTACKED:
            attack(manifest, entry, bytes(code))  # ends, with or without findings
            if subject == "verifier":
                audit_verifier(bytes(code), "")
    chain.provider.set_code(where, genuine)


@pytest.mark.parametrize("error", [UnreachableError, requests.ConnectionError])
def test_node_that_stops_answering(manifest, clan, monkeypatch, error):
    """The reports end with a finding that says so."""
    entry = entry_for(manifest, clan)

    def silent(*_: object) -> None:
        raise error("gone")

    monkeypatch.setattr(contracts, "_request", silent)
    for report in (audit_contracts(manifest, entry), attack(manifest, entry, b"")):
        assert named(report) == ["no-answer"]
        assert report.wrong[0].evidence == "gone"


def test_second_verifier_behind_an_honest_getter(manifest, clan, chain):
    """The getter names the genuine verifier, and the check asks one that accepts anything."""
    entry = entry_for(manifest, clan)
    accepting = bytes.fromhex("600160005260206000f3")  # returns 1
    other = "0x" + "ac" * 20
    chain.provider.set_code(other, accepting)
    code = bytes(chain.provider.get_code(clan.address))
    honest = bytes.fromhex(entry["verifier"][2:])
    first, last = code.index(honest), code.rindex(honest)
    assert first != last
    for place in (first, last):
        backdoored = code[:place] + bytes.fromhex(other[2:]) + code[place + 20 :]
        chain.provider.set_code(clan.address, backdoored)
        report = audit_contracts(manifest, entry)
        assert named(report) == ["parameter-differs"]
        assert other in report.wrong[0].what
    chain.provider.set_code(clan.address, code)


def test_constructor_that_fills_the_storage(manifest, clan, deployer, chain):
    """Its code is genuine, but nothing in it says what its storage began with."""
    entry = entry_for(manifest, clan)
    genuine = bytes(chain.provider.get_code(clan.address))
    there = immutables(deployer.get_deployment_address(), chain.chain_id)
    for name, value in immutables(clan.address, chain.chain_id).items():
        genuine = genuine.replace(value.to_bytes(32), there[name].to_bytes(32))
    start = f"600160005561{len(genuine):04x}8060116000396000f3"  # stores 1 at place 0
    ecosystem = chain.provider.network.ecosystem
    made = deployer.call(ecosystem.create_transaction(data=bytes.fromhex(start) + genuine))
    report = audit_contracts(manifest, entry | {"contract": made.contract_address})
    assert named(report) == ["creation-differs"]
    assert str(made.txn_hash) in report.wrong[0].what


def test_creation_of_a_deployment(manifest, clan, deployer):
    report = audit_contracts(manifest, entry_for(manifest, clan))
    assert named(report) == []
    assert report.facts["deployer"] == deployer.address
    assert "the constructor and its arguments are the build's" in report.passed
    address = entry_for(manifest, clan)["verifier"].lower()
    assert f"its code has verifier = {address} at all 2 places" in report.passed
    assert "its code has limbs = 1 at all 4 places" in report.passed


def test_creation_in_the_newest_block(manifest, deployer, chain):
    chain.mine(20)  # blocks have numbers of two hexadecimal digits
    made = creation_of(deploy_verifier(manifest, deployer).address)
    assert made
    assert (made.block, made.sender) == (chain.blocks.height, deployer.address.lower())

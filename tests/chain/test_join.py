"""`Clan.join`: the proofs and deployments it refuses, by named errors, and its views."""

import ape
import pytest
from eth_abi import encode
from eth_utils import keccak

from apps.clan import application
from chain.contracts import ask, deploy
from tests.inputs import NO_BATCH
from tests.refusals import refusal
from zk.layout import FIELD
from zk.proof import Proof, prove

LIMBS, OUTPUTS = 1, 2


def changed(proof: Proof, index: int, instance: int) -> list[int]:
    return [*proof.instances[:index], instance, *proof.instances[index + 1 :]]


def key_of(account, chain_id: int, clan) -> int:
    """Compute the key of an account as docs/spec.md defines it, without the contract."""
    domain = keccak(encode(["uint256", "address", "uint256"], [chain_id, clan.address, 0]))
    return int.from_bytes(domain) % 2**92 << 160 | int(account.address, 16)


@pytest.fixture
def unchanged(clan):
    """Require that the test changes no count."""
    before = clan.counts()
    yield
    assert clan.counts() == before


def test_a_second_join(clan, proof, accounts):
    clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])
    with ape.reverts(clan.Clan__AlreadyMember, account=accounts[0], clan=7):
        clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])
    assert clan.membersOf(7) == 1


def test_refuses_to_overfill_a_clan(clan, set_counts, proof, accounts):
    set_counts({7: 2**24 - 1})
    assert clan.membersOf(7) == 2**24 - 1
    with ape.reverts(clan.Clan__Full, clan=7):
        clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])
    assert not clan.isMember(accounts[0])


@pytest.mark.usefixtures("unchanged")
def test_refuses_a_proof_of_someone_else(clan, proof, accounts):
    keys = [clan.keyOf(accounts[1]), clan.keyOf(accounts[0])]
    with ape.reverts(clan.BoundApplication__WrongKey, limb=0, expected=keys[0], actual=keys[1]):
        clan.join(accounts[1], proof.proof, proof.instances, sender=accounts[1])


@pytest.mark.usefixtures("unchanged")
def test_refuses_a_changed_key(clan, manifest, proof, accounts):
    """A thief overwrites the limbs with its own key: they match, but the proof becomes invalid."""
    limbs = manifest.layout.split(clan.keyOf(accounts[1]))
    with ape.reverts(clan.BoundApplication__InvalidProof):
        clan.join(accounts[1], proof.proof, limbs + proof.instances[LIMBS:], sender=accounts[1])


def test_refuses_a_proof_for_another_contract(manifest, proof, accounts, deployer):
    other = deploy(manifest, deployer)
    with refusal("BoundApplication__WrongKey"):
        application.read(other, accounts[0], None, proof)


def test_refuses_a_proof_for_another_chain(clan, manifest, views, accounts, chain):
    key = key_of(accounts[0], chain.chain_id + 1, clan)
    with refusal("BoundApplication__WrongKey"):
        application.read(clan, accounts[0], None, prove(manifest, key, views[0]))


@pytest.mark.usefixtures("unchanged")
def test_refuses_a_proof_of_another_circuit(clan, bad_manifest, views, accounts):
    foreign = prove(bad_manifest, clan.keyOf(accounts[0]), views[0])
    with ape.reverts(clan.BoundApplication__InvalidProof):
        clan.join(accounts[0], foreign.proof, foreign.instances, sender=accounts[0])


@pytest.mark.parametrize("index", range(LIMBS, LIMBS + OUTPUTS))
def test_refuses_a_changed_output(clan, proof, accounts, index):
    instances = changed(proof, index, (proof.instances[index] + 1) % FIELD)
    with refusal("BoundApplication__InvalidProof"):
        application.read(clan, accounts[0], None, Proof(proof.circuit, proof.proof, instances))


@pytest.mark.parametrize("index", range(LIMBS))
def test_refuses_a_changed_limb(clan, proof, accounts, index):
    limb = proof.instances[index]
    forged = Proof(proof.circuit, proof.proof, changed(proof, index, limb ^ 1))
    with refusal("BoundApplication__WrongKey", limb=index, expected=limb, actual=limb ^ 1):
        application.read(clan, accounts[0], None, forged)


@pytest.mark.parametrize("index", range(LIMBS + OUTPUTS))
def test_refuses_an_instance_raised_by_the_order_of_the_field(
    clan, verifier, proof, accounts, index
):
    raised = Proof(
        proof.circuit, proof.proof, changed(proof, index, proof.instances[index] + FIELD)
    )
    error = "WrongKey" if index < LIMBS else "InvalidProof"
    with refusal(f"BoundApplication__{error}"):
        application.read(clan, accounts[0], None, raised)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 6])
def test_refuses_too_few_or_too_many_instances(clan, proof, accounts, count):
    instances = (proof.instances * 2)[:count]
    with refusal("BoundApplication__WrongInstanceCount", expected=3, actual=count):
        application.read(clan, accounts[0], None, Proof(proof.circuit, proof.proof, instances))


def test_refuses_any_changed_byte(clan, proof, accounts):
    """Flip one bit in each 32-byte word of the proof, at a different position in each."""
    assert len(proof.proof) % 32 == 0
    for word in range(len(proof.proof) // 32):
        spoilt = bytearray(proof.proof)
        spoilt[32 * word + 31 - word % 32] ^= 1 << (word % 8)
        with refusal("BoundApplication__InvalidProof"):
            application.read(
                clan, accounts[0], None, Proof(proof.circuit, bytes(spoilt), proof.instances)
            )


@pytest.mark.parametrize("change", [b"", b"\x00", None])
def test_refuses_a_proof_of_the_wrong_length(clan, proof, accounts, change):
    content = proof.proof[:-1] if change is None else change and proof.proof + change
    with refusal("BoundApplication__InvalidProof"):
        application.read(clan, accounts[0], None, Proof(proof.circuit, content, proof.instances))


@pytest.mark.usefixtures("unchanged")
def test_refuses_even_with_little_gas(clan, proof, accounts):
    """If the sender leaves the verifier too little gas, the whole transaction fails."""
    receipt = clan.join(
        accounts[0],
        proof.proof,
        proof.instances,
        sender=accounts[0],
        gas_limit=400_000,
        raise_on_revert=False,
    )
    assert receipt.failed
    assert not clan.isMember(accounts[0])


def test_key_names_chain_contract_and_account(clan, accounts, chain):
    assert clan.keyOf(accounts[0]) == key_of(accounts[0], chain.chain_id, clan)


def test_dry_run_reads_the_digit_and_changes_nothing(clan, proof, accounts):
    assert application.read(clan, accounts[0], None, proof) == 7
    assert not clan.isMember(accounts[0])


def test_views_of_missing_members_and_clans(clan, accounts):
    assert not clan.isMember(accounts[5])
    with refusal("Clan__NotAMember", account=accounts[5].address):
        ask(clan, "clanOf", accounts[5].address)
    with refusal("Clan__NoSuchClan", clan=10):
        ask(clan, "membersOf", 10)


@pytest.mark.slow
def test_clan_zero_is_a_clan(clan, proof_of, accounts):
    proof = proof_of(5)
    receipt = clan.join(accounts[5], proof.proof, proof.instances, sender=accounts[5])
    assert receipt.events == [
        clan.Joined(account=accounts[5], clan=0),
        clan.LeaderChanged(clan=0, members=1),
    ]
    assert clan.isMember(accounts[5])
    assert clan.clanOf(accounts[5]) == 0
    assert tuple(clan.leader()) == (0, 1)


@pytest.mark.parametrize(
    ("limbs", "bits"), [(11, 0), (10, 24), (1, 254), (0, 24)], ids=["flat", "short", "wide", "none"]
)
def test_deployment_refuses_a_bad_key_layout(contracts, verifier, deployer, limbs, bits):
    with ape.reverts(contracts.Clan.BoundApplication__BadKeyLayout, limbs=limbs, limbBits=bits):
        deployer.deploy(contracts.Clan, verifier, (limbs, bits, 12, 1), *NO_BATCH)


def test_deployment_refuses_a_verifier_without_code(contracts, deployer, accounts):
    with ape.reverts(contracts.Clan.BoundApplication__NoVerifier, verifier=accounts[5].address):
        deployer.deploy(contracts.Clan, accounts[5], (11, 24, 12, 1), *NO_BATCH)


def test_verifier_whose_code_is_gone(verifier, clan, accounts, proof, chain):
    """A verifier can destroy itself in the transaction that made it; applications notice later."""
    chain.provider.make_request("anvil_setCode", [verifier.address, "0x"])
    with ape.reverts(clan.BoundApplication__NoVerifier, verifier=verifier.address):
        clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])


@pytest.mark.parametrize(
    ("limbs", "bits", "scale"), [(1, 253, 12), (1, 252, 0), (252, 1, 127), (11, 24, 127)]
)
def test_deployment_accepts_the_ends_of_layouts(contracts, verifier, deployer, limbs, bits, scale):
    for lanes in (1, 8, 10):
        layout = (limbs, bits, scale, lanes)
        made = deployer.deploy(contracts.Clan, verifier, layout, *NO_BATCH)
        assert (made.limbs(), made.limbBits(), made.outputScale(), made.lanes()) == layout
        assert made.verifier() == verifier.address


@pytest.mark.parametrize("lanes", [0, 2, 5, 7, 9, 11, 2**256 - 1])
def test_deployment_refuses_other_lanes(contracts, verifier, deployer, lanes):
    with ape.reverts(contracts.Clan.BoundApplication__BadLanes, lanes=lanes):
        deployer.deploy(contracts.Clan, verifier, (11, 24, 12, lanes), *NO_BATCH)


@pytest.mark.parametrize(("limbs", "bits"), [(1, 251), (251, 1)])
def test_deployment_refuses_a_layout_without_the_last_bit(
    contracts, verifier, deployer, limbs, bits
):
    with ape.reverts(contracts.Clan.BoundApplication__BadKeyLayout, limbs=limbs, limbBits=bits):
        deployer.deploy(contracts.Clan, verifier, (limbs, bits, 12, 1), *NO_BATCH)


@pytest.mark.parametrize("answer", [0, 1])
def test_answer_of_the_verifier_decides(contracts, deployer, accounts, proof, chain, answer):
    """A verifier may also return false. This one returns a constant."""
    address = "0x" + f"{0xFACE00 + answer:040x}"
    code = f"0x60{answer:02x}60005260206000f3"  # return(answer)
    chain.provider.make_request("anvil_setCode", [address, code])
    made = deployer.deploy(contracts.Clan, address, (11, 24, 12, 1), *NO_BATCH)
    key = made.keyOf(accounts[0])
    limbs = [key >> 24 * i & 0xFFFFFF for i in range(11)]
    forged = Proof("clan", b"", [*limbs, *[0] * 5, 1, *[0] * 4])
    if answer:
        assert application.read(made, accounts[0], None, forged) == 5
    else:
        with refusal("BoundApplication__InvalidProof"):
            application.read(made, accounts[0], None, forged)


def test_the_slot_of_the_counts_is_never_empty(clan, chain):
    """Otherwise the first member would pay for a new slot."""
    slot = chain.provider.web3.eth.get_storage_at(clan.address, 3)
    assert int.from_bytes(slot) == 1 << 240
    assert clan.counts() == [0] * 10
    assert tuple(clan.leader()) == (0, 0)


def test_every_clan_has_its_own_count(clan, set_counts):
    set_counts({number: 2**24 - 10 + number for number in range(10)})
    members = [2**24 - 10 + number for number in range(10)]
    assert clan.counts() == members
    assert [clan.membersOf(number) for number in range(10)] == members
    assert tuple(clan.leader()) == (9, 2**24 - 1)


@pytest.mark.parametrize(
    ("before", "leads"),
    [
        ({}, True),
        ({3: 1}, False),
        ({3: 1, 7: 1}, True),
        ({9: 1}, True),
        ({9: 2}, False),
        ({9: 2, 7: 1}, True),
        ({7: 1}, False),
        ({3: 2, 7: 1}, False),
        ({7: 2, 9: 2}, False),
    ],
    ids=str,
)
def test_leader_changes(clan, set_counts, proof, accounts, before, leads):
    """The account joins clan 7. The lowest clan with the most members leads."""
    set_counts(before)
    receipt = clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])
    members = before.get(7, 0) + 1
    expected = [clan.Joined(account=accounts[0], clan=7)]
    if leads:
        expected.append(clan.LeaderChanged(clan=7, members=members))
    assert receipt.events == expected
    counts = [before.get(number, 0) for number in range(7)] + [members]
    counts += [before.get(number, 0) for number in (8, 9)]
    assert clan.counts() == counts
    assert tuple(clan.leader()) == (counts.index(max(counts)), max(counts))


def test_last_place_of_a_clan(clan, set_counts, proof, accounts):
    set_counts({7: 2**24 - 2, 8: 5})
    clan.join(accounts[0], proof.proof, proof.instances, sender=accounts[0])
    assert clan.membersOf(7) == 2**24 - 1
    assert clan.membersOf(8) == 5

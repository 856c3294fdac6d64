"""One proof for many accounts: each joins if it consented, and nobody keeps the others out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ape
import numpy as np
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from apps import audit
from apps.batches import REASONS, Short, short
from apps.consents import NO_CONSENT, typed
from chain.contracts import deploy
from tests.inputs import DRAWINGS, NO_BATCH
from tests.scale import scaled
from zk.layout import FIELD, LANE_BITS, SLIM_LANES
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, prove_all

pytestmark = [pytest.mark.plain, pytest.mark.slow]

SIZE = 16
DIGITS = [7, 7, 7, 1, 1, 0, 0, 4] * 2  # what the circuit for batches reads at each place
ZERO = "0x" + "00" * 20
WALLET = "0x000000000000000000000000000000000000c0DE"  # a contract account
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
LATE = 2**40
KEYS = [Account.from_key((1000 + number).to_bytes(32)) for number in range(SIZE)]
# Padding in the middle and at the end, one account twice, and a contract account.
PADDING, TWICE, OF_WALLET = 6, 9, 12
KEYS[TWICE] = KEYS[0]
PLACES = [key.address for key in KEYS]
PLACES[PADDING], PLACES[OF_WALLET], PLACES[SIZE - 1] = ZERO, WALLET, ZERO


@dataclass(frozen=True)
class Many:
    """A batch for `PLACES`, its digits, and how to send it."""

    clan: Any
    proof: Proof
    digits: list[int]
    consents: list[Short]

    def join(self, sender, proof: Proof | None = None, consents: list[Short] | None = None):
        sent = proof or self.proof
        agreed = self.consents if consents is None else consents
        return self.clan.joinMany(sent.proof, sent.instances, agreed, sender=sender)

    def with_consent(self, place: int, consent: Short) -> list[Short]:
        return [*self.consents[:place], consent, *self.consents[place + 1 :]]


@pytest.fixture(scope="module")
def many(crowd, deployer, chain):
    return proved(*crowd, 4 * np.eye(10, dtype=np.float32)[DIGITS], deployer, chain.chain_id)


def proved(single: Manifest, several: Manifest, x: np.ndarray, deployer, chain_id: int) -> Many:
    """Deploy both circuits, and prove one input for each place."""
    clan = deploy(single, deployer, batch=several)
    (proof,) = prove_all(several, [([clan.keyOf(account) for account in PLACES], x)])
    digits = [int(np.argmax(y)) for y in proof.answers(several.layout)]
    consents = [consent(clan, chain_id, place, digit) for place, digit in enumerate(digits)]
    return Many(clan, proof, digits, consents)


@pytest.fixture(scope="module")
def alone(crowd, many) -> Callable[[int], Proof]:
    """The single proof of a place's input, for its account."""

    def alone(place: int) -> Proof:
        key = many.clan.keyOf(PLACES[place])
        return prove(crowd[0], key, 4 * np.eye(10, dtype=np.float32)[DIGITS[place]])

    return alone


def consent(clan, chain_id: int, place: int, digit: int, nonce=0, deadline=LATE) -> Short:
    """The consent of the key in a place; padding gets one, too."""
    message = typed(clan.address, chain_id, (KEYS[place].address, digit, nonce, deadline))
    return short(deadline, bytes(KEYS[place].sign_message(message).signature))


def outcome(many: Many, receipt) -> tuple[dict[int, int], dict[int, str]]:
    """The clans of the places that joined, and the reasons of those that did not, in order."""
    joined = {str(log.account): int(log.clan) for log in receipt.decode_logs(many.clan.Joined)}
    skipped = [
        (str(log.account), REASONS[log.reason]) for log in receipt.decode_logs(many.clan.Skipped)
    ]
    clans = {PLACES.index(account): clan for account, clan in joined.items()}
    places = [place for place in range(SIZE) if place not in clans]
    assert [account for account, _ in skipped] == [PLACES[place] for place in places]
    return clans, dict(zip(places, [why for _, why in skipped], strict=True))


USUAL = {
    PADDING: "padding",
    TWICE: "it is a member already",
    OF_WALLET: "it did not consent",
    SIZE - 1: "padding",
}
OTHERS = [place for place in range(SIZE) if place not in USUAL]


def test_accounts_join_together(many, relayer):
    assert many.digits == DIGITS
    receipt = many.join(relayer)
    clans, skipped = outcome(many, receipt)
    assert skipped == USUAL
    assert clans == {place: many.digits[place] for place in OTHERS}
    counts = np.bincount(list(clans.values()), minlength=10).tolist()
    assert many.clan.counts() == counts
    leads = list(receipt.decode_logs(many.clan.LeaderChanged))
    assert [(log.clan, log.members) for log in leads] == [(np.argmax(counts), max(counts))]
    for place in OTHERS:
        assert many.clan.clanOf(PLACES[place]) == many.digits[place]
    assert not any(many.clan.isMember(PLACES[place]) for place in (PADDING, OF_WALLET))
    again = outcome(many, many.join(relayer))
    assert again == ({}, USUAL | dict.fromkeys(OTHERS, "it is a member already"))
    assert many.clan.counts() == counts


@pytest.mark.full
def test_drawings_join_together(manifest, batch_manifest, views, deployer, relayer, chain):
    """Both circuits of drawings answer alike, and the digits are those of the contract."""
    x = views[[*DRAWINGS, *DRAWINGS]]
    many = proved(manifest, batch_manifest, x, deployer, chain.chain_id)
    assert [int(np.argmax(answer(manifest, one))) for one in x] == many.digits == DIGITS
    assert outcome(many, many.join(relayer))[0] == {place: DIGITS[place] for place in OTHERS}


def test_a_batch_believes_what_single_proofs_show(many, alone):
    for place in (0, 3, 7):
        single = alone(place)
        read = many.clan.readDigit(PLACES[place], single.proof, single.instances)
        assert read == many.digits[place]


def test_a_member_does_not_keep_the_others_out(many, alone, relayer, chain):
    """Somebody in the batch joins alone, in front of it."""
    single = alone(2)
    agreed = (
        LATE,
        KEYS[2]
        .sign_message(
            typed(many.clan.address, chain.chain_id, (PLACES[2], many.digits[2], 0, LATE))
        )
        .signature,
    )
    many.clan.joinFor(PLACES[2], single.proof, single.instances, agreed, sender=relayer)
    clans, skipped = outcome(many, many.join(relayer))
    assert skipped == USUAL | {2: "it is a member already"}
    assert set(clans) == {*OTHERS} - {2}


def test_the_sender_needs_no_consent(many, accounts, chain):
    chain.provider.set_balance(PLACES[0], 10**18)
    receipt = many.join(accounts.impersonate_account(PLACES[0]), consents=[NO_CONSENT] * SIZE)
    assert [log.account for log in receipt.decode_logs(many.clan.Joined)] == [PLACES[0]]
    assert not many.clan.isMember(PLACES[1])


def test_nobody_leads_a_contract_without_members(many, relayer):
    receipt = many.join(relayer, consents=[NO_CONSENT] * SIZE)
    assert outcome(many, receipt)[0] == {}
    assert list(receipt.decode_logs(many.clan.LeaderChanged)) == []


def high(given: Short) -> Short:
    """The other signature of the same key; ERC-2098 has no room for its s above 2**255."""
    deadline, r, vs = given
    s, odd = int.from_bytes(vs) % 2**255, vs[0] >> 7
    return deadline, r, ((ORDER - s) % 2**255 | (1 - odd) << 255).to_bytes(32)


# Each takes the batch, the chain and the digit of the third account.
SPOILT: dict[str, tuple[Callable[[Many, int, int], Short], str]] = {
    "none": (lambda many, chain, digit: NO_CONSENT, "missing"),
    "expired": (lambda many, chain, digit: consent(many.clan, chain, 3, digit, 0, 1), "expired"),
    "another digit": (lambda many, chain, digit: consent(many.clan, chain, 3, 9 - digit), "not"),
    "another nonce": (lambda many, chain, digit: consent(many.clan, chain, 3, digit, 1), "not"),
    "another chain": (lambda many, chain, digit: consent(many.clan, chain + 1, 3, digit), "not"),
    "another account": (lambda many, chain, digit: consent(many.clan, chain, 4, digit), "not"),
    "another deadline": (lambda many, chain, digit: (LATE + 1, *many.consents[3][1:]), "not"),
    "a high s": (lambda many, chain, digit: high(many.consents[3]), "not"),
    "zeros": (lambda many, chain, digit: (LATE, bytes(32), bytes(32)), "not"),
}


@pytest.mark.parametrize("which", SPOILT)
def test_account_without_its_consent(many, relayer, chain, which):
    """It is skipped, and the others join."""
    make, why = SPOILT[which]
    consents = many.with_consent(3, make(many, chain.chain_id, many.digits[3]))
    clans, skipped = outcome(many, many.join(relayer, consents=consents))
    assert 3 not in clans
    assert why in skipped[3]
    assert set(clans) == {*OTHERS} - {3}


def test_revoked_consent_in_a_batch(many, relayer, accounts, chain):
    chain.provider.set_balance(PLACES[3], 10**18)
    many.clan.revokeConsents(sender=accounts.impersonate_account(PLACES[3]))
    _, skipped = outcome(many, many.join(relayer))
    assert skipped == USUAL | {3: "it did not consent"}


@pytest.mark.parametrize(
    ("code", "joins"),
    [
        ("631626ba7e60e01b60005260206000f3", True),
        ("63ffffffff60e01b60005260206000f3", False),
        ("60006000fd", False),
        ("fe", False),
        ("5b600056", False),
        ("620fffff6000f3", False),
    ],
    ids=["agrees", "refuses", "reverts", "stops", "burns gas", "answers a megabyte"],
)
def test_contract_account_in_a_batch(many, relayer, chain, code, joins):
    """It is asked with limited gas, so that it cannot end the transaction of the others."""
    chain.provider.make_request("anvil_setCode", [WALLET, f"0x{code}"])
    receipt = many.join(relayer)
    clans, _ = outcome(many, receipt)
    assert (OF_WALLET in clans) == joins
    assert set(clans) - {OF_WALLET} == {*OTHERS}
    assert receipt.gas_used < 2_000_000


def test_contract_account_gets_65_bytes(many, relayer, chain):
    """This one accepts a signature of r, s and v that its owner signed, and no other length."""
    # The length is the fourth word of the calldata: return the selector if it is 65, else zero.
    code = "604435604114631626ba7e60e01b0260005260206000f3"
    chain.provider.make_request("anvil_setCode", [WALLET, f"0x{code}"])
    clans, _ = outcome(many, many.join(relayer))
    assert OF_WALLET in clans


def test_full_clan_is_skipped(many, relayer, chain):
    digit = many.digits[0]
    slot = next(n for n in range(8) if int.from_bytes(storage(chain, many.clan, n)) >> 240 == 1)
    packed = 1 << 240 | (2**24 - 2) << 24 * digit
    chain.provider.set_storage(many.clan.address, slot, packed.to_bytes(32))
    clans, skipped = outcome(many, many.join(relayer))
    same = [place for place in OTHERS if many.digits[place] == digit]
    assert len(same) > 1
    assert [place for place in same if place in clans] == same[:1]
    assert all(skipped[place] == "its clan is full" for place in same[1:])
    assert many.clan.membersOf(digit) == 2**24 - 1


def storage(chain, contract, slot: int) -> bytes:
    return bytes(chain.provider.web3.eth.get_storage_at(contract.address, slot))


# Whole batches that are refused


def changed(proof: Proof, place: int, value: int) -> Proof:
    return replace(
        proof, instances=[*proof.instances[:place], value, *proof.instances[place + 1 :]]
    )


@pytest.mark.parametrize("place", [SIZE, SIZE + 7, SIZE + 19])
def test_changed_answer(many, relayer, place):
    forged = changed(many.proof, place, many.proof.instances[place] + 1)
    with ape.reverts(many.clan.BoundApplication__InvalidProof):
        many.join(relayer, forged)
    assert many.clan.counts() == [0] * 10


def test_exchanged_accounts(many, relayer):
    first, second, *rest = many.proof.instances
    with ape.reverts(many.clan.BoundApplication__InvalidProof):
        many.join(relayer, replace(many.proof, instances=[second, first, *rest]))


def test_thief_in_a_batch(many, relayer, accounts):
    """He exchanges one account of somebody else's batch for his own."""
    key = many.clan.keyOf(accounts[5])
    with ape.reverts(many.clan.BoundApplication__InvalidProof):
        many.join(accounts[5], changed(many.proof, 4, key))


@pytest.mark.parametrize("change", [1 << 160, 1 << 251, FIELD])
def test_key_of_another_domain(many, relayer, change):
    actual = (many.proof.instances[1] + change) % 2**256
    with ape.reverts(many.clan.BoundApplication__WrongKey, limb=1, actual=actual):
        many.join(relayer, changed(many.proof, 1, actual))


@pytest.mark.parametrize("count", [0, 1, SIZE - 1, SIZE + 1])
def test_number_of_consents(many, relayer, count):
    consents = (many.consents * 2)[:count]
    with ape.reverts(many.clan.BatchedApplication__WrongBatch, expected=SIZE, actual=count):
        many.join(relayer, consents=consents)


@pytest.mark.parametrize("extra", [-SIZE, -1, 1, 2])
def test_number_of_instances(many, relayer, extra):
    given = many.proof.instances
    spoilt = replace(many.proof, instances=given[:extra] if extra < 0 else [*given, *[0] * extra])
    error = many.clan.BoundApplication__WrongInstanceCount
    with ape.reverts(error, expected=36, actual=36 + extra):
        many.join(relayer, spoilt)


def test_proofs_of_one_circuit_for_the_other(many, alone, relayer, accounts, chain):
    single = alone(0)
    with ape.reverts(many.clan.BoundApplication__WrongInstanceCount, expected=36, actual=3):
        many.join(relayer, single)
    with ape.reverts(many.clan.BoundApplication__InvalidProof):
        many.join(relayer, replace(many.proof, proof=single.proof))
    chain.provider.set_balance(PLACES[0], 10**18)
    sender, claim = accounts.impersonate_account(PLACES[0]), (PLACES[0], many.proof.proof)
    with ape.reverts(many.clan.BoundApplication__WrongInstanceCount, expected=3, actual=36):
        many.clan.join(*claim, many.proof.instances, sender=sender)
    with ape.reverts(many.clan.BoundApplication__InvalidProof):
        many.clan.join(*claim, single.instances, sender=sender)


def test_contract_without_batches(clan, many, relayer):
    with ape.reverts(clan.BatchedApplication__WrongBatch, expected=0, actual=SIZE):
        clan.joinMany(many.proof.proof, many.proof.instances, many.consents, sender=relayer)
    with ape.reverts(clan.BatchedApplication__NoBatches):
        clan.joinMany(many.proof.proof, many.proof.instances, [], sender=relayer)
    assert (clan.batchVerifier(), clan.batchSize()) == NO_BATCH


@pytest.mark.parametrize(
    ("layout", "verifier", "size"),
    [
        ((1, 252, 18, 8), "batch", 0),
        ((1, 252, 18, 8), "batch", 1),
        ((1, 252, 18, 8), "none", SIZE),
        ((1, 252, 18, 8), "account", SIZE),
        ((11, 24, 18, 1), "batch", SIZE),
    ],
)
def test_deployment_refuses_a_bad_batch(
    many, contracts, deployer, accounts, layout, verifier, size
):
    address = {"batch": many.clan.batchVerifier(), "none": ZERO, "account": accounts[1].address}
    error = contracts.Clan.BatchedApplication__BadBatch
    with ape.reverts(error, verifier=address[verifier], size=size):
        deployer.deploy(contracts.Clan, many.clan.verifier(), layout, address[verifier], size)


def test_the_smallest_batch_is_of_two(many, contracts, deployer):
    served = many.clan.verifier(), (1, 252, 18, 8), many.clan.batchVerifier()
    assert deployer.deploy(contracts.Clan, *served, 2).batchSize() == 2


# Answers in lanes, across accounts


@pytest.fixture(scope="module")
def credulous(contracts, many, deployer, chain):
    """A Clan whose verifier of batches believes everything."""
    believes = "0x" + f"{0xFACE07:040x}"
    chain.provider.make_request("anvil_setCode", [believes, "0x600160005260206000f3"])
    return deployer.deploy(contracts.Clan, many.clan.verifier(), (1, 252, 18, 8), believes, SIZE)


LOGIT = st.integers(-(2**28), 2**28 - 1) | st.sampled_from([0, -1, 1, 2**28 - 1, -(2**28)])


@given(logits=st.lists(st.lists(LOGIT, min_size=10, max_size=10), min_size=SIZE, max_size=SIZE))
@settings(max_examples=scaled(10, 25), deadline=None)
def test_contract_chooses_what_python_chooses(credulous, deployer, chain, logits):
    flat = [logit for one in logits for logit in one]
    bits = LANE_BITS[SLIM_LANES]
    words = [
        sum(logit << bits * lane for lane, logit in enumerate(flat[at : at + SLIM_LANES])) % FIELD
        for at in range(0, len(flat), SLIM_LANES)
    ]
    digits = [one.index(max(one)) for one in logits]
    keys = [credulous.keyOf(key.address) for key in KEYS]
    consents = [
        consent(credulous, chain.chain_id, place, digit) for place, digit in enumerate(digits)
    ]
    with chain.isolate():
        receipt = credulous.joinMany(b"", [*keys, *words], consents, sender=deployer)
        joined = [log.clan for log in receipt.decode_logs(credulous.Joined)]
    assert joined == [digit for place, digit in enumerate(digits) if place != TWICE]


@pytest.mark.parametrize("value", [2**232, FIELD // 2, FIELD - 2**232, FIELD, 2**256 - 1])
@pytest.mark.parametrize("place", [0, 1, 19])
def test_instance_that_holds_no_logits(credulous, deployer, value, place):
    words = [value if at == place else 0 for at in range(20)]
    keys = [credulous.keyOf(ZERO)] * SIZE
    # The first account whose logits lie in this instance; accounts have ten, and instances eight.
    with ape.reverts(credulous.BoundApplication__OutputOutOfRange, instance=value):
        credulous.joinMany(b"", [*keys, *words], [NO_CONSENT] * SIZE, sender=deployer)


def test_forged_batches_of_the_audit_differ_in_one_place():
    """A forgery with a second fault would pass for refused although its first one is accepted."""
    proof = Proof("clan-batch", b"proof", list(range(100, 124)))
    forged = dict(audit._forged_batches(proof, 16, elsewhere=7))
    changes = {
        what: [place for place, value in enumerate(one.instances) if value != 100 + place]
        for what, one in forged.items()
        if len(one.instances) == 24 and one.proof
    }
    assert changes == {
        "a batch with a key of another domain": [0],
        "a batch with another account": [0],
        "a batch with another account instead of padding": [15],
        "a batch with exchanged keys": [0, 1],
        **{f"a batch with another instance {place}": [place] for place in range(16, 24)},
    }
    assert forged["a batch with a key of another domain"].instances[0] == 7
    assert forged["a batch without its last instance"].instances == proof.instances[:23]
    assert forged["a batch with one more instance"].instances == [*proof.instances, 0]
    assert forged["an empty proof"] == replace(proof, proof=b"")
    assert len(forged) == len(changes) + 3

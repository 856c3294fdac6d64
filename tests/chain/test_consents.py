"""Nobody puts an account into a clan that it did not choose."""

from dataclasses import replace

import ape
import pytest
from eth_account.messages import encode_typed_data

from apps.clan import application
from apps.consents import Consent, approves, consent_for, immutables, sign, typed
from apps.registry import RefusedError
from chain.contracts import code_at, deploy
from chain.network import now
from tests.refusals import refusal
from zk.errors import CircuitError
from zk.proof import prove

pytestmark = pytest.mark.plain

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
WALLET = "0x000000000000000000000000000000000000c0DE"  # a contract account
AGREE = "631626ba7e60e01b60005260206000f3"  # isValidSignature returns its selector


@pytest.fixture
def signed(clan, accounts):
    """A consent of the first test account to join clan 7."""
    return sign(clan, accounts[0], digit=7, days=1)


def as_argument(consent: Consent) -> tuple[int, bytes]:
    return consent.deadline, bytes.fromhex(consent.signature.removeprefix("0x"))


def join_for(clan, account, proof, consent: Consent, sender):
    claim = (account, proof.proof, proof.instances)
    return clan.joinFor(*claim, as_argument(consent), sender=sender)


def written_by_hand(clan, account, digit: int, nonce: int, deadline: int, chain_id: int):
    """The typed data of docs/spec.md, without the project's code."""
    fields = [("account", "address"), ("digit", "uint256"), ("nonce", "uint256")]
    fields.append(("deadline", "uint256"))
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256")]
    domain.append(("verifyingContract", "address"))
    return encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
                "Consent": [{"name": name, "type": kind} for name, kind in fields],
            },
            "primaryType": "Consent",
            "domain": {
                "name": "Clan",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": clan.address,
            },
            "message": {
                "account": str(account),
                "digit": digit,
                "nonce": nonce,
                "deadline": deadline,
            },
        }
    )


def test_without_consent_nobody_else_can_send_a_proof(clan, proof, accounts, relayer):
    with ape.reverts(clan.Clan__NotTheAccount, account=accounts[0], sender=relayer):
        clan.join(accounts[0], proof.proof, proof.instances, sender=relayer)
    assert not clan.isMember(accounts[0])


def test_anybody_can_send_a_proof_with_consent(clan, proof, accounts, relayer, signed):
    receipt = join_for(clan, accounts[0], proof, signed, relayer)
    assert clan.Joined(account=accounts[0], clan=7) in receipt.events
    assert clan.clanOf(accounts[0]) == 7
    with ape.reverts(clan.Clan__AlreadyMember, account=accounts[0], clan=7):
        join_for(clan, accounts[0], proof, signed, relayer)


def test_the_signature_is_that_of_eip_712(clan, proof, accounts, relayer, chain, signed):
    message = written_by_hand(clan, accounts[0], 7, 0, signed.deadline, chain.chain_id)
    signature = accounts[0].sign_message(message).encode_rsv()
    assert as_argument(signed) == (signed.deadline, signature)
    domain = clan.eip712Domain()
    assert (domain[1], domain[2], domain[3], domain[4]) == (
        "Clan",
        "1",
        chain.chain_id,
        clan.address,
    )


@pytest.mark.parametrize(
    "changed", ["digit", "nonce", "deadline", "chain", "contract", "signer", "account"]
)
def test_consent_to_something_else(
    clan, manifest, proof, accounts, deployer, relayer, chain, signed, changed
):
    """Each value that was signed counts: a signature over another one is no consent."""
    values = {"digit": 7, "nonce": 0, "deadline": signed.deadline, "chain_id": chain.chain_id}
    if changed in ("digit", "nonce", "deadline"):
        values[changed] += 1
    values["chain_id"] += changed == "chain"
    contract = deploy(manifest, deployer) if changed == "contract" else clan
    account = accounts[1] if changed == "account" else accounts[0]
    signer = accounts[1] if changed == "signer" else accounts[0]
    message = written_by_hand(contract, account, **values)
    signature = "0x" + signer.sign_message(message).encode_rsv().hex()
    with ape.reverts(clan.Clan__NoConsent, account=accounts[0], clan=7):
        join_for(clan, accounts[0], proof, replace(signed, signature=signature), relayer)


def test_signatures_that_are_not_the_one_that_was_made(clan, proof, accounts, relayer, signed):
    r, s, v = signed.signature[2:66], int(signed.signature[66:130], 16), signed.signature[130:]
    flipped = {"1b": "1c", "1c": "1b"}[v]
    spoilt = {
        "empty": "0x",
        "with a high s": f"0x{r}{ORDER - s:064x}{flipped}",
        "with another v": f"0x{r}{s:064x}{flipped}",
        "short": signed.signature[:-2],
        "long": signed.signature + "00",
        "of zeros": "0x" + "00" * 65,
    }
    for signature in spoilt.values():
        with ape.reverts(clan.Clan__NoConsent, account=accounts[0], clan=7):
            join_for(clan, accounts[0], proof, replace(signed, signature=signature), relayer)
    assert clan.counts() == [0] * 10


def test_zero_address_cannot_consent(clan, manifest, views, relayer):
    """`ecrecover` returns the zero address for a signature that is none."""
    zero = "0x" + "00" * 20
    proof = prove(manifest, clan.keyOf(zero), views[0])
    for signature in (b"", bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1b"):
        with ape.reverts(clan.Clan__NoConsent, account=zero, clan=7):
            clan.joinFor(zero, proof.proof, proof.instances, (2**40, signature), sender=relayer)


@pytest.mark.parametrize("seconds", [0, 1])
def test_deadline_of_a_consent(clan, proof, accounts, relayer, chain, signed, seconds):
    chain.provider.set_timestamp(signed.deadline + seconds)
    if seconds:
        time = signed.deadline + seconds
        with ape.reverts(clan.Clan__ConsentExpired, deadline=signed.deadline, time=time):
            join_for(clan, accounts[0], proof, signed, relayer)
    else:
        join_for(clan, accounts[0], proof, signed, relayer)
    assert clan.isMember(accounts[0]) == (seconds == 0)


def test_revoked_consent(clan, proof, accounts, relayer, signed):
    receipt = clan.revokeConsents(sender=accounts[0])
    assert receipt.events == [clan.ConsentsRevoked(account=accounts[0], nonce=1)]
    assert (clan.nonceOf(accounts[0]), clan.nonceOf(accounts[1])) == (1, 0)
    with ape.reverts(clan.Clan__NoConsent, account=accounts[0], clan=7):
        join_for(clan, accounts[0], proof, signed, relayer)
    again = sign(clan, accounts[0], digit=7, days=1)
    join_for(clan, accounts[0], proof, again, relayer)
    clan.revokeConsents(sender=accounts[0])
    assert clan.clanOf(accounts[0]) == 7
    assert clan.nonceOf(accounts[0]) == 2


def test_consent_does_not_replace_a_proof(clan, proof_of, accounts, relayer, signed):
    with refusal("BoundApplication__WrongKey"):
        application.read(clan, accounts[0], None, proof_of(1))
    with ape.reverts(clan.BoundApplication__WrongKey):
        join_for(clan, accounts[0], proof_of(1), signed, relayer)


@pytest.fixture(scope="module")
def of_wallet(manifest, clan, views):
    return prove(manifest, clan.keyOf(WALLET), views[0])


CONTRACTS = pytest.mark.parametrize(
    ("code", "agrees"),
    [
        (AGREE, True),
        ("63ffffffff60e01b60005260206000f3", False),
        (AGREE.replace("6020", "601f"), False),
        ("60006000fd", False),
        ("fe", False),
        ("5b600056", False),
        ("00", False),
    ],
    ids=[
        "agrees",
        "refuses",
        "short",
        "reverts",
        "stops",
        "burns all gas",
        "is silent",
    ],
)


@CONTRACTS
def test_contract_accounts_are_asked_before_a_relay_pays(clan, accounts, chain, code, agrees):
    """As the contract asks them; an account without code approves nothing."""
    message = typed(clan.address, chain.chain_id, (WALLET, 7, 0, 2**40))
    assert not approves(accounts[3].address, message, "0x" + "11" * 65)
    chain.provider.make_request("anvil_setCode", [WALLET, f"0x{code}"])
    assert approves(WALLET, message, "0x" + "11" * 65) == agrees


@CONTRACTS
def test_contract_accounts_consent_by_erc_1271(clan, of_wallet, relayer, chain, code, agrees):
    chain.provider.make_request("anvil_setCode", [WALLET, f"0x{code}"])
    consent = Consent(clan.address, chain.chain_id, WALLET, 7, 0, 2**40, "0x")
    claim = (WALLET, of_wallet.proof, of_wallet.instances, as_argument(consent))
    receipt = clan.joinFor(*claim, sender=relayer, gas_limit=3_000_000, raise_on_revert=False)
    assert receipt.failed != agrees
    assert clan.isMember(WALLET) == agrees


def test_contract_account_that_approves_one_hash(clan, of_wallet, relayer, chain):
    """`hashOfConsent` is what such an account is asked for."""
    approved = bytes(clan.hashOfConsent(WALLET, 7, 2**40)).hex()
    code = f"0x7f{approved}60043514602d5760006000fd5b{AGREE}"
    chain.provider.make_request("anvil_setCode", [WALLET, code])
    claim = (WALLET, of_wallet.proof, of_wallet.instances)
    with ape.reverts(clan.Clan__NoConsent, account=WALLET, clan=7):
        clan.joinFor(*claim, (2**40 + 1, b""), sender=relayer)
    clan.joinFor(*claim, (2**40, b""), sender=relayer)
    assert clan.clanOf(WALLET) == 7


def test_refused_before_anybody_pays(clan, accounts, relayer, chain, signed):
    account, stranger = str(accounts[0]), "0x" + f"{0xBEEF:040x}"
    cases = [
        ("and the proof for", account, 7, replace(signed, contract=stranger)),
        ("on chain 5, and the proof", account, 7, replace(signed, chain_id=5)),
        ("but the proof shows a 3 for", account, 3, signed),
        (f"but the proof shows a 7 for {accounts[1]}", str(accounts[1]), 7, signed),
        ("must agree to join clan 7", stranger, 7, None),
    ]
    for reason, of, digit, consent in cases:
        with pytest.raises(RefusedError, match=reason):
            consent_for(clan, of, digit, consent)
    assert consent_for(clan, account, 7, signed) == as_argument(signed)
    clan.revokeConsents(sender=accounts[0])
    with pytest.raises(RefusedError, match="has revoked its consent"):
        consent_for(clan, account, 7, signed)
    chain.provider.set_timestamp(signed.deadline + 1)
    chain.mine()
    with pytest.raises(RefusedError, match=r"The consent expired, .* UTC"):
        consent_for(clan, account, 7, signed)


def test_immutable_values_are_those_of_the_code(clan, chain):
    code = code_at(clan.address)
    values = immutables(clan.address, chain.chain_id)
    assert values["_cachedThis"] == int(clan.address, 16)
    assert [name for name, value in values.items() if value.to_bytes(32) not in code] == []


def test_our_own_keys_sign_for_a_day(clan, accounts):
    before = now()
    deadline, _ = consent_for(clan, str(accounts[0]), 7, None)
    assert before + 86_400 <= deadline <= now() + 86_400


def test_our_own_keys_sign_for_a_relayer(clan, proof, accounts, relayer):
    receipt = application.submit(clan, str(accounts[0]), None, proof, relayer)
    assert receipt.sender == relayer
    assert clan.clanOf(accounts[0]) == 7


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"signature": "0x00"}', "ff"],
)
def test_files_that_are_no_consents(tmp_path, content, signed):
    path = tmp_path / "consent.json"
    path.write_text(content)
    with pytest.raises(CircuitError, match="is not a consent file"):
        Consent.load(path)
    with pytest.raises(CircuitError, match="No consent found at"):
        Consent.load(tmp_path / "none.json")
    numbers = {"deadline": "soon"}, {"nonce": -1}, {"nonce": 2**256}
    for wrong in (*numbers, {"signature": "0xzz"}, {"signature": 5}):
        replace(signed, **wrong).save(path)
        with pytest.raises(CircuitError, match="is not a consent file"):
            Consent.load(path)
    signed.save(path)
    assert Consent.load(path) == signed


def test_account_that_declines_to_sign(clan, accounts, monkeypatch):
    monkeypatch.setattr(type(accounts[0]), "sign_message", lambda *_, **__: None)
    with pytest.raises(CircuitError, match=f"{accounts[0]} did not sign: nothing was sent"):
        sign(clan, accounts[0], digit=7, days=1)

"""Consents to join a clan: signed, kept in files, and checked before anybody pays for gas."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ape

from apps.registry import RefusedError
from chain.accounts import holder
from chain.contracts import answer_of, ask
from chain.network import moment, now
from chain.typed_data import TypedData
from zk.errors import CircuitError
from zk.files import write_json

if TYPE_CHECKING:
    from ape.api import AccountAPI
    from ape.contracts import ContractInstance
    from eth_account.messages import SignableMessage

DAY = 86_400
NO_CONSENT = (0, bytes(32), bytes(32))  # in a batch
APPROVED = bytes.fromhex("1626ba7e")  # isValidSignature(bytes32,bytes), and its answer
CONSENT = TypedData(
    "Clan",
    "Consent",
    {"account": "address", "digit": "uint256", "nonce": "uint256", "deadline": "uint256"},
)
typed, immutables = CONSENT.encode, CONSENT.immutables


@dataclass(frozen=True)
class Consent:
    """An account's signature, which lets anyone send its proof to one contract."""

    contract: str
    chain_id: int
    account: str
    digit: int
    nonce: int
    deadline: int  # in Unix time
    signature: str  # hexadecimal

    @classmethod
    def load(cls, path: Path) -> Consent:
        try:
            found = cls(**json.loads(path.read_text()))
            numbers = (found.chain_id, found.digit, found.nonce, found.deadline)
            if not all(isinstance(n, int) and 0 <= n < 2**256 for n in numbers):
                raise ValueError("a number is missing")
            bytes.fromhex(found.signature.removeprefix("0x"))
        except FileNotFoundError:
            raise CircuitError(
                f"No consent found at {path}: its account makes one with `ape run consent PROOF`."
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise CircuitError(f"{path} is not a consent file ({error!r}).") from error
        return found

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))


def sign(contract: ContractInstance, signer: AccountAPI, digit: int, days: int) -> Consent:
    """Let an account sign that it joins a digit's clan, for some days."""
    account, chain_id = str(signer.address), ape.networks.provider.chain_id
    nonce, deadline = ask(contract, "nonceOf", account), now() + days * DAY
    where = (str(contract.address), chain_id)
    signature = signer.sign_message(typed(*where, (account, digit, nonce, deadline)))
    if signature is None:
        raise CircuitError(f"{account} did not sign: nothing was sent.")
    return Consent(*where, account, digit, nonce, deadline, "0x" + signature.encode_rsv().hex())


def consent_for(
    contract: ContractInstance, account: str, digit: int, given: Consent | None
) -> tuple[int, bytes]:
    """The consent of an account as the contract takes it: the given one, or signed now by our key.

    Raises a sentence for what can be seen without asking the contract about the signature.
    """
    ours = None if given else holder(account)
    if given is None and ours is None:
        raise RefusedError(
            f"{account} must agree to join clan {digit}: let its holder send the proof, or sign it "
            "with `ape run consent PROOF`, and give that file with --consent."
        )
    found = given or sign(contract, ours, digit, days=1)
    _require_fitting(found, contract, account, digit)
    return found.deadline, bytes.fromhex(found.signature.removeprefix("0x"))


def _require_fitting(given: Consent, contract: ContractInstance, account: str, digit: int) -> None:
    where = (str(contract.address), ape.networks.provider.chain_id)
    if (given.contract, given.chain_id) != where:
        raise RefusedError(
            f"The consent is for the contract {given.contract} on chain {given.chain_id}, and the "
            f"proof for {where[0]} on chain {where[1]}."
        )
    if (given.account, given.digit) != (account, digit):
        raise RefusedError(
            f"The consent lets {given.account} join clan {given.digit}, but the proof shows a "
            f"{digit} for {account}."
        )
    if given.deadline < now():
        raise RefusedError(
            f"The consent expired, {moment(given.deadline)}: let {account} sign another one."
        )
    if given.nonce != (nonce := ask(contract, "nonceOf", account)):
        raise RefusedError(
            f"{account} has revoked its consent: the nonce is {nonce}, not {given.nonce}."
        )


def approves(account: str, message: SignableMessage, signature: str) -> bool:
    """Ask a contract account whether a signature is its own (ERC-1271)."""
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    hashed = keccak(b"\x19" + message.version + message.header + message.body)
    given = (hashed, bytes.fromhex(signature.removeprefix("0x")))
    answer = answer_of(account, APPROVED + encode(["bytes32", "bytes"], given))
    return answer is not None and answer[:32] == APPROVED.ljust(32, b"\0")

"""Batches of joins: one proof for many accounts, with the consent of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ape

from apps.clan import application, digit_of
from apps.consents import NO_CONSENT, Consent, approves, consent_for, typed
from chain import deployments
from chain.accounts import account_of, holder
from chain.contracts import NOBODY, ask, code_at, layout_of, rehearse
from chain.sending import send
from zk.errors import CircuitError
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance

# A deadline and a signature (ERC-2098), as the contract takes them.
Short = tuple[int, bytes, bytes]
ANSWER_GAS = 200_000  # that the contract of an account may use
# Of `IClan.Reason`, in its order.
REASONS = (
    "",
    "padding",
    "it is a member already",
    "its clan is full",
    "its consent has expired, or is missing",
    "it did not consent",
)


@dataclass(frozen=True)
class Batch:
    """A proof of the digits of several accounts, for one contract."""

    contract: ContractInstance
    proof: Proof
    digits: dict[str, int]  # of each account; padding has none

    @classmethod
    def load(cls, path: Path) -> Batch:
        """Read a file for the contract that takes its batches."""
        proof = Proof.load(path)
        circuit = deployments.single_of(proof.circuit)
        return cls.read(application.contract_of(circuit), proof)

    @classmethod
    def read(cls, contract: ContractInstance, proof: Proof) -> Batch:
        """Read a proof; raise if it is for another contract, or if the contract refuses it."""
        size = ask(contract, "batchSize")
        layout = replace(layout_of(contract, application.outputs), batch=size)
        if len(proof.instances) != layout.instances:
            raise CircuitError(
                f"The proof has {len(proof.instances)} instances, and a batch of {size} has "
                f"{layout.instances}: make it with `ape run prove --batch`."
            )
        keys, answers = proof.keys(layout), proof.answers(layout)
        accounts = list(map(account_of, keys))
        for account, key in zip(accounts, keys, strict=True):
            application.round_of(contract, account, key)
        digits = zip(accounts, map(digit_of, answers), strict=True)
        found = cls(contract, proof, {a: d for a, d in digits if a != NOBODY})
        rehearse(contract, "joinMany", proof.proof, proof.instances, [NO_CONSENT] * size)
        return found

    @property
    def accounts(self) -> list[str]:
        """The account in each place, also of padding."""
        return [account_of(key) for key in self.proof.instances[: self.contract.batchSize()]]

    def consents(
        self, sender: AccountAPI, given: Sequence[Consent]
    ) -> tuple[list[Short], list[str]]:
        """The consent in each place: given, or signed now by our keys; and who has none."""
        files, found, missing = {one.account: one for one in given}, dict[str, Short](), list[str]()
        for account in files:
            self.digit_of(account)
        for account, digit in self.digits.items():
            if account == sender.address or ask(self.contract, "isMember", account):
                continue
            if account in files or holder(account):
                agreed = consent_for(self.contract, account, digit, files.get(account))
                found[account] = short(*agreed)
            else:
                missing.append(account)
        return [found.get(account, NO_CONSENT) for account in self.accounts], missing

    def digit_of(self, account: str) -> int:
        if account not in self.digits:
            raise CircuitError(f"The batch has no account {account}: give one of its accounts.")
        return self.digits[account]

    def join(self, sender: AccountAPI, consents: list[Short]) -> ReceiptAPI:
        proof = self.proof
        return send(self.contract.joinMany, proof.proof, proof.instances, consents, sender=sender)


def short(deadline: int, signature: bytes) -> Short:
    """A consent with its signature of 65 bytes in 64 (ERC-2098)."""
    if len(signature) != 65 or signature[64] not in (27, 28) or signature[32] > 127:
        raise CircuitError(
            f"A signature of {len(signature)} bytes does not fit into a batch, which takes the 65 "
            "bytes of one key: join with `ape run join PROOF --consent FILE`."
        )
    recovery = (signature[64] - 27) << 7
    return deadline, signature[:32], bytes([signature[32] | recovery]) + signature[33:64]


def agrees(
    contract: ContractInstance, account: str, digit: int, deadline: int, signature: str
) -> bool:
    """Return whether an account's key, or its contract, signed that it joins a digit's clan."""
    from eth_account import Account

    where = str(contract.address), ape.networks.provider.chain_id
    values = (account, digit, ask(contract, "nonceOf", account), deadline)
    message = typed(*where, values)
    with suppress(ValueError):
        if Account.recover_message(message, signature=signature) == account:
            return True
    return bool(code_at(account)) and approves(account, message, signature)


def outcomes(contract: ContractInstance, logs: list[dict[str, Any]]) -> dict[str, int | str]:
    """The clan of each account that joined in a transaction, and why others did not."""
    ecosystem = ape.networks.provider.network.ecosystem
    events = list(ecosystem.decode_logs(logs, contract.Joined.abi, contract.Skipped.abi))
    found: dict[str, int | str] = {}
    for event in events:
        joins = event.event_name == "Joined"
        found.setdefault(str(event.account), int(event.clan) if joins else REASONS[event.reason])
    return {account: outcome for account, outcome in found.items() if account != NOBODY}


def joined(batch: Batch, receipt: ReceiptAPI) -> tuple[dict[str, int], dict[str, str]]:
    """The clans of the accounts that joined in a transaction, and why others did not."""
    found = outcomes(batch.contract, receipt.logs)
    clans = {account: outcome for account, outcome in found.items() if isinstance(outcome, int)}
    skipped = {account: outcome for account, outcome in found.items() if isinstance(outcome, str)}
    return clans, skipped

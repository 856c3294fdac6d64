"""Submitting a proof file to its application, after a free dry run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.registry import Application
from chain.accounts import signer
from chain.contracts import key_of
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance


@dataclass(frozen=True)
class Submitted:
    """A proof that the contract accepted."""

    contract: ContractInstance
    account: str  # inside the proof
    round_number: int | None  # of the round
    sender: AccountAPI
    receipt: ReceiptAPI

    @property
    def note(self) -> str:
        """The relayer, if there is one, and the gas."""
        sender = self.sender.address
        relayed = "" if sender == self.account else f", relayed by {sender}"
        return f"{relayed} ({self.receipt.gas_used:,} gas)"

    def as_json(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "round": self.round_number,
            "sender": self.sender.address,
            "transaction": self.receipt.txn_hash,
            "gas": self.receipt.gas_used,
        }


def submit(application: Application, path: Path, sender_name: str | None) -> Submitted:
    """Send a proof; every refusal comes before the sender pays for gas."""
    proof = Proof.load(path)
    contract = application.contract_of(proof.circuit)
    key, account = key_of(contract, proof)
    round_number = application.round_of(contract, account, key)
    application.require_open(contract, account, round_number)
    application.read(contract, account, round_number, proof)
    sender = signer(sender_name)
    receipt = application.submit(contract, account, round_number, proof, sender)
    return Submitted(contract, account, round_number, sender, receipt)

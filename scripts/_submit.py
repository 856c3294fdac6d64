"""Submits a proof file to its application, after a free dry run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.registry import Application, act, claim_of
from chain.accounts import account_of
from chain.contracts import layout_of
from zk.errors import CircuitError
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.api import AccountAPI, ReceiptAPI
    from ape.contracts import ContractInstance


TAKEN = ["bytes", "uint256[]"]  # the types of a proof and its instances


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


@dataclass(frozen=True)
class Checked:
    """A proof file that the contract would accept."""

    contract: ContractInstance
    account: str  # inside the proof
    round_number: int | None
    proof: Proof
    result: int  # that the contract reads


def check(application: Application, path: Path) -> Checked:
    """Read a proof, and raise every refusal before a sender pays for gas."""
    proof = Proof.load(path)
    contract = application.contract_of(proof.circuit)
    layout = layout_of(contract, application.outputs)
    key = proof.key(layout)
    account = account_of(key)
    round_number = application.round_of(contract, account, key)
    result = application.read(contract, account, round_number, proof)
    application.require_open(contract, account, round_number, proof.outputs(layout))
    return Checked(contract, account, round_number, proof, result)


def call(checked: Checked, function: str, sender: AccountAPI) -> Submitted:
    """Send a proof to any function of its contract that takes one."""
    claim = claim_of(checked.account, checked.round_number, checked.proof)
    taking = [
        one.name
        for one in checked.contract.contract_type.mutable_methods
        if len(one.inputs) == len(claim) and [i.type for i in one.inputs][-2:] == TAKEN
    ]
    if function not in taking:
        raise CircuitError(
            f"The contract has no function {function!r} that takes a proof: give one of "
            f"{', '.join(taking)}."
        )
    receipt = act(checked.contract, function, claim, sender)
    return Submitted(checked.contract, checked.account, checked.round_number, sender, receipt)


def submit(
    application: Application, checked: Checked, sender: AccountAPI, **more: Any
) -> Submitted:
    """Send a proof; `more` is what this application's `submit` takes besides."""
    claim = (checked.contract, checked.account, checked.round_number)
    receipt = application.submit(*claim, checked.proof, sender, **more)
    return Submitted(*claim, sender, receipt)

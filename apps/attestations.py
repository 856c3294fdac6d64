"""Attestations: an issuer signs the hash of an account's private input, for one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ape

from chain.accounts import account_of, require_holder
from chain.contracts import ask
from chain.sending import send
from chain.typed_data import TypedData
from zk.errors import CircuitError

if TYPE_CHECKING:
    from ape.api import ReceiptAPI
    from ape.contracts import ContractInstance

ATTESTATION = TypedData(
    "Attestation", "Attestation", {"account": "address", "commitment": "uint256", "time": "uint256"}
)


def attest(contract: ContractInstance, account: str, commitment: int) -> ReceiptAPI:
    """Sign an account's commitment as the contract's issuer, and record it there."""
    issuer = require_holder(account_of(ask(contract, "issuer")))
    time = ape.chain.blocks.head.timestamp  # the next block is later
    claim = (account, commitment, time)
    where = (str(contract.address), ape.networks.provider.chain_id)
    signature = issuer.sign_message(ATTESTATION.encode(*where, claim))
    if signature is None:
        raise CircuitError(f"{issuer.address} did not sign: nothing was sent.")
    return send(contract.attest, *claim, signature.encode_rsv(), sender=issuer)

"""Consents of accounts whose keys the tests made."""

import json
from pathlib import Path

from eth_account.signers.local import LocalAccount

from apps.consents import Consent, typed
from tests.nodes import Node


def consent_file(
    path: Path, node: Node, account: LocalAccount, digit: int, circuit: str = "clan"
) -> Path:
    """Let an account sign that it joins a digit's clan of a deployed circuit."""
    contract = json.loads(node.record.read_text())[circuit]["contract"]
    values = (account.address, digit, 0, 2**40)
    signature = account.sign_message(typed(contract, node.chain_id, values)).signature
    Consent(contract, node.chain_id, *values, f"0x{bytes(signature).hex()}").save(path)
    return path

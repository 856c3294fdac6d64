"""The contracts of a build on the connected chain: deploy them, and ask them without paying."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ape

from chain.compiler import application_contract, contract_in
from chain.network import is_dev
from chain.sending import Report, Sending, require_funds
from zk.circuit import HASHES
from zk.errors import CircuitError
from zk.layout import DOMAIN_BITS, Layout
from zk.manifest import Manifest
from zk.proof import Proof
from zk.srs import CEREMONY_SHA256, powers_hash
from zk.verifier import runtime_code, without_metadata

if TYPE_CHECKING:
    from ape.api import AccountAPI
    from ape.contracts import ContractContainer, ContractInstance

# The errors of a node whose EVM ran a call and stopped, as anvil, geth, erigon, Nethermind and Besu
# write them.
STOPPED = re.compile(
    r"revert|EVM error|VM execution error|out.?of.?gas|insufficient.gas|gas uint64 overflow|"
    r"(bad|invalid).?(instruction|jump|op.?code|operation|code)|stack.?(over|under|limit)|"
    r"write protection|return data out of bounds|call depth",
    re.IGNORECASE,
)
NOBODY = "0x0000000000000000000000000000000000000000"
REVERTED = 3  # the JSON-RPC code of a call that reverts


class NodeError(CircuitError):
    """The chain's node did not answer a call."""


class UnreachableError(NodeError):
    """The chain's node cannot be asked."""


def deploy(
    manifest: Manifest,
    sender: AccountAPI,
    sending: Sending | None = None,
    report: Report = lambda line: None,
    batch: Manifest | None = None,
) -> ContractInstance:
    """Deploy the verifiers of a build, and of its `batch`, and its application; return the last."""
    name, builds = manifest.application, [manifest, *([batch] if batch else [])]
    for build in builds:
        _require_ceremony(build)
    verifiers, contract = list(map(compiled_verifier, builds)), application_contract(name)
    sending = sending or Sending()
    if not is_dev():
        require_funds(sender, [*verifiers, contract], report)
    addresses = [
        str(_deploy(build, verifier, sender, sending).address)
        for build, verifier in zip(builds, verifiers, strict=True)
    ]
    arguments: list[object] = [addresses[0], tuple(manifest.contract_layout.values())]
    if takes_batches(contract):
        arguments += [addresses[1], batch.layout.batch] if batch else [NOBODY, 0]
    elif batch:
        raise CircuitError(f"{name} takes no batches: deploy {manifest['circuit']} without one.")

    def ours(there: str) -> bool:
        found = contract.at(there)
        return [
            str(found.verifier()),
            *([str(found.batchVerifier())] if batch else []),
        ] == addresses

    return sending.deploy(name, contract, sender, *arguments, ours=ours)


def takes_batches(contract: ContractContainer | ContractInstance) -> bool:
    """Return whether an application can have a verifier of batches."""
    return any(view.name == "batchVerifier" for view in contract.contract_type.view_methods)


def deploy_verifier(manifest: Manifest, sender: AccountAPI) -> ContractInstance:
    """Deploy the verifier of a build alone."""
    _require_ceremony(manifest)
    return _deploy(manifest, compiled_verifier(manifest), sender, Sending())


def _require_ceremony(manifest: Manifest) -> None:
    """Refuse a dev SRS on a live network, even one that the manifest calls the ceremony's."""
    network, srs = ape.networks.provider.network, manifest["srs"]
    groth16 = manifest.prover == "groth16"
    public = (powers_hash if groth16 else CEREMONY_SHA256.get)(manifest["logrows"])
    if not is_dev() and (srs["kind"] != "ceremony" or srs["sha256"] != public):
        raise CircuitError(
            f"{manifest['circuit']} uses a dev SRS, whose maker can forge any proof, and cannot be "
            f"deployed to {network.choice}: run `ape run build --srs ceremony` first."
        )
    if not is_dev() and groth16:
        from zk.groth16.ceremony import require_enough

        require_enough(manifest, network.choice)


def compiled_verifier(manifest: Manifest) -> ContractContainer:
    """Compile the verifier of a build."""
    manifest.file("verifier")
    return contract_in(f"contracts/verifiers/{manifest['verifier']['contract']}.sol")


def _deploy(
    manifest: Manifest, verifier: ContractContainer, sender: AccountAPI, sending: Sending
) -> ContractInstance:
    """Deploy a verifier, and compare its code with the one that was built."""
    built = manifest["verifier"]["runtime_sha256"]

    def ours(there: str) -> bool:
        return bool(runtime_sha256(there) == built)

    deployed = sending.deploy(manifest["circuit"], verifier, sender, ours=ours)
    if (found := runtime_sha256(deployed.address)) != built:
        raise CircuitError(
            f"The code at {deployed.address} has the SHA-256 {found}, but {built} was built: "
            "build the circuit again with `ape run build`."
        )
    return deployed


def gas_of(verifier_name: str, source: Path, proof: Proof) -> int:
    """The gas of a transaction in which a verifier checks a proof, on a dev network."""
    from eth_utils.address import to_checksum_address

    code = runtime_code(verifier_name, source.read_text())
    address = to_checksum_address(hashlib.sha256(code).digest()[-20:])
    ape.networks.provider.set_code(address, code)
    face = contract_in("contracts/interfaces/IVerifier.sol").contract_type
    verifier = ape.Contract(address, contract_type=face)
    sender = ape.accounts.test_accounts[0]
    # The interface says `view`, which makes Ape call unless a transaction is asked for.
    check = verifier.verifyProof.transact
    return int(check(proof.proof, proof.instances, sender=sender).gas_used)


def code_at(address: str) -> bytes:
    return bytes.fromhex(_result("eth_getCode", address, "latest").removeprefix("0x"))


def first_block() -> str:
    """The hash of the chain's first block. It changes if the chain is reset."""
    return str(_result("eth_getBlockByNumber", "0x0", False)["hash"])


def runtime_sha256(address: str) -> str:
    """Hash the code at an address, without the metadata that solc appends."""
    return hashlib.sha256(without_metadata(code_at(address))).hexdigest()


def ask(contract: ContractInstance, view: str, *arguments: object) -> int:
    """Call a view that returns a number; raise the contract's own error if it reverts.

    Talks to the node directly: Ape leaves custom errors of views undecoded, and web3 asks for the
    chain id at every call.
    """
    answer = call(str(contract.address), getattr(contract, view).encode_input(*arguments))
    if result := answer.get("result", "0x").removeprefix("0x"):
        return int(result, 16)
    raise _refusal(contract, view, answer)


def rehearse(contract: ContractInstance, function: str, *arguments: object) -> None:
    """Call a function, which changes nothing; raise the contract's own error if it reverts."""
    data = getattr(contract, function).encode_input(*arguments)
    answer = call(str(contract.address), data)
    if "result" not in answer:
        raise _refusal(contract, function, answer)


def _refusal(contract: ContractInstance, function: str, answer: dict[str, Any]) -> Exception:
    """The contract's own error, or a `NodeError`, for an answer without a result."""
    from hexbytes import HexBytes

    reverted = answer.get("error", {}).get("data")
    decoded = (
        ape.networks.provider.network.ecosystem.decode_custom_error(
            HexBytes(reverted), contract.address
        )
        if isinstance(reverted, str) and len(reverted) > 2
        else None
    )
    if isinstance(decoded, Exception):
        return decoded
    reason = answer.get("error", {}).get("message", "it returned nothing")
    return NodeError(f"The contract at {contract.address} did not answer {function}: {reason}.")


def call(address: str, data: bytes) -> dict[str, Any]:
    """The node's answer to a call, with a `result` or an `error`."""
    question = {"to": address, "data": f"0x{data.hex().removeprefix('0x')}"}
    return _request("eth_call", question, "latest")


def _request(method: str, *arguments: object) -> dict[str, Any]:
    """The node's answer, with a `result` or an `error`."""
    from requests.exceptions import RequestException
    from web3.exceptions import Web3Exception

    try:
        return dict(ape.networks.provider.web3.provider.make_request(method, list(arguments)))
    except (RequestException, Web3Exception, ValueError) as error:
        raise UnreachableError(f"The node cannot be asked {method}: {error}.") from error


def answer_of(address: str, data: bytes) -> bytes | None:
    """Return the result of a call, or None if the EVM stopped it, by a revert or otherwise."""
    answer = call(address, data)
    if isinstance(result := answer.get("result"), str):
        return bytes.fromhex(result.removeprefix("0x"))
    error = answer.get("error") or {}
    message = str(error.get("message"))
    if error.get("code") == REVERTED or STOPPED.search(message):
        return None
    raise NodeError(f"The node did not answer a call of {address}: {message}.")


def accepts(address: str, data: bytes) -> bool:
    """Return whether a call succeeds; raise `NodeError` if the node does not say."""
    return answer_of(address, data) is not None


@dataclass(frozen=True)
class Creation:
    """The transaction that made a contract."""

    block: int
    transaction: str
    sender: str
    code: bytes  # with the arguments of the constructor


def creation_of(address: str) -> Creation | None:
    """Find the transaction that made a contract; None if a contract or the genesis made it."""
    first, last = 0, int(_result("eth_blockNumber"), 16)
    while first < last:  # the first block that has the code
        middle = (first + last) // 2
        has_code = len(_result("eth_getCode", address, hex(middle))) > 2
        first, last = (first, middle) if has_code else (middle + 1, last)
    for sent in _result("eth_getBlockByNumber", hex(first), True)["transactions"]:
        if sent["to"] is None:
            receipt = _result("eth_getTransactionReceipt", sent["hash"])
            if receipt["contractAddress"].lower() == address.lower():
                code = bytes.fromhex(sent["input"].removeprefix("0x"))
                return Creation(first, sent["hash"], sent["from"], code)
    return None


def _result(method: str, *arguments: object) -> Any:
    answer = _request(method, *arguments)
    if answer.get("result") is None:
        reason = (answer.get("error") or {}).get("message", "it returned nothing")
        raise NodeError(f"The node did not answer {method}: {reason}.")
    return answer["result"]


def domain_of(contract: str, chain_id: int, round_number: int) -> int:
    """The domain of a contract's keys in a round, hashed as `BoundApplication` does."""
    from eth_utils.crypto import keccak

    words = (chain_id, int(contract, 16), round_number)
    hashed = keccak(b"".join(word.to_bytes(32) for word in words))
    return int(int.from_bytes(hashed) % 2**DOMAIN_BITS)


def key_for(contract: str, account: str, round_number: int) -> int:
    """The key of an account in a round of a contract on the connected chain."""
    domain = domain_of(contract, ape.networks.provider.chain_id, round_number)
    return domain << 160 | int(account, 16)


def round_with(contract: ContractInstance, domain: int, rounds: int) -> int | None:
    """The newest of a contract's rounds whose keys have this domain: confirm it with `keyOf`.

    Anyone can open rounds, so asking the node for the key of each could take minutes.
    """
    address, chain_id = str(contract.address), ape.networks.provider.chain_id
    for round_number in reversed(range(rounds)):
        if domain_of(address, chain_id, round_number) == domain:
            return round_number
    return None


def layout_of(contract: ContractInstance, outputs: int) -> Layout:
    """The layout of the proofs with this number of outputs that a contract accepts."""
    limbs, limb_bits, lanes = (ask(contract, name) for name in ("limbs", "limbBits", "lanes"))
    attested = any(view.name == "commitmentOf" for view in contract.contract_type.view_methods)
    return Layout(limbs, limb_bits, outputs, lanes, hashes=HASHES if attested else 0)

"""The record of deployments on each chain: deployments/<chain id>.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ape
from ape.exceptions import ApeException

from chain.compiler import application_contract
from chain.contracts import code_at, deploy, runtime_sha256
from chain.sending import Report, Sending
from zk.errors import CircuitError
from zk.files import ROOT, locked, write_json
from zk.manifest import Manifest

if TYPE_CHECKING:
    from ape.api import AccountAPI
    from ape.contracts import ContractInstance

FOLDER = ROOT / "deployments"


class MissingError(CircuitError):
    """The connected chain has no contract of a circuit."""


def path() -> Path:
    """The record of the connected chain. A fork has its own, which git ignores."""
    provider = ape.networks.provider
    fork = ".fork" if provider.network.is_fork else ""
    return FOLDER / f"{provider.chain_id}{fork}.json"


def read() -> dict[str, Any]:
    try:
        return dict(json.loads(path().read_text())) if path().is_file() else {}
    except ValueError as error:
        raise CircuitError(f"{path()} is damaged ({error}): remove it and deploy again.") from error


def entry_for(
    manifest: Manifest, contract: ContractInstance, batch: Manifest | None = None
) -> dict[str, Any]:
    """The entry of a build's contract, and of its batch, on the connected chain."""
    return {
        "application": manifest.application,
        "contract": contract.address,
        "block": ape.chain.blocks.height,  # its events come later
        "verifier": contract.verifier(),
        "limbs": manifest.layout.limbs,
        "limb_bits": manifest.layout.limb_bits,
        "output_scale": manifest["output_scale"],
        "lanes": manifest.layout.lanes,
        "onnx_sha256": manifest["files"]["model"]["sha256"],
        **_verifying(manifest),
        "batch": batch
        and {
            "circuit": batch["circuit"],
            "size": batch.layout.batch,
            "verifier": contract.batchVerifier(),
            **_verifying(batch),
        },
    }


def _verifying(manifest: Manifest) -> dict[str, Any]:
    return {
        "srs": {name: manifest["srs"][name] for name in ("kind", "sha256")},
        "vk_sha256": manifest["files"]["vk"]["sha256"],
        "verifier_runtime_sha256": manifest["verifier"]["runtime_sha256"],
    }


def deploy_once(
    manifest: Manifest, sender: AccountAPI, report: Report, batch: Manifest | None = None
) -> ContractInstance:
    """Deploy a build, with its batch, unless the connected chain has it, and record it.

    Deployments on one machine take turns: they share the record and the sender's nonces.
    """
    with locked(FOLDER):
        return _deploy_once(manifest, sender, report, batch)


def _deploy_once(
    manifest: Manifest, sender: AccountAPI, report: Report, batch: Manifest | None
) -> ContractInstance:
    name, chain = manifest["circuit"], ape.networks.provider.chain_id
    entry = read().get(name)
    if entry and _is_same(entry, manifest, batch) and exists(entry):
        report(f"{name} is already deployed on chain {chain}: {entry['contract']}")
        return deployed_contract(entry)
    started = _sending(manifest, batch)
    deployed = deploy(manifest, sender, started, report, batch)
    write_json(path(), {**read(), name: entry_for(manifest, deployed, batch)})
    started.finish()
    report(f"{manifest.application} of {name} on chain {chain}: {deployed.address}")
    return deployed


def _is_same(entry: dict[str, Any], manifest: Manifest, batch: Manifest | None) -> bool:
    """Return whether an entry is of these builds; one with a batch will do without, too."""
    same_batch = batch is None or _is_of(entry.get("batch") or {}, batch)
    return (
        _is_of(entry, manifest) and same_batch and entry.get("application") == manifest.application
    )


def _is_of(entry: dict[str, Any], manifest: Manifest) -> bool:
    """Return whether the verifier of an entry is that of a build."""
    return bool(entry.get("vk_sha256") == manifest["files"]["vk"]["sha256"])


def _sending(manifest: Manifest, batch: Manifest | None) -> Sending:
    """The contracts of a build that were sent but are not recorded yet."""
    sent = path().with_name(f".{path().stem}.{manifest['circuit']}.sending.json")
    return Sending(sent, [_verifying(build) for build in (manifest, batch) if build])


def exists(entry: dict[str, Any]) -> bool:
    """Return whether the chain has an entry's contract and the verifiers that were built."""
    if not code_at(entry["contract"]):
        return False
    contract, batch = deployed_contract(entry), entry.get("batch")
    try:
        named = [(contract.verifier(), entry)]
        named += [(contract.batchVerifier(), batch)] if batch else []
    except ApeException:  # some other contract
        return False
    return all(
        found == one["verifier"] and runtime_sha256(found) == one["verifier_runtime_sha256"]
        for found, one in named
    )


def entry_of(circuit: str) -> dict[str, Any]:
    """The entry of a circuit's contract."""
    record = read()
    entry = record.get(circuit)
    for single, other in record.items():
        if entry is None and (other.get("batch") or {}).get("circuit") == circuit:
            raise CircuitError(
                f"A proof of {circuit} is for several accounts of the contract of {single}: give "
                "it with --batch."
            )
    if entry is None:
        raise MissingError(
            f"{circuit} is not deployed according to {path().name}: {_again(circuit)}."
        )
    return dict(entry)


def single_of(batch: str) -> str:
    """The circuit that is deployed with a circuit for batches."""
    for circuit, entry in read().items():
        found = entry.get("batch") or {}
        if found.get("circuit") == batch:
            return circuit
    raise MissingError(
        f"No contract on chain {ape.networks.provider.chain_id} takes the batches of {batch}: "
        f"deploy one with `ape run deploy --only CIRCUIT --batch {batch}`, or give a proof of "
        "several accounts."
    )


def require_code(circuit: str, *contracts: str) -> None:
    """Refuse contracts of a circuit that have no code on the connected chain, as after a reset."""
    for address in contracts:
        if not code_at(address):
            raise _missing(circuit, address)


def contract_of(
    circuit: str, application: str, manifest: Manifest | None = None
) -> ContractInstance:
    """The contract of a circuit on the connected chain, deployed from this build if given."""
    entry = entry_of(circuit)
    deployed_as = entry.get("application", "another contract")
    if deployed_as != application:
        raise CircuitError(
            f"{circuit} is deployed as {deployed_as}, not as {application}, according to "
            f"{path().name}: give the circuit of a {application}."
        )
    if not exists(entry):
        raise _missing(circuit, entry["contract"])
    if manifest and not _is_of(entry, manifest):
        raise CircuitError(
            f"The contract at {entry['contract']} was deployed from another build of {circuit} "
            f"and refuses the proofs of this one: {_again(circuit)}."
        )
    return deployed_contract(entry)


def _missing(circuit: str, address: str) -> MissingError:
    hint = ""
    if ape.networks.provider.network.is_local:
        hint = " (an anvil that a command starts ends with it: keep one running with `anvil`)"
    return MissingError(
        f"Contract {address} not found on chain {ape.networks.provider.chain_id}"
        f"{hint}: {_again(circuit)}."
    )


def _again(circuit: str) -> str:
    network = ape.networks.provider.network.choice
    return f"run `ape run deploy --only {circuit} --network {network}`"


def deployed_contract(entry: dict[str, Any]) -> ContractInstance:
    """Return the contract of an application's entry in the record."""
    return application_contract(entry["application"]).at(entry["contract"])

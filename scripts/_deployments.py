"""The record of what stands on which chain: deployments/<chain id>.json."""

import json
from pathlib import Path
from typing import Any

import ape
import click
from ape.exceptions import ApeException

from scripts._circuits import ROOT
from scripts._contracts import application, deploy, runtime_sha256
from scripts._sending import Sending
from zk.errors import CircuitError
from zk.manifest import Manifest, locked, write_whole

FOLDER = ROOT / "deployments"


def path() -> Path:
    """A fork has its upstream's chain id, but a record of its own, which git ignores."""
    provider = ape.networks.provider
    fork = ".fork" if provider.network.is_fork else ""
    return FOLDER / f"{provider.chain_id}{fork}.json"


def sending(manifest: Manifest) -> Sending:
    """What was sent of a build's contracts, but is not on record yet."""
    noted = path().with_name(f".{path().stem}.{manifest['circuit']}.sending.json")
    return Sending(noted, [manifest["files"]["vk"]["sha256"], manifest["verifier"]])


def read() -> dict[str, Any]:
    try:
        return json.loads(path().read_text()) if path().is_file() else {}
    except ValueError as error:
        raise CircuitError(f"{path()} is damaged ({error}): remove it and deploy again.") from error


def entry_for(manifest: Manifest, contract) -> dict[str, Any]:
    """What there is to note of a build's contract on the connected chain."""
    return {
        "application": application(manifest),
        "contract": contract.address,
        "block": ape.chain.blocks.height,  # events come later
        "verifier": contract.verifier(),
        "limbs": manifest["key"]["limbs"],
        "limb_bits": manifest["key"]["bits"],
        "output_scale": manifest["output_scale"],
        "srs": {name: manifest["srs"][name] for name in ("kind", "sha256")},
        "vk_sha256": manifest["files"]["vk"]["sha256"],
        "onnx_sha256": manifest["files"]["model"]["sha256"],
        "verifier_runtime_sha256": manifest["verifier"]["runtime_sha256"],
    }


def write(manifest: Manifest, contract) -> None:
    """Notes where a build's contracts stand on the connected chain."""
    content = {**read(), manifest["circuit"]: entry_for(manifest, contract)}
    write_whole(path(), json.dumps(content, indent=2) + "\n")


def deploy_once(manifest: Manifest, sender) -> None:
    """Deploys a build where the connected chain does not have it, and notes it.

    One at a time on this machine: a record and a sender's nonces are of one deployment each.
    """
    with locked(FOLDER):
        _deploy_once(manifest, sender)


def _deploy_once(manifest: Manifest, sender) -> None:
    name, chain = manifest["circuit"], ape.networks.provider.chain_id
    entry = read().get(name)
    vk = manifest["files"]["vk"]["sha256"]
    if entry and entry["vk_sha256"] == vk and stands(entry):
        click.echo(f"{name} stands on chain {chain} already: {entry['contract']}")
        return
    started = sending(manifest)
    deployed = deploy(manifest, sender, started)
    write(manifest, deployed)
    started.finish()
    click.echo(f"{application(manifest)} of {name} on chain {chain}: {deployed.address}")


def stands(entry: dict[str, Any]) -> bool:
    """Whether the connected chain has the contract of an entry, and the verifier that was built."""
    if len(ape.networks.provider.get_code(entry["contract"])) == 0:
        return False
    try:
        verifier = _contract(entry).verifier()
    except ApeException:  # some other contract
        return False
    return (
        verifier == entry["verifier"]
        and runtime_sha256(verifier) == entry["verifier_runtime_sha256"]
    )


def entry_of(circuit: str) -> dict[str, Any]:
    """The record of a circuit's contract."""
    entry = read().get(circuit)
    if entry is None:
        raise CircuitError(f"{path().name} has no deployment of {circuit}: {_again(circuit)}.")
    return entry


def require_code(circuit: str, entry: dict[str, Any]) -> None:
    """Refuses a record of contracts that the connected chain does not have at all."""
    if not all(ape.networks.provider.get_code(entry[name]) for name in ("contract", "verifier")):
        raise _missing(circuit, entry)


def contract(circuit: str, application: str, manifest: Manifest | None = None):
    """The contract of a circuit on the connected chain, deployed from this build if given."""
    entry = entry_of(circuit)
    if entry.get("application") != application:
        raise CircuitError(f"{circuit} is not deployed as a {application} in {path().name}.")
    if not stands(entry):
        raise _missing(circuit, entry)
    if manifest and entry["vk_sha256"] != manifest["files"]["vk"]["sha256"]:
        raise CircuitError(
            f"The contract at {entry['contract']} was deployed from another build of {circuit} "
            f"and refuses the proofs of this one: {_again(circuit)}."
        )
    return _contract(entry)


def _missing(circuit: str, entry: dict[str, Any]) -> CircuitError:
    hint = ""
    if ape.networks.provider.network.is_local:
        hint = " (an anvil that a command starts ends with it: keep one running with `anvil`)"
    return CircuitError(
        f"Chain {ape.networks.provider.chain_id} has not this contract at {entry['contract']}"
        f"{hint}: {_again(circuit)}."
    )


def _again(circuit: str) -> str:
    network = ape.networks.provider.network.choice
    return f"run `ape run deploy --only {circuit} --network {network}`"


def _contract(entry: dict[str, Any]):
    return getattr(ape.project, entry["application"]).at(entry["contract"])

"""The contracts of a build on the connected chain: deploying them, and asking before paying."""

import hashlib
from pathlib import Path

import ape

from scripts._cli import is_dev
from scripts._sending import Sending, announce_cost
from zk.binding import KeyLayout
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof
from zk.srs import CEREMONY_SHA256
from zk.verifier import require_solc, runtime_code, without_metadata

# Which application believes a circuit, by the number of its outputs.
APPLICATIONS = {10: "Clan", 1: "VoiceJudge"}


def application(manifest: Manifest) -> str:
    """Clan for the ten logits of the digits, VoiceJudge for a single score."""
    if manifest["outputs"] not in APPLICATIONS:
        raise CircuitError(
            f"{manifest['circuit']} has {manifest['outputs']} outputs: Clan needs the 10 logits of "
            f"the digits, VoiceJudge a single score."
        )
    return APPLICATIONS[manifest["outputs"]]


def deploy(manifest: Manifest, sender, sending: Sending | None = None):
    """Deploys the verifier of a build and the application that believes it; gives the latter."""
    name = application(manifest)
    _require_ceremony(manifest)
    verifier, contract = _compiled(manifest, f"contracts/{name}.sol")
    sending = sending or Sending()
    if not is_dev():
        announce_cost(sender, [verifier, contract])
    address = _deploy(manifest, verifier, sender, sending).address
    layout = (manifest["key"]["limbs"], manifest["key"]["bits"], manifest["output_scale"])

    def ours(there: str) -> bool:
        return contract.at(there).verifier() == address

    return sending.deploy(name, contract, sender, address, layout, ours=ours)


def deploy_verifier(manifest: Manifest, sender):
    """Deploys the verifier of a build alone."""
    _require_ceremony(manifest)
    (verifier,) = _compiled(manifest)
    return _deploy(manifest, verifier, sender, Sending())


def _require_ceremony(manifest: Manifest) -> None:
    """A live network never gets a development setup, whatever the manifest calls it."""
    network, srs = ape.networks.provider.network, manifest["srs"]
    public = CEREMONY_SHA256.get(manifest["logrows"])
    if not is_dev() and (srs["kind"] != "ceremony" or srs["sha256"] != public):
        raise CircuitError(
            f"{manifest['circuit']} stands on a dev SRS, whose maker can forge any proof, so it is "
            f"not deployed to {network.choice}: run `ape run build --srs ceremony` first."
        )


def _compiled(manifest: Manifest, *more: str) -> list:
    """The verifier of a build, and more sources, as they are now.

    Ape's cache can miss that a verifier was replaced.
    """
    manifest.file("verifier")
    require_solc()
    sources = (f"contracts/verifiers/{manifest['verifier']['contract']}.sol", *more)
    contracts = ape.project.load_contracts(*sources, use_cache=False)
    return [contracts[Path(source).stem] for source in sources]


def _deploy(manifest: Manifest, verifier, sender, sending: Sending):
    """Deploys a verifier, and compares its code with the one that was built."""
    built = manifest["verifier"]["runtime_sha256"]

    def ours(there: str) -> bool:
        return runtime_sha256(there) == built

    deployed = sending.deploy("verifier", verifier, sender, ours=ours)
    if (found := runtime_sha256(deployed.address)) != built:
        raise CircuitError(
            f"The code at {deployed.address} has the SHA-256 {found}, built was "
            f"{built}: compile with the settings of ape-config.yaml."
        )
    return deployed


def gas_of(contract: str, source: Path, proof: Proof) -> int:
    """What a transaction takes that has a verifier check a proof, on a dev network."""
    from eth_utils import to_checksum_address

    code = runtime_code(contract, source.read_text())
    address = to_checksum_address(hashlib.sha256(code).digest()[-20:])
    ape.networks.provider.set_code(address, code)
    verifier = ape.Contract(address, contract_type=ape.project.IVerifier.contract_type)
    sender = ape.accounts.test_accounts[0]
    # The interface says `view`, so a transaction has to be asked for.
    check = verifier.verifyProof.transact
    return check(proof.proof, proof.instances, sender=sender).gas_used


def runtime_sha256(address: str) -> str:
    """The hash of the code at an address, without the metadata that solc appends."""
    code = bytes(ape.networks.provider.get_code(address))
    return hashlib.sha256(without_metadata(code)).hexdigest()


def ask(contract, function: str, *arguments: object) -> int:
    """The number with which a view answers; raises the contract's own error if it refuses.

    The call goes past Ape, which leaves custom errors of view functions undecoded.
    """
    from hexbytes import HexBytes
    from web3.exceptions import ContractCustomError, Web3Exception

    view = getattr(contract, function)
    data = view.encode_input(*arguments)
    try:
        answer = ape.networks.provider.web3.eth.call({"to": contract.address, "data": data})
    except ContractCustomError as error:
        raised = HexBytes(str(error.data))
        decoded = ape.networks.ethereum.decode_custom_error(raised, contract.address)
        raise decoded or CircuitError(f"{contract.address} has no {function}: {error}") from error
    except Web3Exception as error:
        raise CircuitError(f"The contract at {contract.address} did not answer: {error}") from error
    return int.from_bytes(answer)


def key_of(contract, proof: Proof) -> tuple[int, str]:
    """The key inside a proof, as the contract lays it out, and the account that it names."""
    from eth_utils import to_checksum_address

    key = proof.key(KeyLayout(limbs=contract.limbs(), bits=contract.limbBits()))
    return key, to_checksum_address(f"0x{key % 2**160:040x}")

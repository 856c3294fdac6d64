"""Clan from Python: deploying it, and showing what it and its proofs say."""

import hashlib
from pathlib import Path

import ape

from scripts._cli import is_dev
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof
from zk.verifier import require_solc


def deploy_clan(manifest: Manifest, sender):
    """Deploys the verifier of a build and a Clan that believes it; gives the Clan contract."""
    if manifest["outputs"] != 10:
        raise CircuitError(
            f"Clan needs the 10 logits of the digits, {manifest['circuit']} has "
            f"{manifest['outputs']} outputs."
        )
    verifier = deploy_verifier(manifest, sender)
    layout = (manifest["key"]["limbs"], manifest["key"]["bits"], manifest["output_scale"])
    return sender.deploy(_compile("contracts/Clan.sol"), verifier.address, layout)


def deploy_verifier(manifest: Manifest, sender):
    """Deploys the verifier of a build, and compares its code with the one that was built."""
    network = ape.networks.provider.network
    if not is_dev() and manifest["srs"]["kind"] != "ceremony":
        raise CircuitError(
            f"{manifest['circuit']} stands on a dev SRS, whose maker can forge any proof, so it is "
            f"not deployed to {network.choice}: run `ape run build --srs ceremony` first."
        )
    manifest.file("verifier")
    source = f"contracts/verifiers/{manifest['verifier']['contract']}.sol"
    verifier = sender.deploy(_compile(source))
    found, built = runtime_sha256(verifier.address), manifest["verifier"]["runtime_sha256"]
    if found != built:
        raise CircuitError(
            f"The code at {verifier.address} has the SHA-256 {found}, built was "
            f"{built}: compile with the settings of ape-config.yaml."
        )
    return verifier


def _compile(source: str):
    """The contract of a source as it is now; Ape's cache can miss that a verifier was replaced."""
    require_solc()
    return ape.project.load_contracts(source, use_cache=False)[Path(source).stem]


def runtime_sha256(address: str) -> str:
    """The hash of the code at an address, without the metadata that solc appends.

    The last two bytes say how long the metadata is.
    """
    code = bytes(ape.networks.provider.get_code(address))
    return hashlib.sha256(code[: -2 - int.from_bytes(code[-2:])]).hexdigest()


def logits(manifest: Manifest, proof: Proof) -> str:
    """The logits as bars, and what they say."""
    values = [v / 2 ** manifest["output_scale"] for v in proof.outputs(manifest.layout)]
    largest = max(values)
    width = max(largest - min(values), 1e-9)
    bars = [
        f"  {digit}  {value:8.2f}  {'█' * round(30 * (value - min(values)) / width)}"
        for digit, value in enumerate(values)
    ]
    return "\n".join([*bars, f"the model reads a {values.index(largest)}"])


def table(clan) -> str:
    """The members of each clan as bars, and who leads."""
    counts = clan.counts()
    leader, most = clan.leader()
    scale = 40 / max(most, 40)  # a block a member, until the largest clan fills the line
    rows = [
        f"  clan {digit}  {count:6,}  {'█' * max(round(count * scale), count > 0)}"
        for digit, count in enumerate(counts)
    ]
    members = "1 member" if most == 1 else f"{most:,} members"
    last = f"clan {leader} leads with {members}" if most else "nobody has joined yet"
    return "\n".join([*rows, last])


def read_digit(clan, account: str, proof: Proof) -> int:
    """What Clan would read in a proof for the account; raises the contract's own error if it would
    refuse. Costs nothing.

    The call goes past Ape, which leaves custom errors of view functions undecoded.
    """
    from hexbytes import HexBytes
    from web3.exceptions import ContractCustomError, Web3Exception

    data = clan.readDigit.encode_input(account, proof.proof, proof.instances)
    try:
        answer = ape.networks.provider.web3.eth.call({"to": clan.address, "data": data})
    except ContractCustomError as error:
        decoded = ape.networks.ethereum.decode_custom_error(HexBytes(str(error.data)), clan.address)
        raise decoded or CircuitError(f"{clan.address} is no Clan: {error}") from error
    except Web3Exception as error:
        raise CircuitError(f"The contract at {clan.address} did not answer: {error}") from error
    return int.from_bytes(answer)

"""Clan from Python: deploying it, and showing what it and its proofs say."""

import ape

from scripts import _deployments
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof


def deploy_clan(manifest: Manifest, sender):
    """Deploys the verifier and Clan of a build, and records them. Gives the Clan contract."""
    network = ape.networks.provider.network
    if not network.is_dev and manifest["srs"]["kind"] != "ceremony":
        raise CircuitError(
            f"{manifest['circuit']} stands on a dev SRS, whose maker can forge any proof, so it is "
            f"not deployed to {network.choice}: run `ape run build --srs ceremony` first."
        )
    if manifest["outputs"] != 10:
        raise CircuitError(
            f"Clan needs the 10 logits of the digits, {manifest['circuit']} has "
            f"{manifest['outputs']} outputs."
        )
    verifier = deploy_verifier(manifest, sender)
    layout = (manifest["key"]["limbs"], manifest["key"]["bits"], manifest["output_scale"])
    clan = sender.deploy(ape.project.Clan, verifier.address, layout)
    _deployments.write(
        manifest["circuit"],
        {
            "contract": clan.address,
            "verifier": verifier.address,
            "limbs": layout[0],
            "limb_bits": layout[1],
            "output_scale": layout[2],
            "srs": manifest["srs"],
            "vk_sha256": manifest["files"]["vk"]["sha256"],
            "onnx_sha256": manifest["files"]["model"]["sha256"],
            "verifier_runtime_sha256": manifest["verifier"]["runtime_sha256"],
        },
    )
    return clan


def deploy_verifier(manifest: Manifest, sender):
    """Deploys the verifier of a build, once its source is the one that the manifest knows."""
    manifest.file("verifier")
    return sender.deploy(ape.project.get_contract(manifest["verifier"]["contract"]))


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
    from web3.exceptions import ContractCustomError

    data = clan.readDigit.encode_input(account, proof.proof, proof.instances)
    try:
        answer = ape.networks.provider.web3.eth.call({"to": clan.address, "data": data})
    except ContractCustomError as error:
        decoded = ape.networks.ethereum.decode_custom_error(HexBytes(str(error.data)), clan.address)
        raise decoded or error from error
    return int.from_bytes(answer)

from pathlib import Path

from ape import accounts, project

from zk.arrays import own_arrays, own_samples
from zk.build import build
from zk.circuit import Circuit, RunArgs
from zk.proof import prove

HERE = Path(__file__).resolve().parents[1]


def main():
    data, owner = HERE / "samples.npz", accounts.test_accounts[0]
    circuit = Circuit.own("own", HERE / "model.onnx", lambda: own_samples(data), RunArgs())
    folders = {"artifacts": HERE / "artifacts", "verifiers": HERE / "contracts" / "verifiers"}
    manifest, _ = build(circuit, **folders)
    verifier = owner.deploy(project.OwnVerifier)
    own = owner.deploy(project.Own, verifier, tuple(manifest.contract_layout.values()))
    x, *_ = own_arrays(data)
    proof = prove(manifest, own.keyOf(owner), x[-1])
    own.keep(owner, proof.proof, proof.instances, sender=owner)
    print(f"{owner} has class {own.classOf(owner)}")

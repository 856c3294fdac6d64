"""Audits what stands on the connected chain against what was built here."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ape
import numpy as np

from scripts._circuits import CIRCUITS, ROOT, circuit
from scripts._cli import is_dev
from scripts._contracts import application, runtime_sha256
from zk.audit.application import audit_application
from zk.audit.attacks import attacks, genuine
from zk.audit.build import audit_build
from zk.audit.curve import negated, written
from zk.audit.findings import Finding, Report, Severity
from zk.audit.setup import Setup
from zk.audit.syntax import compiled_contract
from zk.audit.verifier import audit_verifier, find_shape
from zk.binding import read_model
from zk.manifest import Manifest
from zk.proof import Proof, prove_all
from zk.verifier import without_metadata

CONTRACTS = ROOT / "contracts"
# In whose names the audit proves; nobody has their keys.
ACCOUNTS = ("0x000000000000000000000000000000000000dEaD", f"0x{'F' * 40}")
AGAIN = "Deploy the build again with `ape run deploy`, and use that contract."


def audit_deployment(manifest: Manifest, entry: dict[str, Any]) -> Iterator[Report]:
    """A circuit's build, its verifier and its application on the connected chain."""
    name = manifest["circuit"]
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        original = circuit(name).model if name in CIRCUITS else None
        build = audit_build(manifest, original, Path(folder))
    yield build
    if not build.sound:
        return
    yield audit_contracts(manifest, entry)
    code = _code(entry["verifier"])
    yield audit_verifier(code, f"verifier at {entry['verifier']}", live=not is_dev())
    yield audit_application(CONTRACTS / f"{entry['application']}.sol")
    yield _attack(manifest, entry, code)


def _code(address: str) -> bytes:
    return bytes(ape.networks.provider.get_code(address))


def audit_contracts(manifest: Manifest, entry: dict[str, Any]) -> Report:
    """Whether the contracts are those that were built, with the build's parameters."""
    name, chain = application(manifest), ape.networks.provider.chain_id
    report = Report(f"{name} at {entry['contract']} on chain {chain}")
    contract = getattr(ape.project, name).at(entry["contract"])
    _check(
        report,
        entry["vk_sha256"] == manifest["files"]["vk"]["sha256"],
        "it was deployed from this build",
        "other-build",
        "It was deployed from another build than the one in artifacts/.",
    )
    _check(
        report,
        runtime_sha256(entry["verifier"]) == manifest["verifier"]["runtime_sha256"],
        "the verifier's code is the one that was built",
        "verifier-code",
        f"The code at {entry['verifier']} is not the one that was built.",
    )
    _check(
        report,
        _masked(name, _code(entry["contract"])) == _masked(name, None),
        f"the code of {name} is that of contracts/{name}.sol",
        "application-code",
        f"The code at {entry['contract']} is not that of contracts/{name}.sol.",
    )
    if report.sound:
        _check_parameters(report, manifest, entry, contract)
    _check_setup(report, manifest, entry)
    return report


def _masked(name: str, code: bytes | None) -> bytes:
    """The code on chain, or else as compiled, without metadata and immutable values."""
    made, immutables = compiled_contract(CONTRACTS / f"{name}.sol", name)
    masked = bytearray(without_metadata(made if code is None else code))
    for start, length in immutables:
        masked[start : start + length] = bytes(length)
    return bytes(masked)


def _check_parameters(report: Report, manifest: Manifest, entry: dict, contract) -> None:
    expected = {
        "verifier": entry["verifier"],
        "limbs": manifest["key"]["limbs"],
        "limbBits": manifest["key"]["bits"],
        "outputScale": manifest["output_scale"],
    }
    for parameter, value in expected.items():
        found = getattr(contract, parameter)()
        _check(
            report,
            found == value,
            f"its {parameter} is {value}",
            "parameter-differs",
            f"Its {parameter} is {found}, the build's {value}.",
        )


def _check_setup(report: Report, manifest: Manifest, entry: dict) -> None:
    kind, network = manifest["srs"]["kind"], ape.networks.provider.network.choice
    report.facts["setup"] = kind
    if kind != "ceremony":
        report.findings.append(
            Finding(
                "dev-setup",
                Severity.NOTE if is_dev() else Severity.CRITICAL,
                "It stands on a dev SRS, whose maker can forge any proof.",
                f"{manifest['srs']['path']} on {network}",
                "Keep it to local chains; elsewhere, build with `--srs ceremony` and deploy again.",
            )
        )
    verifier = audit_verifier(_code(entry["verifier"]), "")
    secret = Setup.read(manifest.file("srs")).secret
    _check(
        report,
        verifier.facts.get("setup_point") in [written(p) for p in (secret, negated(secret))],
        "the verifier's pairing has the secret of the build's SRS",
        "setup-differs",
        "The verifier stands on another SRS than the build.",
    )


def _attack(manifest: Manifest, entry: dict, code: bytes) -> Report:
    """Sends what an attacker could to the verifier and the application; nothing is changed."""
    report = Report(f"attacks on {entry['application']} at {entry['contract']}")
    contract = getattr(ape.project, entry["application"]).at(entry["contract"])
    shape = find_shape(code)
    if not shape:
        return report  # the verifier's own report says so
    rounds = [] if entry["application"] == "Clan" else [0]
    keys = [contract.keyOf(account, *rounds) for account in ACCOUNTS]
    x = np.zeros(read_model(manifest.file("model")).input_shape)
    proofs = prove_all(manifest, [(key, x) for key in keys])
    limbs = manifest.layout.limbs
    _check(
        report,
        [proof.key(manifest.layout) for proof in proofs] == keys
        and proofs[0].instances[limbs:] == proofs[1].instances[limbs:],
        "proofs of one input with two keys differ in their keys alone",
        "key-not-passed",
        "The key that is proved is not the key that was given, or changes the answer.",
    )
    call = genuine(proofs[0])
    verifier, application = entry["verifier"], entry["contract"]
    _check(
        report,
        _accepts(verifier, call.usual())
        and _accepts(application, _reading(contract, 0, ACCOUNTS[0], proofs[0])),
        "a genuine proof is accepted",
        "genuine-refused",
        "A genuine proof is refused.",
    )
    tried = [(verifier, *attack) for attack in attacks(code, shape, call)]
    tried += [(application, *attack) for attack in _false_claims(contract, proofs)]
    accepted = [what for where, what, data in tried if _accepts(where, data)]
    report.facts["calls"] = len(tried)
    _check(
        report,
        not accepted,
        f"{len(tried)} forgeries are refused",
        "forgery-accepted",
        f"Forgeries are accepted: {', '.join(accepted)}.",
    )
    return report


def _false_claims(contract, proofs: list[Proof]) -> Iterator[tuple[str, bytes]]:
    """What an application should not believe, although the proofs are genuine."""
    (one, other), (account, thief) = proofs, ACCOUNTS
    yield "the proof of another account", _reading(contract, 0, thief, one)
    mixed = replace(one, instances=other.instances)
    yield "a proof with another's key written over its own", _reading(contract, 0, thief, mixed)
    raised = replace(one, instances=[*one.instances[:-1], one.instances[-1] + 1])
    yield "a proof with another answer", _reading(contract, 0, account, raised)
    empty = replace(one, proof=b"")
    yield "no proof at all", _reading(contract, 0, account, empty)
    if hasattr(contract, "readScore"):
        yield "the proof of another round", _reading(contract, 1, account, one)


def _reading(contract, round_number: int, account: str, proof: Proof) -> bytes:
    """The calldata of the view that checks a proof as the application does."""
    if hasattr(contract, "readScore"):
        view = contract.readScore
        return view.encode_input(round_number, account, proof.proof, proof.instances)
    return contract.readDigit.encode_input(account, proof.proof, proof.instances)


def _accepts(address: str, data: bytes) -> bool:
    from web3.exceptions import ContractLogicError

    try:
        ape.networks.provider.web3.eth.call({"to": address, "data": data})
    except ContractLogicError:
        return False
    return True


def _check(report: Report, holds: bool, passed: str, name: str, what: str) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, f"on {report.subject}", AGAIN)
    return report.check(holds, passed, finding)

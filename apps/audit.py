"""Audits a deployment: derives its build again, compares it with the chain, and attacks it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ape
import numpy as np

from apps.circuits import circuit, sources
from apps.registry import Application, application_of
from chain.contracts import accepts, code_at, runtime_sha256
from chain.network import is_dev
from zk.audit.application import audit_application
from zk.audit.attacks import attacks, genuine
from zk.audit.build import audit_build
from zk.audit.curve import negated, written
from zk.audit.findings import Finding, Report, Severity
from zk.audit.srs import Srs
from zk.audit.syntax import compiled_contract
from zk.audit.verifier import audit_verifier, find_shape
from zk.binding import read_model
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import prove_all
from zk.verifier import without_metadata

if TYPE_CHECKING:
    from ape.contracts import ContractInstance

CONTRACTS = ROOT / "contracts"
# The accounts that the audit proves for; their private keys are unknown.
ACCOUNTS = ("0x000000000000000000000000000000000000dEaD", f"0x{'F' * 40}")
AGAIN = "Deploy the build again with `ape run deploy`, and use that contract."

Entry = dict[str, Any]  # of deployments/<chain id>.json


def audit_deployment(manifest: Manifest, entry: Entry) -> Iterator[Report]:
    """Audit a circuit's build, its verifier and its application on the connected chain."""
    name, application = manifest["circuit"], application_of(manifest)
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        original = circuit(name).model if name in sources() else None
        build = audit_build(manifest, original, Path(folder))
    yield build
    if not build.sound:
        return
    yield audit_contracts(manifest, entry)
    code = code_at(entry["verifier"])
    yield audit_verifier(code, f"verifier at {entry['verifier']}", live=not is_dev())
    yield audit_application(CONTRACTS / f"{application.name}.sol")
    yield attack(manifest, entry, code)


def audit_contracts(manifest: Manifest, entry: Entry) -> Report:
    """Compare the contracts and their parameters with the build's."""
    name, chain = application_of(manifest).name, ape.networks.provider.chain_id
    report = Report(f"{name} at {entry['contract']} on chain {chain}")
    contract = _contract(entry)
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
        _masked(name, code_at(entry["contract"])) == _masked(name, None),
        f"the code of {name} is compiled from contracts/{name}.sol",
        "application-code",
        f"The code at {entry['contract']} is not compiled from contracts/{name}.sol.",
    )
    if report.sound:
        _check_parameters(report, manifest, entry, contract)
    _check_srs(report, manifest, entry)
    return report


def _contract(entry: Entry) -> ContractInstance:
    return getattr(ape.project, entry["application"]).at(entry["contract"])


def _masked(name: str, code: bytes | None) -> bytes:
    """Code on chain, or else compiled code, without metadata and immutable values."""
    made, immutables = compiled_contract(CONTRACTS / f"{name}.sol", name)
    masked = bytearray(without_metadata(made if code is None else code))
    for start, length in immutables:
        masked[start : start + length] = bytes(length)
    return bytes(masked)


def _check_parameters(
    report: Report, manifest: Manifest, entry: Entry, contract: ContractInstance
) -> None:
    expected = {
        "verifier": entry["verifier"],
        "limbs": manifest.layout.limbs,
        "limbBits": manifest.layout.limb_bits,
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


def _check_srs(report: Report, manifest: Manifest, entry: Entry) -> None:
    kind, network = manifest["srs"]["kind"], ape.networks.provider.network.choice
    report.facts["srs"] = kind
    if kind != "ceremony":
        report.findings.append(
            Finding(
                "dev-srs",
                Severity.NOTE if is_dev() else Severity.CRITICAL,
                "Its verifier uses a dev SRS, whose maker can forge any proof.",
                f"{manifest['srs']['path']} on {network}",
                "Keep it to local chains; elsewhere, build with `--srs ceremony` and deploy again.",
            )
        )
    verifier = audit_verifier(code_at(entry["verifier"]), "")
    secret = Srs.read(manifest.file("srs")).secret
    _check(
        report,
        verifier.facts.get("srs_point") in [written(p) for p in (secret, negated(secret))],
        "the verifier's pairing uses the secret of the build's SRS",
        "srs-differs",
        "The verifier uses another SRS than the build.",
    )


def attack(manifest: Manifest, entry: Entry, code: bytes) -> Report:
    """Send forgeries to the verifier and the application, as calls that change nothing."""
    application: Application = application_of(manifest)
    report = Report(f"attacks on {application.name} at {entry['contract']}")
    contract = _contract(entry)
    shape = find_shape(code)
    if not shape:
        return report  # the verifier's own report says why
    round_number = 0 if application.has_rounds else None
    keys = [application.key(contract, account, round_number) for account in ACCOUNTS]
    x = np.zeros(read_model(manifest.file("model")).input_shape)
    proofs = prove_all(manifest, [(key, x) for key in keys])
    limbs = manifest.layout.limbs
    _check(
        report,
        [proof.key(manifest.layout) for proof in proofs] == keys
        and proofs[0].instances[limbs:] == proofs[1].instances[limbs:],
        "proofs of one input with two keys differ in their keys alone",
        "key-not-passed",
        "The proof carries another key than the one given, or the key changes the answer.",
    )
    usual = genuine(proofs[0])
    _check(
        report,
        accepts(entry["verifier"], usual.usual())
        and accepts(
            entry["contract"], application.encode(contract, ACCOUNTS[0], round_number, proofs[0])
        ),
        "a genuine proof is accepted",
        "genuine-refused",
        "A genuine proof is refused.",
    )
    tried = [(entry["verifier"], *forgery) for forgery in attacks(code, shape, usual)]
    made = application.forgeries(contract, dict(zip(ACCOUNTS, proofs, strict=True)))
    tried += [(entry["contract"], *forgery) for forgery in made]
    accepted = [what for where, what, data in tried if accepts(where, data)]
    report.facts["calls"] = len(tried)
    _check(
        report,
        not accepted,
        f"{len(tried)} forgeries are refused",
        "forgery-accepted",
        f"Forgeries are accepted: {', '.join(accepted)}.",
    )
    return report


def _check(report: Report, holds: bool, passed: str, name: str, what: str) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, f"on {report.subject}", AGAIN)
    return report.check(holds, passed, finding)

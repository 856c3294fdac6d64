"""Audits a deployment: derives its build again, compares it with the chain, and attacks it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ape
import numpy as np
from requests.exceptions import RequestException

from apps.circuits import circuit, sources
from apps.registry import Application, application_of, named
from chain.accounts import account_of
from chain.contracts import (
    NOBODY,
    NodeError,
    accepts,
    answer_of,
    code_at,
    creation_of,
    key_for,
    runtime_sha256,
    takes_batches,
)
from chain.deployments import deployed_contract
from chain.network import is_dev
from zk.audit.application import audit_application
from zk.audit.attacks import attacks, genuine
from zk.audit.batch import audit_batch
from zk.audit.build import audit_build
from zk.audit.code import DELEGATION, linked, proxied
from zk.audit.constraints import key_digest, shape_of
from zk.audit.curve import negated, written
from zk.audit.findings import Finding, Report, Severity
from zk.audit.halo2 import find_shape
from zk.audit.srs import Srs
from zk.audit.syntax import Compiled, compiled_contract
from zk.audit.verifier import audit_verifier
from zk.binding import read_model
from zk.files import ROOT
from zk.manifest import FEWEST_CONTRIBUTIONS, Manifest
from zk.proof import Proof, prove_all
from zk.verifier import runtime_code, without_metadata

CONTRACTS = ROOT / "contracts"
# The accounts that the audit proves for; their private keys are unknown.
ACCOUNTS = ("0x000000000000000000000000000000000000dEaD", f"0x{'F' * 40}")
UNREAD = "the hash of its sources at its end, where nothing jumps"
AGAIN = "Deploy the build again with `ape run deploy`, and use that contract."

Entry = dict[str, Any]  # of deployments/<chain id>.json


def audit_deployment(manifest: Manifest, entry: Entry) -> Iterator[Report]:
    """Audit a circuit's build, its verifier and its application on the connected chain.

    With its circuit for batches, if it is deployed with one.
    """
    application, builds = application_of(manifest), _builds(manifest, entry)
    sound = True
    for build, _ in builds:
        report = _audit_build(build)
        sound &= report.sound
        yield report
    for build, _ in builds[1:]:
        report = audit_batch(manifest, build)
        sound &= report.sound
        yield report
    if not sound:
        return
    yield audit_contracts(manifest, entry)
    codes = []
    for build, deployed in builds:
        code, verifier = _audit_verifier(build, deployed["verifier"])
        codes.append(code)
        yield verifier
    yield audit_application(CONTRACTS / f"{application.name}.sol")
    yield attack(manifest, entry, codes[0])
    for build, _ in builds[1:]:
        yield attack_batch(build, entry, codes[1])


def _builds(manifest: Manifest, entry: Entry) -> list[tuple[Manifest, Entry]]:
    """The build of a deployment, and its build for batches, each with what is recorded of it."""
    batch = entry.get("batch")
    more = [(Manifest(manifest.folder.parent / batch["circuit"]), batch)] if batch else []
    return [(manifest, entry), *more]


def _audit_build(manifest: Manifest) -> Report:
    name = manifest["circuit"]
    original = read_model(circuit(name).model) if name in sources() else None
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        return audit_build(manifest, original, Path(folder))


def _audit_verifier(manifest: Manifest, address: str) -> tuple[bytes, Report]:
    """Audit the verifier of a build; return its code, too."""
    code, verifier = b"", Report(f"verifier at {address}")
    with _answers(verifier):
        code = code_at(address)
        verifier = audit_verifier(code, verifier.subject, live=not is_dev())
        _check_secret(verifier, manifest)
    return code, verifier


def audit_address(address: str) -> Iterator[Report]:
    """Audit the verifier at an address of the connected chain; follow proxies and libraries."""
    code, seen = code_at(address), {int(address, 16)}
    while (target := proxied(code)) and target not in seen:
        seen.add(target)
        report = Report(f"proxy at {address}", {"target": account_of(target)})
        report.passed.append("it always calls the code at this target")
        yield report
        address, code = account_of(target), code_at(account_of(target))
    if code.startswith(DELEGATION):
        report = Report(f"account at {address}", {"target": account_of(int.from_bytes(code[3:]))})
        report.findings.append(
            Finding(
                "account",
                Severity.CRITICAL,
                "The verifier is an account, which can exchange its code at any time (EIP-7702).",
                f"its code begins with {DELEGATION.hex()}",
                "Do not use it: its owner can make it accept anything.",
            )
        )
        yield report
        return
    whole = linked(code, lambda library: code_at(account_of(library)), int(address, 16))
    report = audit_verifier(whole, f"verifier at {address}", live=not is_dev())
    if whole.libraries:
        report.facts["libraries"] = [account_of(library) for library in whole.libraries]
    yield report


def audit_contracts(manifest: Manifest, entry: Entry) -> Report:
    """Compare the contracts, their parameters and their creation with the build's."""
    name, chain = application_of(manifest).name, ape.networks.provider.chain_id
    report = Report(f"{name} at {entry['contract']} on chain {chain}")
    builds = _builds(manifest, entry)
    for build, deployed in builds:
        _check(
            report,
            deployed["vk_sha256"] == build["files"]["vk"]["sha256"],
            f"it was deployed from this build of {build['circuit']}",
            "other-build",
            f"It was deployed from another build of {build['circuit']} than that in artifacts/.",
        )
        _check_kind_of_srs(report, build)
        _check_contributions(report, build)
    with _answers(report):
        for build, deployed in builds:
            _check(
                report,
                runtime_sha256(deployed["verifier"]) == build["verifier"]["runtime_sha256"],
                f"the verifier's code is that of {build['circuit']}, but for {UNREAD}",
                "verifier-code",
                f"The code at {deployed['verifier']} is not the one that was built.",
            )
        made = compiled_contract(CONTRACTS / f"{name}.sol", name)
        arguments = {  # of the constructor, in their order
            "verifier": int(entry["verifier"], 16),
            **manifest.contract_layout,
        }
        if takes_batches(deployed_contract(entry)):
            several = [
                (int(deployed["verifier"], 16), build.layout.batch) for build, deployed in builds
            ]
            none = [(0, 0)]
            arguments["batchVerifier"], arguments["batchSize"] = (several + none)[1]
        expected = arguments | application_of(manifest).immutables(entry["contract"], chain)
        if _check_code(report, name, made, expected, code_at(entry["contract"])):
            _check_creation(report, made, arguments, entry["contract"])
    return report


@contextmanager
def _answers(report: Report) -> Iterator[None]:
    """End a report with a finding where the node stops answering."""
    try:
        yield
    except (NodeError, RequestException) as error:
        report.findings.append(
            Finding(
                "no-answer",
                Severity.HIGH,
                "The node did not answer: the checks after this one are missing.",
                str(error),
                "Audit again, or ask another node.",
            )
        )


def _check_code(
    report: Report, name: str, made: Compiled, expected: dict[str, int], code: bytes
) -> bool:
    """Compare all of an application's code; each immutable value at each of its places.

    Only the metadata may differ: no jump of the compiled code leads there.
    """
    found = without_metadata(code)
    if not _check(
        report,
        made.blanked(found) == without_metadata(made.runtime),
        f"the code of {name} is compiled from contracts/{name}.sol, but for {UNREAD}",
        "application-code",
        f"Its code is not compiled from contracts/{name}.sol.",
    ):
        return False
    for parameter, places in made.immutables.items():
        values = {int.from_bytes(found[place]) for place in places}
        wanted = expected.get(parameter)
        shown = " and ".join(map(_written, sorted(values)))
        _check(
            report,
            values == {wanted},
            f"its code has {parameter} = {shown} at all {len(places)} places",
            "parameter-differs",
            f"Its code has {parameter} = {shown}, the build {_written(wanted)}.",
        )
    return report.sound


def _written(value: int | None) -> str:
    """A value of the code: addresses and hashes in hexadecimal."""
    return f"{value}" if value is None or value < 2**64 else f"{value:#042x}"


def _check_creation(report: Report, made: Compiled, given: dict[str, int], address: str) -> None:
    """Compare the transaction that made an application: a constructor can fill the storage."""
    try:
        creation = creation_of(address)
    except NodeError as error:
        creation, reason = None, str(error)
    else:
        reason = "no transaction of its first block made it: another contract did"
    if creation is None:
        report.findings.append(
            Finding(
                "creation-unknown",
                Severity.NOTE,
                "The transaction that made the application is unknown.",
                reason,
                "Ask an archive node: another constructor could have filled the storage.",
            )
        )
        return
    arguments = b"".join(value.to_bytes(32) for value in given.values())
    end = len(creation.code) - len(arguments)
    report.facts |= {
        "deployer": account_of(int(creation.sender, 16)),
        "block": creation.block,
        "transaction": creation.transaction,
    }
    _check(
        report,
        without_metadata(creation.code[:end]) == without_metadata(made.creation)
        and creation.code[end:] == arguments,
        "the constructor and its arguments are the build's",
        "creation-differs",
        f"Transaction {creation.transaction} made it with another constructor or other arguments.",
    )


def _check_kind_of_srs(report: Report, manifest: Manifest) -> None:
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


def _check_contributions(report: Report, manifest: Manifest) -> None:
    if manifest.prover == "groth16" and not manifest.enough_contributions:
        held = manifest["ceremony"]
        report.findings.append(
            Finding(
                "few-contributions",
                Severity.NOTE if is_dev() else Severity.CRITICAL,
                "Few people made its key, and together they can forge any proof.",
                f"{held['contributions']} contributions, beacon: {held['beacon']}; a live network "
                f"needs {FEWEST_CONTRIBUTIONS} and a beacon",
                "Hold a ceremony with `ape run ceremony`, and deploy again.",
            )
        )


def _check_secret(verifier: Report, manifest: Manifest) -> None:
    if manifest.prover == "groth16":
        _check(
            verifier,
            verifier.facts.get("key_sha256") == key_digest(manifest),
            "the verifier's key is that of the build",
            "key-differs",
            "The verifier has another key than the build.",
        )
        return
    secret = Srs.read(manifest.file("srs")).secret
    matches = _check(
        verifier,
        verifier.facts.get("srs_point") in [written(p) for p in (secret, negated(secret))],
        "the verifier's pairing uses the secret of the build's SRS",
        "srs-differs",
        "The verifier uses another SRS than the build.",
    )
    if matches:  # its maker is known
        verifier.findings = [f for f in verifier.findings if f.name != "unknown-srs"]
        verifier.facts["srs"] = f"the build's, {manifest['srs']['kind']}"


def attack(manifest: Manifest, entry: Entry, code: bytes) -> Report:
    """Send forgeries to the verifier and the application, as calls that change nothing."""
    report = Report(f"attacks on {entry['application']} at {entry['contract']}")
    with _answers(report):
        _attack(report, manifest, entry, code)
    return report


def _attack(report: Report, manifest: Manifest, entry: Entry, code: bytes) -> None:
    application: Application = application_of(manifest)
    contract = deployed_contract(entry)
    round_number = 0 if application.has_rounds else None
    keys = [key_for(entry["contract"], account, round_number or 0) for account in ACCOUNTS]
    rounds = [] if round_number is None else [round_number]
    given = [
        answer_of(entry["contract"], contract.keyOf.encode_input(account, *rounds))
        for account in ACCOUNTS
    ]
    _check(
        report,
        given == [key.to_bytes(32) for key in keys],
        "keyOf gives the keys of this chain and contract",
        "key-differs",
        "keyOf gives other keys than those of this chain, contract and account.",
    )
    x = np.zeros(read_model(manifest.file("model")).input_shape)
    proofs = prove_all(manifest, [(key, x) for key in keys])
    end = manifest.layout.keys_end
    _check(
        report,
        [proof.key(manifest.layout) for proof in proofs] == keys
        and proofs[0].instances[end:] == proofs[1].instances[end:],
        "proofs of one input with two keys differ in their keys alone",
        "key-not-passed",
        "The proof carries another key than the one given, or the key changes the answer.",
    )
    made = application.forgeries(contract, dict(zip(ACCOUNTS, proofs, strict=True)))
    usual = application.encode(contract, ACCOUNTS[0], round_number, proofs[0])
    _forge(report, manifest, proofs[0], code, (entry["verifier"], entry["contract"]), usual, made)


def attack_batch(manifest: Manifest, entry: Entry, code: bytes) -> Report:
    """Send forged batches to the verifier and the application, as calls that change nothing."""
    report = Report(f"attacks on the batches of {entry['application']} at {entry['contract']}")
    with _answers(report):
        _attack_batch(report, manifest, entry, code)
    return report


def _attack_batch(report: Report, manifest: Manifest, entry: Entry, code: bytes) -> None:
    application, contract = named(entry["application"]), deployed_contract(entry)
    size, address = manifest.layout.batch, entry["contract"]
    accounts = [*ACCOUNTS, *[NOBODY] * (size - len(ACCOUNTS))]
    keys = [key_for(address, account, 0) for account in accounts]
    shape = read_model(manifest.file("model")).input_shape
    (proof,) = prove_all(manifest, [(keys, np.zeros((size, *shape)))])
    _check(
        report,
        proof.keys(manifest.layout) == keys
        and len(set(map(tuple, proof.answers(manifest.layout)))) == 1,
        f"{size} equal inputs have equal answers, and each its key",
        "key-not-passed",
        "The proof carries other keys than those given, or a key changes an answer.",
    )
    forged = [
        (what, application.encode_batch(contract, other))
        for what, other in _forged_batches(proof, size, key_for(address, ACCOUNTS[0], 1))
    ]
    usual, where = application.encode_batch(contract, proof), (entry["batch"]["verifier"], address)
    _forge(report, manifest, proof, code, where, usual, forged)


def _forged_batches(proof: Proof, size: int, elsewhere: int) -> Iterator[tuple[str, Proof]]:
    """Batches that differ from a genuine one; `elsewhere` is the key of another domain."""
    given = proof.instances

    def changed(place: int, value: int) -> Proof:
        return replace(proof, instances=[*given[:place], value, *given[place + 1 :]])

    yield "a batch with a key of another domain", changed(0, elsewhere)
    yield "a batch with another account", changed(0, given[0] ^ 1)
    yield "a batch with another account instead of padding", changed(size - 1, given[0])
    yield "a batch with exchanged keys", replace(proof, instances=[*given[1::-1], *given[2:]])
    for place in range(size, len(given)):
        yield f"a batch with another instance {place}", changed(place, given[place] + 1)
    yield "a batch without its last instance", replace(proof, instances=given[:-1])
    yield "a batch with one more instance", replace(proof, instances=[*given, 0])
    yield "an empty proof", replace(proof, proof=b"")


def _forge(
    report: Report,
    manifest: Manifest,
    proof: Proof,
    code: bytes,
    where: tuple[str, str],
    usual: bytes,
    forged: Iterable[tuple[str, bytes]],
) -> None:
    """Send a genuine proof, then forgeries, to a verifier with this code and to its application.

    `usual` and `forged` are the data of calls of the application.
    """
    built = runtime_code(manifest["verifier"]["contract"], manifest.file("verifier").read_text())
    shape = shape_of(manifest) or find_shape(built)
    if not shape:
        return  # the verifier's own report says why
    (verifier, contract), given = where, genuine(proof)
    _check(
        report,
        accepts(verifier, given.usual()) and accepts(contract, usual),
        "a genuine proof is accepted",
        "genuine-refused",
        "A genuine proof is refused.",
    )
    tried = [(verifier, *forgery) for forgery in attacks(code, shape, given)]
    tried += [(contract, *forgery) for forgery in forged]
    accepted = [what for place, what, data in tried if accepts(place, data)]
    report.facts["calls"] = len(tried)
    _check(
        report,
        not accepted,
        f"{len(tried)} forgeries are refused",
        "forgery-accepted",
        f"Forgeries are accepted: {', '.join(accepted)}.",
    )


def _check(report: Report, holds: bool, passed: str, name: str, what: str) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, f"on {report.subject}", AGAIN)
    return report.check(holds, passed, finding)

"""Audits a build for Groth16: derives its constraints again, and checks its keys' ceremony."""

from pathlib import Path

from zk.audit.calldata import WORD, Shape
from zk.audit.findings import Finding, Report, Severity
from zk.audit.groth16 import Key
from zk.binding import Model
from zk.circuit import RunArgs
from zk.files import sha256
from zk.groth16.build import write_constraints
from zk.groth16.ceremony import Ceremony
from zk.groth16.curve import G2, coordinates
from zk.groth16.keys import ProvingKey, VerificationKey
from zk.groth16.prover import PROOF_BYTES, evm_words
from zk.layout import Layout
from zk.manifest import Manifest

AGAIN = "Build the circuit again with `ape run build` and deploy it again."


def check_constraints(report: Report, manifest: Manifest, model: Model, folder: Path) -> None:
    """Derive the constraints of Groth16 again."""
    again, args = folder / "constraints.json.gz", RunArgs(**manifest["run_args"])
    layout = args.layout(model.outputs)
    facts = write_constraints(model, layout, args, folder / "model.onnx", again)
    check(
        report,
        sha256(again) == sha256(manifest.file("constraints")),
        "the model and its knobs lead to the same constraints",
        "constraints-differ",
        "The model and its knobs lead to other constraints.",
    )
    check_layout(report, manifest, layout)
    check(
        report,
        {name: manifest[name] for name in facts} == facts,
        f"the bounds of all {len(facts['bounds'])} tensors follow from the weights",
        "bounds-differ",
        "The weights lead to other bounds, or to another output scale.",
    )


def check_layout(report: Report, manifest: Manifest, layout: Layout) -> None:
    check(
        report,
        manifest.layout == layout,
        "the layout is that of the circuit's knobs",
        "layout-differs",
        "The knobs of the circuit lead to another layout of its instances.",
    )


def check_ceremony(report: Report, manifest: Manifest) -> None:
    """Check that the keys follow from the powers of tau, the constraints and the contributions."""
    constraints, powers = manifest.file("constraints"), manifest.file("srs")
    key = ProvingKey.load(manifest.file("pk"))
    held = Ceremony.load(manifest.file("transcript"), key)
    report.facts["contributions"] = (
        f"{held.participants}{', and a beacon' if held.finished else ''}"
    )
    problems = held.problems(constraints, powers)
    check(
        report,
        not problems,
        "the proving key follows from the powers of tau, the constraints and the contributions",
        "ceremony-unsound",
        "The proving key does not follow from the circuit and its contributions.",
        "; ".join(problems),
    )
    check(
        report,
        VerificationKey.load(manifest.file("vk")) == key.verification,
        "the verification key is that of the proving key",
        "key-differs",
        "The verification key is that of another proving key.",
    )
    check(
        report,
        manifest["ceremony"] == held.facts,
        "the manifest counts the contributions of the transcript",
        "ceremony-differs",
        "The manifest records other contributions than the transcript.",
    )


def shape_of(manifest: Manifest) -> Shape | None:
    """The form of the proofs of a build for Groth16: three points, the second of G2."""
    if manifest.prover != "groth16":
        return None
    return Shape(PROOF_BYTES // WORD, manifest.layout.instances, [0, 6], [])


def key_digest(manifest: Manifest) -> str:
    """The hash of a build's key, as the audit of a verifier reads the key from its code."""
    key = VerificationKey.load(manifest.file("vk"))
    x, y = coordinates(key.alpha)
    return Key((x, y), evm_words(key.beta), evm_words(G2), evm_words(key.delta)).sha256


def check(
    report: Report, holds: bool, passed: str, name: str, what: str, evidence: str = ""
) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, evidence or report.subject, AGAIN)
    return report.check(holds, passed, finding)

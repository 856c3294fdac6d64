"""Audits a build by doing it again: every step from the model to the verifier's code."""

from pathlib import Path

from zk import ezkl
from zk.audit.findings import Finding, Report, Severity
from zk.audit.srs import audit_srs
from zk.binding import Model, bind, read_model
from zk.circuit import RunArgs
from zk.errors import CircuitError
from zk.files import sha256
from zk.manifest import Manifest
from zk.verifier import LARGEST_CODE, SOLC, runtime_code, without_metadata, write_verifier

AGAIN = "Build the circuit again with `ape run build`, and deploy it again."


def audit_build(manifest: Manifest, original: Path | None, folder: Path) -> Report:
    """Derives everything again in an empty folder; `original` is the model that it should be of."""
    report = Report(f"build of {manifest['circuit']}")
    report.facts |= {
        "ezkl": manifest["versions"]["ezkl"],
        "solc": f"{manifest['versions']['solc']}, optimizer runs 200, paris",
        "srs": manifest["srs"]["kind"],
        "logrows": manifest["logrows"],
    }
    _check(
        report,
        manifest["versions"]["solc"] == SOLC,
        f"it was compiled with solc {SOLC}",
        "compiler",
        f"It was compiled with solc {manifest['versions']['solc']}, not {SOLC}.",
    )
    if _check_files(report, manifest):
        model = read_model(manifest.file("model"))
        if original:
            _check(
                report,
                read_model(original).digest == model.digest,
                f"its model is {original.name}",
                "model-differs",
                f"Its model is not that of {original}.",
            )
        _check_binding(report, manifest, model, folder)
        _check_keys(report, manifest, model, folder)
        _check_verifier(report, manifest, folder)
        srs = audit_srs(manifest.file("srs"), manifest["srs"]["kind"], manifest["logrows"])
        report.passed += srs.passed
        report.findings += srs.findings
    return report


def _check_files(report: Report, manifest: Manifest) -> bool:
    changed = []
    for label in (*manifest["files"], "srs"):
        try:
            manifest.file(label)
        except CircuitError as error:
            changed.append(str(error))
    return _check(
        report,
        not changed,
        "every file has the hash that the manifest records",
        "file-changed",
        "Files are not those that were built.",
        "; ".join(changed),
    )


def _check_binding(report: Report, manifest: Manifest, model: Model, folder: Path) -> None:
    import onnx

    again, args = folder / "bound.onnx", RunArgs(**manifest["run_args"])
    bind(model, manifest.layout, folder / "model.onnx", again, **args.rewriting)
    _check(
        report,
        sha256(again) == sha256(manifest.file("bound")),
        "the bound model follows from the model",
        "binding-differs",
        "The bound model is not what binding the model gives.",
    )
    graph = onnx.load(manifest.file("bound")).graph
    key, passed = graph.input[0], graph.output[0]
    users = [node for node in graph.node if key.name in node.input]
    shape = [dimension.dim_value for dimension in key.type.tensor_type.shape.dim]
    _check(
        report,
        [(node.op_type, list(node.output)) for node in users] == [("Identity", [passed.name])]
        and shape == [1, manifest.layout.limbs],
        f"the key's {manifest.layout.limbs} limbs go through an Identity, and nowhere else",
        "key-not-passed",
        "The key does not pass through the model unchanged.",
    )


def _check_keys(report: Report, manifest: Manifest, model: Model, folder: Path) -> None:
    args, settings = RunArgs(**manifest["run_args"]), folder / "settings.json"
    lookups = tuple(manifest["lookup_range"])
    bound = manifest.file("bound")
    found = ezkl.write_settings(
        bound,
        settings,
        args,
        model.translating,
        lookup_range=lookups,
        logrows=manifest["logrows"],
    )
    recorded = ezkl.Settings(manifest.file("settings"))
    _check(
        report,
        found.comparable == recorded.comparable,
        "the settings follow from the bound model and the knobs",
        "settings-differ",
        "The settings are not those that ezkl gives for this model and these knobs.",
    )
    # ezkl writes the same circuit in other bytes every time; its keys are the same.
    compiled, vk = folder / "circuit.compiled", folder / "vk.key"
    ezkl.compile_circuit(bound, manifest.file("settings"), compiled)
    ezkl.make_keys(compiled, manifest.file("srs"), vk, folder / "pk.key")
    _check(
        report,
        sha256(vk) == sha256(manifest.file("vk")),
        "the keys follow from the bound model, the settings and the SRS",
        "key-differs",
        "The verification key is not that of this model.",
    )


def _check_verifier(report: Report, manifest: Manifest, folder: Path) -> None:
    recorded = manifest["verifier"]
    contract, source = recorded["contract"], manifest.file("verifier")
    again = folder / source.name
    write_verifier(
        contract, manifest.file("vk"), manifest.file("settings"), manifest.file("srs"), again
    )
    _check(
        report,
        again.read_text() == source.read_text(),
        "the verifier's source follows from the key and the SRS",
        "verifier-differs",
        "The verifier's source is not what ezkl generates from the key.",
    )
    code = without_metadata(runtime_code(contract, again.read_text()))
    report.facts["verifier_bytes"] = len(code)
    _check(
        report,
        len(code) <= LARGEST_CODE,
        f"its code fits a contract of {LARGEST_CODE:,} bytes",
        "code-size",
        f"Its code has {len(code):,} bytes, more than a contract may have.",
    )


def _check(
    report: Report, holds: bool, passed: str, name: str, what: str, evidence: str = ""
) -> bool:
    finding = Finding(name, Severity.CRITICAL, what, evidence or report.subject, AGAIN)
    return report.check(holds, passed, finding)

"""Audits a build by repeating every step from the model to the verifier's code."""

from pathlib import Path

from zk import ezkl
from zk.audit.constraints import check, check_ceremony, check_constraints, check_layout
from zk.audit.findings import Report
from zk.audit.powers import audit_powers
from zk.audit.srs import audit_srs
from zk.binding import Model, bind, read_model
from zk.circuit import RunArgs
from zk.errors import CircuitError
from zk.files import sha256
from zk.groth16.keys import VerificationKey
from zk.groth16.verifier import source_of
from zk.layout import Layout
from zk.manifest import Manifest
from zk.solc import SOLC
from zk.verifier import LARGEST_CODE, runtime_code, without_metadata, write_verifier


def audit_build(manifest: Manifest, original: Model | None, folder: Path) -> Report:
    """Repeat a build in an empty folder. `original` is the model that it must be a build of."""
    report = Report(f"build of {manifest['circuit']}")
    report.facts |= {
        "prover": _prover(manifest),
        "solc": f"{manifest['versions']['solc']}, optimizer runs 200, paris",
        "srs": manifest["srs"]["kind"],
        "logrows": manifest["logrows"],
        "inputs": _inputs(manifest.layout),
    }
    check(
        report,
        manifest["versions"]["solc"] == SOLC,
        f"the verifier was compiled with solc {SOLC}",
        "compiler",
        f"The verifier was compiled with solc {manifest['versions']['solc']}, not {SOLC}.",
    )
    if _check_files(report, manifest):
        model = read_model(manifest.file("model"))
        if original:
            check(
                report,
                original.digest == model.digest,
                f"the model is {original.path.name}",
                "model-differs",
                f"The model differs from {original.path}.",
            )
        if manifest.prover == "groth16":
            check_constraints(report, manifest, model, folder)
            check_ceremony(report, manifest)
        else:
            _check_binding(report, manifest, model, folder)
            _check_keys(report, manifest, model, folder)
        _check_verifier(report, manifest, folder)
        kind, logrows = manifest["srs"]["kind"], manifest["logrows"]
        audit = audit_powers if manifest.prover == "groth16" else audit_srs
        srs = audit(manifest.file("srs"), kind, logrows)
        report.passed += srs.passed
        report.findings += srs.findings
    return report


def _prover(manifest: Manifest) -> str:
    """The prover, with the version of the package that it is in."""
    package = "zksnake" if manifest.prover == "groth16" else "ezkl"
    found = f"{package} {manifest['versions'][package]}"
    return found if package == manifest.prover else f"{manifest.prover}, by {found}"


def _inputs(layout: Layout) -> str:
    smallest, largest = layout.smallest_input, layout.largest_input
    if largest is None:
        return "any in range"
    return f"whole numbers from {smallest} to {largest}, each checked"


def _check_files(report: Report, manifest: Manifest) -> bool:
    changed = []
    for label in (*manifest["files"], "srs"):
        try:
            manifest.file(label)
        except CircuitError as error:
            changed.append(str(error))
    return check(
        report,
        not changed,
        "every file has the hash that the manifest records",
        "file-changed",
        "Files have changed since the build.",
        "; ".join(changed),
    )


def _check_binding(report: Report, manifest: Manifest, model: Model, folder: Path) -> None:
    import onnx

    again, args = folder / "bound.onnx", RunArgs(**manifest["run_args"])
    layout = args.layout(model.outputs)
    facts = bind(model, layout, folder / "model.onnx", again, **args.rewriting)
    check(
        report,
        sha256(again) == sha256(manifest.file("bound")),
        "binding the model again makes the same bound model",
        "binding-differs",
        "Binding the model again makes another bound model.",
    )
    check_layout(report, manifest, layout)
    if args.slim:
        recorded = {name: manifest[name] for name in facts}
        check(
            report,
            recorded == facts,
            f"the bounds of all {len(facts['bounds'])} tensors follow from the weights",
            "bounds-differ",
            "The weights lead to other bounds, or to another output scale.",
        )
    graph = onnx.load(manifest.file("bound")).graph
    key, passed = graph.input[0], graph.output[0]
    users = [node for node in graph.node if key.name in node.input]
    shape = [dimension.dim_value for dimension in key.type.tensor_type.shape.dim]
    check(
        report,
        [(node.op_type, list(node.output)) for node in users] == [("Identity", [passed.name])]
        and shape == [layout.batch, layout.limbs],
        f"the {layout.batch * layout.limbs} limbs of keys pass through one Identity only",
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
    check(
        report,
        found.comparable == recorded.comparable,
        "ezkl makes the same settings for the bound model and its knobs",
        "settings-differ",
        "ezkl makes other settings for the bound model and its knobs.",
    )
    # ezkl writes equal circuits with different bytes; their keys are equal.
    compiled, vk = folder / "circuit.compiled", folder / "vk.key"
    ezkl.compile_circuit(bound, manifest.file("settings"), compiled)
    ezkl.make_keys(compiled, manifest.file("srs"), vk, folder / "pk.key")
    check(
        report,
        sha256(vk) == sha256(manifest.file("vk")),
        "making the keys again makes the same verification key",
        "key-differs",
        "Making the keys again makes another verification key.",
    )


def _check_verifier(report: Report, manifest: Manifest, folder: Path) -> None:
    recorded = manifest["verifier"]
    contract, source = recorded["contract"], manifest.file("verifier")
    again = folder / source.name
    if manifest.prover == "groth16":
        again.write_text(source_of(contract, VerificationKey.load(manifest.file("vk"))))
    else:
        settings, srs = manifest.file("settings"), manifest.file("srs")
        write_verifier(contract, manifest.file("vk"), settings, srs, again)
    check(
        report,
        again.read_text() == source.read_text(),
        "generating the verifier again makes the same source",
        "verifier-differs",
        "Generating the verifier again makes another source.",
    )
    code = without_metadata(runtime_code(contract, again.read_text()))
    report.facts["verifier_bytes"] = len(code)
    check(
        report,
        len(code) <= LARGEST_CODE,
        f"the verifier's code has at most {LARGEST_CODE:,} bytes",
        "code-size",
        f"The verifier's code has {len(code):,} bytes, more than {LARGEST_CODE:,}.",
    )

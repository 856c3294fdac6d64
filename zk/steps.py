"""The parts that the builds of all provers share: files, steps, and limits of verifiers."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zk.binding import Model
from zk.circuit import Circuit
from zk.limits import require_small_code
from zk.manifest import Manifest, Record
from zk.samples import Samples
from zk.solc import SOLC
from zk.srs import Kind


class Steps:
    """A build in progress: the circuit, its files, and the record of its steps."""

    def __init__(
        self,
        circuit: Circuit,
        model: Model,
        samples: Samples,
        folder: Path,
        verifiers: Path,
        kind: Kind,
        report: Callable[[str], None],
        names: dict[str, str],
    ) -> None:
        """Begin a build; `names` are those of its files in the folder."""
        self.circuit, self.model, self.samples = circuit, model, samples
        self.layout = circuit.run_args.layout(model.outputs)
        self.folder, self.kind, self.report = folder, kind, report
        files = {label: folder / name for label, name in names.items()}
        files["verifier"] = verifiers / f"{circuit.verifier_name}.sol"
        self.record = Record(folder, files)
        self.path, self.sha = self.record.path, self.record.hash

    def step(
        self, name: str, inputs: dict[str, Any], labels: list[str], make: Callable[..., Any]
    ) -> dict[str, Any]:
        """Make the files of a step, unless it is up to date; return its facts."""

        def announced(**partials: Path) -> Any:
            self.report(name)
            return make(**partials)

        return self.record.step(name, inputs, labels, announced)

    def finish(self, versions: dict[str, str], facts: dict[str, Any]) -> tuple[Manifest, list[str]]:
        """Write the manifest; return it and the names of the steps that were repeated."""
        self.record.finish(
            {
                "circuit": self.circuit.name,
                "application": self.circuit.application,
                "versions": {**versions, "onnx": version("onnx"), "solc": SOLC},
                "layout": self.layout.as_json(),
                "accepts_loss": self.circuit.accept_loss,
                **facts,
            }
        )
        return Manifest(self.folder), self.record.redone

    def require_small_code(self, size: float) -> None:
        if not self.circuit.any_code:
            require_small_code(self.circuit.name, size)

"""The manifest, which is the one record of a build, and the rule for reusing a build."""

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zk.circuit import Prover
from zk.errors import CircuitError
from zk.ezkl import VERSION
from zk.files import digest, read_json, sha256, whole, write_json, write_whole
from zk.layout import Layout

# A proof takes about as long as the set-up. It is taken to hang after this many times as long, and
# after these seconds at the least: it may have fewer cores, on a slower or busier machine.
LIMIT_FACTOR, LIMIT_SECONDS = 50, 120
FORMAT = 2  # of the steps in a manifest; steps of another format are repeated

PROVING_FILES: dict[Prover, tuple[str, ...]] = {
    "ezkl": ("compiled", "pk", "vk", "settings", "srs"),
    "groth16": ("constraints", "pk", "vk"),
}

FEWEST_CONTRIBUTIONS = 3  # to a key of Groth16 for a live network, and a beacon

Facts = dict[str, Any]


class Record:
    """The steps of a build: their inputs, the hashes of their files, and where the files are now.

    A step is repeated unless its inputs are the same and all its files are intact. New files stay
    in a staging folder until the build is complete, so a failed or killed build leaves the last
    complete one as it was, and the next run continues after the last finished step.
    """

    def __init__(self, folder: Path, files: dict[str, Path]) -> None:
        self.files = files
        self.redone: list[str] = []
        self._path = folder / "manifest.json"
        self._staging = folder / ".staging"
        self._progress = self._staging / "steps.json"
        self._settle()
        self._finished = read_json(self._path).get("steps", {})
        self._staged = read_json(self._progress).get("steps", {})
        self._steps: dict[str, Any] = {}
        self._new: dict[str, Path] = {}

    def step(
        self,
        name: str,
        inputs: dict[str, Any],
        labels: list[str],
        make: Callable[..., Facts | None],
    ) -> Facts:
        """Call `make` with a path to fill for each label, unless the step is up to date.

        Return the facts that `make` returned, in this build or in the one that is reused.
        """
        key = digest([FORMAT, name, VERSION, inputs])
        final = {label: self.files[label] for label in labels}
        staged = {label: self._staging / path.name for label, path in final.items()}
        if _intact(self._finished.get(name), key, final):
            self._steps[name] = self._finished[name]
        else:
            self.redone.append(name)
            if not _intact(self._staged.get(name), key, staged):
                self._staged[name] = self._make(key, staged, make)
                write_whole(self._progress, json.dumps({"steps": self._staged}))
            self._steps[name] = self._staged[name]
            self._new.update(staged)
        facts: Facts = self._steps[name]["facts"]
        return facts

    def path(self, label: str) -> Path:
        """The current path of a file, which is in the staging folder while it is new."""
        return self._new.get(label, self.files[label])

    def hash(self, label: str) -> str:
        return str(self._entry(label)["sha256"])

    def finish(self, summary: dict[str, Any]) -> None:
        """Move new files into their places and write the manifest, if anything changed."""
        entries = {
            label: {"path": os.path.relpath(path, self._path.parent), **self._entry(label)}
            for label, path in self.files.items()
        }
        content = {**summary, "files": entries, "steps": self._steps}
        if self._new or content != read_json(self._path):
            write_json(self._staging / self._path.name, content)
            self._settle()

    def _settle(self) -> None:
        """Move a complete build out of the staging folder, perhaps one that a kill interrupted."""
        manifest = self._staging / self._path.name
        for entry in read_json(manifest).get("files", {}).values():
            final = self._path.parent / entry["path"]
            staged = self._staging / final.name
            if staged.is_file() and sha256(staged) == entry["sha256"]:
                final.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(final)
        if manifest.is_file():
            manifest.replace(self._path)
            shutil.rmtree(self._staging)

    def _make(
        self, key: str, staged: dict[str, Path], make: Callable[..., Facts | None]
    ) -> dict[str, Any]:
        self._staging.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            partials = {label: stack.enter_context(whole(path)) for label, path in staged.items()}
            started = time.perf_counter()
            facts = make(**partials) or {}
            seconds = time.perf_counter() - started
        return {
            "key": key,
            "seconds": seconds,
            "facts": facts,
            "files": {
                label: {"sha256": sha256(path), "bytes": path.stat().st_size}
                for label, path in staged.items()
            },
        }

    def _entry(self, label: str) -> dict[str, Any]:
        files = [step["files"] for step in self._steps.values()]
        return next(dict(made[label]) for made in files if label in made)


def _intact(step: dict[str, Any] | None, key: str, files: dict[str, Path]) -> bool:
    """Return whether a step has this key and its files still have their hashes."""
    return (
        step is not None
        and step["key"] == key
        and all(
            path.is_file() and sha256(path) == step["files"][label]["sha256"]
            for label, path in files.items()
        )
    )


class Manifest:
    """A complete build, for deploying, proving and verifying."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "manifest.json"
        self._again = f"build {folder.name} again with `ape run build`"
        if not path.is_file():
            raise CircuitError(f"The circuit {folder.name} has not been built: {self._again}.")
        self.content = read_json(path)
        if self.content.get("circuit") != folder.name or "versions" not in self.content:
            raise CircuitError(f"{path} is damaged or of another circuit: {self._again}.")
        built = self.content["versions"].get("ezkl")
        if self.prover == "ezkl" and built != VERSION:
            raise CircuitError(
                f"The circuit {folder.name} was built with ezkl {built}, but {VERSION} is "
                f"installed: {self._again}."
            )

    def __getitem__(self, name: str) -> Any:
        if name not in self.content:
            raise CircuitError(
                f"The circuit {self.folder.name} was built by an older version of Verdict: run "
                "`ape run build` again with the same options."
            )
        return self.content[name]

    @property
    def prover(self) -> Prover:
        found: Prover = self.content.get("run_args", {}).get("prover", "ezkl")
        return found

    @property
    def enough_contributions(self) -> bool:
        """Return whether a live network can have the key of Groth16."""
        held = self["ceremony"]
        return bool(held["beacon"] and held["contributions"] >= FEWEST_CONTRIBUTIONS)

    @property
    def proving_files(self) -> tuple[str, ...]:
        """The labels of the files that proving and verifying need."""
        return PROVING_FILES[self.prover]

    @property
    def layout(self) -> Layout:
        return Layout(**self["layout"])

    @property
    def contract_layout(self) -> dict[str, int]:
        """The layout that the application's contract is deployed with, by its fields in order."""
        return {
            "limbs": self.layout.limbs,
            "limbBits": self.layout.limb_bits,
            "outputScale": int(self["output_scale"]),
            "lanes": self.layout.lanes,
        }

    @property
    def time_limit(self) -> float:
        """The seconds after which a proof that has not ended is taken to hang."""
        return max(LIMIT_FACTOR * float(self["steps"]["setup"]["seconds"]), LIMIT_SECONDS)

    @property
    def application(self) -> str:
        """The name of the application that accepts the proofs; raise if there is none."""
        name = self["circuit"]
        if self["application"] is None:
            raise CircuitError(
                f"The circuit {name} was built without an application: build it again with "
                "`ape run build … --app NAME`."
            )
        return str(self["application"])

    def file(self, label: str) -> Path:
        """Return the path of a file of the build, or of its `srs`; raise if its hash differs."""
        entry = self["srs"] if label == "srs" else self["files"][label]
        path: Path = self.folder / entry["path"]
        found = sha256(path) if path.is_file() else "no file"
        if found != entry["sha256"]:
            raise CircuitError(
                f"{path} should have the SHA-256 {entry['sha256']}, but has {found}: {self._again}."
            )
        return path

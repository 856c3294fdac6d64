"""The manifest: the one record of a build, and what decides whether a build can be reused."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zk.binding import KeyLayout
from zk.errors import CircuitError
from zk.ezkl import VERSION
from zk.files import digest, read_json, sha256, write_json, write_whole

FORMAT = 2  # of the steps in a manifest; those of another format are done again


class Record:
    """The steps of a build: what went into each, what came out of it, and where that is now.

    A step is done again unless the same things went in and every file that came out is still what
    it was. New files wait in a staging folder, so a build that fails or is killed leaves the last
    finished one as it was, and the next run goes on where this one stopped.
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
        self._steps: dict[str, dict[str, Any]] = {}
        self._new: dict[str, Path] = {}

    def step(
        self,
        name: str,
        inputs: dict[str, Any],
        labels: list[str],
        make: Callable[..., dict[str, Any] | None],
    ) -> dict[str, Any]:
        """Calls `make` with a path to fill for each label, unless the step is up to date.

        Gives the facts that `make` returned, now or back then.
        """
        key = digest([FORMAT, name, VERSION, inputs])
        final = {label: self.files[label] for label in labels}
        staged = {label: self._staging / path.name for label, path in final.items()}
        if _intact(self._finished.get(name), key, final):
            self._steps[name] = self._finished[name]
            return self._steps[name]["facts"]

        self.redone.append(name)
        if not _intact(self._staged.get(name), key, staged):
            self._staged[name] = self._make(key, staged, make)
            write_whole(self._progress, json.dumps({"steps": self._staged}))
        self._steps[name] = self._staged[name]
        self._new.update(staged)
        return self._steps[name]["facts"]

    def path(self, label: str) -> Path:
        """Where a file is while the build goes on."""
        return self._new.get(label, self.files[label])

    def hash(self, label: str) -> str:
        return self._entry(label)["sha256"]

    def finish(self, summary: dict[str, Any]) -> None:
        """Puts new files in their places and the manifest beside them, if anything changed."""
        entries = {
            label: {"path": os.path.relpath(path, self._path.parent), **self._entry(label)}
            for label, path in self.files.items()
        }
        content = {**summary, "files": entries, "steps": self._steps}
        if self._new or content != read_json(self._path):
            write_json(self._staging / self._path.name, content)
            self._settle()

    def _settle(self) -> None:
        """Moves a complete build out of staging; what a kill interrupts, the next run finishes."""
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

    def _make(self, key: str, staged: dict[str, Path], make: Callable) -> dict[str, Any]:
        self._staging.mkdir(parents=True, exist_ok=True)
        partials = {label: path.with_name(f"{path.name}.partial") for label, path in staged.items()}
        started = time.perf_counter()
        facts = make(**partials) or {}
        seconds = time.perf_counter() - started
        for label, partial in partials.items():
            partial.replace(staged[label])
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
        return next(s["files"][label] for s in self._steps.values() if label in s["files"])


def _intact(step: dict[str, Any] | None, key: str, files: dict[str, Path]) -> bool:
    """Whether a step was done with this key, and its files are still what they were."""
    return (
        step is not None
        and step["key"] == key
        and all(
            path.is_file() and sha256(path) == step["files"][label]["sha256"]
            for label, path in files.items()
        )
    )


class Manifest:
    """A finished build, as deploying, proving and verifying need it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "manifest.json"
        self.again = f"build {folder.name} again with `ape run build`"
        if not path.is_file():
            raise CircuitError(f"The circuit {folder.name} has not been built: {self.again}.")
        self.content = read_json(path)
        if self.content.get("circuit") != folder.name or "versions" not in self.content:
            raise CircuitError(f"{path} is damaged, or not that of {folder.name}: {self.again}.")
        built, installed = self.content["versions"]["ezkl"], VERSION
        if built != installed:
            raise CircuitError(
                f"The circuit {folder.name} was built with ezkl {built}, but {installed} is "
                f"installed: {self.again}."
            )

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    @property
    def layout(self) -> KeyLayout:
        return KeyLayout.from_json(self["key"])

    @property
    def application(self) -> str:
        """The name of the contract that believes the proofs."""
        name = self["circuit"]
        if "application" not in self.content:
            raise CircuitError(
                f"The manifest of {name} comes from an older version and names no application: "
                f"{self.again}, which takes seconds."
            )
        if self.content["application"] is None:
            raise CircuitError(
                f"{name} was built without an application: build it again with `ape run build "
                "--onnx … --app NAME`, which takes seconds."
            )
        return str(self.content["application"])

    def file(self, label: str) -> Path:
        """A file of the build, or its SRS, after its hash was compared with the one on record."""
        entry = self["srs"] if label == "srs" else self["files"][label]
        path = self.folder / entry["path"]
        found = sha256(path) if path.is_file() else "no file"
        if found != entry["sha256"]:
            raise CircuitError(
                f"{path} should have the SHA-256 {entry['sha256']}, but has {found}: {self.again}."
            )
        return path

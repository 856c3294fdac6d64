"""The manifest: the one record of a build, and what decides whether a build can be reused."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zk.binding import KeyLayout
from zk.errors import CircuitError


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_whole(path: Path, content: str) -> None:
    """Writes a file beside its place and renames it, so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(content)
    partial.replace(path)


class Record:
    """The steps of a build as they are done: what went into each, what came out of it.

    A step is done again unless the same things went in and every file that came out is still
    what it was. The record is saved after each step, so a build that was killed goes on where
    it stopped; it holds no `circuit` until the last step is done, and until then nobody reads it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "manifest.json"
        self.steps: dict[str, dict[str, Any]] = {}
        self.redone: list[str] = []
        with suppress(FileNotFoundError, ValueError, KeyError):
            self.steps = json.loads(self.path.read_text())["steps"]

    def step(
        self,
        name: str,
        inputs: dict[str, Any],
        files: dict[str, Path],
        make: Callable[..., dict[str, Any] | None],
    ) -> dict[str, Any]:
        """Calls `make(**files)` with partial files to fill, unless the step is up to date.

        Gives the facts that `make` returned, now or back then.
        """
        key = digest([name, version("ezkl"), inputs])
        known = self.steps.get(name)
        if known and known["key"] == key and self._intact(known, files):
            return known["facts"]

        partials = {label: path.with_name(f".{path.name}.partial") for label, path in files.items()}
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if not self.redone:
            self._save({"steps": self.steps})
        self.redone.append(name)
        try:
            facts = make(**partials) or {}
            outputs = {
                label: {"sha256": sha256(partial), "bytes": partial.stat().st_size}
                for label, partial in partials.items()
            }
            for label, partial in partials.items():
                partial.replace(files[label])
        finally:
            for partial in partials.values():
                partial.unlink(missing_ok=True)
        self.steps[name] = {"key": key, "files": outputs, "facts": facts}
        self._save({"steps": self.steps})
        return facts

    def hash(self, step: str, label: str) -> str:
        return self.steps[step]["files"][label]["sha256"]

    def finish(self, summary: dict[str, Any]) -> None:
        """Completes the manifest. A build in which nothing was redone leaves it untouched."""
        if self.redone or not self._complete():
            self._save({**summary, "steps": self.steps})

    def _complete(self) -> bool:
        return "circuit" in json.loads(self.path.read_text())

    def _intact(self, known: dict[str, Any], files: dict[str, Path]) -> bool:
        return known["files"].keys() == files.keys() and all(
            path.is_file() and sha256(path) == known["files"][label]["sha256"]
            for label, path in files.items()
        )

    def _save(self, content: dict[str, Any]) -> None:
        write_whole(self.path, json.dumps(content, indent=2) + "\n")


class Manifest:
    """A finished build, as deploying, proving and verifying need it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "manifest.json"
        again = f"run `ape run build --circuit {folder.name}`"
        try:
            self.content = json.loads(path.read_text())
        except FileNotFoundError:
            raise CircuitError(f"The circuit {folder.name} has not been built: {again}.") from None
        except ValueError as error:
            raise CircuitError(f"{path} is damaged ({error}): {again}.") from error
        if "circuit" not in self.content:
            raise CircuitError(f"The build of {folder.name} was not finished: {again}.")
        built, installed = self.content["versions"]["ezkl"], version("ezkl")
        if built != installed:
            raise CircuitError(
                f"The circuit {folder.name} was built with ezkl {built}, but {installed} is "
                f"installed: {again}."
            )
        self.again = again

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    @property
    def layout(self) -> KeyLayout:
        return KeyLayout(**self["key"])

    def file(self, label: str) -> Path:
        """A file of the build, after its hash was compared with the one on record."""
        entry = self["files"][label]
        path = self.folder / entry["path"]
        found = sha256(path) if path.is_file() else "no file"
        if found != entry["sha256"]:
            raise CircuitError(
                f"{path} should have the SHA-256 {entry['sha256']}, but has {found}: {self.again}."
            )
        return path

"""The sources of a Solidity program: a file and its imports, found as npm and Foundry find them."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zk.errors import CircuitError

IMPORT = re.compile(r"""^\s*import\s+(?:[^"';]*\sfrom\s+)?["']([^"']+)["']""", re.MULTILINE)
PRAGMA = re.compile(r"pragma\s+solidity[^;]*;")


def sources_of(path: Path) -> dict[str, str]:
    """A file and its imports, by path, without pragmas: any compiler version takes them."""
    found: dict[str, str] = {}
    waiting = [path.resolve()]
    while waiting:
        file = waiting.pop()
        if str(file) in found:
            continue
        text = read(file)
        for name in IMPORT.findall(text):
            target = imported(name, file)
            text = text.replace(f'"{name}"', f'"{target}"').replace(f"'{name}'", f'"{target}"')
            waiting.append(target)
        found[str(file)] = PRAGMA.sub("", text)
    return found


def read(file: Path) -> str:
    """Return the text of a source; raise if it cannot be read."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CircuitError(f"{file} cannot be read: {error}.") from error


def imported(name: str, file: Path) -> Path:
    """Find an import: relative to its file, or in the packages of a folder above."""
    if name.startswith("."):
        return (file.parent / name).resolve()
    for folder in file.parents:
        for place in _places(name, file, folder):
            if place.is_file():
                return place.resolve()
    raise CircuitError(
        f"{name}, imported by {file}, was not found in the folders above it, their node_modules or "
        "lib, or by a remapping in remappings.txt or foundry.toml: install the package."
    )


def _places(name: str, file: Path, folder: Path) -> Iterator[Path]:
    """The places where an import can be, as seen from one folder above its file."""
    profile = _profile(folder)
    for prefix, instead in _remappings(folder, profile, file):
        if name.startswith(prefix):
            yield folder / (instead + name.removeprefix(prefix))
    yield folder / name
    yield folder / "node_modules" / name
    yield folder / profile.get("src", "src") / name
    package, _, rest = name.partition("/")
    for library in profile.get("libs", ["lib"]):
        yield folder / library / name
        for source in ("src", "contracts"):
            yield folder / library / package / source / rest


def _profile(folder: Path) -> dict[str, Any]:
    """The default profile of a Foundry project."""
    file = folder / "foundry.toml"
    if not file.is_file():
        return {}
    try:
        profiles = tomllib.loads(read(file)).get("profile", {})
    except tomllib.TOMLDecodeError as error:
        raise CircuitError(f"{file} is no TOML: {error}.") from error
    found: dict[str, Any] = profiles.get("default", {})
    return found


def _remappings(folder: Path, profile: dict[str, Any], file: Path) -> list[tuple[str, str]]:
    """The prefixes that a project replaces in the imports of a file, the longest first."""
    listed = folder / "remappings.txt"
    lines = [*(read(listed).splitlines() if listed.is_file() else [])]
    lines += profile.get("remappings", [])
    found = []
    for line in lines:
        left, _, instead = line.strip().partition("=")
        context, _, prefix = left.rpartition(":")
        if instead and str(file.relative_to(folder)).startswith(context):
            found.append((prefix, instead))
    return sorted(found, key=lambda pair: -len(pair[0]))

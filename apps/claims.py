"""Claims: inputs to prove for accounts, alone or several in one proof."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.circuits import ARTIFACTS
from chain.deployments import entry_of
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof, prove_all
from zk.samples import Array

SOURCES = ("image", "test-image", "clip", "input", "sample")
NUMBERED = {"test-image": 9999, "sample": 999_999}  # sources by number, and the largest


@dataclass(frozen=True)
class Claim:
    """An input to prove, its account, and the file of the proof, which several may share."""

    account: str
    key: int
    round_number: int | None
    x: Array
    path: Path
    outputs: list[int]  # of the model


def read_list(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read the account and the source of each proof from a .csv file."""
    try:
        # Excel begins a file with a byte order mark, and in many countries separates by semicolons.
        with path.open(newline="", encoding="utf-8-sig") as file:
            separator = ";" if ";" in file.readline() else ","
            file.seek(0)
            reader = csv.DictReader(file, restkey="", strict=True, delimiter=separator)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CircuitError(f"{path} cannot be read as a .csv file: {error}.") from error
    items: list[tuple[str, dict[str, Any]]] = []
    for line, row in rows:
        given = {name: value for name, value in row.items() if value}
        account = given.pop("account", "")
        if not account or len(given) != 1 or not set(given) <= set(SOURCES):
            raise CircuitError(
                f"Line {line} of {path} should have an account and one of {', '.join(SOURCES)}."
            )
        ((name, value),) = given.items()
        if name not in NUMBERED:
            items.append((account, {name: Path(value)}))
        elif value.isdigit() and int(value) <= NUMBERED[name]:
            items.append((account, {name: int(value)}))
        else:
            raise CircuitError(
                f"Line {line} of {path} has {name} {value!r}: give a number from 0 to "
                f"{NUMBERED[name]}."
            )
    if not items:
        raise CircuitError(f"{path} has no line below its header, such as `account,image`.")
    return items


def for_batches(circuit: str) -> Manifest | None:
    """The build for batches that is deployed with a circuit, if it is here."""
    batch = entry_of(circuit).get("batch")
    if not batch or not (ARTIFACTS / batch["circuit"] / "manifest.json").is_file():
        return None
    manifest = Manifest(ARTIFACTS / batch["circuit"])
    same = manifest["files"]["vk"]["sha256"] == batch["vk_sha256"]
    return manifest if same else None


def prove_claims(
    manifest: Manifest,
    several: Manifest | None,
    claims: list[Claim],
    keep: bool,
    report: Callable[[str], None],
    remote: Callable[[Claim], Proof] | None = None,
) -> None:
    """Prove the claims that share a path in one proof, by `several`, and the others alone.

    `remote` proves one claim elsewhere. With `keep`, the private witnesses stay beside the proofs.
    """
    groups: dict[Path, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(claim.path, []).append(claim)
    for build, chosen in (
        (several, {path: group for path, group in groups.items() if len(group) > 1}),
        (manifest, {path: group for path, group in groups.items() if len(group) == 1}),
    ):
        if not build or not chosen:
            continue
        kept = [path.with_suffix(".private.json") for path in chosen] if keep else None
        if remote:
            proofs = [remote(claim) for (claim,) in chosen.values()]
        else:
            proofs = prove_all(build, list(map(_together, chosen.values())), kept)
        for (path, group), proof in zip(chosen.items(), proofs, strict=True):
            proof.save(path)
            whom = group[0].account if len(group) == 1 else f"{len(group)} accounts"
            report(f"proof for {whom}: {path}")
        if kept:
            report(f"kept, do not share: {', '.join(map(str, kept))}")


def _together(group: list[Claim]) -> tuple[list[int], Array]:
    return [claim.key for claim in group], np.stack([claim.x for claim in group])

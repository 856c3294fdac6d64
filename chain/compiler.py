"""Compiles the project's contracts as they are now.

Ape would copy all contracts and packages first, and its cache can miss a verifier's replacement.
"""

from __future__ import annotations

import posixpath
from functools import cache
from typing import TYPE_CHECKING

from zk.audit.sources import IMPORT, imported, read
from zk.files import ROOT
from zk.verifier import compiled

if TYPE_CHECKING:
    from ape.contracts import ContractContainer


def application_contract(name: str) -> ContractContainer:
    """Compile the contract of an application."""
    return contract_in(f"contracts/{name}.sol")


def contract_in(file: str) -> ContractContainer:
    """Compile the contract that has its file's name."""
    return _container(file, tuple(_sources(file).items()))


@cache
def _container(file: str, sources: tuple[tuple[str, str], ...]) -> ContractContainer:
    from ape.contracts import ContractContainer
    from ethpm_types import ContractType

    made = compiled(file, dict(sources))
    created, runtime = (made["evm"][code]["object"] for code in ("bytecode", "deployedBytecode"))
    return ContractContainer(
        ContractType.model_validate(
            {
                "contractName": posixpath.basename(file).removesuffix(".sol"),
                "sourceId": file,
                "abi": made["abi"],
                "deploymentBytecode": {"bytecode": f"0x{created}"},
                "runtimeBytecode": {"bytecode": f"0x{runtime}"},
            }
        )
    )


def _sources(file: str) -> dict[str, str]:
    """Return a file and its imports, under names that are the same on every machine."""
    found: dict[str, str] = {}
    waiting = [(file, ROOT / file)]
    while waiting:
        name, path = waiting.pop()
        if name not in found:
            found[name] = read(path)
            for other in IMPORT.findall(found[name]):
                beside = posixpath.normpath(posixpath.join(posixpath.dirname(name), other))
                waiting.append((beside if other.startswith(".") else other, imported(other, path)))
    return found

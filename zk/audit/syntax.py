"""Compiles Solidity programs, and reads their syntax trees."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zk import solc
from zk.audit.code import Linked, linked
from zk.audit.sources import sources_of
from zk.errors import CircuitError

Node = dict[str, Any]
# The address of a library that is not linked: the begin of the hash of its file and name.
LIBRARY = re.compile(r"__\$([0-9a-f]{34})\$__")
LOCATION = re.compile(r" (calldata|memory|storage)( ref| pointer| slice)?$")
CALLABLE = ("FunctionDefinition", "ModifierDefinition")
VERIFIERS = re.compile(r"verif|pairing|plonk|groth", re.IGNORECASE)
PAIRING = {"8", "0x8", "0x08"}  # the address of the precompiled contract
DEPLOYED = "evm.deployedBytecode"
CODE = ["evm.bytecode.object", f"{DEPLOYED}.object", f"{DEPLOYED}.immutableReferences"]


@cache
def compiled(path: Path, optimized: bool = True) -> dict[str, Any]:
    """Compile a file: the syntax tree of each source and the runtime code of each contract."""
    optimizer = {**solc.SETTINGS["optimizer"], "enabled": optimized}
    selected = {"*": {"": ["ast"], "*": CODE}}
    settings = {**solc.SETTINGS, "optimizer": optimizer, "outputSelection": selected}
    return solc.compiled(path, sources_of(path), settings)


@cache
def parsed(path: Path) -> dict[str, Any]:
    """The syntax tree of each source of a file, for the newest EVM that solc knows."""
    return solc.compiled(path, sources_of(path), {"outputSelection": {"*": {"": ["ast"]}}})


def walk(node: Any) -> Iterator[Node]:
    """Yield a node and all nodes below it."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item)
    elif isinstance(node, dict):
        if "nodeType" in node:
            yield node
        for value in node.values():
            if isinstance(value, dict | list):
                yield from walk(value)


def kinds(node: Any, *names: str) -> Iterator[Node]:
    """Yield the nodes of these types at or below a node."""
    return (found for found in walk(node) if found["nodeType"] in names)


class Program:
    """The nodes of all sources of a compilation."""

    def __init__(self, output: dict[str, Any]) -> None:
        self.trees = {name: unit["ast"] for name, unit in output["sources"].items()}
        self.nodes = {node["id"]: node for node in walk(list(self.trees.values())) if "id" in node}
        self._structs = {
            node["canonicalName"]: node
            for node in self.nodes.values()
            if node.get("nodeType") == "StructDefinition"
        }
        self._pairing: dict[int, bool] = {}

    def contracts(self, path: Path) -> list[Node]:
        """The contracts that a file defines, without interfaces, libraries and abstract ones."""
        defined = kinds(self.trees[str(path.resolve())], "ContractDefinition")
        return [
            node for node in defined if node["contractKind"] == "contract" and not node["abstract"]
        ]

    def functions(self, contract: Node) -> list[Node]:
        """The functions and modifiers of a contract and its bases, overriding ones first."""
        bodies = [self.nodes[base]["nodes"] for base in contract["linearizedBaseContracts"]]
        return list(kinds(bodies, *CALLABLE))

    def entries(self, contract: Node) -> list[Node]:
        """The external functions that can change state, including inherited ones."""
        found: dict[str, Node] = {}
        for function in self.functions(contract):
            outside = function["visibility"] in ("external", "public")
            if outside and function["kind"] != "constructor" and function.get("body"):
                found.setdefault(function.get("functionSelector") or function["kind"], function)
        changing = ("nonpayable", "payable")
        return [entry for entry in found.values() if entry["stateMutability"] in changing]

    def overrides(self, contract: Node) -> dict[int, int]:
        """For each overridden function, the one that runs in this contract instead."""
        found: dict[int, int] = {}
        for function in self.functions(contract):
            actual = found.get(function["id"]) or function["id"]
            for base in function.get("baseFunctions") or function.get("baseModifiers") or []:
                found.setdefault(base, actual)
        return found

    def members(self, kind: str) -> list[Node]:
        """The members of a struct, by the name of its type."""
        found: list[Node] = self._structs.get(kind.removeprefix("struct "), {}).get("members", [])
        return found

    def is_verifier(self, function: Node) -> bool:
        """Return whether an internal function is that of an inherited verifier or a library."""
        contract = self.nodes.get(function.get("scope") or 0, {})
        return (
            function["stateMutability"] in ("view", "pure")
            and bool(VERIFIERS.search(contract.get("name") or ""))
            and self._pairs(function)
        )

    def _pairs(self, function: Node) -> bool:
        """Return whether a function computes a pairing, itself or by one that it calls."""
        found: dict[int, bool] = self._pairing
        if (identity := function["id"]) not in found:
            found[identity] = False  # while it is being searched
            called = [target_of(called_by(c), {}) for c in _calls(function, "FunctionCall")]
            found[identity] = any(
                call["functionName"]["name"] == "staticcall"
                and any(argument.get("value") in PAIRING for argument in call["arguments"])
                for call in _calls(function, "YulFunctionCall")
            ) or any(
                self._pairs(self.nodes[target])
                for target in called
                if self.nodes.get(target, {}).get("nodeType") == CALLABLE[0]
            )
        return found[identity]


def _calls(function: Node, kind: str) -> Iterator[Node]:
    return kinds(function.get("body"), kind)


@cache
def snake(name: str) -> str:
    """A name in the style of Python."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def of_type(node: Node) -> str:
    """The type of an expression or a variable, as solc writes it, without its location."""
    return LOCATION.sub("", node.get("typeDescriptions", {}).get("typeString") or "")


def called_by(call: Node) -> Node:
    """The callee of a call, without options such as gas and value."""
    callee: Node = call["expression"]
    while callee["nodeType"] == "FunctionCallOptions":
        callee = callee["expression"]
    return callee


def target_of(callee: Node, overrides: dict[int, int]) -> int:
    """The declaration that a callee refers to, or 0. `super.f` and `Base.f` are not overridden."""
    target: int = callee.get("referencedDeclaration") or 0
    return target if "memberName" in callee else overrides.get(target, target)


@dataclass(frozen=True)
class Compiled:
    """The code of a contract, as its constructor starts and as it makes it."""

    creation: bytes
    runtime: bytes
    immutables: dict[str, list[slice]]  # where the runtime code holds each value, by name

    def blanked(self, code: bytes) -> bytes:
        """Runtime code with zeros in place of each immutable value, as solc leaves it."""
        blank = bytearray(code)
        for place in (place for places in self.immutables.values() for place in places):
            blank[place] = bytes(len(blank[place]))
        return bytes(blank)


def compiled_contract(path: Path, name: str) -> Compiled:
    output = compiled(path)
    made = output["contracts"][str(path.resolve())][name]["evm"]
    declared = Program(output).nodes
    immutables = {
        declared[int(variable)]["name"]: [
            slice(place["start"], place["start"] + place["length"]) for place in places
        ]
        for variable, places in made["deployedBytecode"]["immutableReferences"].items()
    }
    creation, runtime = made["bytecode"]["object"], made["deployedBytecode"]["object"]
    return Compiled(bytes.fromhex(creation), bytes.fromhex(runtime), immutables)


def verifiers_of(path: Path) -> dict[str, bytes]:
    """The runtime code of each contract in a file that has a function to verify proofs.

    It is linked with the libraries of the same compilation.
    """
    try:
        output = compiled(path)
    except solc.CompilerEndedError:
        output = compiled(path, optimized=False)  # takes less memory
    program, found = Program(output), dict[str, bytes]()
    for contract in program.contracts(path):
        name = contract["name"]
        if any(f["name"].lower().startswith("verify") for f in program.functions(contract)):
            found[name] = _linked(output, str(path.resolve()), name)
    if not found:
        raise CircuitError(
            f"{path} has no contract with a function verifyProof: give the source of a verifier."
        )
    return found


def _linked(output: dict[str, Any], file: str, name: str) -> Linked:
    """The runtime code of a contract, linked with libraries of the same compilation."""

    def code_at(address: int) -> bytes:
        for source, contracts in output["contracts"].items():
            for contract, made in contracts.items():
                if _address(source, contract) == address:
                    return _code(made)
        return b""

    return linked(_code(output["contracts"][file][name]), code_at)


def _code(made: Node) -> bytes:
    return bytes.fromhex(LIBRARY.sub(r"\g<1>000000", made["evm"]["deployedBytecode"]["object"]))


def _address(file: str, name: str) -> int:
    """The address that `_code` makes up for a library, from the hash that solc writes."""
    from eth_utils.crypto import keccak

    return int(keccak(text=f"{file}:{name}").hex()[:34] + "000000", 16)

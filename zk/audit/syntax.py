"""The syntax trees of a Solidity program, and the data flow between its variables."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from zk.errors import CircuitError
from zk.verifier import SOLC, require_solc

Node = dict[str, Any]
IMPORT = re.compile(r"""^\s*import\s+(?:[^"';]*\sfrom\s+)?["']([^"']+)["']""", re.MULTILINE)
PRAGMA = re.compile(r"pragma\s+solidity[^;]*;")
LIBRARY = re.compile(r"__\$[0-9a-f]{34}\$__")  # the address of a library that is not linked
SENDER = -1  # stands for msg.sender among the declarations
CALLABLE = ("FunctionDefinition", "ModifierDefinition")


def sources_of(path: Path) -> dict[str, str]:
    """A file and its imports, by path, without pragmas: any compiler version takes them."""
    found: dict[str, str] = {}
    waiting = [path.resolve()]
    while waiting:
        file = waiting.pop()
        if str(file) in found:
            continue
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CircuitError(f"{file} cannot be read: {error}.") from error
        for name in IMPORT.findall(text):
            target = _imported(name, file)
            text = text.replace(f'"{name}"', f'"{target}"').replace(f"'{name}'", f'"{target}"')
            waiting.append(target)
        found[str(file)] = PRAGMA.sub("", text)
    return found


def _imported(name: str, file: Path) -> Path:
    """Find an import: relative to its file, or in the packages of a folder above."""
    if name.startswith("."):
        return (file.parent / name).resolve()
    for folder in file.parents:
        places = [folder / name, folder / "node_modules" / name, folder / "lib" / name]
        remappings = folder / "remappings.txt"
        for line in remappings.read_text().splitlines() if remappings.is_file() else []:
            prefix, _, instead = line.strip().partition("=")
            if instead and name.startswith(prefix):
                places.append(folder / (instead + name.removeprefix(prefix)))
        for place in places:
            if place.is_file():
                return place.resolve()
    raise CircuitError(
        f"{name}, imported by {file}, was not found in the folders above it, their node_modules or "
        "lib, or by a remappings.txt: install the package."
    )


@cache
def compiled(path: Path) -> dict[str, Any]:
    """Compile a file: the syntax tree of each source and the runtime code of each contract."""
    import solcx
    from solcx.exceptions import SolcError

    require_solc()
    settings = {
        "optimizer": {"enabled": True, "runs": 200},
        "evmVersion": "paris",
        "outputSelection": {
            "*": {"": ["ast"], "*": ["evm.bytecode.object", "evm.deployedBytecode"]}
        },
    }
    content = {name: {"content": text} for name, text in sources_of(path).items()}
    try:
        output: dict[str, Any] = solcx.compile_standard(
            {"language": "Solidity", "sources": content, "settings": settings}, solc_version=SOLC
        )
        return output
    except SolcError as error:
        reason = str(error.message).split("\n")[0]
        raise CircuitError(f"solc {SOLC} cannot compile {path}: {reason}.") from error


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

    def reached(self, entry: Node, overrides: dict[int, int]) -> list[Node]:
        """A function and all functions and modifiers that it calls in this program."""
        found: dict[int, Node] = {}
        waiting = [entry]
        while waiting:
            function = waiting.pop()
            if function["id"] not in found and function.get("body"):
                found[function["id"]] = function
                waiting += [self.nodes[target] for target in self._targets(function, overrides)]
        return list(found.values())

    def _targets(self, function: Node, overrides: dict[int, int]) -> list[int]:
        callees = [called_by(call) for call in kinds(function["body"], "FunctionCall")]
        modifiers = [m["modifierName"] for m in function.get("modifiers", [])]
        found = [target_of(callee, overrides) for callee in callees + modifiers]
        return [t for t in found if self.nodes.get(t, {}).get("nodeType") in CALLABLE]


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


class Flow:
    """The expressions that flow into each variable of some functions, in any order."""

    def __init__(self, program: Program, functions: list[Node], overrides: dict[int, int]) -> None:
        self.program, self.functions, self.overrides = program, functions, overrides
        self.into: dict[int, list[Node]] = defaultdict(list)
        for node in walk([f["body"] for f in functions]):
            match node["nodeType"]:
                case "VariableDeclarationStatement":
                    self._declare(node)
                case "Assignment":
                    for target in _targets_of(node["leftHandSide"]):
                        self.into[target].append(node["rightHandSide"])
                case "FunctionCall":
                    self._pass(called_by(node), node["arguments"])
        for function in functions:
            for modifier in function.get("modifiers", []):
                self._pass(modifier["modifierName"], modifier.get("arguments") or [])
            self._return(function)
        for overridden, actual in overrides.items():
            self.into[overridden] = [*self.into[overridden], *self.into[actual]]

    def _declare(self, node: Node) -> None:
        value = node.get("initialValue")
        if value:
            values = [value] * len(node["declarations"])
            if value["nodeType"] == "TupleExpression" and len(values) > 1:
                values = value["components"]
            for declared, given in zip(node["declarations"], values, strict=False):
                if declared:
                    self.into[declared["id"]].append(given)

    def _pass(self, callee: Node, arguments: list[Node]) -> None:
        function = self.program.nodes.get(target_of(callee, self.overrides), {})
        if function.get("nodeType") not in CALLABLE:
            return
        parameters = function["parameters"]["parameters"]
        if len(parameters) == len(arguments) + 1:  # a library function on its first argument
            arguments = [callee["expression"], *arguments]
        for parameter, argument in zip(parameters, arguments, strict=False):
            self.into[parameter["id"]].append(argument)

    def _return(self, function: Node) -> None:
        if function["nodeType"] == "FunctionDefinition":
            for statement in kinds(function["body"], "Return"):
                if statement.get("expression"):
                    self.into[function["id"]].append(statement["expression"])
            for named in function["returnParameters"]["parameters"]:
                self.into[function["id"]] += self.into[named["id"]]

    def behind(self, *expressions: Node) -> set[int]:
        """All declarations that an expression may depend on, and `SENDER` for msg.sender."""
        found: set[int] = set()
        waiting = list(expressions)
        while waiting:
            for node in self._sources(waiting.pop()):
                if is_sender(node):
                    found.add(SENDER)
                target = node.get("referencedDeclaration")
                if target is not None and target not in found:
                    found.add(target)
                    waiting += self.into.get(target, [])
        return found

    def _sources(self, node: Any) -> Iterator[Node]:
        """Like `walk`, but without the arguments of calls whose return values are known."""
        if isinstance(node, list):
            for item in node:
                yield from self._sources(item)
        elif isinstance(node, dict):
            if "nodeType" in node:
                yield node
            if node.get("nodeType") == "FunctionCall":
                callee = called_by(node)
                if self.into.get(target_of(callee, self.overrides)):
                    yield callee
                    return
            for value in node.values():
                yield from self._sources(value)

    def aliases(self, *expressions: Node) -> set[int]:
        """The variables that hold the same array as an expression, or a slice of it."""
        found = {i for expression in expressions for i in _whole(expression)}
        while True:
            more = {
                target
                for target, values in self.into.items()
                for value in values
                if _whole(value) & found
            } | {
                i for target in found for value in self.into.get(target, []) for i in _whole(value)
            }
            more = {target for target in more if _is_array(self.program.nodes.get(target, {}))}
            if more <= found:
                return found
            found |= more

    @cached_property
    def conditions(self) -> list[Node]:
        """All comparisons, except those in the conditions of loops."""
        loops = {
            node["id"]
            for loop in kinds([f["body"] for f in self.functions], "ForStatement", "WhileStatement")
            for node in walk(loop.get("condition"))
        }
        comparing = ("==", "!=", "<", ">", "<=", ">=")
        return [
            node
            for node in kinds([f["body"] for f in self.functions], "BinaryOperation")
            if node["operator"] in comparing and node["id"] not in loops
        ]


def is_sender(node: Node) -> bool:
    return node.get("memberName") == "sender" and node["expression"].get("name") == "msg"


def _targets_of(left: Node) -> list[int]:
    """The variables that an assignment changes, as a whole or in part."""
    if left["nodeType"] == "TupleExpression":
        return [i for part in left["components"] if part for i in _targets_of(part)]
    while left["nodeType"] in ("IndexAccess", "MemberAccess"):
        left = left.get("baseExpression") or left["expression"]
    return [left["referencedDeclaration"]] if "referencedDeclaration" in left else []


def _whole(expression: Node | None) -> set[int]:
    """The variable that an expression names or slices, if any."""
    while expression and expression["nodeType"] == "IndexRangeAccess":
        expression = expression["baseExpression"]
    if expression and expression["nodeType"] == "Identifier":
        return {expression["referencedDeclaration"]}
    return set()


def _is_array(node: Node) -> bool:
    kind = node.get("typeDescriptions", {}).get("typeString") or ""
    return kind.startswith(("uint256[", "bytes"))


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
    """The runtime code of each contract in a file that has a function to verify proofs."""
    output = compiled(path)
    program, found = Program(output), {}
    for contract in program.contracts(path):
        made = output["contracts"][str(path.resolve())][contract["name"]]
        code = made["evm"]["deployedBytecode"]["object"]
        if any(f["name"].startswith("verify") for f in program.functions(contract)):
            found[contract["name"]] = bytes.fromhex(LIBRARY.sub("00" * 20, code))
    if not found:
        raise CircuitError(
            f"{path} has no contract with a function verifyProof: give the source of a verifier."
        )
    return found

"""A Solidity program as a graph: its syntax tree by solc, and what flows into what."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from zk.errors import CircuitError
from zk.verifier import SOLC, require_solc

Node = dict[str, Any]
IMPORT = re.compile(r"""^\s*import\s+(?:[^"';]*\sfrom\s+)?["']([^"']+)["']""", re.MULTILINE)
PRAGMA = re.compile(r"pragma\s+solidity[^;]*;")
LIBRARY = re.compile(r"__\$[0-9a-f]{34}\$__")  # the address of one that is linked later
SENDER = -1  # stands for msg.sender among the declarations


def sources_of(path: Path) -> dict[str, str]:
    """A file and all that it imports, by path, for any version of the compiler."""
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
    """Where an import lies: beside its file, or in the packages of a folder above that."""
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
        f"{file} imports {name}, which no folder above it has, nor their node_modules, lib or "
        "remappings.txt: install that package there."
    )


@cache
def compiled(path: Path) -> dict[str, Any]:
    """What solc makes of a file: the tree of each source, and each contract's runtime code."""
    import solcx
    from solcx.exceptions import SolcError

    require_solc()
    settings = {
        "optimizer": {"enabled": True, "runs": 200},
        "evmVersion": "paris",
        "outputSelection": {"*": {"": ["ast"], "*": ["evm.deployedBytecode"]}},
    }
    content = {name: {"content": text} for name, text in sources_of(path).items()}
    try:
        return solcx.compile_standard(
            {"language": "Solidity", "sources": content, "settings": settings}, solc_version=SOLC
        )
    except SolcError as error:
        reason = str(error.message).split("\n")[0]
        raise CircuitError(f"solc {SOLC} cannot compile {path}: {reason}.") from error


def walk(node: Any) -> Iterator[Node]:
    """A node and all below it."""
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
    """The nodes of these types at or below one."""
    return (found for found in walk(node) if found["nodeType"] in names)


class Program:
    """All sources of a compilation: their nodes, and which expressions flow into a declaration."""

    def __init__(self, output: dict[str, Any]) -> None:
        self.trees = {name: unit["ast"] for name, unit in output["sources"].items()}
        self.nodes = {node["id"]: node for node in walk(list(self.trees.values())) if "id" in node}

    def contracts(self, path: Path) -> list[Node]:
        """The contracts that a file defines, interfaces and libraries aside."""
        defined = kinds(self.trees[str(path.resolve())], "ContractDefinition")
        return [node for node in defined if node["contractKind"] == "contract"]

    def entries(self, contract: Node) -> list[Node]:
        """The functions by which others can change a contract, also those that it inherits."""
        bodies = [self.nodes[base] for base in contract["linearizedBaseContracts"]]
        found: dict[str, Node] = {}
        for function in kinds([body["nodes"] for body in bodies], "FunctionDefinition"):
            outside = function["visibility"] in ("external", "public")
            changes = function["stateMutability"] in ("nonpayable", "payable")
            if outside and changes and function["kind"] != "constructor" and function.get("body"):
                found.setdefault(function["name"] or function["kind"], function)
        return list(found.values())

    def reached(self, entry: Node) -> list[Node]:
        """A function and all that it calls in this program, modifiers included."""
        found: dict[int, Node] = {}
        waiting = [entry]
        while waiting:
            function = waiting.pop()
            if function["id"] not in found and function.get("body"):
                found[function["id"]] = function
                waiting += [self.nodes[target] for target in self._targets(function)]
        return list(found.values())

    def _targets(self, function: Node) -> list[int]:
        callees = [called_by(call) for call in kinds(function["body"], "FunctionCall")]
        modifiers = [m["modifierName"] for m in function.get("modifiers", [])]
        found = [callee.get("referencedDeclaration") for callee in callees + modifiers]
        definitions = ("FunctionDefinition", "ModifierDefinition")
        return [
            target for target in found if self.nodes.get(target, {}).get("nodeType") in definitions
        ]


def called_by(call: Node) -> Node:
    """What a call calls, its options (gas, value) left out."""
    callee = call["expression"]
    while callee["nodeType"] == "FunctionCallOptions":
        callee = callee["expression"]
    return callee


class Flow:
    """What flows into the variables of some functions, as if all happened at once."""

    def __init__(self, program: Program, functions: list[Node]) -> None:
        self.program, self.functions = program, functions
        self.into: dict[int, list[Node]] = defaultdict(list)
        for node in walk([f["body"] for f in functions]):
            match node["nodeType"]:
                case "VariableDeclarationStatement":
                    self._declare(node)
                case "Assignment":
                    for target in _targets_of(node["leftHandSide"]):
                        self.into[target].append(node["rightHandSide"])
                case "FunctionCall":
                    self._call(node)
        for function in functions:
            self._return(function)

    def _declare(self, node: Node) -> None:
        value = node.get("initialValue")
        if value:
            values = [value] * len(node["declarations"])
            if value["nodeType"] == "TupleExpression" and len(values) > 1:
                values = value["components"]
            for declared, given in zip(node["declarations"], values, strict=False):
                if declared:
                    self.into[declared["id"]].append(given)

    def _call(self, call: Node) -> None:
        callee = called_by(call)
        function = self.program.nodes.get(callee.get("referencedDeclaration", 0), {})
        if function.get("nodeType") != "FunctionDefinition":
            return
        given = list(call["arguments"])
        parameters = function["parameters"]["parameters"]
        if len(parameters) == len(given) + 1:  # a library's function, called on its first argument
            given.insert(0, callee["expression"])
        for parameter, argument in zip(parameters, given, strict=False):
            self.into[parameter["id"]].append(argument)

    def _return(self, function: Node) -> None:
        if function["nodeType"] == "FunctionDefinition":
            for statement in kinds(function["body"], "Return"):
                if statement.get("expression"):
                    self.into[function["id"]].append(statement["expression"])
            for named in function["returnParameters"]["parameters"]:
                self.into[function["id"]] += self.into[named["id"]]

    def behind(self, *expressions: Node) -> set[int]:
        """All declarations that an expression may depend on, and `SENDER`."""
        found: set[int] = set()
        waiting = list(expressions)
        while waiting:
            for node in walk(waiting.pop()):
                if is_sender(node):
                    found.add(SENDER)
                target = node.get("referencedDeclaration")
                if target is not None and target not in found:
                    found.add(target)
                    waiting += self.into.get(target, [])
        return found

    def aliases(self, *expressions: Node) -> set[int]:
        """The variables that hold the same array as one of these: as given on, or a slice of it."""
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
        """All comparisons but those that end loops."""
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
    """The variables that an assignment writes to, or into."""
    if left["nodeType"] == "TupleExpression":
        return [i for part in left["components"] if part for i in _targets_of(part)]
    while left["nodeType"] in ("IndexAccess", "MemberAccess"):
        left = left.get("baseExpression") or left["expression"]
    return [left["referencedDeclaration"]] if "referencedDeclaration" in left else []


def _whole(expression: Node | None) -> set[int]:
    """The variable that an expression is, or is a slice of."""
    while expression and expression["nodeType"] == "IndexRangeAccess":
        expression = expression["baseExpression"]
    if expression and expression["nodeType"] == "Identifier":
        return {expression["referencedDeclaration"]}
    return set()


def _is_array(node: Node) -> bool:
    kind = node.get("typeDescriptions", {}).get("typeString") or ""
    return kind.startswith(("uint256[", "bytes"))


def compiled_contract(path: Path, name: str) -> tuple[bytes, list[tuple[int, int]]]:
    """The runtime code of a contract, and where its immutable values stand in it."""
    made = compiled(path)["contracts"][str(path.resolve())][name]
    code = made["evm"]["deployedBytecode"]
    places = [place for each in code.get("immutableReferences", {}).values() for place in each]
    return bytes.fromhex(code["object"]), [(p["start"], p["length"]) for p in places]


def verifiers_of(path: Path) -> dict[str, bytes]:
    """The runtime code of each contract in a file that has a function to verify proofs."""
    output = compiled(path)
    found = {}
    for contract in Program(output).contracts(path):
        functions = [f["name"] for f in kinds(contract["nodes"], "FunctionDefinition")]
        made = output["contracts"][str(path.resolve())][contract["name"]]
        code = made["evm"]["deployedBytecode"]["object"]
        if any(name.startswith("verify") for name in functions):
            found[contract["name"]] = bytes.fromhex(LIBRARY.sub("00" * 20, code))
    if not found:
        raise CircuitError(f"{path} has no contract with a function verifyProof.")
    return found

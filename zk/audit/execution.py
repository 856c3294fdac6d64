"""Runs a Solidity function on terms: what it requires, writes and calls on all of its paths.

Calls inside of the program are followed with their arguments. Loops run twice, branches both.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from zk.audit.expressions import Expressions
from zk.audit.syntax import CALLABLE, Node, Program, kinds, of_type, snake, walk
from zk.audit.values import Value, constant, either

DEEPEST, LONGEST = 60, 60_000  # calls inside of calls, and statements in all


@dataclass(frozen=True)
class Condition:
    """A condition. The function continues only if it holds, only if it fails, or in either case."""

    value: Value
    holds: bool | None


@dataclass(frozen=True)
class Write:
    """A change of the storage."""

    place: Value
    value: Value


@dataclass(frozen=True)
class Call:
    """A call that leaves the program: of another contract, or a transfer of ether."""

    node: Node
    name: str
    callee: Value
    arguments: tuple[Value, ...]
    ether: Value | None
    function: Node  # its declaration, or {}
    reads_only: bool
    guarded: bool  # its failure does not revert
    answer: Value


@dataclass
class Trace:
    """A record of one path through a function: conditions, writes and calls."""

    conditions: list[Condition] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    arguments: list[Value] = field(default_factory=list)
    returned: list[Value] = field(default_factory=list)
    unhandled: list[Node] = field(default_factory=list)  # calls in a try with an empty catch


@dataclass
class _Frame:
    """A call of a function."""

    function: Node
    returned: list[Value] = field(default_factory=list)
    rest: list[Callable[[], str]] = field(default_factory=list)  # what the modifiers enclose


class Execution(Expressions):
    """One external function of a contract, run with unknown arguments."""

    def __init__(self, program: Program, contract: Node) -> None:
        super().__init__(program, program.overrides(contract))
        self.trace = Trace()
        self.frames: list[_Frame] = []
        self.statements = 0

    def run(self, entry: Node) -> Trace:
        arguments = [
            Value("parameter", p["name"], type=of_type(p), declared=p["id"])
            for p in entry["parameters"]["parameters"]
        ]
        self.trace.arguments = arguments
        self.trace.returned.append(self.inline(entry, arguments))
        return self.trace

    # Functions

    def inline(self, function: Node, arguments: list[Value]) -> Value:
        """Run a function or a modifier's function; return its value."""
        running = any(frame.function is function for frame in self.frames)
        if running or len(self.frames) > DEEPEST or self.statements > LONGEST:
            return Value("unknown", function["name"], tuple(arguments))
        frame = _Frame(function)
        self.frames.append(frame)
        self.bind(function, arguments)
        results = function["returnParameters"]["parameters"]
        for result in results:
            self.declare(result)
        ended = self._within_modifiers(function, function.get("modifiers", []))
        if results and (not ended or not frame.returned):
            values = [self.environment[result["id"]] for result in results]
            frame.returned.append(values[0] if len(values) == 1 else _tuple(values))
        self.frames.pop()
        return either(*frame.returned) if frame.returned else constant("")

    def bind(self, function: Node, arguments: list[Value]) -> None:
        for parameter, argument in zip(
            function["parameters"]["parameters"], arguments, strict=False
        ):
            self.environment[parameter["id"]] = argument

    def _within_modifiers(self, function: Node, modifiers: list[Node]) -> str:
        if not modifiers:
            return self.execute(function["body"])
        used, later = modifiers[0], modifiers[1:]
        modifier = self.target(used["modifierName"])
        if modifier.get("nodeType") != CALLABLE[1] or not modifier.get("body"):
            return self._within_modifiers(function, later)
        self.bind(modifier, [self.value(argument) for argument in used.get("arguments") or []])
        rest = self.frames[-1].rest
        rest.append(lambda: self._within_modifiers(function, later))
        ended = self.execute(modifier["body"])
        rest.pop()
        return ended

    # Statements: each returns how it ends the path, "return" or "revert", or ""

    def execute(self, node: Node | None) -> str:
        if node is None:
            return ""
        self.statements += 1
        run = getattr(self, f"_run_{snake(node['nodeType'])}", None)
        return str(run(node)) if run else ""

    def _run_block(self, node: Node) -> str:
        for statement in node.get("statements") or []:
            if ended := self.execute(statement):
                return ended
        return ""

    _run_unchecked_block = _run_block

    def _run_placeholder_statement(self, node: Node) -> str:
        rest = self.frames[-1].rest
        enclosed = rest.pop()
        ended = enclosed()
        rest.append(enclosed)
        return "" if ended == "return" else ended  # the code below `_;` still runs

    def _run_expression_statement(self, node: Node) -> str:
        call = node["expression"]
        self.value(call)
        reverts = call["nodeType"] == "FunctionCall" and call["expression"].get("name") == "revert"
        return "revert" if reverts else ""

    def _run_revert_statement(self, node: Node) -> str:
        return "revert"

    def _run_emit_statement(self, node: Node) -> str:
        self.value(node["eventCall"])
        return ""

    def _run_return(self, node: Node) -> str:
        if node.get("expression"):
            self.frames[-1].returned.append(self.value(node["expression"]))
        return "return"

    def _run_variable_declaration_statement(self, node: Node) -> str:
        declared = node["declarations"]
        if not node.get("initialValue"):
            for variable in declared:
                self.declare(variable)
            return ""
        value = self.value(node["initialValue"])
        for place, variable in enumerate(declared):
            if variable:
                part = value if len(declared) == 1 else self.component(value, place, variable)
                self.environment[variable["id"]] = part
        return ""

    def _run_if_statement(self, node: Node) -> str:
        condition = self.value(node["condition"])
        before = dict(self.environment)
        place = len(self.trace.conditions)
        ended = self.execute(node["trueBody"])
        after, self.environment = self.environment, before
        other = self.execute(node.get("falseBody"))
        holds = None if bool(ended) == bool(other) else bool(other)
        self.trace.conditions.insert(place, Condition(condition, holds))
        if other and not ended:
            self.environment = after
        elif not other and not ended:
            self._merge(after)
        return ended if ended and other else ""

    def _merge(self, other: dict[int, Value]) -> None:
        for variable, value in other.items():
            self.environment[variable] = either(self.environment.get(variable, value), value)

    def _run_for_statement(self, node: Node) -> str:
        self.execute(node.get("initializationExpression"))
        self._forget_changed(node)
        if node.get("condition"):
            self.value(node["condition"])
        before = dict(self.environment)
        for _ in range(2):
            self.execute(node["body"])
            self.execute(node.get("loopExpression"))
        self._merge(before)
        return ""

    _run_while_statement = _run_do_while_statement = _run_for_statement

    def _forget_changed(self, loop: Node) -> None:
        """A number that changes in a loop is no constant in it."""
        changing = [a["leftHandSide"] for a in kinds(loop, "Assignment")]
        changing += [u["subExpression"] for u in kinds(loop, "UnaryOperation")]
        for node in changing:
            variable = node.get("referencedDeclaration", 0)
            if (old := self.environment.get(variable)) and old.kind == "constant":
                self.environment[variable] = Value("unknown", "", (old,), old.type)

    def _run_try_statement(self, node: Node) -> str:
        clauses = node["clauses"]
        self.guarded.add(node["externalCall"]["id"])
        answer = self.value(node["externalCall"])
        before, ends = dict(self.environment), list[str]()
        merged: dict[int, Value] = {}
        for place, clause in enumerate(clauses):
            self.environment = dict(before)
            given = (clause.get("parameters") or {}).get("parameters", [])
            for position, parameter in enumerate(given):
                part = answer if len(given) == 1 else self.component(answer, position, parameter)
                unknown = Value("unknown", "", (answer,), of_type(parameter))
                self.environment[parameter["id"]] = unknown if place else part
            ends.append(self.execute(clause["block"]))
            if not ends[-1]:
                later, self.environment = self.environment, merged or dict(self.environment)
                self._merge(later)
                merged = self.environment
        self.environment = merged or before
        told = any(answer in value.walk() for value in merged.values() if value.kind == "either")
        if not told and not all(clause["block"]["statements"] for clause in clauses[1:]):
            self.trace.unhandled.append(node["externalCall"])
        return ends[0] if all(ends) else ""

    def _run_inline_assembly(self, node: Node) -> str:
        """Everything in the block may depend on everything that it names."""
        named = {
            declaration["id"]: declaration
            for reference in node["externalReferences"]
            if (declaration := self.program.nodes.get(reference["declaration"]))
        }
        called = {
            call["functionName"]["name"]
            for call in walk(node["AST"])
            if call["nodeType"] == "YulFunctionCall"
        }
        parts = [self.variable(declaration) for declaration in named.values()]
        parts += [Value("sender", type="address")] if "caller" in called else []
        parts += [Value("state", "slot", declared=node["id"])] if "sload" in called else []
        value = Value("assembly", "", tuple(parts))
        self._change_in_assembly(node, named, called, value)
        if called & {"sstore", "tstore"}:
            self.write(Value("state", "slot", declared=node["id"]), value)
        if called & {"call", "delegatecall"}:
            self.trace.calls.append(
                Call(node, "call", value, (value,), value, {}, False, True, value)
            )
        if "revert" in called and any(kinds(node["AST"], "YulIf")):
            self.trace.conditions.append(Condition(value, None))
        return ""

    def _change_in_assembly(
        self, node: Node, named: dict[int, Node], called: set[str], value: Value
    ) -> None:
        assigned = {
            name["name"].split(".")[0]
            for assignment in walk(node["AST"])
            if assignment["nodeType"] == "YulAssignment"
            for name in assignment["variableNames"]
        }
        for identity, declaration in named.items():
            in_memory = declaration["storageLocation"] == "memory" and called & {
                "mstore",
                "calldatacopy",
            }
            if declaration["name"] in assigned or in_memory:
                self.environment[identity] = Value(
                    "assembly", "", value.parts, of_type(declaration)
                )

    # What the expressions record

    def require(self, value: Value) -> None:
        self.trace.conditions.append(Condition(value, True))

    def write(self, place: Value, value: Value) -> None:
        self.trace.writes.append(Write(place, value))

    def leave(
        self,
        node: Node,
        name: str,
        callee: Value,
        arguments: list[Value],
        *,
        ether: Value | None = None,
        function: Node | None = None,
        reads_only: bool = False,
        guarded: bool = False,
    ) -> Value:
        """Record a call that leaves the program; return its answer."""
        answer = Value("answer", name, (callee, *arguments), of_type(node), node["id"])
        guarded = guarded or node["id"] in self.guarded
        self.trace.calls.append(
            Call(
                node,
                name,
                callee,
                tuple(arguments),
                ether,
                function or {},
                reads_only,
                guarded,
                answer,
            )
        )
        return answer


def _tuple(values: list[Value]) -> Value:
    return Value("tuple", "", tuple(values))

"""The expressions of Solidity, as terms."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from zk.audit.syntax import CALLABLE, Node, Program, called_by, of_type, snake, target_of
from zk.audit.values import Value, constant, either, element, member

BUILT_IN = 2**31  # the declarations of msg, keccak256 and the like have larger numbers
RATIONAL = re.compile(r"t_rational_(\d+)_by_1")
HASHES = ("keccak256", "sha256", "ripemd160")
VARIABLES = ("Identifier", "MemberAccess", "IndexAccess")


class Expressions(ABC):
    """Evaluates expressions; what they do besides is recorded by `require`, `write` and `leave`."""

    def __init__(self, program: Program, overrides: dict[int, int]) -> None:
        self.program, self.overrides = program, overrides
        self.environment: dict[int, Value] = {}
        self.guarded: set[int] = set()  # the external calls of try statements

    @abstractmethod
    def require(self, value: Value) -> None: ...

    @abstractmethod
    def write(self, place: Value, value: Value) -> None: ...

    @abstractmethod
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
    ) -> Value: ...

    @abstractmethod
    def inline(self, function: Node, arguments: list[Value]) -> Value: ...

    def value(self, node: Node) -> Value:
        evaluate = getattr(self, f"_{snake(node['nodeType'])}", None)
        found: Value = evaluate(node) if evaluate else Value("unknown", node["nodeType"])
        return found

    def target(self, callee: Node) -> Node:
        """The declaration that runs when a name is called."""
        return self.program.nodes.get(target_of(callee, self.overrides), {})

    # Names

    def declare(self, variable: Node) -> None:
        """Give a variable the value that it has before its first assignment."""
        if variable:
            known = of_type(variable)
            new = variable["storageLocation"] == "memory"
            self.environment[variable["id"]] = (
                Value("new", known, type=known) if new else constant("0", known)
            )

    def variable(self, declaration: Node) -> Value:
        identity, kind = declaration["id"], of_type(declaration)
        if identity in self.environment:
            return self.environment[identity]
        if not declaration.get("stateVariable"):
            return Value("unknown", declaration["name"], type=kind)
        if declaration["mutability"] == "constant" and declaration.get("value"):
            return self.value(declaration["value"])
        root = "immutable" if declaration["mutability"] == "immutable" else "state"
        return Value(root, declaration["name"], type=kind, declared=identity)

    def component(self, value: Value, place: int, node: Node) -> Value:
        """One of several values that a call returns."""
        if value.kind == "tuple" and place < len(value.parts):
            return value.parts[place]
        if value.kind == "either":
            return either(*(self.component(part, place, node) for part in value.parts))
        return Value("decoded", str(place), (value,), of_type(node))

    def _identifier(self, node: Node) -> Value:
        declaration = self.program.nodes.get(node.get("referencedDeclaration") or 0, {})
        if declaration.get("nodeType") == "VariableDeclaration":
            return self.variable(declaration)
        name = node["name"]
        return Value("environment" if name in ("this", "now") else "name", name, type=of_type(node))

    def _literal(self, node: Node) -> Value:
        text = _number(node) or node.get("value") or node.get("hexValue") or ""
        return constant(text, of_type(node))

    def _member_access(self, node: Node) -> Value:
        inner, name, kind = node["expression"], node["memberName"], of_type(node)
        base = self.value(inner)
        if base.kind == "name":
            match base.name:
                case "msg" if name == "sender":
                    return Value("sender", type="address")
                case "msg" if name == "data":
                    return Value("parameter", "msg.data", type="bytes")
                case "msg" | "block" | "tx":
                    return Value("environment", f"{base.name}.{name}", type=kind)
            declaration = self.program.nodes.get(node.get("referencedDeclaration") or 0, {})
            if declaration.get("nodeType") == "VariableDeclaration":
                return self.variable(declaration)
            return Value("name", name, type=kind)
        return member(base, name, kind)

    def _index_access(self, node: Node) -> Value:
        if not node.get("indexExpression"):
            return Value("name", "type")
        base, key = self.value(node["baseExpression"]), self.value(node["indexExpression"])
        return element(base, key, of_type(node))

    def _index_range_access(self, node: Node) -> Value:
        limits = [node.get("startExpression"), node.get("endExpression")]
        values = [self.value(limit) for limit in limits if limit]
        return Value("slice", "", (self.value(node["baseExpression"]), *values), of_type(node))

    def _elementary_type_name_expression(self, node: Node) -> Value:
        return Value("name", of_type(node))

    # Operations

    def _binary_operation(self, node: Node) -> Value:
        if number := _number(node):
            return constant(number, of_type(node))
        parts = self.value(node["leftExpression"]), self.value(node["rightExpression"])
        return Value("operation", node["operator"], parts, of_type(node))

    def _unary_operation(self, node: Node) -> Value:
        operator, inner = node["operator"], node["subExpression"]
        old = self.value(inner)
        if operator == "delete":
            self.store(inner, constant("0", old.type))
        if operator not in ("++", "--"):
            return Value("operation", operator, (old,), of_type(node))
        new = Value("operation", operator[0], (old, constant("1")), old.type)
        self.store(inner, new)
        return new if node["prefix"] else old

    def _conditional(self, node: Node) -> Value:
        branches = ("condition", "trueExpression", "falseExpression")
        parts = tuple(self.value(node[branch]) for branch in branches)
        return Value("choice", "", parts, of_type(node))

    def _tuple_expression(self, node: Node) -> Value:
        parts = [self.value(part) if part else constant("") for part in node["components"]]
        if node["isInlineArray"]:
            return Value("array", "", tuple(parts), of_type(node))
        return parts[0] if len(parts) == 1 else Value("tuple", "", tuple(parts))

    def _assignment(self, node: Node) -> Value:
        left, value = node["leftHandSide"], self.value(node["rightHandSide"])
        if (operator := node["operator"]) != "=":
            parts = self.value(left), value
            value = Value("operation", operator.removesuffix("="), parts, of_type(left))
        self.store(left, value)
        return value

    def store(self, left: Node, value: Value) -> None:
        """Assign to a variable, or to a part of it."""
        if left["nodeType"] == "TupleExpression":
            several = len(left["components"]) > 1
            for position, part in enumerate(left["components"]):
                if part:
                    self.store(part, self.component(value, position, part) if several else value)
            return
        declaration = self.program.nodes.get(left.get("referencedDeclaration") or 0, {})
        if left["nodeType"] == "Identifier" and not declaration.get("stateVariable"):
            self.environment[declaration["id"]] = value
            return
        place = self.value(left)
        places = place.parts if place.kind == "either" else (place,)
        if stored := [one for one in places if one.in_storage]:
            for one in stored:
                self.write(one, value)
            return
        base = left.get("expression") or left.get("baseExpression")
        if base:
            whole = self.value(base)
            key = (self.value(left["indexExpression"]),) if left.get("indexExpression") else ()
            changed = Value("with", left.get("memberName", ""), (whole, value, *key), whole.type)
            self.store(base, changed)

    # Calls

    def _function_call(self, node: Node) -> Value:
        if node["kind"] == "typeConversion":
            return Value(
                "conversion", of_type(node), (self.value(node["arguments"][0]),), of_type(node)
            )
        callee = called_by(node)
        if node["kind"] == "structConstructorCall":
            return self._struct(node, callee)
        kind = callee.get("typeDescriptions", {}).get("typeIdentifier", "")
        kind = kind.removeprefix("t_function_").split("_")[0]
        target = self.target(callee)
        followed = target.get("nodeType") == CALLABLE[0] and target.get("body")
        if followed and (kind in ("internal", "delegatecall") or _on_itself(callee)):
            return self._inside(node, callee, target)
        options = self._options(node)
        arguments = [self.value(argument) for argument in node["arguments"]]
        if kind in ("external", "delegatecall", "creation") or kind.startswith("bare"):
            return self._outside(node, callee, kind, arguments, options)
        if kind in ("transfer", "send"):
            receiver = self.value(callee["expression"])
            return self.leave(node, kind, receiver, [], ether=arguments[0], guarded=kind == "send")
        return self._built_in(node, callee, arguments)

    def _struct(self, node: Node, callee: Node) -> Value:
        arguments = [self.value(argument) for argument in node["arguments"]]
        structure = self.program.nodes.get(callee.get("referencedDeclaration") or 0, {})
        names = node.get("names") or [field["name"] for field in structure.get("members", [])]
        return Value("struct", ",".join(names), tuple(arguments), of_type(node))

    def _options(self, node: Node) -> dict[str, Value]:
        """The ether and the gas that a call sends along."""
        inner = node["expression"]
        if inner["nodeType"] != "FunctionCallOptions":
            return {}
        values = map(self.value, inner["options"])
        return dict(zip(inner["names"], values, strict=True))

    def _inside(self, node: Node, callee: Node, target: Node) -> Value:
        """A call of a function of the program."""
        nodes = list(node["arguments"])
        parameters = target["parameters"]["parameters"]
        if names := node.get("names"):
            nodes = [nodes[names.index(p["name"])] for p in parameters if p["name"] in names]
        if len(parameters) == len(nodes) + 1:  # a library function on its first argument
            nodes = [callee["expression"], *nodes]
        arguments = [self.value(argument) for argument in nodes]
        if self.program.is_verifier(target):
            return self.leave(node, target["name"], Value("name"), arguments, function=target)
        found = self.inline(target, arguments)
        for parameter, argument, given in zip(parameters, nodes, arguments, strict=False):
            after = self.environment.get(parameter["id"])
            filled = parameter["storageLocation"] == "memory" and after is not given
            if after and filled and argument["nodeType"] in VARIABLES:
                self.store(argument, after)
        return found

    def _outside(
        self, node: Node, callee: Node, kind: str, arguments: list[Value], options: dict[str, Value]
    ) -> Value:
        """A call of another contract."""
        function = self.target(callee)
        name = callee.get("memberName") or function.get("name") or kind
        reads = function.get("stateMutability") in ("view", "pure") or kind == "barestaticcall"
        receiver = self.value(callee["expression"]) if "expression" in callee else Value("name")
        if "memberName" not in callee:  # a function in a variable, or a new contract
            receiver = Value("name", "new") if kind == "creation" else self.value(callee)
        return self.leave(
            node,
            name,
            receiver,
            arguments,
            ether=options.get("value"),
            function=function,
            reads_only=reads,
            guarded=kind.startswith("bare"),
        )

    def _built_in(self, node: Node, callee: Node, arguments: list[Value]) -> Value:
        name, kind = callee.get("memberName") or callee.get("name", ""), of_type(node)
        if name in ("require", "assert") and arguments:
            self.require(arguments[0])
        elif name in ("push", "pop") and "expression" in callee:
            array = self.value(callee["expression"])
            place = Value("index", "", (array, Value("fresh", "length")), array.type)
            self.write(place, arguments[0] if arguments else constant("0"))
            return place
        elif name in HASHES:
            return Value("hash", name, tuple(arguments), kind)
        elif name.startswith("encode") or name == "concat":
            return Value("encoded", name, tuple(arguments), kind)
        elif name == "decode" and arguments:
            return Value("decoded", "", (arguments[0],), kind)
        elif callee["nodeType"] == "NewExpression":
            return Value("new", kind, tuple(arguments), kind)
        elif name == "gasleft":
            return Value("environment", name)
        return Value("operation", name, tuple(arguments), kind)


def _number(node: Node) -> str:
    """The value of a constant expression, in decimal, or ""."""
    found = RATIONAL.fullmatch(node["typeDescriptions"].get("typeIdentifier") or "")
    return found[1] if found else ""


def _on_itself(callee: Node) -> bool:
    return bool(callee.get("expression", {}).get("name") == "this")

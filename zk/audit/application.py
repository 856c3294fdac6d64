"""Audits a contract that believes a verifier, by its source: what it checks around the proof."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zk.audit.findings import Finding, Report, Severity
from zk.audit.syntax import SENDER, Flow, Node, Program, called_by, compiled, kinds, walk

VERIFYING = re.compile(r"verif", re.IGNORECASE)
LOW_LEVEL = ("call", "staticcall", "delegatecall")
RATIONAL = re.compile(r"t_rational_(\d+)_by_1")
HUGE = 2**64  # no output is compared with a constant above this but to see whether it is negative


@dataclass(frozen=True)
class Asked:
    """A call of the verifier."""

    call: Node
    proof: Node | None
    instances: Node | None
    raw: bool  # with calldata that the application did not encode
    guarded: bool  # in a try, or as a call whose failure does not revert


def audit_application(path: Path) -> Report:
    """Every function of a file's contracts that changes something on the word of a verifier."""
    report = Report(os.path.relpath(path))
    program = Program(compiled(path))
    believing = []
    for contract in program.contracts(path):
        for entry in program.entries(contract):
            reached = program.reached(entry)
            flow = Flow(program, reached)
            if asked := list(_asked(flow)):
                believing.append(f"{contract['name']}.{entry['name'] or entry['kind']}")
                _Checks(report, believing[-1], entry, flow, asked).all()
        _check_verifier_is_fixed(report, program, contract)
    report.facts["functions"] = believing
    report.check(
        bool(believing),
        f"{', '.join(believing)} asks a verifier",
        Finding(
            "no-verifier",
            Severity.HIGH,
            "No function of this file changes anything on the word of a verifier.",
            "there is no call of a function named verify… with a proof and instances",
            "Give the contract that calls the verifier.",
        ),
    )
    return report


def _asked(flow: Flow) -> Iterator[Asked]:
    """The calls of a verifier, by its interface or by its address."""
    bodies = [function["body"] for function in flow.functions]
    tries = {node["externalCall"]["id"] for node in kinds(bodies, "TryStatement")}
    for call in kinds(bodies, "FunctionCall"):
        callee = called_by(call)
        name, arguments = callee.get("memberName", ""), call["arguments"]
        if name in LOW_LEVEL and _type(callee["expression"]).startswith("address") and arguments:
            given = arguments[0]
            if _type(given).startswith("literal_string"):
                continue  # money without a call
            encoded = _encoding(given, flow)
            if encoded is None:
                yield Asked(call, None, None, raw=True, guarded=True)
            elif _names_verifier(encoded):
                yield Asked(call, *_arguments(encoded), raw=False, guarded=True)
        elif VERIFYING.search(name) and " external" in _type(callee):
            yield Asked(call, *_arguments(call), raw=False, guarded=call["id"] in tries)


def _type(node: Node) -> str:
    return node.get("typeDescriptions", {}).get("typeString") or ""


def _encoding(given: Node, flow: Flow) -> Node | None:
    """The abi.encode… that made these bytes."""
    candidates = [given, *flow.into.get(given.get("referencedDeclaration", 0), [])]
    for candidate in candidates:
        if candidate["nodeType"] == "FunctionCall":
            callee = called_by(candidate)
            if callee.get("memberName", "").startswith("encode"):
                return candidate
    return None


def _names_verifier(encoded: Node) -> bool:
    first = encoded["arguments"][0]
    words = [str(node.get(key, "")) for node in walk(first) for key in ("value", "memberName")]
    return any(VERIFYING.search(word) for word in words) or not any(words)


def _arguments(call: Node) -> tuple[Node | None, Node | None]:
    """The proof and the instances among the arguments, by their types."""
    parts = [
        part
        for argument in call["arguments"]
        for part in (argument.get("components") or [argument])
        if part
    ]
    proof = next((part for part in parts if _type(part).startswith("bytes ")), None)
    instances = next((part for part in parts if _type(part).startswith("uint256[")), None)
    return proof, instances


class _Checks:
    """What one function does around its calls of the verifier."""

    def __init__(
        self, report: Report, name: str, entry: Node, flow: Flow, asked: list[Asked]
    ) -> None:
        self.report, self.name, self.entry, self.flow, self.asked = report, name, entry, flow, asked
        self.instances = flow.aliases(*(a.instances for a in asked if a.instances))
        self.proofs = flow.aliases(*(a.proof for a in asked if a.proof))
        self.bodies = [function["body"] for function in flow.functions]

    def all(self) -> None:
        if not self._encodes():
            return
        self._counts()
        self._binds()
        self._guards()
        self._signs()
        self._survives()
        self._heeds()

    def _check(
        self, holds: bool, passed: str, name: str, severity: Severity, what: str, remedy: str
    ) -> bool:
        finding = Finding(name, severity, what, f"in {self.name}", remedy)
        return self.report.check(holds, f"{self.name} {passed}", finding)

    def _encodes(self) -> bool:
        return self._check(
            not any(asked.raw for asked in self.asked),
            "encodes the call of the verifier itself",
            "raw-calldata",
            Severity.CRITICAL,
            "The verifier is called with bytes from outside.",
            "Take the proof and the instances as arguments, and call the verifier's function with "
            "them: calldata that is laid out unusually can make a false proof pass.",
        )

    def _counts(self) -> None:
        def is_length(node: Node) -> bool:
            return node.get("memberName") == "length" and self._is_instances(node["expression"])

        compared = any(
            is_length(node)
            for condition in self.flow.conditions
            if condition["operator"] in ("==", "!=")
            for node in walk(condition)
        )
        built = any(self._builds(target) for target in self.instances)
        fixed = any(re.search(r"\[\d+\]", _type(self._declared(i))) for i in self.instances)
        self._check(
            compared or built or fixed,
            "checks how many instances there are",
            "instance-count",
            Severity.HIGH,
            "The number of instances is not checked.",
            "Require instances.length to be what the circuit has, before reading any.",
        )

    def _binds(self) -> None:
        compared = any(
            self._reads_instance(one) and self._names_account(other)
            for condition in self.flow.conditions
            if condition["operator"] in ("==", "!=")
            for one, other in _both_ways(condition)
        )
        decoded = any(
            call["kind"] == "typeConversion"
            and _type(call).startswith("address")
            and self._reads_instance(call)
            for call in kinds(self.bodies, "FunctionCall")
        )
        built = any(
            self._names_account(value)
            for target in self.instances
            if self._builds(target)
            for value in self.flow.into[target]
        )
        self._check(
            compared or decoded or built,
            "binds the account that it credits to the proof",
            "beneficiary-not-bound",
            Severity.CRITICAL,
            "The account that profits is not in the proof: whoever copies one can use it first.",
            "Make the account a public output of the circuit, and compare it with the one that is "
            "credited.",
        )

    def _guards(self) -> None:
        written = {
            target: node
            for node in kinds(self.bodies, "Assignment")
            if node["leftHandSide"]["nodeType"] in ("IndexAccess", "MemberAccess")
            for target in self._state_in(node["leftHandSide"])
        }
        conditions = [
            *self.flow.conditions,
            *(node["condition"] for node in kinds(self.bodies, "IfStatement")),
            *(
                call["arguments"][0]
                for call in kinds(self.bodies, "FunctionCall")
                if called_by(call).get("name") in ("require", "assert")
            ),
        ]
        looked_at = self.flow.behind(*conditions)
        guards = {target: node for target, node in written.items() if target in looked_at}
        if not self._check(
            bool(guards),
            "remembers what was proved",
            "no-replay-guard",
            Severity.HIGH,
            "Nothing stops the same proof from being used again.",
            "Remember what was proved (the account, the round), and refuse it the second time.",
        ):
            return
        by_proof = all(self._keyed_by_proof(node["leftHandSide"]) for node in guards.values())
        self._check(
            not by_proof,
            "guards against replays by what is proved",
            "replay-by-proof",
            Severity.HIGH,
            "Replays are recognised by the bytes of the proof, of which one statement has many.",
            "Remember the statement instead: the account and the round.",
        )

    def _signs(self) -> None:
        ordered = [
            condition
            for condition in self.flow.conditions
            if condition["operator"] not in ("==", "!=")
            and any(self._reads_instance(side) for side in _sides(condition))
        ]
        bounded = any(self._largest(side) > HUGE for c in ordered for side in _sides(c))
        self._check(
            not ordered or bounded,
            "tells negative outputs from large ones",
            "negative-output",
            Severity.HIGH,
            "A negative output counts as a huge one: it is the field's order less its size.",
            "Refuse outputs above 2**127, or read those above the order less 2**127 as negative.",
        )

    def _survives(self) -> None:
        self._check(
            all(asked.guarded for asked in self.asked),
            "says with an error of its own that a proof is not valid",
            "verifier-revert",
            Severity.LOW,
            "A proof that is not valid reverts without a reason, because the verifier does.",
            "Call the verifier in a try, and revert with an error of your own in its catch.",
        )

    def _heeds(self) -> None:
        dropped = [
            statement
            for statement in kinds(
                self.bodies, "ExpressionStatement", "VariableDeclarationStatement"
            )
            if self._drops(statement)
        ]
        self._check(
            not dropped,
            "heeds the verifier's answer",
            "answer-ignored",
            Severity.CRITICAL,
            "The verifier's answer is not looked at.",
            "Revert unless the call succeeded and returned true.",
        )

    def _drops(self, statement: Node) -> bool:
        """Whether a statement asks the verifier and nothing depends on the answer."""
        calls = {asked.call["id"] for asked in self.asked}
        value = statement.get("expression") or statement.get("initialValue") or {}
        if value.get("id") not in calls:
            return False
        declared = [d["id"] for d in statement.get("declarations", []) if d]
        used = {
            node.get("referencedDeclaration")
            for body in self.bodies
            for node in kinds(body, "Identifier")
        }
        return not used & set(declared)

    def _is_instances(self, node: Node) -> bool:
        return node.get("referencedDeclaration") in self.instances

    def _declared(self, target: int) -> Node:
        return self.flow.program.nodes.get(target, {})

    def _builds(self, target: int) -> bool:
        """Whether the application makes this array itself."""
        return any(
            call["expression"]["nodeType"] == "NewExpression"
            for value in self.flow.into.get(target, [])
            for call in kinds(value, "FunctionCall")
        )

    def _reads_instance(self, expression: Node) -> bool:
        """Whether it depends on an element of the instances, not on their length alone."""
        behind = self.flow.behind(expression)
        values = [expression, *(v for target in behind for v in self.flow.into.get(target, []))]
        return any(
            self._is_instances(node["baseExpression"]) for node in kinds(values, "IndexAccess")
        )

    def _largest(self, expression: Node) -> int:
        """The largest constant in an expression."""
        values = [
            expression,
            *(self._declared(i).get("value") for i in self.flow.behind(expression)),
        ]
        constants = [
            RATIONAL.match(node["typeDescriptions"].get("typeIdentifier") or "")
            for node in walk(values)
            if "typeDescriptions" in node
        ]
        return max((int(found[1]) for found in constants if found), default=0)

    def _names_account(self, expression: Node) -> bool:
        behind = self.flow.behind(expression)
        return SENDER in behind or any(
            self._declared(target).get("nodeType") == "VariableDeclaration"
            and _type(self._declared(target)).startswith("address")
            and not self._declared(target)["stateVariable"]
            for target in behind
        )

    def _state_in(self, left: Node) -> set[int]:
        """The state variables, of mappings or structs, that an assignment writes into."""
        return {
            target
            for target in self.flow.behind(left)
            if self._declared(target).get("stateVariable")
            and "mapping" in _type(self._declared(target))
        }

    def _keyed_by_proof(self, left: Node) -> bool:
        keys = [node["indexExpression"] for node in kinds(left, "IndexAccess")]
        return bool(self.flow.behind(*keys) & self.proofs)


def _check_verifier_is_fixed(report: Report, program: Program, contract: Node) -> None:
    """Whether somebody can put another verifier in the place of the first."""
    for function in kinds(contract["nodes"], "FunctionDefinition"):
        if function["kind"] == "constructor" or not function.get("body"):
            continue
        for node in kinds(function["body"], "Assignment"):
            left = program.nodes.get(node["leftHandSide"].get("referencedDeclaration", 0), {})
            if left.get("stateVariable") and VERIFYING.search(left["name"]):
                report.findings.append(
                    Finding(
                        "changeable-verifier",
                        Severity.HIGH,
                        "The verifier can be replaced.",
                        f"by {contract['name']}.{function['name']}",
                        "Make the verifier immutable.",
                    )
                )


def _sides(condition: Node) -> tuple[Node, Node]:
    return condition["leftExpression"], condition["rightExpression"]


def _both_ways(condition: Node) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    left, right = _sides(condition)
    return (left, right), (right, left)

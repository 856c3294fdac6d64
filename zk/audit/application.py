"""Audits the source of an application: its checks around each call of a verifier."""

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
HUGE = 2**64  # a comparison with a larger constant tests for a negative output


@dataclass(frozen=True)
class VerifierCall:
    """A call of the verifier."""

    call: Node
    proof: Node | None
    instances: Node | None
    raw: bool  # the application does not encode the calldata
    guarded: bool  # a failure does not revert: in a try, or a low-level call


def audit_application(path: Path) -> Report:
    """Audit each function in a file's contracts that changes state after a call of a verifier."""
    report = Report(os.path.relpath(path))
    program = Program(compiled(path))
    functions = []
    for contract in program.contracts(path):
        overrides, replacing = program.overrides(contract), []
        for entry in program.entries(contract):
            name = f"{contract['name']}.{entry['name'] or entry['kind']}"
            flow = Flow(program, program.reached(entry, overrides), overrides)
            if calls := list(_verifier_calls(flow)):
                functions.append(name)
                _Checks(report, name, flow, calls).all()
            if _replaces_verifier(flow):
                replacing.append(name)
        if replacing:
            report.findings.append(
                Finding(
                    "changeable-verifier",
                    Severity.HIGH,
                    "The verifier can be replaced.",
                    f"by {', '.join(replacing)}",
                    "Make the verifier immutable.",
                )
            )
    report.facts["functions"] = functions
    report.check(
        bool(functions),
        f"{', '.join(functions)} calls a verifier",
        Finding(
            "no-verifier",
            Severity.HIGH,
            "No function of this file changes state after a call of a verifier.",
            "there is no call of a function verify… with a proof and instances",
            "Audit the contract that calls the verifier.",
        ),
    )
    return report


def _verifier_calls(flow: Flow) -> Iterator[VerifierCall]:
    """The calls of a verifier, by its interface or by its address."""
    bodies = [function["body"] for function in flow.functions]
    tries = {node["externalCall"]["id"] for node in kinds(bodies, "TryStatement")}
    for call in kinds(bodies, "FunctionCall"):
        callee = called_by(call)
        name, arguments = callee.get("memberName", ""), call["arguments"]
        if name in LOW_LEVEL and _type(callee["expression"]).startswith("address") and arguments:
            given = arguments[0]
            if _type(given).startswith("literal_string"):
                continue  # a transfer of ether
            encoded = _encoding(given, flow)
            if encoded is None:
                yield VerifierCall(call, None, None, raw=True, guarded=True)
            elif _names_verifier(encoded):
                yield VerifierCall(call, *_arguments(encoded), raw=False, guarded=True)
        elif VERIFYING.search(name) and " external" in _type(callee):
            yield VerifierCall(call, *_arguments(call), raw=False, guarded=call["id"] in tries)


def _type(node: Node) -> str:
    return node.get("typeDescriptions", {}).get("typeString") or ""


def _encoding(given: Node, flow: Flow) -> Node | None:
    """The call of abi.encode… that makes these bytes."""
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
    """Find the proof and the instances among the arguments by their types."""
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
    """The checks of one function that calls a verifier."""

    def __init__(self, report: Report, name: str, flow: Flow, calls: list[VerifierCall]) -> None:
        self.report, self.name, self.flow, self.calls = report, name, flow, calls
        self.instances = flow.aliases(*(call.instances for call in calls if call.instances))
        self.proofs = flow.aliases(*(call.proof for call in calls if call.proof))
        self.bodies = [function["body"] for function in flow.functions]

    def all(self) -> None:
        if not self._calldata():
            return
        self._instance_count()
        self._account()
        self._replays()
        self._negative_outputs()
        self._revert_reason()
        self._answer()

    def _check(
        self, holds: bool, passed: str, name: str, severity: Severity, what: str, remedy: str
    ) -> bool:
        finding = Finding(name, severity, what, f"in {self.name}", remedy)
        return self.report.check(holds, f"{self.name} {passed}", finding)

    def _calldata(self) -> bool:
        return self._check(
            not any(call.raw for call in self.calls),
            "encodes the calldata for the verifier",
            "raw-calldata",
            Severity.CRITICAL,
            "The caller supplies the calldata for the verifier.",
            "Take the proof and the instances as arguments and call the verifier's function with "
            "them: crafted calldata can make a false proof pass.",
        )

    def _instance_count(self) -> None:
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
            "checks the number of instances",
            "instance-count",
            Severity.HIGH,
            "The number of instances is not checked.",
            "Require that instances.length is the circuit's before reading an instance.",
        )

    def _account(self) -> None:
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
            "binds the credited account to the proof",
            "beneficiary-not-bound",
            Severity.CRITICAL,
            "The proof does not name the account that profits: anyone can copy and use it first.",
            "Make the account a public output of the circuit and compare it with the credited "
            "account.",
        )

    def _replays(self) -> None:
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
        read = self.flow.behind(*conditions)
        guards = {target: node for target, node in written.items() if target in read}
        if not self._check(
            bool(guards),
            "records the proved statement",
            "no-replay-guard",
            Severity.HIGH,
            "The same proof can be used again.",
            "Record the account and the round, and refuse them the second time.",
        ):
            return
        by_proof = all(self._keyed_by_proof(node["leftHandSide"]) for node in guards.values())
        self._check(
            not by_proof,
            "recognises replays by the proved statement",
            "replay-by-proof",
            Severity.HIGH,
            "Replays are recognised by the proof's bytes, but a statement has many proofs.",
            "Record the account and the round instead.",
        )

    def _negative_outputs(self) -> None:
        ordered = [
            condition
            for condition in self.flow.conditions
            if condition["operator"] not in ("==", "!=")
            and any(self._reads_instance(side) for side in _sides(condition))
        ]
        bounded = any(self._largest(side) > HUGE for c in ordered for side in _sides(c))
        self._check(
            not ordered or bounded,
            "distinguishes negative outputs from large ones",
            "negative-output",
            Severity.HIGH,
            "A negative output passes as a large one: it is the field's order minus its size.",
            "Refuse outputs above 2**127, or read those above the order minus 2**127 as negative.",
        )

    def _revert_reason(self) -> None:
        self._check(
            all(call.guarded for call in self.calls),
            "reverts with a custom error for an invalid proof",
            "verifier-revert",
            Severity.LOW,
            "An invalid proof reverts without a reason, because the verifier does.",
            "Call the verifier in a try and revert with a custom error in its catch.",
        )

    def _answer(self) -> None:
        dropped = [
            statement
            for statement in kinds(
                self.bodies, "ExpressionStatement", "VariableDeclarationStatement"
            )
            if self._drops(statement)
        ]
        self._check(
            not dropped,
            "uses the verifier's answer",
            "answer-ignored",
            Severity.CRITICAL,
            "The verifier's answer is ignored.",
            "Revert unless the call succeeded and returned true.",
        )

    def _drops(self, statement: Node) -> bool:
        """Return whether a statement calls the verifier and nothing depends on the answer."""
        calls = {call.call["id"] for call in self.calls}
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
        """Return whether the application allocates this array."""
        return any(
            call["expression"]["nodeType"] == "NewExpression"
            for value in self.flow.into.get(target, [])
            for call in kinds(value, "FunctionCall")
        )

    def _reads_instance(self, expression: Node) -> bool:
        """Return whether an expression depends on an instance, not only on their number."""
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
        """The mappings in storage that an assignment writes to."""
        return {
            target
            for target in self.flow.behind(left)
            if self._declared(target).get("stateVariable")
            and "mapping" in _type(self._declared(target))
        }

    def _keyed_by_proof(self, left: Node) -> bool:
        keys = [node["indexExpression"] for node in kinds(left, "IndexAccess")]
        return bool(self.flow.behind(*keys) & self.proofs)


def _replaces_verifier(flow: Flow) -> bool:
    """Return whether the functions assign to a state variable that is named like a verifier."""
    assignments = kinds([function["body"] for function in flow.functions], "Assignment")
    targets = (node["leftHandSide"].get("referencedDeclaration", 0) for node in assignments)
    variables = [flow.program.nodes.get(target, {}) for target in targets]
    return any(v.get("stateVariable") and VERIFYING.search(v["name"]) for v in variables)


def _sides(condition: Node) -> tuple[Node, Node]:
    return condition["leftExpression"], condition["rightExpression"]


def _both_ways(condition: Node) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    left, right = _sides(condition)
    return (left, right), (right, left)

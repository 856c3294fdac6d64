"""The changes of one line that a source allows, for `tests.mutants`."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path

from zk import solc
from zk.audit.sources import sources_of
from zk.errors import CircuitError
from zk.files import ROOT

SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in"}
SWAPS |= {"not in": "in", "is": "is not", "is not": "is", "and": "or", "or": "and", "+": "-"}
SWAPS |= {"-": "+", "<<": ">>", ">>": "<<", "+=": "-=", "-=": "+=", "&&": "||", "||": "&&"}
SWAPS |= {"true": "false", "false": "true", "--": "++", "++": "--", ">>=": "<<="}
CHECKS = re.compile(r"_?(check|require|verify|raise)")
SILENT = re.compile(r"(tqdm|bar|print|report|log\w*)(\.\w+)?")  # calls that only inform people

# A line, the first and last of its bytes that change, and their new text: SWAP for an operator's.
Change = tuple[int, int, int, str]


def python_changes(source: str) -> Iterator[Change]:
    for node in _code(ast.parse(source)):
        yield from _swapped(node)
        if node.lineno == node.end_lineno:
            yield from _within(node)
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
            yield node.lineno, node.test.col_offset, node.body[0].col_offset * 99, "False:"
        if isinstance(node, ast.Raise):
            yield node.lineno, node.col_offset, node.col_offset, "if 0: "


def _code(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield expressions and statements, without annotations, decorators and texts."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, ast.Raise):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_text(child):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            yield from _code(child)


def _is_text(node: ast.AST) -> bool:
    """Return whether a node is a message, an import or a call that only informs people."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Call):
        return bool(SILENT.fullmatch(ast.unparse(node.func)))
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _swapped(node: ast.expr | ast.stmt) -> Iterator[Change]:
    """Yield the changes of the operators of a node."""
    match node:
        case ast.Compare(left=first, comparators=others):
            operands = [first, *others]
        case ast.BoolOp(values=operands):
            pass
        case ast.BinOp(left=one, right=other) | ast.AugAssign(target=one, value=other):
            operands = [one, other]
        case _:
            operands = []
    for one, other in pairwise(operands):
        start = one.end_col_offset if one.end_lineno == other.lineno else 0
        yield other.lineno, start or 0, other.col_offset, "SWAP"


def _within(node: ast.expr | ast.stmt) -> Iterator[Change]:
    """Yield the other changes of a node that fits a line."""
    here, start, end = node.lineno, node.col_offset, node.end_col_offset or 0
    match node:
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield here, start, operand.col_offset, ""
        case ast.Constant(value=bool(value)):
            yield here, start, end, str(not value)
        case ast.Constant(value=int(value)):
            yield here, start, end, str(value + 1)
            yield here, start, end, str(value - 1)
        case ast.Call(args=[one, other, *_]):
            first, second = ast.unparse(one), ast.unparse(other)
            if first != second and "*" not in (first[0], second[0]):
                yield here, one.col_offset, other.end_col_offset or 0, f"{second}, {first}"
        case ast.Expr(value=ast.Call(func=function)):
            if CHECKS.match(ast.unparse(function).rpartition(".")[2]):
                yield here, start, start, "if 0: "


def solidity_changes(source: str) -> Iterator[Change]:
    for number, line in enumerate(source.split("\n"), start=1):
        code = line.split("//")[0]
        if re.match(r"\s*(/?\*|pragma|import|///|library|abstract)|^\s*$", code):
            continue
        for found in re.finditer(r"(?<= )([<>=!]=|>>=|<<|>>|[-+]=|[-+<>]|&&|\|\|)(?= )", code):
            yield number, *found.span(), "SWAP"
        for found in re.finditer(r"\+\+|--|\b(true|false)\b", code):
            yield number, *found.span(), "SWAP"
        for found in re.finditer(r"!(?!=)", code):
            yield number, *found.span(), ""
        for found in re.finditer(r"\b\d+\b", code):
            yield number, *found.span(), str(int(found[0]) + 1)
            yield number, *found.span(), str(int(found[0]) - 1)
        if re.match(r"\s+(if \(.*\) revert .*|_\w+\(.*\));$", code):
            yield number, 0, len(line), ""
        for found in re.finditer(r"(?<=^        if \().*(?=\) \{$)", code):
            yield number, *found.span(), "false"
        if not re.search(r"\b(function|constructor|event|error)\b", code):
            for found in re.finditer(r"(?<=\()([^(),]+), ([^(),]+)(?=[,)])", code):
                yield number, *found.span(), f"{found[2]}, {found[1]}"


def changed_lines(source: str, *, solidity: bool) -> list[tuple[int, str]]:
    """Return the number and the new text of each line that can be changed."""
    lines, found = source.split("\n"), dict[tuple[int, str], None]()
    for number, start, end, text in (
        solidity_changes(source) if solidity else python_changes(source)
    ):
        line = lines[number - 1].encode()
        part = line[start:end].decode()
        operator = part.strip(" )(")
        new = part.replace(operator, SWAPS.get(operator, operator)) if text == "SWAP" else text
        after = (line[:start] + new.encode() + line[end:]).decode()
        if after != lines[number - 1]:
            found[number, after] = None
    return list(found)


@cache
def contracts() -> dict[str, str]:
    """Return the project's contracts and the files of packages that they import."""
    own = [path for path in (ROOT / "contracts").rglob("*.sol") if "verifiers" not in path.parts]
    packages = (ROOT / "node_modules").resolve()
    imported = {Path(file) for path in own for file in sources_of(path)}
    found = {path.relative_to(ROOT): path for path in own}
    found |= {f.relative_to(packages): f for f in imported if f.is_relative_to(packages)}
    return {str(name): path.read_text() for name, path in found.items()}


def compiles(file: str, content: str) -> bool:
    """Return whether a file with this content parses or, in Solidity, compiles."""
    if file.endswith(".py"):
        with suppress(SyntaxError):
            return bool(ast.parse(content))
        return False
    with suppress(CircuitError):
        solc.compiled(file, {**contracts(), file: content}, {"outputSelection": {}})
        return True
    return False

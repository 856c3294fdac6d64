"""The contracts of the npm package compile with the oldest and the newest compiler it is for."""

import json
import subprocess
from pathlib import Path

import pytest

from zk.files import ROOT

CONTRACTS = ROOT / "contracts"
# Compiles a question from standard input; imports come from node_modules.
COMPILE = """
const { readFileSync } = require("fs");
const found = (path) => ({ contents: readFileSync(`node_modules/${path}`, "utf8") });
const compiler = require(process.argv[1]);
process.stdout.write(compiler.compile(readFileSync(0, "utf8"), { import: found }));
"""


def sources() -> dict[str, Path]:
    """The files of the package."""
    folders = json.loads((CONTRACTS / "package.json").read_text())["files"]
    paths = [path for folder in folders for path in (CONTRACTS / folder).glob("*.sol")]
    return {str(path.relative_to(CONTRACTS)): path for path in paths}


def errors(compiler: str, given: dict[str, Path]) -> list[str]:
    question = {
        "language": "Solidity",
        "sources": {name: {"content": path.read_text()} for name, path in given.items()},
        "settings": {"outputSelection": {"*": {"*": ["evm.bytecode.object"]}}},
    }
    words = ["node", "-e", COMPILE, compiler]
    answer = subprocess.run(
        words, cwd=ROOT, input=json.dumps(question), capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout).get("errors", [])
    return [one["formattedMessage"] for one in found if one["severity"] == "error"]


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["solc-0.8.20", "solc"])
def test_package_compiles(compiler):
    assert len(sources()) >= 10
    assert errors(compiler, sources()) == []


def test_a_contract_for_a_newer_compiler_is_noticed(tmp_path):
    newer = tmp_path / "Newer.sol"
    newer.write_text("pragma solidity ^0.8.30; contract Newer {}")
    assert "requires different compiler version" in errors("solc-0.8.20", {"Newer.sol": newer})[0]

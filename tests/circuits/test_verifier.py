"""Solidity verifiers: the code that is compiled is the code that Ape deploys, and is hashed."""

import hashlib
from typing import Any

import pytest
import yaml

from chain import compiler
from chain.contracts import compiled_verifier
from zk import solc
from zk.errors import CircuitError
from zk.files import ROOT
from zk.manifest import Manifest
from zk.solc import SETTINGS, SOLC, require_solc
from zk.verifier import LARGEST_CODE, runtime_code, without_metadata, write_verifier

SOURCE = """// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;
contract One {
    function one() external pure returns (uint256) { return 1; }
}
contract Two {}
"""


def test_limit_and_settings_are_the_chains_and_apes(project):
    assert LARGEST_CODE == 0x6000  # EIP-170
    config = yaml.safe_load((ROOT / "ape-config.yaml").read_text())["solidity"]
    assert (SOLC, SETTINGS["evmVersion"]) == (config["version"], config["evm_version"])
    assert SETTINGS["optimizer"] == {"enabled": True, "runs": 200}
    assert "viaIR" not in SETTINGS and config["via_ir"] is False


def test_metadata_is_cut_off():
    code = runtime_code("One", SOURCE)
    assert len(without_metadata(code)) == len(code) - 53
    assert code.startswith(without_metadata(code))
    other = SOURCE.replace("MIT\n", "MIT\n// another comment\n")
    assert runtime_code("One", other) != code
    assert without_metadata(runtime_code("One", other)) == without_metadata(code)


@pytest.mark.parametrize("tail", [b"\x00\x00", b"meta\x00\x04", b"\xff\xff"])
def test_nothing_but_metadata_is_cut_off(tail):
    """A deployed contract cannot hide code by a false length of its metadata."""
    code = runtime_code("One", SOURCE)
    assert without_metadata(code + tail) == code + tail
    for place in (-53, -1):
        edited = bytearray(code)
        edited[place] ^= 1
        assert without_metadata(bytes(edited)) == edited


def test_contract_of_the_name_is_compiled():
    assert runtime_code("One", SOURCE) != runtime_code("Two", SOURCE)
    assert len(without_metadata(runtime_code("Two", SOURCE))) < 64


def test_verifier_is_written_compiled_and_hashed(first_build, tmp_path):
    manifest = Manifest(first_build[0] / "artifacts" / "tiny")
    path = tmp_path / "TinyVerifier.sol"
    files = (manifest.file(name) for name in ("vk", "settings", "srs"))
    facts = write_verifier("TinyVerifier", *files, path)
    assert path.read_bytes() == manifest.file("verifier").read_bytes()
    assert facts == {name: manifest["verifier"][name] for name in facts}
    code = without_metadata(runtime_code("TinyVerifier", path.read_text()))
    assert facts == {
        "runtime_sha256": hashlib.sha256(code).hexdigest(),
        "runtime_bytes": len(code),
    }
    assert 1000 < len(code) <= LARGEST_CODE
    assert [file.name for file in tmp_path.iterdir()] == ["TinyVerifier.sol"]


def test_deploying_asks_the_compiler_what_the_build_asked(manifest, monkeypatch):
    """Its answer is kept, and compiling a verifier again would take a second."""
    answer, asked = solc.compiled, list[tuple[object, ...]]()

    def compiled(*question: Any) -> Any:
        asked.append(question)
        return answer(*question)

    monkeypatch.setattr(solc, "compiled", compiled)
    monkeypatch.setattr(compiler, "_container", compiler._container.__wrapped__)
    compiled_verifier(manifest)
    name, source = manifest["verifier"]["contract"], manifest.file("verifier").read_text()
    runtime_code.__wrapped__(name, source)
    assert asked[0] == asked[1]


def test_source_that_solc_refuses():
    place = r"\(contracts/verifiers/One\.sol:4:61\)\.$"
    with pytest.raises(CircuitError, match=rf"cannot compile One: DeclarationError: .* {place}"):
        runtime_code("One", SOURCE.replace("return 1", "return nothing"))


def test_compiler_that_is_not_installed(monkeypatch):
    require_solc()
    monkeypatch.setattr(solc, "SOLC", "0.8.1")
    with pytest.raises(CircuitError, match=r"solc 0\.8\.1 is not installed: run `make setup`"):
        require_solc()
    with pytest.raises(CircuitError, match=r"solc 0\.8\.1 is not installed"):
        runtime_code("One", SOURCE + "\n")

"""Audits of Groth16, PLONK, fflonk and Noir verifiers: each planted fault, and sound twins."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from apps.audit import audit_address
from chain.accounts import account_of
from chain.contracts import answer_of
from tests.audits import compiled_together, named, planted
from tests.groth16 import BASE, OUTSIDE, Secrets, key_of, source_for_keys, with_key
from zk.audit import curve
from zk.audit.calldata import FlatCall
from zk.audit.code import Linked, libraries_of
from zk.audit.curve import GENERATOR
from zk.audit.findings import Report
from zk.audit.interfaces import interfaces_of
from zk.audit.machine import run
from zk.audit.syntax import verifiers_of
from zk.audit.verifier import audit_verifier
from zk.files import ROOT
from zk.layout import FIELD

pytestmark = pytest.mark.slow

ADDRESS = "0x" + "ab" * 20
VERIFIERS = ROOT / "tests" / "contracts" / "verifiers"
SECRETS, OTHER_GAMMA = Secrets(), Secrets(gamma=0xC3C3)
KEY, OTHER = key_of(SECRETS), key_of(OTHER_GAMMA)
DOUBLE_DELTA = curve.scaled_second(OTHER.gamma, 2)
WITHOUT_CONTRIBUTION = key_of(Secrets(delta=1))  # of the ceremony's second phase

# For each finding, a key or the text of a sound verifier that is replaced, and its replacement.
FAULTY_GROTH16: dict[str, list[int] | tuple[str, str]] = {
    "related-key": WITHOUT_CONTRIBUTION.words,
    "related-key 2": replace(OTHER, delta=OTHER.gamma).words,
    "related-key 3": replace(OTHER, delta=curve.negated(DOUBLE_DELTA)).words,
    "related-key 4": replace(OTHER, beta=OTHER.gamma).words,
    "related-key 5": replace(OTHER, beta=OTHER.delta).words,
    "related-key 6": replace(OTHER, gamma=(0, 0, 0, 0)).words,
    "related-key 7": replace(OTHER, alpha=(0, 0)).words,
    "known-secret": replace(OTHER, delta=GENERATOR).words,
    "known-secret 2": replace(OTHER, beta=curve.scaled_second(GENERATOR, 3)).words,
    "known-secret 3": replace(KEY, alpha=BASE).words,
    "bad-key-point": replace(KEY, alpha=(KEY.alpha[0], KEY.alpha[1] + 1)).words,
    "bad-key-point 2": replace(KEY, delta=OUTSIDE).words,
    "bad-key-point 3": replace(KEY, points=(*KEY.points[:2], (1, 3))).words,
    "shared-key-point": replace(KEY, points=(*KEY.points[:2], KEY.points[1])).words,
    "instance-unused": replace(KEY, points=(*KEY.points[:2], (0, 0))).words,
    "instance-unused 2": ("key[17 + 2 * i]], instances[i]", "key[17 + 2 * i]], instances[0]"),
    "instance-range": ("if (instances[i] >= ORDER) return false;", ""),
    "instance-count": (
        "return _holds(",
        "uint256 more; assembly { more := calldataload(0x144) }\n"
        "total = _sum(total, _product(total, more)); return _holds(",
    ),
    "result-ignored": ("return ok && abi.decode(answer, (bool));", "return ok;"),
    "result-ignored 2": (
        "require(ok);\n        return abi.decode(answer, (uint256[2]))",
        "return abi.decode(ok ? answer : abi.encode(1, 2), (uint256[2]))",
    ),
    "accepts-anything": ("total = _sum(total, _product(", "_sum(total, _product("),
    "accepts-anything 2": ("return _holds(proof, key, total);", "return key[0] > 0;"),
    "accepts-anything 3": (
        "return _holds(proof, key, total);",
        "for (uint256 i = 0; i < 6; i++) proof[i] = key[i];\n"
        "(proof[6], proof[7]) = (key[0], key[1]); return _holds(proof, key, total);",
    ),
    "accepts-anything 4": ("if (instances[i] >= ORDER) return false;", "return instances[1] == 9;"),
}
# A contract with two functions that check proofs with different keys.
OTHER_BETA = curve.scaled_second(GENERATOR, 0x9999)
OTHER_KEY = (
    "return _holds(",
    f"if (msg.sig == 0xf11817b2) (key[2], key[3], key[4], key[5]) = {OTHER_BETA}; return _holds(",
)
SRS = curve.CEREMONY
PLONK_KEY = [*curve.scaled(BASE, 5), *curve.scaled(BASE, 6), *SRS, *GENERATOR]
FAULTY_PLONK: dict[str, list[int] | tuple[str, str]] = {
    "known-secret": [*PLONK_KEY[:4], *curve.scaled_second(GENERATOR, 2), *GENERATOR],
    "bad-key-point": [*PLONK_KEY[:4], *OUTSIDE, *GENERATOR],
    "bad-key-point 2": [PLONK_KEY[0], 7, *PLONK_KEY[2:]],
    "instance-range": ("if (instances[i] >= ORDER) return false;", ""),
    "instances-not-absorbed": ("_key(), instances, proof", "_key(), instances[0], proof"),
    "proof-not-absorbed": ("instances, proof)", "instances, proof[0], proof[9])"),
    "result-ignored": ("return ok && abi.decode(answer, (bool));", "return ok;"),
    "accepts-anything": (
        "uint256[12] memory pairs;",
        "uint256[12] memory pairs; if (key[0] != total[0]) return true;",
    ),
}
# Verifiers that do not verify, by the function that applications call.
PERMISSIVE_VERIFIERS = {
    "true": "return true;",
    "lengths": "return proof.length == 320 && instances.length == 2;",
    "content": "return proof.length == 64 && instances[0] == 1;",
    "flag": "return flag;",
    "constant": "return calls(abi.encode(uint256(1), uint256(2)), 6) && pairs();",
}
PERMISSIVE = """
contract Permissive {
    bool flag;
    function verify{name}(bytes calldata proof, {inputs}[] calldata instances)
        external view returns (bool)
    { {body} }
    function calls(bytes memory data, uint160 to) private view returns (bool ok) {
        (ok,) = address(to).staticcall(data);
    }
    function pairs() private view returns (bool) {
        (bool ok, bytes memory answer) = address(8).staticcall(new bytes(384));
        return ok && abi.decode(answer, (bool));
    }
}
"""
# As Noir generates them: the concrete contract has the key, its base the function.
NOIR = """
abstract contract Base {
    function key() internal pure virtual returns (uint256);
    function verify(bytes calldata proof, bytes32[] calldata inputs) external view returns (bool) {
        require(inputs.length == 2 && proof.length == 64);
        return BODY;
    }
}
contract HonkVerifier is Base {
    function key() internal pure override returns (uint256) { return 5; }
}
"""
# Its transcript is in a library that is deployed separately.
ASKING = "Transcript.holds(proof, inputs)"
TRANSCRIPT = """
library Transcript {
    function holds(bytes calldata proof, bytes32[] calldata inputs) external pure returns (bool) {
        return proof.length == 64 && inputs.length == 2;
    }
}
"""
# As RISC Zero and SP1 wrap a Groth16 verifier: the instances are hashes of the arguments.
WRAPPED = """
contract Wrapped is Answering {
    struct Seal { uint256[2] a; uint256[2][2] b; uint256[2] c; }
    function verify(bytes calldata seal, bytes32 image, bytes32 journal) external view {
        inner(seal, sha256(abi.encode(image, journal)), 0);
    }
    function verifyProof(bytes32 program, bytes calldata values, bytes calldata seal)
        external view
    {
        inner(seal, program, sha256(values));
    }
    function inner(bytes calldata seal, bytes32 one, bytes32 other) private view {
        Seal memory s = abi.decode(seal[4:], (Seal));
        require(this.verifyProof(s.a, s.b, s.c, [uint256(one) >> 8, uint256(other) >> 8]));
    }
}
"""
# Like SP1's, it calls itself and reverts unless that call returns; solc asks for its code size.
CHOSEN = """
contract Chosen is Reverting {
    function verifyProof(bytes32 program, bytes calldata values, bytes calldata seal)
        external view
    {
        require(bytes4(seal[:4]) == 0x12345678);
        this.verifyProof(
            abi.decode(seal[4:], (uint256[8])), [uint256(program), uint256(sha256(values)) >> 3]
        );
    }
}
"""
FAULTY_CHOSEN = {
    "of another": ("this.verify", "Reverting(address(uint160(uint256(program)))).verify"),
    "of its caller": ("this.verify", "Reverting(msg.sender).verify"),
    "of a part of its address": (
        "this.verify",
        "Reverting(address(uint160(address(this)) & uint160(uint256(program)))).verify",
    ),
}
# Data behind the code: 0x5b is a JUMPDEST, 0x33ff a SELFDESTRUCT, 0x631e8e1e13 a selector.
WITH_DATA = """
contract WithData is Answering {
    function table() external pure returns (bytes memory) {
        return hex"{data}";
    }
}
""".replace("{data}", "5b33ff5b631e8e1e13" * 20)
# The code of another contract is data, too, but for the instruction that makes it one.
MAKING = """
contract Kept { uint256 public kept; function keep(uint256 other) external { kept = other; } }
contract Making is Answering {
    function make() external returns (address) { return address(new Kept()); }
}
"""
# The pairing in a library that calls another one.
LIBRARIES = """
library Equation {
    event Kept();
    function holds(uint256[24] memory pairs) external view returns (bool) {
        return Pairing.asked(abi.encode(pairs));
    }
}
library Pairing {
    function asked(bytes memory pairs) external view returns (bool) {
        (bool ok, bytes memory answer) = address(8).staticcall(pairs);
        return ok && abi.decode(answer, (bool));
    }
}
"""
TO_LIBRARY = (
    "re:\\(bool ok, bytes memory answer\\) = address\\(8\\)(.|\\n)*?return ok.*",
    "return Equation.holds(pairs);",
)
FAULTY_LIBRARIES = {
    "result-ignored": ("return ok && abi.decode(answer, (bool));", "return ok;"),
    "result-ignored 2": (
        "return ok && abi.decode(answer, (bool));",
        "return abi.decode(ok ? answer : abi.encode(true), (bool));",
    ),
    "accepts-anything": (
        "return Pairing.asked(abi.encode(pairs));",
        "return Pairing.asked(new bytes(384));",
    ),
    "changeable": ("event Kept();", "function own() external { assembly { sstore(0, 1) } }"),
    "strange-instructions": (
        "event Kept();",
        "function end() external { selfdestruct(payable(msg.sender)); }",
    ),
}


NO_POINT = (
    "return _holds(proof, key, total);",
    "if (total[0] != 1) total[1] ^= 1; return _holds(proof, key, total);",
)


@pytest.fixture(scope="module")
def verifiers(tmp_path_factory) -> Iterator[Callable[[str], dict[str, bytes]]]:
    """The code of a sound or faulty verifier's contracts, by its name."""
    folder = tmp_path_factory.mktemp("families")
    groth16, plonk = (source_for_keys(VERIFIERS / f"{name}.sol") for name in ("Groth16", "Plonk"))
    sources = {
        "groth16": groth16,
        "groth16 other-key": planted(groth16, OTHER_KEY),
        "groth16 wrapped": groth16 + WRAPPED,
        "groth16 chosen": groth16 + CHOSEN,
        "groth16 data": groth16 + WITH_DATA,
        "groth16 no point": planted(groth16, NO_POINT),
        "groth16 making": groth16 + MAKING,
        "groth16 library": planted(groth16, TO_LIBRARY) + LIBRARIES,
        "plonk": plonk,
        "noir": NOIR.replace("BODY", "uint256(inputs[0]) == key()"),
        "noir hash": NOIR.replace("BODY", "uint256(keccak256(proof)) == key()"),
        "noir library": NOIR.replace("BODY", ASKING) + TRANSCRIPT,
        "noir library hash": NOIR.replace("BODY", ASKING)
        + planted(TRANSCRIPT, ("proof.length == 64", "uint256(keccak256(proof)) == 5")),
    }
    keys = {"groth16 gamma": OTHER.words}
    for family, source, faults in (
        ("groth16", groth16, FAULTY_GROTH16),
        ("groth16 chosen", sources["groth16 chosen"], FAULTY_CHOSEN),
        ("groth16 library", sources["groth16 library"], FAULTY_LIBRARIES),
        ("plonk", plonk, FAULTY_PLONK),
    ):
        for name, fault in faults.items():
            if isinstance(fault, tuple):
                sources[f"{family} {name}"] = planted(source, fault)
            else:
                keys[f"{family} {name}"] = fault
    for name, body in PERMISSIVE_VERIFIERS.items():
        sources[f"halo2 {name}"] = permissive("Proof", "uint256", body)
        sources[f"noir {name}"] = permissive("", "bytes32", body.replace("[0] == 1", "[0] != 0"))
    files = {name: folder / name / "Verifier.sol" for name in sources}
    for name, file in files.items():
        file.parent.mkdir()
        file.write_text(sources[name])
    sound = {"groth16": KEY.words, "plonk": PLONK_KEY}

    def codes(name: str) -> dict[str, bytes]:
        family = name.split()[0]
        found = verifiers_of(files[family if name in keys else name])
        if family not in sound:
            return found
        key = keys.get(name, sound[family])
        return {
            contract: Linked(with_key(code, key), libraries_of(code))
            for contract, code in found.items()
        }

    with compiled_together(folder, list(files.values())):
        yield codes


def permissive(name: str, inputs: str, body: str) -> str:
    source = PERMISSIVE.replace("{name}", name).replace("{inputs}", inputs)
    return source.replace("{body}", body)


def audits(codes: dict[str, bytes]) -> list[Report]:
    return [audit_verifier(code, name) for name, code in codes.items()]


@pytest.mark.parametrize("name", FAULTY_GROTH16)
def test_planted_fault_of_groth16(verifiers, chain, name):
    """Where the key allows a forgery, a node accepts the audit's."""
    code = verifiers(f"groth16 {name}")["Answering"]
    report = audit_verifier(code, "")
    assert named(report) == [name.split()[0]]
    assert ("forgery" in report.facts) == name.startswith("related-key")
    if "forgery" in report.facts:
        chain.provider.set_code(ADDRESS, code)
        forgery = bytes.fromhex(report.facts["forgery"][2:])
        assert int.from_bytes(answer_of(ADDRESS, forgery)) == 1
        chain.provider.set_code(ADDRESS, verifiers("groth16")["Answering"])
        assert int.from_bytes(answer_of(ADDRESS, forgery)) == 0


@pytest.mark.parametrize("name", FAULTY_PLONK)
def test_planted_fault_of_plonk(verifiers, name):
    for report in audits(verifiers(f"plonk {name}")):
        assert named(report) == [name.split()[0]]


@pytest.mark.parametrize("name", ["groth16", "groth16 gamma", "plonk"])
def test_sound_twins(verifiers, name):
    """snarkjs' gamma is the generator, which is no fault."""
    reports = audits(verifiers(name))
    assert len(reports) == 2
    for report in reports:
        assert not named(report)
        assert report.facts["instances"] == 2
        malleable = "proof-malleable" in [finding.name for finding in report.findings]
        assert malleable == name.startswith("groth16")


def test_sum_that_is_no_point(verifiers):
    """The contract notices that the audit's sums are the base point. It refuses all proofs."""
    for report in audits(verifiers("groth16 no point")):
        assert named(report) == []


def test_functions_with_different_keys(verifiers):
    assert named(audit_verifier(verifiers("groth16 other-key")["Reverting"], "")) == ["other-key"]


def test_wrapped_verifier(verifiers):
    """The audit runs the functions that it knows, and names those that it does not."""
    report = audit_verifier(verifiers("groth16 wrapped")["Wrapped"], "")
    assert not named(report)
    assert "each instance has a point that no other has" in " ".join(report.passed)
    unchecked = [one.evidence for one in report.findings if one.name == "wrapper-unchecked"]
    assert ["RISC Zero" in evidence for evidence in unchecked] == [True, False]
    assert "SP1" in unchecked[1]


def test_contract_that_calls_itself(verifiers):
    report = audit_verifier(verifiers("groth16 chosen")["Chosen"], "")
    assert not named(report)
    assert "wrapper-unchecked" in [finding.name for finding in report.findings]


@pytest.mark.parametrize("name", FAULTY_CHOSEN)
def test_contract_that_calls_another(verifiers, name):
    (finding,) = audit_verifier(verifiers(f"groth16 chosen {name}")["Chosen"], "").wrong
    assert (finding.name, finding.evidence) == (
        "strange-instructions",
        "its code contains EXTCODESIZE",
    )


def test_data_behind_the_code(verifiers):
    code = verifiers("groth16 data")["WithData"]
    assert bytes.fromhex("5b33ff5b631e8e1e13") * 20 in code
    report = audit_verifier(code, "")
    assert not named(report)
    assert len(report.facts["interface"]) == 1


def test_code_of_another_contract_behind_the_code(verifiers):
    (finding,) = audit_verifier(verifiers("groth16 making")["Making"], "").wrong
    assert finding.name == "strange-instructions"
    assert finding.evidence == "its code contains CREATE"


def test_libraries_by_source_and_by_address(verifiers, chain):
    code = verifiers("groth16 library")["Answering"]
    report = audit_verifier(code, "")
    assert not named(report)
    sound = audit_verifier(verifiers("groth16")["Answering"], "")
    assert {**report.facts, "bytes": 0} == {**sound.facts, "bytes": 0}
    libraries = {account_of(address): library for address, library in libraries_of(code).items()}
    assert len(libraries) == 2
    for address, content in {ADDRESS: code, **libraries}.items():
        chain.provider.set_code(address, content)
    (report,) = audit_address(ADDRESS)
    assert not named(report)
    assert report.facts["libraries"] == list(libraries)
    for content in (b"", bytes.fromhex("ef0100") + bytes(20)):  # no library, and an account
        chain.provider.set_code(list(libraries)[-1], content)
        (report,) = audit_address(ADDRESS)
        assert "strange-instructions" in named(report)


@pytest.mark.parametrize("name", FAULTY_LIBRARIES)
def test_planted_fault_of_a_library(verifiers, name):
    report = audit_verifier(verifiers(f"groth16 library {name}")["Answering"], "")
    assert named(report) == [name.split()[0]]
    if name == "result-ignored 2":
        assert re.search(r"a failed call at 0x\w+ of library 0x\w{40}$", report.wrong[0].evidence)


@pytest.mark.parametrize("family", ["halo2", "noir"])
@pytest.mark.parametrize("name", PERMISSIVE_VERIFIERS)
def test_verifier_that_accepts_anything(verifiers, family, name):
    (report,) = audits(verifiers(f"{family} {name}"))
    assert set(named(report)) - {"changeable"} == {"accepts-anything"}
    assert ("changeable" in named(report)) == (name == "flag")


@pytest.mark.parametrize(
    "name, found",
    [
        ("noir", "accepts-anything"),
        ("noir hash", "not-understood"),
        ("noir library", "accepts-anything"),
        ("noir library hash", "not-understood"),
    ],
)
def test_inherited_verifier(verifiers, name, found):
    """The audit looks at the concrete contract: its base has the function, and no code."""
    (report,) = audits(verifiers(name))
    assert report.subject == "HonkVerifier"
    assert report.facts["interface"] == ["verify(bytes,bytes32[])"]
    assert named(report) == [found]


def call_of(code: bytes, proof: list[int], instances: list[int]) -> FlatCall:
    (interface,) = (i for i in interfaces_of(code) if i.words == 8)
    return FlatCall(proof, instances, interface.selector)


def test_proof_in_another_form(verifiers):
    """A genuine proof is valid, and so is another that is made from it without a witness."""
    code = verifiers("groth16")["Answering"]
    proof, instances = SECRETS.proof(11)
    assert instances == [121, 1331]
    assert run(code, call_of(code, proof, instances).usual()).accepted
    assert not run(code, call_of(code, proof, [122, 1331]).usual()).accepted
    a, b, c = curve.scaled((proof[0], proof[1]), 5), tuple(proof[2:6]), proof[6:]
    other = [*a, *curve.scaled_second(b, pow(5, -1, FIELD)), *c]
    assert run(code, call_of(code, other, instances).usual()).accepted


def test_groth16_by_address(verifiers, chain):
    chain.provider.set_code(ADDRESS, verifiers("groth16 instance-range")["Reverting"])
    (report,) = audit_address(ADDRESS)
    assert named(report) == ["instance-range", "instance-range"]  # of both functions
    assert [finding.evidence.split(":")[0] for finding in report.wrong] == [
        "verifyProof",
        "verifyCompressedProof",
    ]


def test_source_of_gnark(tmp_path):
    """gnark's PLONK verifiers begin the name of their function with a capital."""
    path = tmp_path / "Plonk.sol"
    function = (
        "function Verify(bytes calldata proof, uint256[] calldata) external pure returns (bool)"
    )
    path.write_text(f"contract PlonkVerifier {{ {function} {{ return proof.length > 0; }} }}")
    (report,) = audits(verifiers_of(path))
    assert report.facts["interface"] == ["Verify(bytes,uint256[])"]
    assert named(report) == ["accepts-anything"]

"""Audits name each planted fault, and find nothing in sound verifiers and applications."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from eth.vm import opcode_values
from solcx.install import get_executable

from scripts.audit import cli
from tests.audits import PACKAGES, compiled_together, named, planted
from tests.builds import built
from zk import ezkl
from zk.audit import curve
from zk.audit.application import audit_application
from zk.audit.attacks import attacks
from zk.audit.calldata import Call, Shape
from zk.audit.checks import Checks
from zk.audit.code import strange
from zk.audit.findings import Report
from zk.audit.halo2 import find_shape, forge
from zk.audit.machine import PAIRING, Run, run
from zk.audit.sources import sources_of
from zk.audit.syntax import verifiers_of
from zk.audit.verifier import audit_verifier
from zk.errors import CircuitError
from zk.files import ROOT
from zk.layout import FIELD
from zk.manifest import Manifest
from zk.solc import SOLC

pytestmark = pytest.mark.slow

APPLICATIONS = ROOT / "tests" / "contracts" / "applications"
CONTRACTS = ROOT / "contracts"

# The tiny circuit's instances 1 to 12 as the accumulator of an aggregating verifier.
ACCUMULATOR = {"has_accumulator": 1, "acc_offset": 1, "num_acc_limbs": 3, "num_acc_limb_bits": 88}
# For each finding, the text of a sound verifier that is replaced, and its replacement.
FAULTY_VERIFIERS = {
    "instance-range": ("success := and(success, lt(instance, r))", ""),
    "instance-range 2": (
        "let instance := calldataload(instance_cptr)\n",
        "let instance := and(calldataload(instance_cptr), sub(shl(128, 1), 1))\n",
    ),
    "instance-count": ("success := and(success, eq(num_instances, instances.length))", ""),
    "proof-length": (r"re:success := and\(success, eq\(0x\w+, proof.length\)\)", ""),
    "instances-not-absorbed": ("mstore(hash_mptr, instance)", "mstore(hash_mptr, 0)"),
    "proof-not-absorbed": ("mstore(hash_mptr, eval)", "mstore(hash_mptr, 0)"),
    "key-not-absorbed": ("mstore(0x00, mload(VK_DIGEST_MPTR))", "mstore(0x00, 0)"),
    "point-checks": ("re:ret0 := and\\(ret0, eq\\(mulmod\\(y, y, q\\).*", ""),
    "point-checks 2": ("ret0 := and(success, lt(x, q))", "ret0 := success"),
    "point-checks 3": ("ret0 := and(ret0, lt(y, q))", ""),
    "evaluation-range": ("success := and(success, lt(eval, r))", ""),
    "result-ignored": ("ret := and(ret, mload(0x00))", ""),
    "result-ignored 2": (
        "re:(?s)Revert if anything fails.*?\\}",
        "",
    ),
    "result-ignored 3": (
        "ret := and(success, staticcall(gas(), 0x06, 0x80, 0x80, 0x80, 0x40))",
        "pop(staticcall(gas(), 0x06, 0x80, 0x80, 0x80, 0x40)) ret := success",
    ),
    "fixed-offsets": ("success := and(success, eq(0x64, proof.offset))", ""),
    "fixed-offsets 2": (
        "let instance_cptr := instances.offset",
        "let instance_cptr := {instances}",
    ),
    "changeable": (
        "re:contract \\w+ \\{",
        "\\g<0> address owner; function own() external { owner = msg.sender; }",
    ),
    "strange-instructions": (
        "re:contract \\w+ \\{",
        "\\g<0> function end() external { selfdestruct(payable(msg.sender)); }",
    ),
    "strange-instructions 2": (
        "re:contract \\w+ \\{",
        "\\g<0> function run(address a) external { a.delegatecall(msg.data); }",
    ),
    "external-call": (
        "let success := true",
        "let success := staticcall(gas(), 0x123456, 0, 0, 0, 0)",
    ),
    "bad-srs-point": ("re:(0x\\w+)\\w\\w(\\) // neg_s_g2_x_1)", "\\g<1>\\g<2>"),
    "known-secret": ("{secret}", "{generator}"),
    "accumulator-ignored": (
        "re:(if) mload\\(HAS_ACCUMULATOR_MPTR\\)(?=\\s*\\{\\s*mstore)",
        "\\g<1> 0",
    ),
}
FAULTY_APPLICATIONS = {
    "instance-count": ("if (instances.length != 2) revert Refused();", ""),
    "beneficiary-not-bound": (
        "if (instances[0] != uint160(address(account))) revert Refused();",
        "",
    ),
    "beneficiary-not-bound 2": ("uint160(address(account))", "uint160(address(this))"),
    "no-replay-guard": ("if (won[account]) revert Refused();", ""),
    "no-replay-guard 2": ("won[account] = true;", ""),
    # A limit of a sum refuses no replay until the sum reaches it.
    "no-replay-guard 3": (
        "re:(=> bool\\) public used;)((.|\\n)*)if \\(won.account.\\)((.|\\n)*)won.account. = true;",
        "\\g<1> mapping(address => uint256) public paid;\\g<2>"
        "if (paid[account] > 9 ether)\\g<4>paid[account] += score;",
    ),
    "replay-by-proof": ("won[account]", "used[keccak256(proof)]"),
    "negative-output": ("if (score >= LARGEST) revert Refused();", ""),
    "verifier-revert": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n\\n",
        "require(verifier.verifyProof(proof, instances));\n",
    ),
    "answer-ignored": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n\\n",
        "verifier.verifyProof(proof, instances);\n",
    ),
    "answer-ignored 2": ("re:catch {[^}]*}", "catch {}"),
    "raw-calldata": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n\\n",
        "(bool ok,) = address(verifier).staticcall(msg.data[4:]);\n"
        "if (!ok) revert InvalidProof();\n",
    ),
    "changeable-verifier": (
        "re:immutable verifier;",
        "verifier; function replace(IVerifier other) external { verifier = other; }",
    ),
}
# The same for the base contract of the project's applications.
FAULTY_BASES = {
    "beneficiary-not-bound": (
        "re:if \\(instances\\[i\\] != limb\\).*",
        "",
    ),
    "beneficiary-not-bound 2": ("((hash % DOMAINS) << 160) | uint160(account)", "hash"),
    "verifier-revert": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n    \\}",
        "require(verifier.verifyProof(proof, instances)); }",
    ),
    "answer-ignored": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n    \\}",
        "verifier.verifyProof(proof, instances); }",
    ),
    "raw-calldata": (
        "re:try verifier(.|\\n)*?\\n        \\}\\n    \\}",
        "(bool ok,) = address(verifier).staticcall(msg.data[4:]); require(ok); }",
    ),
    "changeable-verifier": (
        "immutable verifier;",
        "verifier; function replace(IVerifier other) external { verifier = other; }",
    ),
}
# One application of each class that audits often get wrong: the sound one, a fault in it, and what
# the audit must find then.
PLANTED = {
    "low-level data": (
        "Tokens",
        "require(verifier.verifyProof(proof, [uint256(uint160(account)), amount]));",
        "(bool success,) = address(verifier).staticcall(proof); require(success);",
        {"raw-calldata", "beneficiary-not-bound", "value-not-bound"},
    ),
    "low-level callee": (
        "Tokens",
        "token.pay(account, amount)",
        "(bool success,) = account.call{value: deposit}(abi.encode(amount)); require(success)",
        {"value-not-bound"},
    ),
    "encoded by the caller": (
        "Encoded",
        "_encoded(proof, instances)",
        "proof",
        {"raw-calldata", "beneficiary-not-bound", "value-not-bound"},
    ),
    "encoded one call deep": (
        "Encoded",
        "if (instances[0] != uint160(account)) revert Refused();",
        "",
        {"beneficiary-not-bound"},
    ),
    "unchecked caller": ("Oracle", "external onlyReporter", "external", {"beneficiary-not-bound"}),
    "unproved price": (
        "Oracle",
        "abi.encode(time, newPrice)",
        "abi.encode(time)",
        {"value-not-bound"},
    ),
    "something written": (
        "Receipt",
        "emit Shown(msg.sender, input[0])",
        "shown[msg.sender] = input[0]",
        {"beneficiary-not-bound", "no-replay-guard"},
    ),
    "account beside the packed one": (
        "Packed",
        "if (_accountIn(packed) != account) revert Refused();",
        "",
        {"beneficiary-not-bound"},
    ),
    "pointer to the proof": (
        "Pointer",
        "return bytes32(nullifier);",
        "return keccak256(abi.encode(nullifier, proof.a));",
        {"replay-by-proof"},
    ),
    "pointer without a guard": ("Pointer", "entry.used = true;", "", {"no-replay-guard"}),
    "unproved campaign": ("Pointer", "campaign.root, ", "0, ", {"value-not-bound"}),
    "balance as a guard": (
        "Badge",
        "require(!used[nullifier]);",
        "require(balanceOf(to) == 0);",
        {"no-replay-guard"},
    ),
    "fresh number as a guard": ("Badge", "require(!used[nullifier]);", "", {"no-replay-guard"}),
    "unproved nullifier": (
        "Badge",
        "publicInputs[1] = nullifier;",
        "",
        {"no-replay-guard", "value-not-bound"},
    ),
    "number that need not grow": (
        "Growing",
        "require(next.index > state.index);",
        "",
        {"no-replay-guard"},
    ),
    "any verifier": ("Allowed", "require(allowed[verifier]);", "", {"verifier-from-caller"}),
    "anyone allows verifiers": (
        "Allowed",
        "require(msg.sender == owner);",
        "",
        {"verifier-from-caller"},
    ),
    "unproved fee": ("Withdrawal", "input[4] = fee;", "", {"value-not-bound"}),
    "unproved relayer": (
        "Withdrawal",
        "input[3] = uint256(uint160(address(relayer)));",
        "",
        {"value-not-bound"},
    ),
    "any program": (
        "Machine",
        "re:written, bytes calldata seal\\) external {\\n +verifier.verify\\(seal, IMAGE_ID",
        "written, bytes32 image, bytes calldata seal) external { verifier.verify(seal, image",
        {"key-from-caller"},
    ),
    "used nonce": ("Machine", "nonces[journal.account]++", "journal.nonce", {"no-replay-guard"}),
    "inherited verifier": (
        "Inherited",
        "require(_isValid(proof, [uint256(uint160(msg.sender)), class]));",
        "_isValid(proof, [uint256(uint160(msg.sender)), class]);",
        {"answer-ignored"},
    ),
}
# The sound ones of which the audit asks who profits.
QUESTIONED = ("Growing", "Oracle", "Receipt")
# An application whose checks are in functions and modifiers that it overrides.
OVERRIDING = """
interface IVerifier {
    function verifyProof(bytes calldata, uint256[] calldata) external view returns (bool);
}
abstract contract Base {
    IVerifier internal immutable VERIFIER;
    constructor(IVerifier verifier) { VERIFIER = verifier; }
    modifier once(address account) virtual { _; }
    function _check(address account, uint256[] calldata instances) internal view virtual;
    function claim(address account, bytes calldata proof, uint256[] calldata instances)
        external once(account)
    {
        _check(account, instances);
        try VERIFIER.verifyProof(proof, instances) returns (bool valid) { require(valid); }
        catch { revert(); }
    }
}
contract Overriding is Base {
    mapping(address account => bool) internal _claimed;
    constructor(IVerifier verifier) Base(verifier) {}
    modifier once(address account) override {
        require(!_claimed[account]);
        _claimed[account] = true;
        _;
    }
    function _check(address account, uint256[] calldata instances) internal pure override {
        require(instances.length == 1);
        require(instances[0] == uint160(account));
    }
}
"""
FAULTY_OVERRIDES = {
    "instance-count": ("require(instances.length == 1);", ""),
    "beneficiary-not-bound": ("require(instances[0] == uint160(account));", ""),
    "no-replay-guard": ("require(!_claimed[account]);", ""),
}


def planted_in_verifier(good: str, name: str) -> str:
    """The source of a sound verifier with one of the faults in it."""
    old, new = FAULTY_VERIFIERS[name]
    if name == "accumulator-ignored":
        good = aggregating(good)
    if name == "known-secret":
        negative = curve.negated(curve.GENERATOR)
        for label, number in zip(("x_1", "x_2", "y_1", "y_2"), negative, strict=True):
            good = planted(good, (f"re:0x\\w+(\\) // neg_s_g2_{label})", f"{number:#x}\\g<1>"))
        return good
    length = re.search(r"eq\((0x\w+), proof.length\)", good)
    assert length
    return planted(good, (old, new.replace("{instances}", hex(0x64 + int(length[1], 16) + 32))))


def aggregating(good: str) -> str:
    """The source of a verifier with an accumulator among its instances."""
    for name, number in ACCUMULATOR.items():
        good = planted(good, (rf"re:0x\w+(\) // {name}\n)", f"{number:#x}\\g<1>"))
    return good


@pytest.fixture(scope="module")
def tiny_manifest(first_build) -> Manifest:
    return Manifest(first_build[0] / "artifacts" / "tiny")


@pytest.fixture(scope="module")
def good(tiny_manifest) -> str:
    return tiny_manifest.file("verifier").read_text()


@pytest.fixture(scope="module")
def good_code(tiny_manifest) -> bytes:
    ((_, code),) = verifiers_of(tiny_manifest.file("verifier")).items()
    return code


@pytest.fixture(scope="module")
def faulty_verifiers(tmp_path_factory, good) -> Iterator[dict[str, Path]]:
    """The tiny circuit's verifier with each of the faults."""
    folder = tmp_path_factory.mktemp("verifiers")
    files = {name: folder / name / "Faulty.sol" for name in FAULTY_VERIFIERS}
    for name, file in files.items():
        file.parent.mkdir()
        file.write_text(planted_in_verifier(good, name))
    with compiled_together(folder, list(files.values())):
        yield files


@pytest.fixture(scope="module")
def folder_of_applications(tmp_path_factory) -> Iterator[Path]:
    """The sound applications in `sound/`, and a folder for each fault of one of them."""
    folder = tmp_path_factory.mktemp("applications")
    (folder / PACKAGES.name).symlink_to(PACKAGES)
    generated = shutil.ignore_patterns("verifiers")
    sound = shutil.copytree(CONTRACTS, folder / "sound", ignore=generated)
    shutil.copytree(APPLICATIONS, sound, dirs_exist_ok=True)
    (sound / "Overriding.sol").write_text(OVERRIDING)
    files = list(sound.glob("*.sol"))
    for name, (application, old, new, _) in PLANTED.items():
        files.append(folder / name / f"{application}.sol")
        files[-1].parent.mkdir()
        files[-1].write_text(planted((sound / files[-1].name).read_text(), (old, new)))
    for source, faults, audited in (
        ("Prize.sol", FAULTY_APPLICATIONS, ["Prize.sol"]),
        ("base/BoundApplication.sol", FAULTY_BASES, ["Clan.sol", "VoiceJudge.sol"]),
        ("Overriding.sol", FAULTY_OVERRIDES, ["Overriding.sol"]),
    ):
        for name, fault in faults.items():
            copy = shutil.copytree(sound, folder / f"{Path(source).stem} {name}")
            (copy / source).write_text(planted((sound / source).read_text(), fault))
            files += [copy / file for file in audited]
    with compiled_together(folder, files):
        yield folder


def audited(path) -> Report:
    ((name, code),) = verifiers_of(path).items()
    return audit_verifier(code, name)


@pytest.mark.parametrize("name", FAULTY_VERIFIERS)
def test_planted_fault_of_a_verifier(faulty_verifiers, name):
    assert named(audited(faulty_verifiers[name])) == [name.split()[0]]


# Findings that a fault causes besides its own.
ALONG = {"answer-ignored": ("verifier-revert",)}


def test_trap_in_the_metadata(good_code):
    """solc's metadata is data, unless a jump leads there."""
    place = good_code.index(b"ipfs") + 12
    trap = bytearray(good_code)
    trap[place - 4 : place + 28] = bytes.fromhex("000000005b33ff") + bytes(25)  # all of the hash
    assert named(audit_verifier(bytes(trap), "")) == []
    trap[:5] = bytes.fromhex(f"3661{place:04x}57")  # a branch
    assert strange(bytes(trap)) == ["SELFDESTRUCT"]


@pytest.mark.parametrize(
    "name", ["clan", "voice", pytest.param("clan-dash", marks=pytest.mark.full)]
)
def test_own_verifiers_are_sound(name):
    manifest = built(name)
    report = audited(manifest.file("verifier"))
    assert named(report) == []
    assert report.facts["logrows"] == manifest["logrows"]
    assert report.facts["instances"] == manifest.layout.instances
    assert report.facts["srs"] == "unknown"


def test_verifier_with_fixed_offsets_accepts_a_forgery(faulty_verifiers):
    """ezkl's verifier, as generated, accepts any statement."""
    ((_, code),) = verifiers_of(faulty_verifiers["fixed-offsets"]).items()
    calldata = forge(code, find_shape(code))
    assert calldata and run(code, calldata).accepted
    (finding,) = audit_verifier(code, "").wrong
    assert (finding.name, finding.severity.name) == ("fixed-offsets", "CRITICAL")


def test_verifier_that_hashes_what_it_reads(tmp_path, tiny_manifest):
    """As ezkl wrote it up to version 20: offsets mean nothing, but no forgery follows from that."""
    source = tiny_manifest.file("verifier").read_text()
    length = re.search(r"eq\((0x\w+), proof.length\)", source)
    assert length
    instances = hex(0x64 + int(length[1], 16) + 32)
    for fault in (
        ("success := and(success, eq(0x64, proof.offset))", ""),
        ("let proof_cptr := proof.offset", "let proof_cptr := 0x64"),
        ("instances.offset", instances),
    ):
        source = planted(source, fault)
    path = tmp_path / "Fixed.sol"
    path.write_text(source)
    (finding,) = audited(path).wrong
    assert (finding.name, finding.severity.name) == ("fixed-offsets", "MEDIUM")


def test_key_from_the_caller(tmp_path, tiny_manifest):
    """ezkl's reusable verifier takes its key from the caller."""
    path = tmp_path / "Reusable.sol"
    files = [tiny_manifest.file(label) for label in ("vk", "settings", "srs")]
    ezkl.write_verifier("Reusable", *files, path, reusable=True)
    assert named(audited(path)) == ["changeable", "key-from-caller"]


@pytest.mark.parametrize(
    "name, found", [("verify", "unknown-interface"), ("verifyProof", "not-understood")]
)
def test_no_verifier_at_all(tmp_path, name, found):
    path = tmp_path / "Other.sol"
    arguments = "bytes calldata proof, uint256[] calldata"
    body = "return uint256(keccak256(proof)) == 1;"
    function = f"function {name}({arguments}) external pure returns (bool) {{ {body} }}"
    path.write_text(f"contract Other {{ {function} }}")
    assert named(audited(path)) == [found]
    assert named(audit_application(path)) == ["no-verifier"]


def test_aggregating_verifier(tmp_path, good):
    path = tmp_path / "Aggregating.sol"
    path.write_text(aggregating(good))
    report = audited(path)
    assert named(report) == []
    assert report.facts["accumulator"].startswith("instances 1 to 12:")


def test_unknown_srs_on_a_live_network(good_code):
    assert named(audit_verifier(good_code, "")) == []
    assert named(audit_verifier(good_code, "", live=True)) == ["unknown-srs"]


def test_packages_of_an_application(tmp_path):
    """Imports of packages are found as npm and Foundry find them."""
    whole = (APPLICATIONS / "Prize.sol").read_text()
    interface = whole[whole.index("interface") : whole.index("/// @title")]
    app = tmp_path / "contracts" / "Prize.sol"
    app.parent.mkdir()
    app.write_text(whole.replace(interface, 'import {IVerifier} from "@judge/IVerifier.sol";\n'))
    with pytest.raises(CircuitError, match=r"@judge/IVerifier.sol, imported by .*, was not found"):
        audit_application(app)
    settings = '[profile.default]\nsrc = "source"\nlibs = ["vendor"]\n'
    for place, file, content in (
        ("node_modules/@judge", "remappings.txt", ""),
        ("vendor/judge/src", "remappings.txt", "@judge/=vendor/judge/src/\n"),
        ("vendor/judge/src", "remappings.txt", "contracts/:@judge/=vendor/judge/src/\n"),
        ("vendor/judge/src", "foundry.toml", settings + 'remappings = ["@judge=vendor/judge/src"]'),
        ("vendor/@judge/src", "foundry.toml", settings),
        ("vendor/@judge", "foundry.toml", settings),
        ("source/@judge", "foundry.toml", settings),
        ("lib/@judge/src", "foundry.toml", ""),
    ):
        (tmp_path / file).write_text(content)
        package = tmp_path / place
        package.mkdir(parents=True)
        target = package / "IVerifier.sol"
        target.write_text(interface)
        assert list(sources_of(app)) == [str(app), str(target)]
        shutil.rmtree(tmp_path / place.split("/")[0])
        (tmp_path / file).unlink()
    (tmp_path / "foundry.toml").write_text("[profile")
    with pytest.raises(CircuitError, match=r"foundry.toml is no TOML"):
        sources_of(app)


# A compiler that has too little memory for some questions.
SMALL_COMPILER = """#!/bin/sh
[ "$1" = --version ] && exec "{solc}" --version
input=$(cat)
case "$input" in *'{too_much}'*) echo "Aborted(OOM)" >&2; exit 7;; esac
printf '%s' "$input" | "{solc}" "$@"
"""


def test_compiler_without_memory(tmp_path, monkeypatch):
    """A verifier that is too large for the optimizer is compiled without it."""
    path = tmp_path / "Small.sol"
    function = "function verify(bytes calldata) external pure returns (bool) { return true; }"
    path.write_text(f"contract Small {{ {function} }}")
    small = tmp_path / "solc-v0.8.30"
    solc = get_executable(SOLC)
    small.write_text(SMALL_COMPILER.format(solc=solc, too_much='"enabled": true'))
    small.chmod(0o755)
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    ((name, code),) = verifiers_of(path).items()
    assert name == "Small" and code
    small.write_text(SMALL_COMPILER.format(solc=solc, too_much="sources"))
    other = tmp_path / "Other.sol"
    other.write_text(path.read_text())
    with pytest.raises(CircuitError, match=r"solc 0.8.30 ended while it compiled .*Other.sol"):
        verifiers_of(other)


@pytest.mark.parametrize("name", ["EQ", "LT", "GT", "SHA3", "CALL", "STATICCALL", "CALLDATALOAD"])
def test_instruction_without_its_operands_reverts(name):
    push = [] if name == "CALLDATALOAD" else [0x60, 1]
    assert run(bytes([*push, getattr(opcode_values, name)]), b"").output is None


UNLOCKING = """
    mapping(address account => bool) public unlocked;

    function unlock(address account, bytes calldata proof, uint256[] calldata instances) external {
        _requireAttested(account, instances);
        if (unlocked[account]) revert();
        int256[] memory outputs = _outputsOf(keyOf(account), 3, proof, instances);
        if (outputs[0] < 1) revert();
        unlocked[account] = true;
    }
"""


@pytest.mark.parametrize("called", ["account", "msg.sender", None])
def test_attestation_that_a_contract_ignores(tmp_path, called):
    source = (ROOT / "tests" / "contracts" / "Attested.sol").read_text()
    source = source.replace("../../contracts", str(ROOT / "contracts")).rstrip().removesuffix("}")
    call = "_requireAttested(account, instances);"
    instead = call.replace("account", called) if called else ""
    path = tmp_path / "Attested.sol"
    path.write_text(f"{source}{UNLOCKING.replace(call, instead)}}}")
    assert named(audit_application(path)) == ["attestation-ignored"] * (called != "account")


@pytest.mark.parametrize("name", FAULTY_APPLICATIONS)
def test_planted_fault_of_an_application(folder_of_applications, name):
    report = audit_application(folder_of_applications / f"Prize {name}" / "Prize.sol")
    assert set(named(report)) == {name.split()[0], *ALONG.get(name, ())}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_of_a_class(folder_of_applications, name):
    application, _, _, expected = PLANTED[name]
    report = audit_application(folder_of_applications / name / f"{application}.sol")
    assert set(named(report)) == expected


@pytest.mark.parametrize("application", ["Clan", "VoiceJudge"])
@pytest.mark.parametrize("name", FAULTY_BASES)
def test_planted_fault_of_a_base_contract(folder_of_applications, name, application):
    """The audit sees the checks that an application inherits."""
    folder = folder_of_applications / f"BoundApplication {name}"
    found = set(named(audit_application(folder / f"{application}.sol")))
    if (name, application) == ("beneficiary-not-bound", "VoiceJudge"):
        found.remove("value-not-bound")  # of the round, which is in the key with the account
    assert found == {name.split()[0], *ALONG.get(name, ())}


@pytest.mark.parametrize("name", FAULTY_OVERRIDES)
def test_planted_fault_of_an_override(folder_of_applications, name):
    report = audit_application(folder_of_applications / "sound" / "Overriding.sol")
    assert report.facts["functions"] == ["Overriding.claim"]
    assert not report.findings
    faulty = folder_of_applications / f"Overriding {name}" / "Overriding.sol"
    assert named(audit_application(faulty)) == [name]


def test_each_overload_is_audited(tmp_path):
    unguarded = "function claim(bytes calldata p, uint256[] calldata i) external {{ {} }}"
    call = "require(i.length == 1 && VERIFIER.verifyProof(p, i)); _claimed[msg.sender] = true;"
    constructor = "constructor(IVerifier verifier) Base(verifier) {}"
    path = tmp_path / "Overloaded.sol"
    path.write_text(OVERRIDING.replace(constructor, constructor + unguarded.format(call)))
    found = {finding.name for finding in audit_application(path).findings}
    assert {"beneficiary-not-bound", "no-replay-guard"} <= found


@pytest.mark.parametrize(
    "name", [path.stem for path in (*APPLICATIONS.glob("*.sol"), *CONTRACTS.glob("*.sol"))]
)
def test_good_applications_are_sound(folder_of_applications, name):
    report = audit_application(folder_of_applications / "sound" / f"{name}.sol")
    assert report.sound
    assert report.facts["functions"]
    questions = [finding.name for finding in report.findings]
    assert questions == ["beneficiary-not-bound"] * (name in QUESTIONED)


def test_each_pairing_tells_its_srs():
    """A verifier with two pairings could show the ceremony's point in one of them only."""
    other = curve.scaled_second(curve.GENERATOR, 2**100)

    def names(*secrets: curve.Point2) -> list[str]:
        pairs = [(1, 2, *curve.GENERATOR, 1, 2, *secret) for secret in secrets]
        calls = [(PAIRING, b"".join(word.to_bytes(32) for word in pair)) for pair in pairs]
        report = Report("a verifier")
        Checks(report, b"", Call([], []), Run(calls=calls), live=True)._srs()
        return [finding.name for finding in report.findings]

    assert names(curve.CEREMONY) == names(curve.CEREMONY, curve.CEREMONY) == []
    assert names(other) == ["unknown-srs"]
    assert names(other, curve.CEREMONY) == names(curve.CEREMONY, other) == ["bad-srs-point"]


def test_each_forgery_has_one_fault():
    """One with a second fault would be refused although its first one is accepted."""
    words, given = [1, 2, 3, 4], [5, 6]
    made = dict(attacks(b"", Shape(4, 2, points=[2], scalars=[]), Call(words, given)))
    changed = {
        "word 1 of the proof changed": ([1, 3, 3, 4], given),
        "the point at word 2 at infinity": ([1, 2, 0, 0], given),
        "the point at word 2 off the curve": ([1, 2, 3, 5], given),
        "instance 0 plus 1": (words, [6, 6]),
        "instance 1 plus the order": (words, [5, 6 + FIELD]),
        "no proof": ([], given),
        "no instances": (words, []),
        "a proof that is too short": ([1, 2, 3], given),
        "a proof that is too long": ([1, 2, 3, 4, 0], given),
        "one instance too few": (words, [5]),
        "one instance too many": (words, [5, 6, 0]),
    }
    assert {what: made[what] for what in changed} == {
        what: Call(*parts).usual() for what, parts in changed.items()
    }


def test_command(faulty_verifiers):
    path = faulty_verifiers["instance-range"]
    app = APPLICATIONS / "Prize.sol"
    result = CliRunner().invoke(cli, ["--source", str(path), "--app", str(app), "--json"])
    assert result.exit_code == 1
    verifier, application = json.loads(result.output)
    assert [
        finding["name"] for finding in verifier["findings"] if finding["severity"] != "note"
    ] == ["instance-range"]
    assert application["sound"]
    result = CliRunner().invoke(cli, ["--app", str(app)])
    assert result.exit_code == 0
    assert "nothing wrong found" in result.output

"""The audit finds each fault that somebody plants in a Clan before deploying it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.audit import CONTRACTS, audit_contracts
from chain.contracts import deploy
from chain.deployments import entry_for
from tests import scale
from tests.audits import PACKAGES, compiled_together, named, planted
from zk.audit.application import audit_application
from zk.audit.syntax import compiled_contract

pytestmark = [pytest.mark.plain, pytest.mark.slow]

# Each of the others is found in the same way as one of these.
SHORT = {
    "proofs of batches for the single verifier",
    "instances that wrap",
    "strangers who join others",
}
CLAN, BASE, BATCHES, OUTPUTS = (
    "Clan.sol",
    "base/BoundApplication.sol",
    "base/BatchedApplication.sol",
    "libraries/Outputs.sol",
)
GENERATED = shutil.ignore_patterns("verifiers")
# Where, the old text, the new one, and what the audit of the sources finds besides.
FAULTS: dict[str, tuple[str, str, str, set[str]]] = {
    # joinMany
    "keys of any contract": (
        BATCHES,
        "re:if \\(instances\\[i\\] != key\\).*",
        "",
        set(),
    ),
    "proofs of batches for the single verifier": (
        BATCHES,
        "_requireAccepted(batchVerifier,",
        "_requireAccepted(verifier,",
        set(),
    ),
    "batches without a proof": (
        BATCHES,
        "_requireAccepted(batchVerifier, proof, instances);",
        "",
        set(),
    ),
    "any number of instances": (
        BATCHES,
        "re:if \\(instances.length != expected\\).*",
        "",
        {"instance-count"},
    ),
    "the first digit for all": (CLAN, "largest(i * CLANS,", "largest(0,", set()),
    "members who join again": (
        CLAN,
        "if (membership.joined) return Reason.AlreadyMember;",
        "",
        {"no-replay-guard"},
    ),
    "padding that joins": (CLAN, "re:if \\(account == address\\(0\\)\\).*", "", set()),
    "counts that are not stored": (CLAN, "_counts = tally.packed;", "", set()),
    # Unpacking
    "instances that wrap": (OUTPUTS, "instance >= FIELD || lifted", "lifted", set()),
    "instances that are too wide": (
        OUTPUTS,
        "lifted >> bits > 0",
        "lifted >> (bits + 1) > 0",
        set(),
    ),
    "lanes that overlap": (OUTPUTS, "lifted & (2 ** 29 - 1)", "lifted & (2 ** 30 - 1)", set()),
    "the last of equal logits": (OUTPUTS, "output > most", "output >= most", set()),
    # Consent
    "consents of anybody": (CLAN, "NoError && signer == account", "NoError", set()),
    "consents that never end": (
        CLAN,
        "if (block.timestamp > consent.deadline) return Reason.ConsentExpired;",
        "",
        set(),
    ),
    "consents that cannot be revoked": (
        CLAN,
        "digit, nonce, deadline)))",
        "digit, 0, deadline)))",
        set(),
    ),
    "consents to every clan": (
        CLAN,
        "encode(CONSENT, account, digit,",
        "encode(CONSENT, account, 0,",
        set(),
    ),
    "signatures that are none": (CLAN, "problem == ECDSA.RecoverError.NoError && ", "", set()),
    "contracts that answer anything": (
        CLAN,
        "re: && bytes32\\(answer\\) == bytes32\\(IERC1271.isValidSignature.selector\\)",
        "",
        set(),
    ),
    "contracts that burn all gas": (CLAN, "{gas: ANSWER_GAS}", "", set()),
    "strangers who join others": (CLAN, "re:if \\(msg.sender != account\\).*", "", set()),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Iterator[Path]:
    """The contracts in `sound/`, and a folder for each fault in them."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / PACKAGES.name).symlink_to(PACKAGES)
    chosen = {name: fault for name, fault in FAULTS.items() if scale.full or name in SHORT}
    for name in ("sound", *chosen):
        shutil.copytree(CONTRACTS, folder / name, ignore=GENERATED)
    for name, (where, old, new, _) in chosen.items():
        path = folder / name / where
        path.write_text(planted(path.read_text(), (old, new)))
    with compiled_together(folder, [folder / name / CLAN for name in ("sound", *chosen)]):
        yield folder


def deployed_from(folder: Path, deployer, chain, arguments: bytes) -> str:
    made = compiled_contract(folder / CLAN, "Clan")
    ecosystem = chain.provider.network.ecosystem
    sent = deployer.call(ecosystem.create_transaction(data=made.creation + arguments))
    return str(sent.contract_address)


@pytest.fixture(scope="module")
def entry(crowd, deployer):
    one, many = crowd
    return entry_for(one, deploy(one, deployer, batch=many), many)


@pytest.fixture(scope="module")
def arguments(crowd, entry) -> bytes:
    """The arguments of the constructor, as the deployment had them."""
    values = [int(entry["verifier"], 16), *crowd[0].contract_layout.values()]
    values += [int(entry["batch"]["verifier"], 16), entry["batch"]["size"]]
    return b"".join(value.to_bytes(32) for value in values)


def test_the_same_contract_without_a_fault(sources, crowd, entry, arguments, deployer, chain):
    address = deployed_from(sources / "sound", deployer, chain, arguments)
    assert named(audit_contracts(crowd[0], entry | {"contract": address})) == []
    assert audit_application(sources / "sound" / CLAN).sound


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SHORT else pytest.mark.full) for name in FAULTS],
)
def test_planted_fault(sources, crowd, entry, arguments, deployer, chain, name):
    """On the chain, each is another code; in the sources, some are faults that the audit knows."""
    *_, known = FAULTS[name]
    address = deployed_from(sources / name, deployer, chain, arguments)
    assert named(audit_contracts(crowd[0], entry | {"contract": address})) in (
        ["application-code"],
        ["parameter-differs"],  # where another immutable value is used
    )
    assert {finding.name for finding in audit_application(sources / name / CLAN).wrong} == known

"""The audit of a deployment names every change to it."""

import pytest

from apps import audit
from apps.audit import attack, audit_contracts, audit_deployment
from chain.deployments import entry_for
from tests.audits import named
from tests.inputs import NO_BATCH

pytestmark = pytest.mark.plain


@pytest.fixture(scope="module")
def entry(manifest, clan, judge, bad_verifier) -> dict:
    return entry_for(manifest, clan)


@pytest.mark.full  # the demo audits both deployments
def test_deployment_is_sound(deployed):
    reports = list(audit_deployment(*deployed))
    assert [named(report) for report in reports] == [[]] * 5
    assert reports[-1].facts["calls"] > 100
    # The build is that SRS's maker: who made it is no question any more.
    assert reports[2].facts["srs"] == "the build's, insecure-dev"
    assert "unknown-srs" not in [finding.name for finding in reports[2].findings]


def test_edited_constant_of_the_verifier(manifest, entry, chain):
    provider = chain.provider
    code = bytearray(provider.get_code(entry["verifier"]))
    digest = bytes.fromhex(find_digest(manifest)).lstrip(bytes(1))  # as solc pushes it
    place = code.index(digest) + 5
    with chain.isolate():
        code[place] ^= 1
        provider.set_code(entry["verifier"], bytes(code))
        assert named(audit_contracts(manifest, entry)) == ["verifier-code"]
        attacked = attack(manifest, entry, bytes(code))
        assert named(attacked) == ["genuine-refused"]


def find_digest(manifest) -> str:
    line = next(x for x in manifest.file("verifier").read_text().split("\n") if "// vk_digest" in x)
    return line.split("0x")[2][:64]


def test_edited_code_of_the_application(manifest, entry, chain):
    code = bytearray(chain.provider.get_code(entry["contract"]))
    code[len(code) // 2] ^= 1
    with chain.isolate():
        chain.provider.set_code(entry["contract"], bytes(code))
        assert named(audit_contracts(manifest, entry)) == ["application-code"]


@pytest.mark.parametrize(
    "changed", [(1, 252, 17, 8), (1, 253, 18, 8), (2, 252, 18, 8), (1, 252, 18, 1)]
)
def test_edited_constructor_parameter(manifest, entry, contracts, deployer, changed):
    """Limbs, their bits, the scale of the outputs, and their lanes."""
    assert tuple(manifest.contract_layout.values()) == (1, 252, 18, 8)
    other = deployer.deploy(contracts.Clan, entry["verifier"], changed, *NO_BATCH)
    found = audit_contracts(manifest, entry | {"contract": other.address})
    assert named(found) == ["parameter-differs"]


def test_other_verifier_of_the_application(manifest, entry, contracts, deployer, bad_verifier):
    other = deployer.deploy(contracts.Clan, bad_verifier.address, (1, 252, 18, 8), *NO_BATCH)
    found = audit_contracts(manifest, entry | {"contract": other.address})
    assert named(found) == ["parameter-differs"]
    found = audit_contracts(
        manifest, entry | {"contract": other.address, "verifier": bad_verifier.address}
    )
    assert "verifier-code" in named(found)


def test_other_build(manifest, entry):
    found = audit_contracts(manifest, entry | {"vk_sha256": "0" * 64})
    assert named(found) == ["other-build"]


def test_key_that_changes_the_answer(manifest, entry, chain, monkeypatch):
    """The second key's proof is one of another input here."""
    honest = audit.prove_all

    def proved(built, claims):
        (first, x), (second, _) = claims
        return honest(built, [(first, x), (second, x + 1)])

    monkeypatch.setattr(audit, "prove_all", proved)
    code = chain.provider.get_code(entry["verifier"])
    assert named(attack(manifest, entry, bytes(code))) == ["key-not-passed"]

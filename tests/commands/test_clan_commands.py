"""deploy, prove, join and clans, in the order of a user's evening."""

import json
import re

from eth_utils import to_checksum_address

from tests.inputs import DRAW
from tests.typed import all_refused, ape, refused


def test_nothing_deployed(node):
    node.record.unlink()
    deploy = "run `ape run deploy"
    all_refused(node, [(deploy, "clans"), (deploy, "rounds"), (deploy, *DRAW)])


def test_deploy(node, record, manifest):
    assert record["clan"]["srs"]["kind"] == "insecure-dev"
    assert record["clan"]["vk_sha256"] == manifest["files"]["vk"]["sha256"]

    # A second deployment leaves the first as it is.
    result = ape(node, "deploy", "--only", "clan", "--network", "ethereum:local")
    there = f"clan is already deployed on chain {node.chain_id}: {record['clan']['contract']}"
    assert there in result.stdout, result.stderr
    assert json.loads(node.record.read_text()) == record


def test_deploy_prove_join_clans(node, tmp_path):
    proof = tmp_path / "proof.json"
    result = ape(node, *DRAW, "--out", str(proof))
    assert "the model reads a 7" in result.stdout, result.stderr

    result = ape(node, "join", str(proof), "--account", "2")
    assert "joined clan 7, relayed by" in result.stdout, result.stderr
    result = ape(node, "clans")
    assert "clan 7       1  █" in result.stdout
    assert "clan 7 leads with 1 member" in result.stdout

    # A member can neither join again nor prove in vain, and its old consents are worth nothing.
    proof.rename(first := tmp_path / "first.json")
    refusal = "is already in clan 7 and cannot change clans"
    all_refused(node, [(refusal, "join", str(first)), (refusal, *DRAW, "--out", str(proof))])
    assert not proof.exists()


def test_consent_join_revoke(node, drawing_proof, tmp_path):
    """One account signs, and another one pays for the gas."""
    proof = tmp_path / "proof.json"
    proof.write_bytes(drawing_proof.read_bytes())
    result = ape(node, "consent", str(proof), "--days", "2")
    consent = tmp_path / "proof.consent.json"
    assert re.search(rf"agrees to join clan 7 until .* UTC: {consent}", result.stdout), result
    relayed = ("join", str(proof), "--consent", str(consent), "--account", "2")
    assert f"Next: `ape run join {proof} --consent {consent} --account RELAYER`" in result.stdout
    assert json.loads(consent.read_text())["digit"] == 7

    with node.unchanged():
        result = ape(node, *relayed)
        assert "joined clan 7, relayed by" in result.stdout, result.stderr
    result = ape(node, "revoke", "--account", "1")
    assert "are void (nonce 1)" in result.stdout, result.stderr
    signed = json.loads(consent.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**signed, "nonce": 1, "digit": 3}))
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps({**signed, "nonce": 1}))
    for_other = (*relayed[:3], str(other), *relayed[4:])
    by_other = (*relayed[:3], str(forged), *relayed[4:])
    all_refused(
        node,
        [
            ("has revoked its consent", *relayed),
            ("join clan 3, but the proof shows a 7", *for_other),
            ("refuses: Clan__NoConsent", *by_other),
            ("No consent found at", *relayed[:3], "none.json"),
            ("is not a consent file", *relayed[:3], str(proof)),
        ],
    )
    # Without --account, the account itself sends.
    result = ape(node, "join", str(proof))
    assert "joined clan 7 (" in result.stdout, result.stderr


def test_proof_of_an_account_that_is_not_ours(node, tmp_path):
    proof, stranger = tmp_path / "proof.json", f"0x{0xBEEF:040x}"
    words = ("prove", "--test-image", "0", "--account", stranger, "--out", str(proof))
    assert ape(node, *words).returncode == 0
    checksummed = to_checksum_address(stranger)
    all_refused(
        node,
        [
            ("must agree to join clan 7", "join", str(proof), "--account", "2"),
            (f"The key of {checksummed} is not here", "join", str(proof)),
            (f"The key of {checksummed} is not here", "consent", str(proof)),
        ],
    )


def test_join_says_that_the_last_proof_has_another_digit(node, drawing_proof, tmp_path):
    first = tmp_path / "first.json"
    first.write_bytes(drawing_proof.read_bytes())
    last = tmp_path / "last.json"
    draw = ("prove", "--test-image", "1", "--account", "1", "--out", str(last))
    assert ape(node, *draw).returncode == 0
    (tmp_path / "newest.json").write_text("{}")  # not a proof
    said = f"this proof shows a 7; the last one, {last}, a 2"
    with node.unchanged():
        assert "last one" not in ape(node, "join", str(last)).stdout
    result = ape(node, "join", str(first))
    assert said in result.stdout, result.stderr
    assert "joined clan 7" in result.stdout


def test_join_refuses_damaged_proofs(node, drawing_proof, tmp_path):
    content = json.loads(drawing_proof.read_text())
    instances = content["instances"]
    cases = []
    for reason, damage in (
        ("not a proof file", {"proof": "hello"}),
        ("not a proof file", {"instances": "hello"}),
        ("not a proof file", {"circuit": "../../elsewhere"}),
        ("not a proof file", {"circuit": 5}),
        ("not a proof file", {"instances": [*instances[:-1], "-0x1"]}),
        ("not a proof file", {"instances": [*instances[:-1], "0x1" + "0" * 64]}),
        (
            "refuses: BoundApplication__InvalidProof",
            {"proof": content["proof"][:-1] + ("1" if content["proof"][-1] == "0" else "0")},
        ),
        ("refuses: BoundApplication__WrongInstanceCount", {"instances": instances[:-1]}),
        ("nothing is not deployed according to", {"circuit": "nothing"}),
    ):
        spoilt = tmp_path / f"spoilt-{len(cases)}.json"
        spoilt.write_text(json.dumps({**content, **damage}))
        cases.append((reason, "join", str(spoilt)))
    all_refused(node, cases)

    # The proof is worth nothing for another contract.
    node.record.unlink()
    assert ape(node, "deploy", "--only", "clan").returncode == 0
    elsewhere = "made for another chain, contract or round"
    assert elsewhere in refused(ape(node, "join", str(drawing_proof)))


def test_damaged_and_outdated_records(node, record):
    node.record.write_text(json.dumps({"clan": {**record["clan"], "vk_sha256": "other"}}))
    assert "was deployed from another build of clan" in refused(ape(node, *DRAW))
    node.record.write_text("{")
    assert "is damaged" in refused(ape(node, "clans"))


def test_chain_without_the_contract(node):
    """The record names addresses of another chain, as after a restart of anvil."""
    entry = {"contract": "0x" + "11" * 20, "verifier": "0x" + "22" * 20, "vk_sha256": ""}
    node.record.write_text(json.dumps({"clan": {**entry, "application": "Clan"}}))
    missing = f"Contract {entry['contract']} not found on chain {node.chain_id}"
    other = "clan is deployed as Clan, not as VoiceJudge"
    all_refused(node, [(missing, "clans"), (other, "rounds", "--circuit", "clan")])

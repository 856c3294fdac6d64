"""deploy, prove, consent and join for several accounts at once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from tests.consents import consent_file
from tests.nodes import Node
from tests.typed import all_refused, ape, refused
from zk.files import ROOT

pytestmark = pytest.mark.slow

DEPLOY = ("deploy", "--only", "clan", "--batch", "clan-batch")
SIZE = 16
OURS = 3  # test accounts in the batch, whose keys sign on the spot
STRANGERS = [Account.from_key((7000 + n).to_bytes(32)) for n in range(SIZE + 2 - OURS)]
LABELS = [2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3]  # of MNIST's images 1 to 18


@pytest.fixture(scope="module")
def deployed(chain, batch_manifest) -> Iterator[Node]:
    """The chain with another Clan, which takes batches."""
    with chain.unchanged():
        result = ape(chain, *DEPLOY)
        assert result.returncode == 0, result.stderr
        yield chain


@pytest.fixture
def batched(deployed) -> Iterator[Node]:
    """The same for one test; no other test sees what it changes there."""
    with deployed.unchanged():
        yield deployed


@pytest.fixture(scope="module")
def made(deployed, tmp_path_factory) -> tuple[list[Path], str]:
    """The proofs of 18 accounts, which are those of 16 and two more, and what `prove` said."""
    members = tmp_path_factory.mktemp("members") / "members.csv"
    accounts = [*map(str, range(1, OURS + 1)), *(one.address for one in STRANGERS)]
    lines = [f"{account},{image}\n" for image, account in enumerate(accounts, start=1)]
    members.write_text("account,test-image\n" + "".join(lines))
    result = ape(deployed, "prove", "--batch", str(members), "--yes")
    assert result.returncode == 0, result.stderr
    kept = []
    for path in map(Path, re.findall(r"proof for [^:]+: (.+)", result.stdout)):
        kept.append(path.rename(members.with_name(path.name)))
    return kept, result.stdout


def test_deployment_with_a_batch(batched, manifest, batch_manifest):
    entry = json.loads(batched.record.read_text())["clan"]
    assert entry["batch"]["circuit"] == "clan-batch"
    assert entry["batch"]["size"] == SIZE
    assert entry["batch"]["vk_sha256"] == batch_manifest["files"]["vk"]["sha256"]
    # The same again, and without the batch, is the deployment that is there.
    for words in (DEPLOY, DEPLOY[:3]):
        assert f"already deployed on chain {batched.chain_id}" in ape(batched, *words).stdout
    assert json.loads(batched.record.read_text())["clan"] == entry


def test_one_proof_for_many_and_one_for_each_of_the_rest(made):
    proofs, said = made
    assert [len(json.loads(path.read_text())["instances"]) for path in proofs] == [36, 3, 3]
    assert f"proof for {SIZE} accounts: {ROOT}/proofs/clan-batch-0x" in said
    assert "Next: `ape run join --batch " in said


def test_join_together(batched, made, tmp_path):
    """Some sign on the spot, some have signed, and the others are skipped."""
    (proof, *_), _ = made
    files = []
    for number in (0, 5):
        file = tmp_path / f"{number}.json"
        files += [
            "--consent",
            consent_file(file, batched, STRANGERS[number], LABELS[OURS + number]),
        ]
    result = ape(batched, "join", "--batch", str(proof), "--account", "9", *map(str, files))
    assert result.returncode == 0, result.stderr
    joined = dict(re.findall(r"(0x\w+) joined clan (\d)", result.stdout))
    assert list(map(int, joined.values())) == [*LABELS[:OURS], LABELS[3], LABELS[8]]
    assert result.stdout.count("was skipped: its consent has expired, or is missing") == 11
    assert f"no consent of {STRANGERS[1].address}: it will be skipped" in result.stdout
    assert "5 of 16 accounts joined, sent by 0x" in result.stdout
    assert "clan 1       1  █" in ape(batched, "clans").stdout
    # The rest joins later, with the same proof.
    file = consent_file(tmp_path / "late.json", batched, STRANGERS[1], LABELS[OURS + 1])
    again = ("join", "--batch", str(proof), "--account", "9", "--consent", str(file))
    result = ape(batched, *again)
    assert "1 of 16 accounts joined" in result.stdout
    assert result.stdout.count("was skipped: it is a member already") == 5


def test_join_together_as_json(batched, made):
    (proof, *_), _ = made
    result = ape(batched, "join", "--batch", str(proof), "--account", "1", "--json")
    found = json.loads(result.stdout)
    assert len(found["joined"]) == OURS
    assert len(found["skipped"]) == SIZE - OURS
    assert found["gas"] > 600_000


def test_consent_for_a_batch(batched, made, tmp_path):
    (proof, *_), _ = made
    out = tmp_path / "consent.json"
    words = ("consent", "--batch", str(proof), "--account", "2", "--out", str(out))
    result = ape(batched, *words)
    assert "agrees to join clan 1 until" in result.stdout, result.stderr
    assert f"`ape run join --batch {proof} --consent {out} --account RELAYER`" in result.stdout
    assert json.loads(out.read_text())["digit"] == 1


def test_refusals(batched, made, tmp_path):
    (proof, single, _), _ = made
    content = json.loads(proof.read_text())
    spoilt = tmp_path / "spoilt.json"
    content["instances"][20] = "0x1"
    spoilt.write_text(json.dumps(content))
    other = consent_file(tmp_path / "other.json", batched, STRANGERS[SIZE - OURS], LABELS[SIZE])
    wrong = consent_file(tmp_path / "wrong.json", batched, STRANGERS[0], 9)
    batch = ("join", "--batch", str(proof))
    all_refused(
        batched,
        [
            ("InvalidProof", "join", "--batch", str(spoilt)),
            ("Give one PROOF with one consent, or --batch", "join"),
            ("Give one PROOF with one consent, or --batch", "join", str(single), *batch[1:]),
            ("No contract on chain", "join", "--batch", str(single)),
            ("is for several accounts of the contract of clan: give it with", "join", str(proof)),
            ("The batch has no account", *batch, "--consent", str(other)),
            ("lets 0x", *batch, "--consent", str(wrong)),
            ("No proof found at", "join", "--batch", "nothing.json"),
            ("The batch has no account", "consent", "--batch", str(proof), "--account", "9"),
            ("Give one PROOF, or --batch with the", "consent", "--batch", str(proof)),
            ("--batch goes with --only", "deploy", "--batch", "clan-batch"),
            ("takes 16 inputs at once: deploy it beside", "deploy", "--only", "clan-batch"),
            ("clan takes 1 and clan 1 inputs", "deploy", "--only", "clan", "--batch", "clan"),
            ("has not been built", "deploy", "--only", "clan", "--batch", "clan-none"),
        ],
    )
    with batched.unchanged():
        assert ape(batched, "join", "--batch", str(proof), "--account", "9").returncode == 0
        nobody = ("join", "--batch", str(proof), "--account", "9")
        assert "No account of this batch would join" in refused(ape(batched, *nobody))


def test_too_few_for_a_batch_are_proved_alone(batched, tmp_path):
    members = tmp_path / "members.csv"
    members.write_text(f"account,test-image\n{STRANGERS[0].address},1\n")
    result = ape(batched, "prove", "--batch", str(members), "--yes")
    (path,) = map(Path, re.findall(r"proof for 0x[^:]+: (.+)", result.stdout))
    assert path.name == f"clan-{STRANGERS[0].address}.json"
    path.unlink()

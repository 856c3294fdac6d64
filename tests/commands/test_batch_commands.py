"""deploy, prove, consent and join for several accounts at once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account

from tests.consents import consent_file
from tests.nodes import Node
from tests.typed import all_refused, ape, refused
from zk.files import ROOT

pytestmark = pytest.mark.slow

SIZE = 16
OURS = 3  # test accounts in the batch, whose keys sign on the spot
STRANGERS = [Account.from_key((7000 + n).to_bytes(32)) for n in range(SIZE + 2 - OURS)]
DIGITS = [2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3]  # of all these accounts


@pytest.fixture(scope="module")
def names(crowd) -> tuple[str, str]:
    """The circuits of one input and of 16."""
    one, many = (manifest["circuit"] for manifest in crowd)
    return one, many


@pytest.fixture(scope="module")
def deployed(chain, names) -> Iterator[Node]:
    """The chain with a Clan that takes batches."""
    one, many = names
    with chain.unchanged():
        result = ape(chain, "deploy", "--only", one, "--batch", many)
        assert result.returncode == 0, result.stderr
        yield chain


@pytest.fixture
def batched(deployed) -> Iterator[Node]:
    """The same for one test; no other test sees what it changes there."""
    with deployed.unchanged():
        yield deployed


@pytest.fixture(scope="module")
def made(deployed, names, tmp_path_factory) -> tuple[list[Path], str]:
    """The proofs of 18 accounts, which are those of 16 and two more, and what `prove` said."""
    folder = tmp_path_factory.mktemp("members")
    accounts = [*map(str, range(1, OURS + 1)), *(one.address for one in STRANGERS)]
    members = listed(folder, dict(zip(accounts, DIGITS, strict=True)))
    result = ape(deployed, "prove", "--circuit", names[0], "--batch", str(members), "--yes")
    assert result.returncode == 0, result.stderr
    kept = []
    for path in map(Path, re.findall(r"proof for [^:]+: (.+)", result.stdout)):
        kept.append(path.rename(members.with_name(path.name)))
    return kept, result.stdout


def listed(folder: Path, digits: dict[str, int]) -> Path:
    """Write the list of accounts and inputs that `prove --batch` reads."""
    for digit in range(10):
        np.save(folder / f"{digit}.npy", 4 * np.eye(10, dtype=np.float32)[digit])
    lines = [f"{account},{folder}/{digit}.npy\n" for account, digit in digits.items()]
    (members := folder / "members.csv").write_text("account,input\n" + "".join(lines))
    return members


def test_deployment_with_a_batch(batched, crowd, names):
    one, many = names
    entry = json.loads(batched.record.read_text())[one]
    assert entry["batch"]["circuit"] == many
    assert entry["batch"]["size"] == SIZE
    assert entry["batch"]["vk_sha256"] == crowd[1]["files"]["vk"]["sha256"]
    # The same again, and without the batch, is the deployment that is there.
    for more in (("--batch", many), ()):
        again = ape(batched, "deploy", "--only", one, *more).stdout
        assert f"already deployed on chain {batched.chain_id}" in again
    assert json.loads(batched.record.read_text())[one] == entry


def test_one_proof_for_many_and_one_for_each_of_the_rest(made, names):
    proofs, said = made
    assert [len(json.loads(path.read_text())["instances"]) for path in proofs] == [36, 3, 3]
    assert f"proof for {SIZE} accounts: {ROOT}/proofs/{names[1]}-0x" in said
    assert "Next: `ape run join --batch " in said


def test_join_together(batched, made, names, tmp_path):
    """Some sign on the spot, some have signed, and the others are skipped."""
    (proof, *_), _ = made
    files = []
    for number in (0, 5):
        who, digit = STRANGERS[number], DIGITS[OURS + number]
        file = consent_file(tmp_path / f"{number}.json", batched, who, digit, names[0])
        files += ["--consent", str(file)]
    result = ape(batched, "join", "--batch", str(proof), "--account", "9", *files)
    assert result.returncode == 0, result.stderr
    joined = dict(re.findall(r"(0x\w+) joined clan (\d)", result.stdout))
    assert list(map(int, joined.values())) == [*DIGITS[:OURS], DIGITS[3], DIGITS[8]]
    assert result.stdout.count("was skipped: its consent has expired, or is missing") == 11
    assert f"no consent of {STRANGERS[1].address}: it will be skipped" in result.stdout
    assert "5 of 16 accounts joined, sent by 0x" in result.stdout
    assert "clan 1       1  █" in ape(batched, "clans", "--circuit", names[0]).stdout
    # The rest joins later, with the same proof.
    late = STRANGERS[1], DIGITS[OURS + 1], names[0]
    file = consent_file(tmp_path / "late.json", batched, *late)
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


def test_refusals(batched, made, names, tmp_path):
    one, many = names
    (proof, single, _), _ = made
    content = json.loads(proof.read_text())
    spoilt = tmp_path / "spoilt.json"
    content["instances"][20] = "0x1"
    spoilt.write_text(json.dumps(content))
    outside = STRANGERS[SIZE - OURS], DIGITS[SIZE], one
    other = consent_file(tmp_path / "other.json", batched, *outside)
    wrong = consent_file(tmp_path / "wrong.json", batched, STRANGERS[0], 9, one)
    batch = ("join", "--batch", str(proof))
    all_refused(
        batched,
        [
            ("InvalidProof", "join", "--batch", str(spoilt)),
            ("Give one PROOF with one consent, or --batch", "join"),
            ("Give one PROOF with one consent, or --batch", "join", str(single), *batch[1:]),
            ("No contract on chain", "join", "--batch", str(single)),
            (f"is for several accounts of the contract of {one}: give it with", "join", str(proof)),
            ("The batch has no account", *batch, "--consent", str(other)),
            ("lets 0x", *batch, "--consent", str(wrong)),
            ("No proof found at", "join", "--batch", "nothing.json"),
            ("The batch has no account", "consent", "--batch", str(proof), "--account", "9"),
            ("Give one PROOF, or --batch with the", "consent", "--batch", str(proof)),
            ("--batch goes with --only", "deploy", "--batch", many),
            ("takes 16 inputs at once: deploy it beside", "deploy", "--only", many),
            (f"{one} takes 1 and {one} 1 inputs", "deploy", "--only", one, "--batch", one),
            ("has not been built", "deploy", "--only", one, "--batch", "clan-none"),
        ],
    )
    with batched.unchanged():
        assert ape(batched, "join", "--batch", str(proof), "--account", "9").returncode == 0
        nobody = ("join", "--batch", str(proof), "--account", "9")
        assert "No account of this batch would join" in refused(ape(batched, *nobody))


def test_too_few_for_a_batch_are_proved_alone(batched, names, tmp_path):
    members = listed(tmp_path, {STRANGERS[0].address: 1})
    result = ape(batched, "prove", "--circuit", names[0], "--batch", str(members), "--yes")
    (path,) = map(Path, re.findall(r"proof for 0x[^:]+: (.+)", result.stdout))
    assert path.name == f"{names[0]}-{STRANGERS[0].address}.json"
    path.unlink()

"""prove: batches, and inputs and accounts that it refuses."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from eth_account import Account

from models.data import sound
from tests.consents import consent_file
from tests.inputs import REAL_VOICE
from tests.typed import (
    FULL,
    READ_ONLY,
    all_refused,
    ape,
    ape_on,
    new_process,
    open_round,
    refused,
)
from tests.warm import APE
from zk.files import ROOT
from zk.proof import Proof, prove


def test_prove_a_batch(node, tmp_path):
    batch = tmp_path / "members.csv"
    # Proofs in the default folder do not replace any that are there.
    people = [Account.create() for _ in range(2)]
    accounts = [person.address for person in people]
    lines = [f"{account},{image}\n" for image, account in enumerate(accounts, start=1)]
    batch.write_text("account,test-image\n" + "".join(lines))
    result = ape(node, "prove", "--batch", str(batch))
    assert result.returncode == 0, result.stderr
    proofs = [Path(path) for path in re.findall(r"proof for \w+: (.+)", result.stdout)]
    try:
        assert proofs == [ROOT / "proofs" / f"clan-{account}.json" for account in accounts]
        for person, proof, clan in zip(people, proofs, (2, 1), strict=True):
            consent = consent_file(tmp_path / "consent.json", node, person, clan)
            join = ("join", str(proof), "--account", "0", "--consent", str(consent))
            assert f"joined clan {clan}, relayed by" in ape(node, *join).stdout
    finally:
        for proof in proofs:
            proof.unlink()


def test_prove_refuses_a_bad_batch(node, tmp_path):
    cases = [
        ("cannot be read as a .csv file", None),
        ("has no line below its header", "account,test-image\n"),
        ("Line 2 of", "account,test-image\n,0\n"),
        ("Line 3 of", "account,test-image,image\n1,0,\n2,0,x.png\n"),
        # As Excel saves it; the empty line is line 3.
        ("Line 5 of", "\ufeffaccount;test-image\r\n1;0\r\n\r\n2;1\r\n3;one\r\n"),
        ("Line 2 of", "account,picture\n1,0\n"),
        ("has test-image '10000'", "account,test-image\n1,10000\n"),
        ("twice", "account,test-image\n1,0\n1,1\n"),
        ("nothing.png", "account,image\n1,nothing.png\n"),
        ("clan takes drawings, not recordings", "account,clip\n1,song.wav\n"),
    ]
    commands: list[tuple[str, ...]] = [
        ("--batch excludes --account", "prove", "--batch", "x.csv", "--account", "1"),
        ("Name the account of the proof with --account", "prove", "--test-image", "0"),
    ]
    for number, (reason, content) in enumerate(cases):
        batch = tmp_path / f"{number}.csv"
        if content is not None:
            batch.write_text(content)
        commands.append((reason, "prove", "--batch", str(batch)))
    all_refused(node, commands)


def test_prove_refuses_bad_recordings(node, tmp_path):
    (tmp_path / "text.wav").write_text("la la la")
    soundfile.write(tmp_path / "silent.wav", np.zeros(22050), 22050)
    sing = ("prove", "--circuit", "voice", "--account", "1")
    draw = ("prove", "--circuit", "clan", "--account", "1")
    open_round(node)
    all_refused(
        node,
        [
            (sound.FORMATS_IN_WORDS, *sing, "--clip", str(tmp_path / "text.wav")),
            ("is silent", *sing, "--clip", str(tmp_path / "silent.wav")),
            ("nothing.wav", *sing, "--clip", str(tmp_path / "nothing.wav")),
            ("voice takes recordings, not drawings", *sing, "--test-image", "0"),
            ("clan takes drawings, not recordings", *draw, "--clip", str(REAL_VOICE)),
            ("Clan has no rounds", *draw, "--test-image", "0", "--round", "1"),
        ],
    )


def test_prove_refuses_bad_drawings_and_accounts(node, tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((28, 28)))
    lower = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    cases = (
        ("drawing is empty", "--image", str(tmp_path / "empty.npy"), "--account", "1"),
        ("nothing.png", "--image", str(tmp_path / "nothing.png"), "--account", "1"),
        ("Give one of", "--account", "1"),
        ("is not in the range", "--test-image", "10000", "--account", "1"),
        ("clan ships without samples", "--sample", "0", "--account", "1"),
        ("There is no test account 12", "--test-image", "1", "--account", "12"),
        ("There is no account 'nobody'", "--test-image", "1", "--account", "nobody"),
        ("valid checksum", "--test-image", "1", "--account", lower.replace("c5", "C5")),
        ("valid checksum", "--test-image", "1", "--account", "0x1234"),
        ("zero address", "--test-image", "1", "--account", "0x" + "0" * 40),
        ("has not been built", "--test-image", "1", "--account", "1", "--circuit", "nothing"),
    )
    all_refused(node, [(reason, "prove", *words) for reason, *words in cases])


def test_prove_without_room(node, tmp_path):
    out = tmp_path / "proofs" / "proof.json"
    out.parent.mkdir()
    prove = ("prove", "--test-image", "0", "--account", "1", "--out", str(out))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for folder, disk, reason in (
        (out.parent, "size=4k,nr_inodes=1", FULL),
        (out.parent, "ro", READ_ONLY),
        (temporary, "size=16k", FULL),
    ):
        assert reason in refused(ape_on(folder, disk, node, *prove, TMPDIR=str(temporary)))


DOUBTFUL = 3474  # the MNIST test image of a 2 that reads as a 7, ahead by 0.02


def test_proof_file_is_replaced_on_demand(node, tmp_path):
    out = tmp_path / "proof.json"
    out.write_text("mine")
    again = ("prove", "--test-image", "0", "--account", "1", "--out", str(out))
    exists = f"{out} exists already: name another file with --out"
    assert exists in refused(ape(node, *again))
    assert out.read_text() == "mine"
    assert ape(node, *again, "--yes").returncode == 0
    made = Proof.load(out)
    assert made.circuit == "clan"
    assert exists in refused(ape(node, *again))
    assert Proof.load(out) == made


def test_doubtful_reading_is_proved_on_demand(node, tmp_path):
    out = tmp_path / "proof.json"
    doubtful = ("prove", "--test-image", str(DOUBTFUL), "--account", "1", "--out", str(out))
    result = ape(node, *doubtful)
    assert "the model reads a 7, ahead of a 2 by 0.02" in result.stdout
    assert "This may be a 2 as well as a 7: a third of the readings" in refused(result)
    assert not out.exists()
    assert ape(node, *doubtful, "--yes").returncode == 0
    assert out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("said", ["n", "y"])
def test_questions_on_a_terminal(node, tmp_path, said):
    """Both questions: whether to replace a file, and whether to prove a doubtful reading."""
    out = tmp_path / "proof.json"
    out.write_text("mine")
    ours, its = os.openpty()
    os.write(ours, f"y\n{said}\n".encode())
    words = ("prove", "--test-image", str(DOUBTFUL), "--account", "1", "--out", str(out))
    result = new_process({**os.environ, **node.environment}, str(APE), "run", *words, stdin=its)
    os.close(ours)
    os.close(its)
    assert "exists already. Replace it? [y/N]" in result.stderr
    assert "are wrong. Prove it as it is? [y/N]" in result.stderr
    assert (result.returncode == 0) == (out.read_text() != "mine") == (said == "y")


def test_proof_file_holds_nothing_private(manifest, views, tmp_path):
    proof = prove(manifest, 5, views[0])
    proof.save(tmp_path / "proof.json")
    content = json.loads((tmp_path / "proof.json").read_text())
    assert set(content) == {"circuit", "proof", "instances"}
    assert Proof.load(tmp_path / "proof.json") == proof

"""--json: one document on standard output, for results and for errors; and what to type next."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.inputs import DRAW, SING
from tests.nodes import Node
from tests.typed import ape, open_round

BEN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"  # test account 1


def document(node: Node, *words: str, code: int = 0) -> tuple[Any, str]:
    """The document that a command prints, and the command that it names next."""
    result = ape(node, *words, "--json")
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("Next: `ape run ")]
    (suggested,) = lines or [""]
    return json.loads(result.stdout), suggested.removeprefix("Next: `ape run ").removesuffix("`.")


def test_clan_in_documents(node, tmp_path, manifest):
    node.record.unlink()
    (built,), suggested = document(node, "build", "--circuit", "clan")
    assert (built["circuit"], built["cells"]) == ("clan", manifest["cells"])
    assert suggested == "deploy --only clan"
    (deployed,), suggested = document(node, *suggested.split())
    assert deployed == {"circuit": "clan", **json.loads(node.record.read_text())["clan"]}
    assert suggested == "prove --circuit clan --test-image 0 --account 1"
    out = str(tmp_path / "proof.json")
    (proved,), suggested = document(node, *suggested.split(), "--out", out)
    assert (proved["account"], proved["round"], proved["proof"]) == (BEN, None, out)
    assert (proved["result"]["digit"], len(proved["result"]["logits"])) == (7, 10)
    assert suggested == f"join {out}"
    joined, suggested = document(node, *suggested.split())
    assert (joined["account"], joined["clan"], suggested) == (BEN, 7, "clans --circuit clan")
    assert len(joined["transaction"]) == 66
    clans, suggested = document(node, *suggested.split())
    assert clans == {"members": [0] * 7 + [1, 0, 0], "leader": 7}
    assert suggested == "prove --circuit clan --image drawing.png --account ACCOUNT"


@pytest.mark.full  # as for clans
def test_voice_judge_in_documents(node, tmp_path, real_score):
    assert document(node, "rounds") == ([], "open-round --threshold 0.25 --reward 0.01")
    offer = ("open-round", "--threshold", "0.01", "--reward", "0.01")
    opened, suggested = document(node, *offer)
    assert (opened["round"], opened["threshold"], opened["reward"]) == (0, "0.01", "0.01")
    assert suggested == "prove --circuit voice --clip song.wav --account ACCOUNT --round 0"
    out = str(tmp_path / "proof.json")
    (proved,), suggested = document(node, *SING, "--out", out)
    assert (proved["round"], proved["result"]["score"]) == (0, str(real_score))
    judged, suggested = document(node, *suggested.split(), "--account", "2")
    assert (judged["account"], judged["round"], judged["credit"]) == (BEN, 0, "0.01")
    assert suggested == "withdraw --account 1"
    assert document(node, *suggested.split()) == ({"account": BEN, "ether": "0.01"}, "rounds")
    (shown,), _ = document(node, "rounds")
    assert (shown["rewards_left"], shown["open"]) == (0, False)
    assert shown["best"] == [{"account": BEN, "score": judged["score"]}]


def test_lists_in_documents(node):
    assert {"clan", "voice"} <= {one["circuit"] for one in document(node, "circuits")[0]}
    listed, suggested = document(node, "srs")
    assert suggested == "build"
    assert all(Path(one["path"]).suffix == ".srs" and one["bytes"] > 0 for one in listed)


def test_errors_in_documents(node, drawing_proof, tmp_path):
    """In every command that has documents: the sentence, and the exit code of a failure."""
    open_round(node)
    song = tmp_path / "song.json"
    song.write_text(json.dumps({**json.loads(drawing_proof.read_text()), "circuit": "voice"}))
    other = ("--circuit", "clan")
    for code, reason, *words in (
        (2, "--largest-input go with --onnx", "build", "--name", "mine"),
        (2, "Give --circuit", "tune"),
        (2, "Give one of --image", *DRAW, "--clip", "song.wav"),
        (1, "exists already", *DRAW, "--out", str(drawing_proof)),
        (1, "nothing has not been built", "deploy", "--only", "nothing"),
        (1, "voice is deployed as VoiceJudge", "join", str(song)),
        (1, "voice is deployed as VoiceJudge", "clans", "--circuit", "voice"),
        (1, "clan is deployed as Clan", "judge", str(drawing_proof)),
        (1, "clan is deployed as Clan", "rounds", *other),
        (1, "clan is deployed as Clan", "open-round", "--threshold", "0", "--reward", "1", *other),
        (1, "has no credit", "withdraw"),
    ):
        found, suggested = document(node, *words, code=code)
        assert reason in found["error"]
        assert (list(found), suggested) == (["error"], "")

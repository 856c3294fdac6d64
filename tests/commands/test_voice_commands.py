"""open-round, prove, judge, rounds and withdraw: account 0 sponsors, 1 sings and 2 relays."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from eth_abi import encode
from eth_utils import keccak

from apps.voice import ANYONE, exactly, written
from tests.inputs import SING
from tests.typed import all_refused, ape, open_round, refused
from zk.files import ROOT


@pytest.fixture(scope="module")
def song_file(chain, tmp_path_factory) -> tuple[Path, str]:
    """The proof file of account 1's song in round 0, which each test opens, and what was said."""
    out = tmp_path_factory.mktemp("sung") / "proof.json"
    with chain.unchanged():
        assert open_round(chain) == 0
        result = ape(chain, *SING, "--out", str(out), "--keep")
    assert result.returncode == 0, result.stderr
    return out, result.stdout


def test_no_round_yet(node):
    assert "no round has been opened yet" in ape(node, "rounds").stdout
    assert "open one with `ape run open-round`" in refused(ape(node, *SING))


def test_open_round_refuses(node):
    offer = ("open-round", "--reward", "0.01", "--rewards", "2")
    low = (*offer, "--threshold", "0.1")
    all_refused(
        node,
        [
            ("'1.1' is not a decimal number from 0 to 1", *offer, "--threshold", "1.1"),
            ("'high' is not a decimal number", *offer, "--threshold", "high"),
            ("'1e999999' is not a decimal", *offer, "--threshold", "1e999999"),
            ("'nan' is not a decimal", *offer, "--threshold", "nan"),
            ("is not in the range", *low, "--hours", "0"),
            ("'0' is not a decimal number from 0.000000000000000001", *low, "--reward", "0"),
            ("at most 18 decimals", *low, "--reward", "0.0000000000000000001"),
            ("'-1' is not a decimal", *low, "--reward", "-1"),
        ],
    )


def test_song_of_the_readme_earns_its_reward(real_score):
    walk = (ROOT / "README.md").read_text()
    threshold = re.search(r"open-round --threshold (\S+)", walk)
    assert threshold and real_score >= Decimal(threshold[1]) * 10**18


def test_prove_refuses_what_would_not_be_rewarded(node, tmp_path, real_score):
    """Before proving: a low score, and a round that does not exist or is over."""
    sing = (*SING, "--out", str(tmp_path / "proof.json"))
    open_round(node, "--threshold", "0.9999")
    result = ape(node, *sing)
    assert f"the judge's score is {written(real_score)}" in result.stdout
    assert "round 0 pays 0.01 ether for a score of 0.9999 or more" in result.stdout
    low = f"A score of {exactly(real_score)} is too low: round 0 asks for 0.9999"
    assert low in refused(result)
    assert "There is no round 1" in refused(ape(node, *sing, "--round", "1"))
    open_round(node, "--hours", "1")
    node.pass_time(3700)
    assert "Round 1 ended at its deadline" in refused(ape(node, *sing))
    assert "(over)" in ape(node, "rounds").stdout
    assert not list(tmp_path.iterdir())


def test_private_files_are_kept_on_demand(song_file):
    proof, said = song_file
    for name in ("librivox.private.png", "proof.private.json"):
        kept = proof.with_name(name)
        assert str(kept) in said
        assert kept.stat().st_size > 1000
        assert kept.stat().st_mode & 0o777 == 0o600


def test_judge_refuses_damaged_proofs(node, song_file, tmp_path):
    open_round(node)
    proof, _ = song_file
    content = json.loads(proof.read_text())
    instances = content["instances"]
    cases = [("voice is deployed as VoiceJudge, not as Clan", "join", str(proof))]
    for reason, damage in (
        (
            "refuses: BoundApplication__InvalidProof",
            {"proof": content["proof"][:-1] + ("1" if content["proof"][-1] == "0" else "0")},
        ),
        ("refuses: BoundApplication__WrongInstanceCount", {"instances": instances[:-1]}),
        (
            "made for another chain, contract or round",
            {"instances": [*instances[:9], "0x00", instances[10]]},
        ),
    ):
        spoilt = tmp_path / f"spoilt-{len(cases)}.json"
        spoilt.write_text(json.dumps({**content, **damage}))
        cases.append((reason, "judge", str(spoilt)))
    all_refused(node, cases)


def test_open_round_admit_prove_judge_rounds_withdraw(node, tmp_path, real_score, accounts):
    proof, score = str(tmp_path / "proof.json"), written(real_score)
    offer = ("--threshold", exactly(real_score), "--reward", "0.01", "--rewards", "2")
    singers, others = tmp_path / "singers.txt", tmp_path / "others.txt"
    singers.write_text(f"{accounts[1]}\n{accounts[2]}\n")
    others.write_text(f"{accounts[2]}\n")
    result = ape(node, "open-round", *offer, "--hours", "1", "--singers", str(singers))
    assert "round 0 is open until" in result.stdout, result.stderr
    assert f"Next: `ape run admit {singers} --round 0`" in result.stdout
    all_refused(
        node,
        [
            (f"{accounts[1]} was not admitted to round 0", *SING, "--out", proof),
            ("are not the singers that round 0", "admit", str(others), "--round", "0"),
            ("VoiceJudge__NoSuchRound", "admit", str(singers), "--round", "1"),
        ],
    )
    for new in (2, 0):
        result = ape(node, "admit", str(singers), "--round", "0")
        assert f"round 0: {new} newly admitted, 2 in all" in result.stdout, result.stderr
    result = ape(node, *SING, "--out", proof)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "proof.json",  # and nothing private
        "singers.txt",
        "others.txt",
    }

    result = ape(node, "judge", proof, "--account", "2")
    assert f"scored {score} in round 0 and has a credit of 0.01 ether" in result.stdout
    assert "relayed by" in result.stdout
    earned = "has already earned the reward of round 0"
    all_refused(node, [(earned, "judge", proof), (earned, *SING, "--out", proof)])
    result = ape(node, "rounds")
    assert re.search(
        rf"0 +{score} +0\.01 +1 .* UTC .chosen singers. +{score} 0x7099", result.stdout
    )

    assert "has no credit at" in refused(ape(node, "withdraw", "--account", "2"))
    assert "0.01 ether for 0x7099" in ape(node, "withdraw", "--account", "1").stdout
    take_back = ("withdraw", "--round", "0")
    all_refused(
        node,
        [
            ("VoiceJudge__NotTheSponsor", *take_back, "--account", "1"),
            ("VoiceJudge__RoundNotOver", *take_back),
            ("VoiceJudge__NoSuchRound", "withdraw", "--round", "9"),
        ],
    )
    node.pass_time(3700)
    assert "0.01 ether for 0xf39F" in ape(node, *take_back).stdout


def test_round_that_never_ends_is_shown(node, record, accounts):
    """Anybody can open a round, with a deadline beyond every calendar."""
    selector = keccak(text="openRound(uint256,uint256,uint64,bytes32)")[:4]
    data = selector + encode(["uint256", "uint256", "uint64", "bytes32"], [0, 1, 2**64 - 1, ANYONE])
    sent = {
        "from": accounts[0].address,
        "to": record["voice"]["contract"],
        "data": "0x" + data.hex(),
    }
    node.rpc("eth_sendTransaction", {**sent, "value": "0x1"})
    result = ape(node, "rounds")
    assert result.returncode == 0
    assert "0.000000000000000001" in result.stdout
    assert "after the year 9999" in result.stdout

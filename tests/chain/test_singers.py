"""Rounds for chosen singers: their tree, their admission, and everybody else's refusal."""

import json

import ape
import pytest
from eth_utils import to_checksum_address

from apps.singers import Singers
from apps.voice import admit, application
from tests.inputs import REWARD
from zk.errors import CircuitError
from zk.files import ROOT

pytestmark = pytest.mark.plain

# Trees of the accounts 1 to n, made by @openzeppelin/merkle-tree 1.0.8.
RECORDED = json.loads((ROOT / "tests" / "recorded" / "merkle.json").read_text())


@pytest.fixture
def chosen(accounts) -> Singers:
    return Singers([accounts[number].address for number in (0, 3, 4)])


def sing(judge, account, proof, number=0):
    return judge.judge(number, account, proof.proof, proof.instances, sender=account)


@pytest.mark.parametrize("count", RECORDED)
def test_trees_are_those_of_openzeppelin(count):
    accounts = [to_checksum_address(f"0x{number + 1:040x}") for number in range(int(count))]
    tree = Singers(accounts)
    assert f"0x{tree.root.hex()}" == RECORDED[count]["root"]
    branches = [[f"0x{one.hex()}" for one in tree.branch(account)] for account in accounts]
    assert branches == RECORDED[count]["branches"]


def test_list_of_singers(tmp_path):
    path, first, second = tmp_path / "singers.txt", f"0x{1:040x}", f"0x{2:040x}"
    for start in ("", "\ufeff"):  # a byte order mark, as spreadsheets write it
        path.write_text(f"{start}{first}\n\n{second}\n{first}\n")
        assert Singers.read(path).accounts == [first, second]
    for content, problem in (
        ("\n", "is empty: write one address per line"),
        (f"{first}\n{first[:-1]}\n", "is not an address"),
        (f"{first},0.5\n", "is not an address"),
    ):
        path.write_text(content)
        with pytest.raises(CircuitError, match=problem):
            Singers.read(path)
    with pytest.raises(CircuitError, match="cannot be read"):
        Singers.read(tmp_path)


def test_only_admitted_singers_earn_the_reward(judge, open_round, sung, accounts, chosen, relayer):
    open_round(singers=chosen.root)
    assert not judge.isAdmitted(0, accounts[0])
    for number in (0, 1):
        with ape.reverts(judge.VoiceJudge__NotAdmitted, round=0, account=accounts[number]):
            sing(judge, accounts[number], sung(number))
    branch = chosen.branch(accounts[0].address)
    receipt = judge.admit(0, accounts[0], branch, sender=relayer)
    assert receipt.events == [judge.Admitted(round=0, account=accounts[0])]
    sing(judge, accounts[0], sung(0))
    assert judge.isAdmitted(0, accounts[0])
    assert judge.creditOf(accounts[0]) == REWARD
    with ape.reverts(judge.VoiceJudge__NotAdmitted, round=0, account=accounts[1]):
        sing(judge, accounts[1], sung(1))


def test_admission_again_earns_no_second_reward(judge, open_round, sung, scores, accounts, chosen):
    open_round(singers=chosen.root)
    branch = chosen.branch(accounts[0].address)
    judge.admit(0, accounts[0], branch, sender=accounts[0])
    sing(judge, accounts[0], sung(0))
    judge.admit(0, accounts[0], branch, sender=accounts[0])
    assert judge.scoreOf(0, accounts[0]) == scores[0]
    with ape.reverts(judge.VoiceJudge__NotHigher, score=scores[0], recorded=scores[0]):
        sing(judge, accounts[0], sung(0))


def test_admission_is_for_one_round(judge, open_round, sung, accounts, chosen):
    open_round(singers=chosen.root)
    open_round(singers=chosen.root)
    judge.admit(1, accounts[0], chosen.branch(accounts[0].address), sender=accounts[0])
    assert [judge.isAdmitted(number, accounts[0]) for number in (0, 1)] == [False, True]
    with ape.reverts(judge.VoiceJudge__NotAdmitted, round=0, account=accounts[0]):
        sing(judge, accounts[0], sung(0))


def test_branches_that_admit_nobody(judge, open_round, accounts, chosen):
    """Another account's branch, a longer or shorter one, an inner node; the root of no list."""
    open_round(singers=chosen.root)
    open_round()
    branches = {account: chosen.branch(account) for account in chosen.accounts}
    singer = max(branches, key=lambda account: len(branches[account]))
    branch = branches[singer]
    assert len(branch) == 2
    for account, siblings in (
        (accounts[1], branch),
        (singer, branch[:-1]),
        (singer, [*branch, chosen.root]),
        (singer, branch[::-1]),
        (singer, []),
    ):
        with ape.reverts(judge.VoiceJudge__NotChosen, round=0, account=account):
            judge.admit(0, account, siblings, sender=accounts[0])
    with ape.reverts(judge.VoiceJudge__NotChosen, round=1, account=singer):
        judge.admit(1, singer, branch, sender=accounts[0])
    with ape.reverts(judge.VoiceJudge__NoSuchRound, round=2):
        judge.admit(2, singer, branch, sender=accounts[0])
    assert not judge.isAdmitted(0, singer)


def test_the_list_of_another_round_is_refused(judge, open_round, accounts, chosen):
    open_round(singers=chosen.root)
    open_round()
    with pytest.raises(CircuitError, match="Round 1 is open to every account"):
        admit(judge, 1, chosen, accounts[7])
    other = Singers([accounts[1].address])
    with pytest.raises(CircuitError, match="are not the singers that round 0 was opened for"):
        admit(judge, 0, other, accounts[7])
    with pytest.raises(CircuitError, match="was not admitted to round 0"):
        application.require_open(judge, accounts[0].address, 0)
    assert admit(judge, 0, chosen, accounts[7]) == chosen.accounts
    assert admit(judge, 0, chosen, accounts[7]) == []
    application.require_open(judge, accounts[0].address, 0)

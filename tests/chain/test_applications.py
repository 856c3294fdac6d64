"""The applications: their refusals, rounds, offers, forgeries and tables."""

from datetime import UTC, datetime

import pytest

from apps import clan as clans
from apps import voice
from apps.registry import RefusedError, application_of, applications, named, require_outputs
from apps.rules import Argmax, Threshold
from apps.voice import FAINTEST_VOICE, ONE, exactly, is_voice, score_from, written
from chain.network import moment
from zk.errors import CircuitError
from zk.proof import Proof

pytestmark = pytest.mark.plain

JUDGE, CLAN = voice.application, clans.application


# The registry


def test_applications_by_name(manifest, song_manifest):
    assert list(applications()) == ["Clan", "VoiceJudge"]
    assert (application_of(manifest), application_of(song_manifest)) == (CLAN, JUDGE)
    with pytest.raises(CircuitError, match="no application 'Poll': there are Clan, VoiceJudge"):
        named("Poll")


@pytest.mark.parametrize(("application", "outputs"), [(CLAN, 10), (JUDGE, 1)])
def test_outputs_that_an_application_takes(application, outputs):
    require_outputs(application, "mine", outputs)
    for other in (outputs - 1, outputs + 1):
        with pytest.raises(
            CircuitError, match=f"mine has {other} outputs, but {application.name} takes {outputs}"
        ):
            require_outputs(application, "mine", other)


# Rounds and keys


def test_chosen_round(judge, clan, open_round):
    with pytest.raises(RefusedError, match="No round is open: open one with `ape run open-round`"):
        JUDGE.choose_round(judge, None)
    open_round()
    assert [JUDGE.choose_round(judge, chosen) for chosen in (None, 0)] == [0, 0]
    open_round()
    assert [JUDGE.choose_round(judge, chosen) for chosen in (None, 0, 1)] == [1, 0, 1]
    with pytest.raises(RefusedError, match="There is no round 2: the newest is 1"):
        JUDGE.choose_round(judge, 2)
    assert CLAN.choose_round(clan, None) is None
    assert CLAN.choose_round(clan, 0) is None
    with pytest.raises(CircuitError, match="Clan has no rounds: leave out round 1"):
        CLAN.choose_round(clan, 1)


def test_round_of_a_key(judge, clan, open_round, accounts):
    open_round()
    open_round()
    one, other = str(accounts[0]), str(accounts[1])
    keys = [JUDGE.key(judge, one, number) for number in range(3)]
    assert keys == [judge.keyOf(one, number) for number in range(3)]
    assert [JUDGE.round_of(judge, one, key) for key in keys[:2]] == [0, 1]
    assert CLAN.key(clan, one, None) == clan.keyOf(one)
    assert CLAN.round_of(clan, one, clan.keyOf(one)) is None
    for application, contract, account, key in (
        (JUDGE, judge, one, keys[2]),
        (JUDGE, judge, other, keys[0]),
        (CLAN, clan, one, keys[0]),
        (CLAN, clan, other, clan.keyOf(one)),
    ):
        with pytest.raises(RefusedError, match=f"another chain, contract or .* {contract.address}"):
            application.round_of(contract, account, key)


# Refusals


def test_a_member_is_refused(clan, proof, accounts):
    CLAN.require_open(clan, str(accounts[0]), None)
    receipt = CLAN.submit(clan, str(accounts[0]), None, proof, accounts[0])
    assert receipt.events == [
        clan.Joined(account=accounts[0], clan=7),
        clan.LeaderChanged(clan=7, members=1),
    ]
    with pytest.raises(RefusedError, match=r"0x\w{40} is already in clan 7 and cannot change"):
        CLAN.require_open(clan, str(accounts[0]), None)
    CLAN.require_open(clan, str(accounts[1]), None)


def test_a_round_is_open_until_its_deadline(judge, open_round, accounts, monkeypatch):
    deadline = open_round()
    for now, over in ((deadline - 1, False), (deadline, False), (deadline + 1, True)):
        monkeypatch.setattr(voice, "now", lambda now=now: now)
        if over:
            with pytest.raises(RefusedError, match=f"Round 0 ended at its .*, {moment(deadline)}"):
                JUDGE.require_open(judge, str(accounts[0]), 0)
        else:
            JUDGE.require_open(judge, str(accounts[0]), 0)


def test_scores_are_refused_below_the_threshold(judge, open_round, accounts):
    scale = judge.outputScale()
    threshold = score_from(2**scale // 3, scale)
    open_round(threshold=threshold)
    for answer in ([2**scale // 3], [2**scale // 3, 0], [2**scale], None):
        JUDGE.require_open(judge, str(accounts[0]), 0, answer)
    low = score_from(2**scale // 3 - 1, scale)
    with pytest.raises(
        RefusedError, match=rf"{exactly(low)} is too low: round 0 asks for {exactly(threshold)}\."
    ):
        JUDGE.require_open(judge, str(accounts[0]), 0, [2**scale // 3 - 1])


def test_rewards_are_earned_once_and_run_out(judge, open_round, sung, scores, accounts):
    open_round(rewards=1)
    open_round(rewards=1)
    one, other = str(accounts[0]), str(accounts[1])
    JUDGE.require_open(judge, one, 0)
    assert JUDGE.read(judge, one, 0, sung(0)) == scores[0]
    receipt = JUDGE.submit(judge, one, 0, sung(0), accounts[1])
    assert receipt.sender == accounts[1]
    JUDGE.require_open(judge, one, 0)  # the score is not known yet
    recorded = sung(0).instances[-1]
    JUDGE.require_open(judge, one, 0, [recorded + 1])
    with pytest.raises(RefusedError, match=f"{one} has already earned the reward of round 0"):
        JUDGE.require_open(judge, one, 0, [recorded])
    with pytest.raises(RefusedError, match="Round 0 has no rewards left"):
        JUDGE.require_open(judge, other, 0)
    JUDGE.require_open(judge, one, 1)


# Offers, results and tables


def test_prepared_contract_has_an_open_round(judge, accounts, monkeypatch):
    monkeypatch.setattr(voice, "now", lambda: 2_000_000_000)
    JUDGE.prepare(judge, accounts[3], 4)
    JUDGE.prepare(judge, accounts[3])
    assert judge.rounds() == 1
    offer = judge.roundOf(0)
    assert (offer.threshold, offer.reward, offer.rewardsLeft) == (25 * 10**16, 10**16, 4)
    assert offer.deadline == 2_000_000_000 + 604_800
    terms = "round 0 pays 0.01 ether for a score of 0.25 or more"
    assert JUDGE.terms(judge, 0) == terms
    assert CLAN.terms(None, None) is None


def test_prepared_contract_has_ten_rewards(judge, accounts):
    JUDGE.prepare(judge, accounts[3])
    assert judge.rewardsLeft(0) == 10


def test_table_of_rounds(judge, open_round, sung, scores, accounts, monkeypatch, chain):
    assert voice.table(voice.rounds(judge, 0)) == "no round has been opened yet"
    first = chain.blocks.height
    deadline = open_round(threshold=ONE // 4, rewards=3)
    open_round(seconds=7200)
    judged = [number for number in range(3) if scores[number] >= ONE // 4]
    for number in judged:
        JUDGE.submit(judge, str(accounts[number]), 0, sung(number), accounts[number])
    monkeypatch.setattr(voice, "now", lambda: deadline)
    _, one, two = voice.table(voice.rounds(judge, first)).split("\n")
    best = ", ".join(
        f"{written(scores[n])} {accounts[n]}" for n in sorted(judged, key=lambda n: -scores[n])
    )
    assert judged
    assert one.split(maxsplit=6)[:4] == ["0", "0.2500", "0.01", str(3 - len(judged))]
    assert one.endswith(f"{moment(deadline)}  {best}")
    assert two.endswith(f"{moment(deadline + 3600)}  -")
    monkeypatch.setattr(voice, "now", lambda: deadline + 1)
    _, one, two = voice.table(voice.rounds(judge, chain.blocks.height)).split("\n")
    last = f"{written(scores[judged[-1]])} {accounts[judged[-1]]}"
    assert one.endswith(f"{moment(deadline)} (over)  {last}")
    assert "(over)" not in two


def test_table_of_clans(clan, set_counts):
    def rows(counts: dict[int, int]) -> list[str]:
        set_counts(counts)
        return clans.table(clan).split("\n")

    assert rows({})[-1] == "no clan has members yet"
    assert rows({3: 1})[-1] == "clan 3 leads with 1 member"
    some = rows({3: 1, 4: 40, 9: 20})
    assert len(some) == 11
    assert some[-1] == "clan 4 leads with 40 members"
    assert [row.count("█") for row in some[:-1]] == [0, 0, 0, 1, 40, 0, 0, 0, 0, 20]
    assert some[3] == "  clan 3       1  █"
    many = rows({0: 8000, 1: 4000, 2: 1})
    assert [row.count("█") for row in many[:4]] == [40, 20, 1, 0]
    assert many[-1] == "clan 0 leads with 8,000 members"


@pytest.mark.parametrize(
    ("output", "score"),
    [
        *[(-(2**20), 0), (-1, 0), (0, 0), (1, ONE // 2**20), (2**19, ONE // 2)],
        *[(2**20 - 1, (2**20 - 1) * ONE // 2**20), (2**20, ONE), (2**20 + 1, ONE), (2**40, ONE)],
    ],
)
def test_score_of_an_output(output, score):
    assert score_from(output, 20) == score
    result = JUDGE.result([output], 20)
    assert (result.score, result.written, result.kind) == (str(score), written(score), "score")
    assert JUDGE.lines([output], 20) == [f"the judge's score is {score / 10**18:.4f}"]


def test_wording_of_amounts_and_times():
    amounts = {0: "0", 1: "0.000000000000000001", 35 * 10**16: "0.35", 10**18: "1"}
    amounts |= {10**20: "100", 123 * 10**17: "12.3"}
    assert {units: exactly(units) for units in amounts} == amounts
    assert [written(units) for units in (0, 35 * 10**16, 123456 * 10**12, ONE)] == [
        "0.0000",
        "0.3500",
        "0.1235",
        "1.0000",
    ]
    assert moment(0) == "1970-01-01 00:00 UTC"
    last = int(datetime(9999, 12, 31, 23, 59, tzinfo=UTC).timestamp())
    assert moment(last) == "9999-12-31 23:59 UTC"
    assert moment(last + 60) == moment(2**64 - 1) == "after the year 9999"


def test_digit_and_bars_of_logits():
    logits = [-64, 0, 128, 64, 128, -32, 0, 0, 0, 0]
    assert clans.digit_of(logits) == 2
    result = CLAN.result(logits, 6)
    assert (result.digit, result.kind) == (2, "digit")
    assert result.logits == [-1, 0, 2, 1, 2, -0.5, 0, 0, 0, 0]
    *bars, last = CLAN.lines(logits, 6)
    assert last == "the model reads a 2, ahead of a 4 by 0.00"
    assert [bar.count("█") for bar in bars] == [0, 10, 30, 20, 30, 5, 10, 10, 10, 10]
    assert bars[3] == f"  3      1.00  {'█' * 20}"
    assert [bar.count("█") for bar in CLAN.lines([0] * 10, 6)[:-1]] == [0] * 10


def test_example_orders():
    assert len(CLAN.order["drawing"]) == 784
    assert set(CLAN.order) == {"drawing", "account"}
    assert JUDGE.order == {"clip": "UklGRg==", "account": "0x" + "0" * 39 + "1", "round": 0}


# Forgeries


def test_forgeries_of_two_genuine_proofs(judge, clan, accounts):
    one, other = Proof("c", b"one", [1, 2, 3]), Proof("c", b"other", [4, 5, 6])
    account, thief = str(accounts[0]), str(accounts[1])
    expected = [
        ("the proof of another account", thief, 0, Proof("c", b"one", [1, 2, 3])),
        ("a proof with another's key", thief, 0, Proof("c", b"one", [4, 5, 6])),
        ("a proof with another answer", account, 0, Proof("c", b"one", [1, 2, 4])),
        ("an empty proof", account, 0, Proof("c", b"", [1, 2, 3])),
        ("the proof of another round", account, 1, Proof("c", b"one", [1, 2, 3])),
    ]
    for application, contract, rounds in ((JUDGE, judge, True), (CLAN, clan, False)):
        view = contract.readScore if rounds else contract.readDigit
        calls = [
            (what, bytes(view.encode_input(*[number] * rounds, who, proof.proof, proof.instances)))
            for what, who, number, proof in expected
        ]
        found = list(application.forgeries(contract, {account: one, thief: other}))
        if not rounds:
            *found, unsigned, made_up, expired = found
            claim = (account, one.proof, one.instances)
            for (what, data), consent in (
                (unsigned, (2**256 - 1, b"")),
                (made_up, (2**256 - 1, b"\x01" * 64 + b"\x1b")),
                (expired, (0, b"\x01" * 64 + b"\x1b")),
            ):
                assert data == bytes(contract.joinFor.encode_input(*claim, consent)), what
        assert found == (calls if rounds else calls[:-1])


@pytest.mark.parametrize("scale", [0, 7, 22])
def test_a_voice_scores_more_than_other_sounds(scale):
    assert not is_voice(int(FAINTEST_VOICE * 2**scale), scale)
    assert is_voice(int(FAINTEST_VOICE * 2**scale) + 1, scale)


# Rules


class Chosen(Argmax):
    name, labels = "Chosen", ("no", "yes", "perhaps")


class Passed(Threshold):
    name, labels = "Passed", ("score",)


@pytest.mark.parametrize(
    ("rule", "least", "too_little", "reason"),
    [
        (Chosen(), [-3, 4, 0], [-3, 4, 1], "yes leads by 0.75, less than the margin of 1 that"),
        (Passed(), [4], [3], "A score of 0.7500 is too low: Passed asks for 1. "),
    ],
)
def test_rule_is_fulfilled_at_its_limit(rule, least, too_little, reason):
    rule.require_rule(least, 2, ONE)
    with pytest.raises(RefusedError, match=reason):
        rule.require_rule(too_little, 2, ONE)

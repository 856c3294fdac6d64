"""`VoiceJudge.judge`: the proofs it refuses, by named errors, and the rewards it credits."""

import ape
import pytest
from eth_abi import encode
from eth_utils import keccak

from apps.voice import ONE, application, rounds, written
from chain.contracts import ask, deploy
from tests.inputs import REWARD, SONGS
from tests.refusals import refusal
from zk.layout import FIELD, LARGEST
from zk.proof import Proof, prove, prove_all

LIMBS = 11


def changed(proof: Proof, index: int, instance: int) -> Proof:
    instances = [*proof.instances[:index], instance, *proof.instances[index + 1 :]]
    return Proof(proof.circuit, proof.proof, instances)


def sing(judge, account, proof: Proof, *, number=0, sender=None):
    return judge.judge(number, account, proof.proof, proof.instances, sender=sender or account)


def test_round_that_does_not_exist(judge, open_round, sung, accounts):
    open_round()
    with ape.reverts(judge.VoiceJudge__NoSuchRound, round=1):
        sing(judge, accounts[0], sung(0), number=1)


@pytest.mark.parametrize("own", [False, True])
def test_accounts_that_can_never_withdraw(judge, open_round, sung, accounts, own):
    open_round()
    account = judge.address if own else "0x" + "00" * 20
    with ape.reverts(judge.VoiceJudge__CannotWithdraw, account=account):
        sing(judge, account, sung(0), sender=accounts[0])


@pytest.mark.parametrize("seconds", [-1, 0])
def test_until_the_deadline(judge, chain, open_round, sung, accounts, seconds):
    deadline = open_round()
    proof = sung(0)
    chain.provider.set_timestamp(deadline + seconds)
    sing(judge, accounts[0], proof)
    assert judge.isRewarded(0, accounts[0])


def test_a_second_after_the_deadline(judge, chain, open_round, sung, accounts):
    deadline = open_round()
    proof = sung(0)
    chain.provider.set_timestamp(deadline + 1)
    with ape.reverts(judge.VoiceJudge__RoundOver, round=0, deadline=deadline):
        sing(judge, accounts[0], proof)
    assert judge.creditOf(accounts[0]) == 0


def test_score_of_the_threshold(judge, open_round, sung, scores, accounts):
    open_round(threshold=scores[0])
    sing(judge, accounts[0], sung(0))
    assert judge.scoreOf(0, accounts[0]) == scores[0]


def test_score_one_unit_below_the_threshold(judge, open_round, sung, scores, accounts):
    open_round(threshold=scores[0] + 1)
    with ape.reverts(judge.VoiceJudge__ScoreTooLow, score=scores[0], threshold=scores[0] + 1):
        sing(judge, accounts[0], sung(0))
    assert not judge.isRewarded(0, accounts[0])
    assert judge.rewardsLeft(0) == 2


def test_last_reward(judge, open_round, sung, accounts):
    open_round(rewards=2)
    for number in (0, 1):
        sing(judge, accounts[number], sung(number))
    assert judge.rewardsLeft(0) == 0
    with ape.reverts(judge.VoiceJudge__NoRewardsLeft, round=0):
        sing(judge, accounts[2], sung(2))
    assert judge.creditOf(accounts[2]) == 0


def test_second_reward_in_a_round(judge, open_round, sung, scores, accounts, relayer):
    open_round()
    sing(judge, accounts[0], sung(0))
    for sender in (accounts[0], relayer):
        with ape.reverts(judge.VoiceJudge__NotHigher, score=scores[0], recorded=scores[0]):
            sing(judge, accounts[0], sung(0), sender=sender)
    assert judge.creditOf(accounts[0]) == REWARD
    assert judge.rewardsLeft(0) == 1


@pytest.fixture(scope="module")
def clips(judge, song_manifest, scores, accounts):
    """Two proofs of one singer, a worse one and a better one, and their scores."""
    worse, better = sorted(range(3), key=lambda number: scores[number])[::2]
    key = judge.keyOf(accounts[0], 0)
    proofs = prove_all(song_manifest, [(key, SONGS[number]) for number in (worse, better)])
    return proofs, [scores[worse], scores[better]]


def test_higher_score_is_recorded_without_a_second_reward(
    judge, open_round, clips, accounts, relayer
):
    """Somebody else sends the worse proof first, and cannot fix the singer's score."""
    (worse, better), (low, high) = clips
    open_round(rewards=1)
    sing(judge, accounts[0], worse, sender=relayer)
    receipt = sing(judge, accounts[0], better)
    assert receipt.events == [judge.ScoreRaised(round=0, account=accounts[0], score=high)]
    assert judge.scoreOf(0, accounts[0]) == high > low
    assert (judge.creditOf(accounts[0]), judge.rewardsLeft(0)) == (REWARD, 0)
    with ape.reverts(judge.VoiceJudge__NotHigher, score=low, recorded=high):
        sing(judge, accounts[0], worse)
    (table,) = rounds(judge, 0)
    assert table["best"] == [{"account": accounts[0].address, "score": written(high)}]


def test_higher_score_needs_a_valid_proof_before_the_deadline(
    judge, chain, open_round, clips, accounts
):
    (worse, better), (low, _) = clips
    deadline = open_round()
    sing(judge, accounts[0], worse)
    with ape.reverts(judge.BoundApplication__InvalidProof):
        sing(judge, accounts[0], Proof("voice", worse.proof, better.instances))
    chain.provider.set_timestamp(deadline + 1)
    with ape.reverts(judge.VoiceJudge__RoundOver, round=0, deadline=deadline):
        sing(judge, accounts[0], better)
    assert judge.scoreOf(0, accounts[0]) == low


def test_second_reward_in_another_round(judge, open_round, sung, accounts):
    open_round()
    open_round()
    sing(judge, accounts[0], sung(0, 0), number=0)
    sing(judge, accounts[0], sung(0, 1), number=1)
    assert judge.creditOf(accounts[0]) == 2 * REWARD


def test_same_proof_in_another_round(judge, song_manifest, open_round, sung, accounts):
    open_round()
    open_round()
    proved, wanted = (song_manifest.layout.split(judge.keyOf(accounts[0], n)) for n in (0, 1))
    limb = next(i for i in range(LIMBS) if proved[i] != wanted[i])
    expected, actual = wanted[limb], proved[limb]
    with ape.reverts(judge.BoundApplication__WrongKey, limb=limb, expected=expected, actual=actual):
        sing(judge, accounts[0], sung(0, 0), number=1)


def test_same_proof_for_another_account(judge, open_round, sung, accounts):
    open_round()
    limbs = [judge.keyOf(accounts[number], 0) & 0xFFFFFF for number in (1, 0)]
    with ape.reverts(judge.BoundApplication__WrongKey, limb=0, expected=limbs[0], actual=limbs[1]):
        sing(judge, accounts[1], sung(0))


def test_same_proof_with_the_thief_written_over_the_key(
    judge, song_manifest, open_round, sung, accounts
):
    open_round()
    limbs = song_manifest.layout.split(judge.keyOf(accounts[1], 0))
    stolen = Proof("voice", sung(0).proof, [*limbs, *sung(0).instances[LIMBS:]])
    with ape.reverts(judge.BoundApplication__InvalidProof):
        sing(judge, accounts[1], stolen)


def test_better_score_written_over_the_output(judge, song_manifest, open_round, sung, accounts):
    open_round(threshold=ONE)
    best = changed(sung(0), LIMBS, 2 ** song_manifest["output_scale"])
    with ape.reverts(judge.BoundApplication__InvalidProof):
        sing(judge, accounts[0], best)


def test_proof_for_another_contract(judge, song_manifest, sung, accounts, deployer):
    other = deploy(song_manifest, deployer)
    with refusal("BoundApplication__WrongKey"):
        application.read(other, accounts[0], 0, sung(0))


def test_proof_of_another_circuit(judge, manifest, song_manifest, open_round, views, accounts):
    """A proof of a digit for the right key, which stands in the limbs that the judge expects."""
    open_round()
    key = judge.keyOf(accounts[0], 0)
    foreign = prove(manifest, key, views[0])
    best = 2 ** song_manifest["output_scale"]
    told = Proof("voice", foreign.proof, [*song_manifest.layout.split(key), best])
    with ape.reverts(judge.BoundApplication__InvalidProof):
        sing(judge, accounts[0], told)


@pytest.mark.parametrize("count", [0, LIMBS, LIMBS + 2, 22])
def test_too_few_or_too_many_instances(judge, sung, accounts, count):
    proof = Proof("voice", sung(0).proof, (sung(0).instances * 2)[:count])
    with refusal("BoundApplication__WrongInstanceCount", expected=LIMBS + 1, actual=count):
        application.read(judge, accounts[0], 0, proof)


@pytest.mark.parametrize("index", range(LIMBS + 1))
def test_changed_instance(judge, sung, accounts, index):
    instance = sung(0).instances[index]
    error = "WrongKey" if index < LIMBS else "InvalidProof"
    for other in (instance ^ 1, instance + FIELD):
        with refusal(f"BoundApplication__{error}"):
            application.read(judge, accounts[0], 0, changed(sung(0), index, other))


def test_any_changed_byte(judge, sung, accounts):
    """Flip one bit in each 32-byte word of the proof, at a different position in each."""
    proof = sung(0)
    assert len(proof.proof) % 32 == 0
    for word in range(len(proof.proof) // 32):
        spoilt = bytearray(proof.proof)
        spoilt[32 * word + 31 - word % 32] ^= 1 << (word % 8)
        with refusal("BoundApplication__InvalidProof"):
            application.read(judge, accounts[0], 0, Proof("voice", bytes(spoilt), proof.instances))


def test_judging(judge, open_round, sung, scores, accounts, relayer):
    open_round()
    receipt = sing(judge, accounts[0], sung(0), sender=relayer)
    assert receipt.events == [
        judge.Rewarded(round=0, account=accounts[0], score=scores[0], reward=REWARD)
    ]
    assert receipt.gas_used <= 620_000
    assert judge.isRewarded(0, accounts[0])
    assert judge.scoreOf(0, accounts[0]) == scores[0]
    assert judge.creditOf(accounts[0]) == REWARD
    assert judge.creditOf(relayer) == 0
    assert judge.rewardsLeft(0) == 1


def test_dry_run_reads_the_score_and_changes_nothing(judge, open_round, sung, scores, accounts):
    open_round()
    assert application.read(judge, accounts[0], 0, sung(0)) == scores[0]
    assert not judge.isRewarded(0, accounts[0])


def test_scores_end_at_0_and_1(judge, song_manifest):
    one = 2 ** song_manifest["output_scale"]
    ends = {
        0: 0,
        1: ONE // one,
        one // 2: ONE // 2,
        one - 1: (one - 1) * ONE // one,
        one: ONE,
        one + 1: ONE,
        LARGEST - 1: ONE,
        FIELD - 1: 0,
        FIELD - LARGEST + 1: 0,
    }
    assert {output: judge.scoreFrom(output) for output in ends} == ends


@pytest.mark.parametrize("output", [LARGEST, FIELD // 2, FIELD - LARGEST, FIELD])
def test_output_out_of_range(judge, output):
    with refusal("BoundApplication__OutputOutOfRange", output=0, instance=output):
        ask(judge, "scoreFrom", output)


@pytest.mark.parametrize("scale", [128, 256])
def test_deployment_refuses_a_scale_beyond_all_outputs(contracts, judge, deployer, scale):
    with ape.reverts(contracts.VoiceJudge.BoundApplication__BadOutputScale, outputScale=scale):
        deployer.deploy(contracts.VoiceJudge, judge.verifier(), (11, 24, scale, 1))


def test_deployment_refuses_a_verifier_without_code(contracts, deployer, accounts):
    with ape.reverts(
        contracts.VoiceJudge.BoundApplication__NoVerifier, verifier=accounts[5].address
    ):
        deployer.deploy(contracts.VoiceJudge, accounts[5], (11, 24, 20, 1))


@pytest.mark.parametrize("number", [0, 1, 2**255])
def test_key_names_chain_contract_round_and_account(judge, accounts, chain, number):
    question = [chain.chain_id, judge.address, number]
    domain = keccak(encode(["uint256", "address", "uint256"], question))
    key = int.from_bytes(domain) % 2**92 << 160 | int(accounts[0].address, 16)
    assert judge.keyOf(accounts[0], number) == key


@pytest.mark.parametrize("scale", [0, 1, 127])
def test_scores_of_other_scales(contracts, judge, deployer, scale):
    made = deployer.deploy(contracts.VoiceJudge, judge.verifier(), (11, 24, scale, 1))
    one = 2**scale
    for output in {0, 1, one // 3, one - 1, one, one + 1, LARGEST - 1} - {LARGEST, LARGEST + 1}:
        assert made.scoreFrom(output) == min(output, one) * ONE // one
    assert made.scoreFrom(FIELD - 1) == 0


def test_rewards_of_rounds_and_accounts_are_apart(judge, open_round, sung, scores, accounts):
    open_round(rewards=3)
    open_round(rewards=2)
    for number in (0, 1):
        sing(judge, accounts[number], sung(number, 1), number=1)
    assert [judge.rewardsLeft(number) for number in (0, 1)] == [3, 0]
    for number in (0, 1):
        assert judge.scoreOf(1, accounts[number]) == scores[number]
        assert judge.creditOf(accounts[number]) == REWARD
        assert judge.isRewarded(1, accounts[number])
        assert not judge.isRewarded(0, accounts[number])
        with refusal("VoiceJudge__NotRewarded", round=0, account=accounts[number].address):
            ask(judge, "scoreOf", 0, accounts[number].address)

"""Mutations of genuine proofs, and false statements about them, are refused."""

import random
from dataclasses import replace

import pytest
from web3.exceptions import ContractLogicError

from apps.registry import named
from tests.refusals import refusal
from tests.scale import scaled
from zk.audit.attacks import genuine
from zk.audit.calldata import Call
from zk.audit.curve import BASE_FIELD, multiples
from zk.layout import FIELD, LARGEST
from zk.proof import Proof, prove_with, verify

MUTATIONS = scaled(300, 10_000)
SEED = 5
EXTREMES = (0, 1, 2**24, 2**64, LARGEST - 1, LARGEST, FIELD - LARGEST, FIELD - 1, FIELD, 2**256 - 1)


def mutated(call: Call, numbers: random.Random, points: list[tuple[int, int]]) -> bytes:
    """Return the call with one random change to its proof, instances or calldata."""
    proof, instances = list(call.proof), list(call.instances)
    place, other = numbers.randrange(len(proof)), numbers.randrange(len(proof))
    instance = numbers.randrange(len(instances))
    kind = numbers.randrange(11)
    if kind == 0:
        proof[place] ^= 1 << numbers.randrange(256)
    elif kind == 1:
        proof[place] = numbers.randrange(2**256)
    elif kind == 2:
        proof[place] = (proof[place] + numbers.choice((FIELD, BASE_FIELD))) % 2**256
    elif kind == 3:
        proof[place], proof[other] = proof[other], proof[place]
    elif kind == 4:
        place -= place % 2
        proof[place : place + 2] = numbers.choice([*points, (0, 0)])
    elif kind == 5:
        instances[instance] = (instances[instance] + numbers.randrange(1, 2**128)) % FIELD
    elif kind == 6:
        instances[instance] = numbers.choice(EXTREMES)
    elif kind == 7:
        proof = proof[: numbers.randrange(len(proof))]
    elif kind == 8:
        instances = [*instances, *instances][: numbers.randrange(2 * len(instances))]
    elif kind == 9:
        changed = bytearray(call.usual())
        changed[4 + numbers.randrange(len(changed) - 4)] ^= 1 << numbers.randrange(8)
        return bytes(changed)
    else:
        data = call.usual()
        return data[: 4 + numbers.randrange(len(data) - 4)]
    return Call(proof, instances).usual()


@pytest.mark.parametrize("circuit", ["clan", "voice"])
def test_no_mutation_is_accepted(circuit, clan, voice_judge, proof, voice_proof, chain):
    contract, call = {
        "clan": (clan, genuine(proof)),
        "voice": (voice_judge, genuine(voice_proof)),
    }[circuit]
    numbers, points = random.Random(SEED), multiples(2, 50)
    verifier, ask = contract.verifier(), chain.provider.web3.eth.call
    assert int.from_bytes(ask({"to": verifier, "data": call.usual()})) == 1
    refused = 0
    while refused < MUTATIONS // 2:
        data = mutated(call, numbers, points)
        if data != call.usual():
            with pytest.raises(ContractLogicError):
                ask({"to": verifier, "data": data})
            refused += 1


@pytest.mark.parametrize("output", [*EXTREMES, FIELD + 1, FIELD - LARGEST + 1, LARGEST + 1])
def test_scores_that_wrap_around(judge, sung, accounts, output):
    """The proof covers the output: no other output passes, in or out of the signed range."""
    song = sung(0, 0)
    forged = replace(song, instances=[*song.instances[:-1], output])
    with refusal("BoundApplication__InvalidProof"):
        named("VoiceJudge").read(judge, accounts[0], 0, forged)


def test_limbs_that_overflow(voice_manifest, voice_judge, real_voice, accounts):
    """Limbs that overflow but join to the same key are refused, even with a valid proof."""
    layout, key = voice_manifest.layout, voice_judge.keyOf(accounts[0], 0)
    limbs, numbers = layout.numbers(key, real_voice)
    place = next(i for i, limb in enumerate(limbs[:-1]) if limbs[i + 1] > 0)
    limbs[place : place + 2] = limbs[place] + 2**24, limbs[place + 1] - 1
    assert layout.join(limbs) == key
    forged = proved(voice_manifest, [limbs, numbers])
    verify(voice_manifest, forged)
    with refusal("BoundApplication__WrongKey", limb=place):
        named("VoiceJudge").read(voice_judge, accounts[0], 0, forged)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [136, 152])
def test_truncated_address(manifest, clan, views, accounts, bits):
    """A key without the first bytes of the account is refused."""
    key = clan.keyOf(accounts[0])
    short = key >> 160 << 160 | key % 2**bits
    forged = proved(manifest, manifest.layout.numbers(short, views[0]))
    verify(manifest, forged)
    with refusal("BoundApplication__WrongKey"):
        named("Clan").read(clan, accounts[0], None, forged)


def proved(manifest, numbers: list[list]) -> Proof:
    """Prove any numbers, also limbs that no key has."""
    files = {name: str(manifest.file(name)) for name in ("compiled", "pk", "vk", "settings", "srs")}
    return prove_with(manifest["circuit"], files, numbers, 600)

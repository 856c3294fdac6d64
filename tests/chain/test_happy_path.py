"""Clan from an ONNX file to three members, step by step."""

from apps.consents import sign
from models.data import mnist
from tests.inputs import DRAWINGS
from zk.proof import verify


def test_happy_path(manifest, clan, proof_of, accounts, relayer):
    # 1. The circuit is built and keeps its accuracy.
    assert manifest["accuracy"]["samples"] >= 1000
    assert manifest["accuracy"]["quantised"] >= 0.975

    # 2. Clan is deployed, and nobody has joined.
    assert clan.counts() == [0] * 10
    assert tuple(clan.leader()) == (0, 0)

    # 3. Three accounts draw digits and prove what the model reads.
    members = [accounts[0], accounts[3], accounts[1]]
    proofs = [proof_of(0), proof_of(3), proof_of(1)]
    for proof in proofs:
        verify(manifest, proof)

    # 4. The first sends its own transaction, and its clan leads.
    receipt = clan.join(members[0], proofs[0].proof, proofs[0].instances, sender=members[0])
    assert receipt.events == [
        clan.Joined(account=members[0], clan=7),
        clan.LeaderChanged(clan=7, members=1),
    ]
    assert receipt.gas_used <= 480_000

    # 5. The second joins another clan: of two clans with one member, the lowest digit leads.
    receipt = clan.join(members[1], proofs[1].proof, proofs[1].instances, sender=members[1])
    assert receipt.events == [
        clan.Joined(account=members[1], clan=1),
        clan.LeaderChanged(clan=1, members=1),
    ]

    # 6. A relayer sends the third, which consents, and does not become a member.
    consent = sign(clan, members[2], digit=7, days=1)
    claim = (members[2], proofs[2].proof, proofs[2].instances)
    signed = (consent.deadline, bytes.fromhex(consent.signature[2:]))
    receipt = clan.joinFor(*claim, signed, sender=relayer)
    assert receipt.events == [
        clan.Joined(account=members[2], clan=7),
        clan.LeaderChanged(clan=7, members=2),
    ]
    assert not clan.isMember(relayer)

    # 7. All three are in the clans of their drawings, and clan 7 leads.
    for member, number in zip(members, (0, 3, 1), strict=True):
        assert clan.isMember(member)
        assert clan.clanOf(member) == mnist.labels("test")[DRAWINGS[number]]
    assert clan.counts() == [0, 1, 0, 0, 0, 0, 0, 2, 0, 0]
    assert clan.membersOf(7) == 2
    assert tuple(clan.leader()) == (7, 2)

"""A proof of the bad model is valid under the bad model's key only."""

import ape
import pytest

from zk.errors import CircuitError
from zk.proof import prove, verify


@pytest.fixture(scope="module")
def forged(bad_manifest, clan, accounts, views):
    return prove(bad_manifest, clan.keyOf(accounts[0]), views[0])


def test_bad_proof_holds_under_its_own_key(bad_manifest, bad_verifier, forged):
    verify(bad_manifest, forged)
    assert bad_verifier.verifyProof.call(forged.proof, forged.instances)


def test_bad_proof_is_refused_under_the_good_key(manifest, forged):
    with pytest.raises(CircuitError, match="accept the proof under the verification key of clan"):
        verify(manifest, forged)


def test_bad_proof_is_refused_by_clan(clan, forged, accounts):
    with ape.reverts(clan.BoundApplication__InvalidProof):
        clan.join(accounts[0], forged.proof, forged.instances, sender=accounts[0])
    assert not clan.isMember(accounts[0])


def test_bad_model_is_bad(bad_manifest):
    assert bad_manifest["accuracy"]["quantised"] < 0.95

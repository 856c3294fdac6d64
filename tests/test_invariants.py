"""What holds after any sequence of joins, with real proofs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data import mnist
from tests.conftest import DRAWINGS


@pytest.fixture(scope="module")
def crowd(proof_of):
    return [proof_of(number) for number in range(len(DRAWINGS))]


@given(joins=st.lists(st.integers(0, len(DRAWINGS) - 1), max_size=12))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_counts_sum_to_members_and_the_leader_is_a_maximum(clan, crowd, accounts, chain, joins):
    members = {}
    with chain.isolate():
        for number in joins:
            proof = crowd[number]
            receipt = clan.join(
                accounts[number],
                proof.proof,
                proof.instances,
                sender=accounts[8],
                raise_on_revert=False,
                gas_limit=1_000_000,
            )
            assert receipt.failed == (number in members)
            members[number] = int(mnist.labels("test")[DRAWINGS[number]])
        counts = clan.counts()
        assert sum(counts) == len(members)
        assert counts == [list(members.values()).count(digit) for digit in range(10)]
        assert tuple(clan.leader()) == (counts.index(max(counts)), max(counts))
        for number, digit in members.items():
            assert clan.clanOf(accounts[number]) == digit

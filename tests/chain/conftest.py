"""Rounds of VoiceJudge for the tests of contracts."""

import pytest

from apps.voice import ANYONE
from tests.inputs import REWARD


@pytest.fixture
def open_round(judge, accounts, chain):
    def open_round(threshold=0, rewards=2, seconds=3600, singers=ANYONE) -> int:
        """Open a round; return its deadline."""
        deadline = chain.blocks.head.timestamp + seconds
        terms = threshold, REWARD, deadline, singers
        judge.openRound(*terms, value=REWARD * rewards, sender=accounts[7])
        return deadline

    return open_round

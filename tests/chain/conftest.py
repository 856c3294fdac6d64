"""Rounds of VoiceJudge for the tests of contracts."""

import pytest

from tests.inputs import REWARD


@pytest.fixture
def open_round(judge, accounts, chain):
    def open_round(threshold=0, rewards=2, seconds=3600) -> int:
        """Open a round; return its deadline."""
        deadline = chain.blocks.head.timestamp + seconds
        judge.openRound(threshold, REWARD, deadline, value=REWARD * rewards, sender=accounts[7])
        return deadline

    return open_round

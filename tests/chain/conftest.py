"""Counts of clans and rounds of rewards for the tests of contracts."""

import pytest

from apps.voice import ANYONE
from chain.deployments import entry_for
from tests.inputs import REWARD


@pytest.fixture(
    scope="module",
    params=["Clan", pytest.param("VoiceJudge", marks=pytest.mark.full)],  # the demo audits it, too
)
def deployed(request):
    """A build, and the entry of its deployment.

    What a test asks for later, by `getfixturevalue`, is undone with the test's transactions.
    """
    names = {"Clan": ("manifest", "clan"), "VoiceJudge": ("song_manifest", "judge")}
    manifest, contract = map(request.getfixturevalue, names[request.param])
    return manifest, entry_for(manifest, contract)


@pytest.fixture
def set_counts(clan, chain):
    def set_counts(counts: dict[int, int]) -> None:
        """Change the members of clans, which share a slot below a bit that is always set."""
        packed = 1 << 240 | sum(count << 24 * number for number, count in counts.items())
        slot = 3  # OpenZeppelin's EIP712 has the first two
        words = [f"0x{slot:064x}", f"0x{packed:064x}"]
        chain.provider.make_request("anvil_setStorageAt", [clan.address, *words])

    return set_counts


@pytest.fixture
def open_round(judge, accounts, chain):
    def open_round(threshold=0, rewards=2, seconds=3600, singers=ANYONE) -> int:
        """Open a round; return its deadline."""
        deadline = chain.blocks.head.timestamp + seconds
        terms = threshold, REWARD, deadline, singers
        judge.openRound(*terms, value=REWARD * rewards, sender=accounts[7])
        return deadline

    return open_round

"""Clan in words and bars: what a proof shows, and where the clans stand."""

from scripts._contracts import ask
from zk.manifest import Manifest
from zk.proof import Proof


def logits(manifest: Manifest, proof: Proof) -> str:
    """The logits as bars, and what they say."""
    values = [v / 2 ** manifest["output_scale"] for v in proof.outputs(manifest.layout)]
    largest = max(values)
    width = max(largest - min(values), 1e-9)
    bars = [
        f"  {digit}  {value:8.2f}  {'█' * round(30 * (value - min(values)) / width)}"
        for digit, value in enumerate(values)
    ]
    return "\n".join([*bars, f"the model reads a {values.index(largest)}"])


def table(clan) -> str:
    """The members of each clan as bars, and who leads."""
    counts = clan.counts()
    leader, most = clan.leader()
    scale = 40 / max(most, 40)  # a block a member, until the largest clan fills the line
    rows = [
        f"  clan {digit}  {count:6,}  {'█' * max(round(count * scale), count > 0)}"
        for digit, count in enumerate(counts)
    ]
    members = "1 member" if most == 1 else f"{most:,} members"
    last = f"clan {leader} leads with {members}" if most else "nobody has joined yet"
    return "\n".join([*rows, last])


def read_digit(clan, account: str, proof: Proof) -> int:
    """What Clan would read in a proof; raises what it would refuse it for. Costs nothing."""
    return ask(clan, "readDigit", account, proof.proof, proof.instances)

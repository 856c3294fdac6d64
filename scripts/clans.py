import click

from scripts import _deployments
from scripts._cli import ChainCommand


@click.command(cls=ChainCommand)
@click.option("--circuit", default="clan", show_default=True)
def cli(circuit: str) -> None:
    """Show the clans as bars, and the leader.

    \b
    Example:
        ape run clans --network ethereum:local
    """
    click.echo(table(_deployments.clan(circuit)))


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

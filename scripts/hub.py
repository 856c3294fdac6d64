import secrets

import click

from hub import LOOPBACK
from scripts import _deployments
from scripts._circuits import ROOT, circuit, run_build
from scripts._cli import ChainCommand, is_dev, signer
from scripts._voice import now
from zk.errors import CircuitError

THRESHOLD, REWARD, REWARDS, DAYS = 35 * 10**16, 10**16, 10, 7  # of the round to play for
DATABASE = f"sqlite:///{ROOT / '.hub' / 'jobs.sqlite'}"


@click.command(cls=ChainCommand)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Beyond loopback, with tokens."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--scheduler", metavar="URL", help="Of a Dask cluster; default: workers of its own.")
@click.option("--database", metavar="URL", help="postgresql://…; default: SQLite in .hub/.")
@click.option("--url", help="Where workers reach the hub; default: http://HOST:PORT.")
@click.option("--origin", "origins", multiple=True, help="Of a page that may use it; repeatable.")
@click.option("--queue", default=500, show_default=True, help="Jobs that may wait.")
@click.option("--share", default=100, show_default=True, help="Of them, of one token.")
@click.option("--pace", default=20.0, show_default=True, help="Requests a second of one token.")
@click.option("--keep", default=24.0, show_default=True, help="Hours that proofs are kept.")
@click.option("--play", is_flag=True, help="Build, deploy and open a round first: local chains.")
@click.option("--new-token", metavar="NAME", help="Make a token, show it once, and end.")
def cli(
    host, port, scheduler, database, url, origins, queue, share, pace, keep, play, new_token
) -> None:
    """Serve proofs over HTTP, and the page on which people draw, sing and prove.

    \b
    Example:
        ape run hub --network ethereum:local
        ape run hub --new-token ada --database postgresql://verdict@db/verdict
        ape run hub --host 0.0.0.0 --database postgresql://… --scheduler tls://scheduler:8786
    """
    from hub.jobs import Jobs, keep_token

    database = database or DATABASE
    if new_token:
        token = secrets.token_urlsafe(32)
        keep_token(database, new_token, token)
        click.echo(f"the token of {new_token}, which nobody can show again: {token}")
        return
    import asyncio

    from hub.app import Hub, Limits, listen, serve, url_of
    from hub.chain import Chain
    from hub.circuits import find

    door = listen(host, port)
    if play:
        _prepare()
    loopback = host in LOOPBACK
    circuits = find(url or url_of(host, port))
    jobs = Jobs(database)
    if not loopback and not jobs.has_tokens():
        raise CircuitError(
            f"{host} is not loopback, and there is no token: make one with --new-token NAME first."
        )
    limits = Limits(queue, queue if loopback else share, pace, keep * 3600)
    hub = Hub(circuits, Chain(), jobs, limits, scheduler=scheduler, loopback=loopback)
    asyncio.run(serve(hub, door, list(origins)))


def _prepare() -> None:
    """Puts the whole game on a chain of no value: both applications, and a round to win."""
    if not is_dev():
        raise CircuitError("--play is for local chains; elsewhere run `ape run deploy`.")
    sender = signer(None)
    for name in ("clan", "voice"):
        _deployments.deploy_once(run_build(circuit(name)), sender)
    judge = _deployments.contract("voice", "VoiceJudge")
    if judge.rounds() == 0:
        deadline = now() + DAYS * 86_400
        judge.openRound(THRESHOLD, REWARD, deadline, value=REWARDS * REWARD, sender=sender)

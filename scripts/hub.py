import secrets

import ape
import click

from apps.circuits import circuit, for_page
from apps.registry import application_of
from chain.accounts import signer
from chain.deployments import deploy_once
from chain.network import is_dev, listen, moment
from hub import LOOPBACK
from scripts._builds import run_build
from scripts._cli import ChainCommand
from scripts._relay import relay_options, terms_of
from zk.errors import CircuitError
from zk.files import ROOT

DATABASE = f"sqlite:///{ROOT / '.hub' / 'jobs.sqlite'}"


@click.command(cls=ChainCommand)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; beyond loopback, tokens are required.",
)
@click.option("--lan", is_flag=True, help="Serve https to phones in the same private network.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--scheduler", metavar="URL", help="Dask cluster. Default: workers on this machine.")
@click.option("--database", metavar="URL", help="postgresql://…. Default: SQLite in .hub/.")
@click.option("--url", help="URL at which workers reach the hub. Default: http://HOST:PORT.")
@click.option(
    "--origin", "origins", multiple=True, help="Origin of a page that may use the hub; repeatable."
)
@click.option("--queue", default=500, show_default=True, help="Maximum open jobs.")
@click.option("--share", default=100, show_default=True, help="Maximum open jobs per token.")
@click.option("--pace", default=20.0, show_default=True, help="Requests per second and token.")
@click.option("--keep", default=24.0, show_default=True, help="Hours to keep proofs.")
@relay_options
@click.option("--play", is_flag=True, help="On a dev chain, first build and deploy everything.")
@click.option("--new-token", metavar="NAME", help="Create a token, show it once, and exit.")
@click.option("--tokens", "listing", is_flag=True, help="List tokens and their dates, and exit.")
@click.option("--revoke-token", "revoked", metavar="NAME", help="Remove a token, and exit.")
def cli(
    host, lan, port, scheduler, database, url, origins, queue, share, pace, keep, play,
    relay, relay_wait, relay_gas_price, relay_budget, **about_tokens
) -> None:  # fmt: skip
    """Serve proofs over HTTP, and the page on which people draw, sing and prove.

    \b
    Example:
        ape run hub --network ethereum:local
        ape run hub --relay 9 --relay-wait 20 --network ethereum:local
        ape run hub --tokens
        ape run hub --new-token ada --database postgresql://verdict@db/verdict
        ape run hub --host 0.0.0.0 --database postgresql://… --scheduler tls://scheduler:8786
    """
    database = database or DATABASE
    if any(about_tokens.values()):
        _change_tokens(database, **about_tokens)
        return
    import asyncio

    from hub.chain import Chain
    from hub.circuits import find
    from hub.jobs import Jobs
    from hub.lan import lan_address, phones
    from hub.limits import Limits
    from hub.relay import routes_of
    from hub.server import serve, url_of
    from hub.service import Hub

    if lan and (host != LOOPBACK[0] or scheduler or url):
        raise CircuitError("--lan chooses the address: leave out --host, --scheduler and --url.")
    host = lan_address() if lan else host
    door = listen(host, port, "The hub")
    if play:
        _prepare()
    loopback = host in LOOPBACK
    reached = url or url_of(host, port)
    circuits = find(reached)
    jobs = Jobs(database)
    phone = click.get_current_context().with_resource(phones(host, port, database)) if lan else None
    if not loopback and not jobs.has_tokens():
        raise CircuitError(
            f"{host} is not loopback, and the hub has no token: create one with --new-token NAME."
        )
    limits = Limits(queue, queue if loopback else share, pace, keep * 3600)
    hub = Hub(circuits, Chain(), jobs, limits, scheduler=scheduler, loopback=loopback)
    if relay:
        terms = terms_of(relay, relay_wait, relay_gas_price, relay_budget)
        hub.relay_by(terms, routes_of(circuits, reached))
    asyncio.run(serve(hub, door, list(origins), click.echo, phone))


def _change_tokens(database: str, new_token: str | None, revoked: str | None, listing: bool):
    """Create, revoke or list tokens. Only a new one is shown, and only once."""
    from hub.jobs import keep_token, revoke_token, tokens_of

    if new_token:
        token = secrets.token_urlsafe(32)
        keep_token(database, new_token, token)
        click.echo(f"token of {new_token}, shown only once: {token}")
    if revoked:
        revoke_token(database, revoked)
        click.echo(f"the token of {revoked} is revoked")
    if listing:
        for name, created in tokens_of(database):
            click.echo(f"{moment(int(created)) if created else 'unknown date':20}  {name}")


def _prepare() -> None:
    """Build, deploy and open every application on a dev chain."""
    if not is_dev():
        network = ape.networks.provider.network.choice
        raise CircuitError(
            f"--play needs a dev chain, and {network} is live: run `ape run deploy` instead."
        )
    sender = signer(None)
    for name in for_page():
        manifest = run_build(circuit(name))
        application_of(manifest).prepare(deploy_once(manifest, sender, click.echo), sender)

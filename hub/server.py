"""The server: the socket, the web application, and the life of a hub."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from socket import socket

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.staticfiles import StaticFiles

from hub import problems
from hub.connections import Connection, Settings
from hub.gate import Gate
from hub.lan import Phones
from hub.problems import RequestError, responses
from hub.routes import private, routes
from hub.service import Hub
from zk.files import ROOT

PAGE = ROOT / "web" / "dist"
DEEPEST = 1000  # calls, Python's default limit
PATIENCE = 5  # seconds for running requests when the hub is stopped
M_MMAP_THRESHOLD = -3  # of malloc.h
RETURNED = 128 * 1024  # bytes of a block from which on its memory is returned when it is freed


class Server(uvicorn.Server):
    """A server that closes late connections, and leaves signals to `serve`.

    Uvicorn raises a signal again after stopping. Ape, which started anvil, would then end the
    process before the workers are stopped.
    """

    async def on_tick(self, counter: int) -> bool:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    hub: Hub,
    door: socket,
    origins: list[str],
    report: Callable[[str], None],
    phones: Phones | None = None,
) -> None:
    """Serve until the process gets SIGINT or SIGTERM; then stop the workers."""
    server = make_server(hub, origins, phones)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    try:
        await hub.dispatcher.start()
        if hub.relay:
            hub.relay.start()
        await asyncio.to_thread(hub.warm)
        where = phones.origin if phones else url_of(*door.getsockname()[:2])
        report(f"serving {', '.join(hub.circuits)}: open {where}, and stop with Ctrl-C")
        for note in phones.notes if phones else []:
            report(note)
        await server.serve(sockets=[door])
    finally:
        if hub.relay:
            await hub.relay.close()
        await hub.dispatcher.close()
        hub.jobs.close()


def make_server(hub: Hub, origins: list[str], phones: Phones | None = None) -> Server:
    """The server of a hub, in a process whose memory and stack no request can exhaust."""
    # py_ecc raises the limit so far that deeply nested JSON would overflow the stack.
    sys.setrecursionlimit(DEEPEST)
    with suppress(AttributeError):  # not glibc, which would keep large blocks for the next request
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, RETURNED)
    app = create_app(hub, origins, phones.origin if phones else None)
    tls = {"ssl_context_factory": lambda *_: phones.tls} if phones else {}
    return Server(Settings(app, hub.limits, timeout_graceful_shutdown=PATIENCE, **tls))


def create_app(hub: Hub, origins: list[str], own: str | None = None) -> FastAPI:
    """The web application of a hub; pages of these origins may use it, too.

    With an `own` origin, which has TLS, it answers there only.
    """
    app = FastAPI(
        title="Verdict prover hub",
        version="1",
        description="Send a private input, get a zero-knowledge proof of the model's answer.",
        docs_url=None,
        redoc_url=None,
        responses=responses(400, 403, 413, 503),
    )
    app.state.hub = hub
    app.include_router(routes)
    app.include_router(private)
    if PAGE.is_dir():
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    else:
        app.add_api_route("/", _no_page, include_in_schema=False)
    problems.install(app)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Location", "Retry-After"],
    )
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(Gate, loopback=hub.loopback, origins=origins, own=own)
    return app


def _no_page() -> None:
    raise RequestError(
        404, "The page is not built: run `make web/dist/index.html`, then restart the hub."
    )

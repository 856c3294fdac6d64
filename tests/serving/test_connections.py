"""Clients that send nothing, too much, or never read: the server answers others, and forgets them.

The server is a process without workers, with short deadlines.
"""

import asyncio
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests

from chain.network import free_port, listen
from hub.chain import Chain
from hub.circuits import Served
from hub.connections import BACKLOG
from hub.jobs import Jobs, new_job
from hub.limits import Limits
from hub.server import make_server
from hub.service import Hub
from tests.hubs import ADA, until
from zk.manifest import Manifest

LIMITS = Limits(
    queue=5,
    share=5,
    pace=1000,
    keep=60,
    connections=60,
    connections_per_address=40,
    streams=10,
    headers=1,
    transfer=2,
)
JOB = "00000000-0000-0000-0000-000000000001"
PREDICTIONS = "/v1/circuits/voice/predictions"
TOLERANCE = 1.1
SLACK = 5  # files of connections that end at this moment, and of the database
PATIENCE = 20  # seconds for the server to forget its clients


def serve_voice(folder: Path, database: Path, port: int) -> None:
    """Serve a circuit and an open job, which no worker takes."""
    jobs = Jobs(f"sqlite:///{database}")
    job = new_job("", "voice", "", ADA, 0, 1, np.ones(1))
    job.id = JOB
    jobs.accept(job, lambda job, waiting: None)
    circuits = {"voice": Served(Manifest(folder), "http://hub")}
    hub = Hub(circuits, Chain(), jobs, LIMITS, scheduler=None, loopback=True)
    asyncio.run(make_server(hub, []).serve(sockets=[listen("127.0.0.1", port, "The hub")]))


@dataclass
class Target:
    """The server that is attacked."""

    port: int
    process: psutil.Process

    def predict(self) -> requests.Response:
        body = {"input": [0] * 1152}
        return requests.post(f"http://127.0.0.1:{self.port}{PREDICTIONS}", json=body, timeout=10)

    def client(self, request: bytes, source: str = "127.0.0.1") -> socket.socket:
        """Connect from an address of loopback, and send the bytes without waiting."""
        made = socket.create_connection(("127.0.0.1", self.port), 10, (source, 0))
        made.settimeout(0.2)
        with suppress(OSError):
            made.sendall(request)
        return made

    @property
    def files(self) -> int:
        """The number of open files, which are mostly connections."""
        return self.process.num_fds()

    @contextmanager
    def forgetting(self, attack: str) -> Iterator[None]:
        """Wait until memory and open files are as before the block."""
        memory, files = self.process.memory_info().rss, self.files

        def less_memory() -> bool:
            return self.process.memory_info().rss <= TOLERANCE * memory

        def few_files() -> bool:
            return self.files <= TOLERANCE * files + SLACK

        yield
        until(few_files, f"after {attack}, as few files are open as the {files} before", PATIENCE)
        until(less_memory, f"after {attack}, memory is as the {memory} bytes before", PATIENCE)


@pytest.fixture(scope="module")
def target(voice_manifest, tmp_path_factory) -> Iterator[Target]:
    database, port = tmp_path_factory.mktemp("target") / "jobs.sqlite", free_port()
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=serve_voice, args=(voice_manifest.folder, database, port))
    process.start()
    started = Target(port, psutil.Process(process.pid))

    def ready() -> bool:
        with suppress(requests.RequestException):
            return started.predict().ok
        return False

    until(ready, "the server answers")
    with ExitStack() as readers:  # opens most connections to the database
        assert [opened(started, readers) for _ in range(LIMITS.streams)] == [200] * LIMITS.streams
    yield started
    process.terminate()
    process.join()


def head(length: int, path: str = PREDICTIONS) -> bytes:
    words = f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"
    return "\r\n".join((*words, f"Content-Length: {length}", "", "")).encode()


FILE = b"GET /v1/circuits/voice/files/pk HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: 127"
STREAM = f"GET /v1/proofs/{JOB}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
ATTACKS: dict[str, tuple[int, bytes]] = {
    "announced-bodies-that-are-too-large": (40, head(16_000_000) + b" " * 15_700_000),
    "bodies-that-never-end": (40, head(12_000_000) + b" " * 11_700_000),
    "small-bodies-that-never-end": (100, head(60_000) + b" " * 50_000),
    "half-sent-requests": (1500, HALF),
    "idle-connections": (500, b""),
    "unread-answers": (30, FILE),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_leaves_nothing(target, attack):
    """A request is answered meanwhile, and the server forgets clients that stay connected."""
    many, request = ATTACKS[attack]
    files = target.files
    with ExitStack() as attackers, target.forgetting(attack):
        for _ in range(many):
            attackers.enter_context(target.client(request))
        assert target.predict().status_code == 200
        assert target.files <= files + LIMITS.connections_per_address + BACKLOG


def test_all_addresses_together_have_a_limit(target):
    files = target.files
    with ExitStack() as attackers, target.forgetting("connections of several addresses"):
        for number in range(3 * LIMITS.connections_per_address):
            attackers.enter_context(target.client(HALF, f"127.0.0.{2 + number % 3}"))
        assert target.predict().status_code == 200
        assert target.files <= files + LIMITS.connections + BACKLOG


def test_streams_are_limited_and_end_with_their_clients(target):
    with target.forgetting("streams"), ExitStack() as readers:
        answers = [opened(target, readers) for _ in range(LIMITS.streams + 2)]
        assert answers == [200] * LIMITS.streams + [429, 429]
        assert target.predict().status_code == 200
    until(lambda: opens(target), "a stream has ended with its client", PATIENCE)


def opens(target: Target) -> bool:
    """Return whether the server opens one more stream."""
    with ExitStack() as reader:
        return opened(target, reader) == 200


def test_connections_that_the_server_works_for_do_not_give_way(target):
    with target.forgetting("streams of several addresses"), ExitStack() as readers:
        for number in range(LIMITS.connections):
            assert opened(target, readers, f"127.0.0.{2 + number // LIMITS.streams}") == 200
        refused = target.predict()
        reason = "This hub has 60 connections of all users, which is the limit."
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["detail"] == reason


def opened(target: Target, clients: ExitStack, source: str = "127.0.0.1") -> int:
    """The status of the answer to one more client that asks for a stream."""
    client = clients.enter_context(target.client(STREAM, source))
    client.settimeout(PATIENCE)
    return int(client.recv(1000).split(b" ")[1])


@pytest.mark.parametrize(
    "request_, reason",
    [
        (HALF, "The headers of the request took longer than 1 seconds"),
        (head(100), "The body of the request took longer than 2 seconds"),
    ],
)
def test_late_requests_are_told_why(target, request_, reason):
    with target.client(request_) as late:
        late.settimeout(PATIENCE)
        answer = b"".join(iter(lambda: late.recv(10_000), b"")).decode()
    assert answer.startswith("HTTP/1.1 408 ")
    assert f"{reason}: send it again." in answer
    assert "content-type: application/problem+json" in answer

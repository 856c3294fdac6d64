"""Hubs and databases for tests: real processes, which end with their context."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import pytest
import requests

from chain.network import free_port
from hub.client import Hub
from models.data import mnist
from tests.nodes import Node
from tests.warm import Started, ape_start
from zk.files import ROOT

Found = TypeVar("Found")
BIN = Path(sys.executable).parent
PAGE = "https://clan.example"  # whose pages may use the open hub
PATIENCE = 90  # seconds for a process to be ready
ADA, BEN = (
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
)


def until(found: Callable[[], Found | None], event: str, seconds: float = PATIENCE) -> Found:
    """Wait for an event: ask again and again until the answer is true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain: {event}")


@dataclass
class Running:
    """A hub's process. A killed one can be started again with the same jobs."""

    words: list[str]
    environment: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    project: Path = ROOT
    cold: bool = False  # a process that has imported nothing yet
    process: subprocess.Popen[bytes] | Started = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> Hub:
        return Hub(self.url)

    def start(self, ready: bool = True) -> None:
        words = ("hub", "--port", str(self.port), *self.words)
        environment = {**os.environ, **self.environment}
        if self.cold:
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    [BIN / "ape", "run", *words],
                    cwd=self.project,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        else:
            self.process = ape_start(self.project, words, environment, self.log)
        if ready:
            self.wait()

    def wait(self) -> None:
        """Wait until the hub has workers."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(requests.RequestException):
                return requests.get(f"{self.url}/healthz", timeout=5).ok
            return False

        until(ready, f"the hub at {self.url} has workers")

    def kill(self) -> None:
        """End the hub without a chance to clean up, like a crash."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)  # it stops its workers
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def line_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process, or nothing if it has ended."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def bits(number: int) -> str:
    """A drawing of MNIST's test set, as the page sends it."""
    return "".join(str(int(pixel)) for pixel in mnist.drawings("test")[number].reshape(-1))


def post(hub: Running, path: str, body: object, **headers: str) -> requests.Response:
    return requests.post(hub.url + path, json=body, headers=headers, timeout=60)


def ended(hub: Running, job: dict[str, Any]) -> dict[str, Any]:
    """The last state of a job."""
    *_, last = hub.client.changes(job["id"])
    return last


@contextmanager
def running(
    folder: Path,
    node: Node,
    *words: str,
    project: Path = ROOT,
    cold: bool = False,
    **more: str,
) -> Iterator[Running]:
    """Run a hub on the node's chain; its database is in the folder unless the words name one."""
    folder.mkdir(parents=True, exist_ok=True)
    database = (
        [] if "--database" in words else ["--database", f"sqlite:///{folder / 'jobs.sqlite'}"]
    )
    environment = {**node.environment, **more}
    hub = Running([*database, *words], environment, folder / "hub.log", project=project, cold=cold)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def new_database(server: str) -> str:
    """Create a database on a PostgreSQL server; return its URL."""
    name = f"jobs{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{server.rpartition('/')[0]}/{name}"


@contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL server; give its URL."""
    with tempfile.TemporaryDirectory() as folder, _postgres(Path(folder)) as database:
        yield database


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (found and str(found[-1]))
    if not initdb:
        pytest.fail("There is no PostgreSQL server: install one (Debian: apt install postgresql).")
    server = Path(initdb).resolve().with_name("postgres")
    as_user: list[str] = []
    if os.getuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        shutil.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data, port = folder / "data", free_port()
    words = [*as_user, initdb, "-D", str(data), "-U", "verdict", "-A", "trust", "--no-sync"]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    settings = (f"port={port}", "listen_addresses=127.0.0.1", "fsync=off")
    options = [word for setting in settings for word in ("-c", setting)]
    process = subprocess.Popen(
        [*as_user, str(server), "-D", str(data), "-k", str(folder), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = [str(server.with_name("pg_isready")), "-h", "127.0.0.1", "-p", str(port)]
        until(
            lambda: subprocess.run(ready, capture_output=True).returncode == 0,
            f"PostgreSQL answers on port {port}",
        )
        yield f"postgresql://verdict@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)

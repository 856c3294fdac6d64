"""Hubs and workers that are killed under load, and many clients at once: no job is lost."""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from distributed import Security

from apps.circuits import ARTIFACTS
from chain.network import free_port
from hub.client import Hub
from tests import scale
from tests.hubs import ADA, BEN, BIN, Running, line_of, new_database, running, until
from tests.nodes import own_node
from tests.scale import scaled
from tests.typed import ape
from zk.errors import CircuitError
from zk.files import ROOT
from zk.proof import Proof, verify

pytestmark = pytest.mark.usefixtures("same_chain")
KILLS = scaled(3, 13)  # on each database
CLIENTS, EACH = scaled(10, 20), scaled(2, 3)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return new_database(request.getfixturevalue("postgres_server"))


def inputs(count: int) -> list[np.ndarray]:
    """Different inputs of the circuit `quick`."""
    return list(np.random.default_rng(3).uniform(-2, 2, (count, 10)).astype(np.float32))


def settled(hub: Hub, identity: str) -> dict:
    """Wait until a job has ended, also while the hub is down; return it."""

    def end() -> dict | None:
        with suppress(CircuitError):
            job = hub.job(identity)
            return job if job["state"] in ("done", "failed") else None
        return None

    return until(end, f"job {identity} ends", 120)


def begun(hub: Hub, xs: list[np.ndarray]) -> list[str]:
    """Order proofs of some inputs, and wait until a worker has begun the first."""
    jobs = [hub.order("quick", ADA, x)["id"] for x in xs]
    until(lambda: hub.job(jobs[0])["state"] != "queued", f"job {jobs[0]} has begun")
    return jobs


def children(process: int) -> list[int]:
    """The processes that a hub started: its workers, those that prove, and the one for models."""
    found = psutil.Process(process).children(recursive=True)
    lines = {child.pid: " ".join(line_of(child)) for child in found}
    return [pid for pid, line in lines.items() if "spawn_main" in line or "zk.child" in line]


@pytest.fixture(scope="session")
def own_hub(node, quick, tmp_path_factory) -> Iterator[Running]:
    """A hub for tests that kill or stop it. Each starts it again."""
    with running(tmp_path_factory.mktemp("own"), node) as started:
        yield started


def test_kills_under_load(node, quick, database, tmp_path):
    """The hub or one of its processes is killed at random; every accepted order is proved."""
    chosen = random.Random(5)
    accepted: list[str] = []
    over = threading.Event()

    def order_on(url: str, xs: list[np.ndarray]) -> None:
        """Retry each order until it is accepted."""
        for x in xs:
            if over.is_set():
                return
            while True:
                try:
                    job = Hub(url).order("quick", ADA, x)
                    break
                except CircuitError:
                    time.sleep(0.2)
            accepted.append(job["id"])
            time.sleep(0.2)  # the pace of the load

    with running(tmp_path, node, "--database", database) as hub:
        lots = np.array_split(np.array(inputs(400)), 2)
        clients = [threading.Thread(target=order_on, args=(hub.url, list(lot))) for lot in lots]
        for client in clients:
            client.start()
        for kill in range(KILLS):
            before = len(accepted)
            until(lambda before=before: len(accepted) > before, "an order is accepted")
            time.sleep(chosen.uniform(0, 0.5))  # any moment of a job
            if kill % 2:
                for process in children(hub.process.pid)[:1] or [hub.process.pid]:
                    os.kill(process, 9)
            else:
                hub.kill()
                hub.start(ready=chosen.random() < 0.5)
        over.set()
        hub.wait()
        for client in clients:
            client.join()
        states = [settled(hub.client, identity) for identity in accepted]
        waiting = requests.get(f"{hub.url}/healthz", timeout=9).json()["jobs"]
    assert waiting == 0
    assert len(set(accepted)) == len(accepted) > KILLS
    assert [state["state"] for state in states] == ["done"] * len(states)
    for state in states:
        verify(quick, Proof.of(state["proof"], "the hub"))


def test_client_waits_for_its_hub(own_hub, quick):
    """A client gets its proof from the restarted hub. No process of the killed one is left."""
    with ThreadPoolExecutor(1) as pool:
        *_, job = begun(own_hub.client, inputs(3))
        followed = pool.submit(lambda: list(own_hub.client.changes(job)))
        left = [psutil.Process(child) for child in children(own_hub.process.pid)]
        own_hub.kill()
        _, alive = psutil.wait_procs(left, timeout=20)
        assert left and not alive
        own_hub.start()
        last = followed.result()[-1]
    verify(quick, Proof.of(last["proof"], "the hub"))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.full, id="Ctrl-C"),  # ends the next hub, too
        pytest.param(signal.SIGTERM, id="SIGTERM"),
    ],
)
def test_stop(own_hub, number):
    """A stopped hub leaves no process; its jobs are proved after a restart."""
    jobs = begun(own_hub.client, inputs(3 * number + 3)[-3:])
    stopped(own_hub, number)
    own_hub.start()
    assert [settled(own_hub.client, job)["state"] for job in jobs] == ["done"] * 3


def test_stop_with_its_anvil(own_hub, node, tmp_path):
    """A hub that started an anvil ends it, and another hub keeps running."""
    with running(tmp_path, node, APE_FOUNDRY_HOST="auto") as hub:
        stopped(hub, signal.SIGINT)
    assert requests.get(f"{own_hub.url}/healthz", timeout=9).ok


def stopped(hub: Running, number: int) -> None:
    """Signal all processes of a hub, like a terminal; they end without a message."""
    before = len(hub.log.read_text())
    os.killpg(hub.process.pid, number)
    assert hub.process.wait(60) == 0
    left = [process for process in psutil.process_iter() if in_group(process, hub.process.pid)]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive
    said = hub.log.read_text()[before:].splitlines()
    assert all(line.startswith(("serving", "INFO")) for line in said), said


def in_group(process: psutil.Process, group: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(process.pid) == group
    return False


def test_many_clients(hub, quick):
    """All jobs of all clients are done. Prints the time of an order under load."""
    xs = inputs(CLIENTS * EACH)
    taken: list[float] = []

    def client(number: int) -> list[str]:
        own, made, pauses = Hub(hub.url), [], random.Random(number)
        for x in xs[number * EACH : (number + 1) * EACH]:
            time.sleep(pauses.uniform(0, 1))  # people do not order at the same moment
            started = time.perf_counter()
            made.append(own.order("quick", ADA, x)["id"])
            taken.append(time.perf_counter() - started)
        return [list(own.changes(identity))[-1]["state"] for identity in made]

    with ThreadPoolExecutor(CLIENTS) as pool:
        started = time.perf_counter()
        states = [state for made in pool.map(client, range(CLIENTS)) for state in made]
        seconds = time.perf_counter() - started
    assert states == ["done"] * (CLIENTS * EACH)
    median, late = np.percentile(taken, [50, 95])
    print(f"\n{len(states)} jobs in {seconds:.0f} s; an order took {median:.3f} s, ", end="")
    print(f"{late:.3f} s at the 95th percentile")


@contextmanager
def dask(*words: str, **environment: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker_words(scheduler: str) -> tuple[str, ...]:
    options = ("--nthreads", "1", "--resources", "proof=1", "--no-dashboard", "--no-nanny")
    return (str(BIN / "dask"), "worker", scheduler, *options)


def certificates(folder: Path) -> dict[str, str]:
    """Dask's TLS settings as environment variables of every process in a cluster."""
    made, tls = Security.temporary(), "DASK_DISTRIBUTED__COMM__TLS__"
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_text(made.tls_ca_file)
    key.write_text(made.tls_scheduler_key)
    own = {
        f"{tls}{part}__{label}": str(path)
        for part in ("SCHEDULER", "WORKER", "CLIENT")
        for label, path in (("CERT", cert), ("KEY", key))
    }
    return {f"{tls}CA_FILE": str(cert), **own}


@pytest.mark.parametrize("protocol", ["tls", pytest.param("tcp", marks=pytest.mark.full)])
def test_cluster(node, tmp_path, quick, protocol, monkeypatch):
    """Workers without artifacts fetch them once; another worker takes a dead one's job."""
    if protocol == "tls":
        for name, value in certificates(tmp_path).items():
            monkeypatch.setenv(name, value)
    port = free_port()
    scheduler = f"{protocol}://127.0.0.1:{port}"
    place = ("--host", "127.0.0.1", "--port", str(port), "--protocol", protocol)
    words = (*place, "--no-dashboard")
    xs = inputs(6)
    # This worker sees no artifacts, like one on another machine.
    mount = f'mount -t tmpfs none "{ARTIFACTS}" && exec "$@"'
    elsewhere = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, "worker")
    cache = tmp_path / "cache"
    with ExitStack() as stack:
        first = stack.enter_context(dask(str(BIN / "dask"), "scheduler", *words))
        stack.enter_context(dask(*elsewhere, *worker_words(scheduler), XDG_CACHE_HOME=str(cache)))
        # Dask reads the certificates' settings when it is imported.
        hub = stack.enter_context(running(tmp_path, node, "--scheduler", scheduler, cold=True))
        verify(quick, hub.client.prove("quick", ADA, xs[0]))
        fetched = {path: path.stat().st_mtime_ns for path in (cache / "verdict").iterdir()}
        assert len(fetched) == 5
        assert {path.name for path in fetched} >= {quick["files"]["pk"]["sha256"]}
        hub.client.prove("quick", ADA, xs[1])
        assert fetched == {path: path.stat().st_mtime_ns for path in fetched}

        # A worker dies while proving, and another takes its job.
        with dask(*worker_words(scheduler)) as doomed:
            wait_for_workers(hub.url, 2)
            jobs = begun(hub.client, xs[2:5])  # the hub has sent orders to both workers
            doomed.kill()
        assert [settled(hub.client, job)["state"] for job in jobs] == ["done"] * 3
        if scale.full:  # without a scheduler, jobs wait
            first.kill()
            first.wait()
            waiting = hub.client.order("quick", ADA, xs[5])["id"]
            stack.enter_context(dask(str(BIN / "dask"), "scheduler", *words))
            stack.enter_context(dask(*worker_words(scheduler)))
            assert settled(hub.client, waiting)["state"] == "done"


def wait_for_workers(url: str, count: int) -> None:
    def there() -> bool:
        answer = requests.get(f"{url}/healthz", timeout=9)
        return answer.ok and answer.json()["workers"] == count

    until(there, f"the hub has {count} workers")


def test_chain_that_goes_away(manifest, tmp_path, views):
    """Orders are refused; predictions and verifications are answered."""
    drawn = {"input": views[0].ravel().tolist()}
    with own_node() as lonely:
        assert ape(lonely, "deploy", "--only", "clan").returncode == 0
        with running(tmp_path, lonely) as hub:
            path = f"{hub.url}/v1/circuits/clan"
            order = {**drawn, "account": ADA}
            accepted = requests.post(f"{path}/proofs", json=order, timeout=60)
            assert accepted.status_code == 202
            proof = settled(hub.client, accepted.json()["id"])["proof"]
            lonely.process.kill()
            lonely.process.wait()
            order["account"] = BEN
            refused = requests.post(f"{path}/proofs", json=order, timeout=60)
            assert (refused.status_code, "node does not answer" in refused.text) == (503, True)
            assert requests.post(f"{path}/predictions", json=drawn, timeout=60).ok
            found = requests.post(f"{path}/verifications", json=proof, timeout=60).json()
            assert (found["valid"], "node does not answer" in found["refusal"]) == (True, True)


@pytest.fixture(params=["refuses", "says nothing"])
def nobody(request) -> Iterator[str]:
    """An address without a server, or with one that never answers."""
    if request.param == "refuses":
        yield f"127.0.0.1:{free_port()}"
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"127.0.0.1:{silent.getsockname()[1]}"


def test_no_scheduler(node, nobody, tmp_path):
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    place = ("--port", str(free_port()), "--database", database)
    refused = ape(node, "hub", *place, "--scheduler", f"tcp://{nobody}")
    sentence = f"Error: No Dask scheduler answers at tcp://{nobody}: start one"
    assert refused.stderr.startswith(sentence), refused.stderr
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        pytest.param("tcp://[", marks=pytest.mark.full),
        pytest.param("tcp://h:x", marks=pytest.mark.full),
        "tls://127.0.0.1:9",
    ],
)
def test_address_that_is_not_a_scheduler(node, address, tmp_path):
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    place = ("--port", str(free_port()), "--database", database)
    refused = ape(node, "hub", *place, "--scheduler", address)
    sentence = f"Error: No Dask scheduler answers at {address}: start one"
    assert refused.stderr.startswith(sentence), refused.stderr
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


def test_database_that_does_not_answer(node, nobody):
    refused = ape(
        node,
        *("hub", "--port", str(free_port())),
        *("--database", f"postgresql://nobody:secret@{nobody}/verdict"),
    )
    assert "does not answer" in refused.stderr, refused.stderr
    assert "secret" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_address_that_is_not_a_database(node):
    words = ("hub", "--port", str(free_port()), "--database")
    for database, reason in (
        ("mysql://127.0.0.1/verdict", "mysql databases are not supported"),
        ("nonsense", "is not a URL"),
        ("sqlite:////proc/nothing/jobs.sqlite", "cannot be created at /proc/nothing/jobs.sqlite"),
    ):
        refused = ape(node, *words, database)
        assert reason in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr

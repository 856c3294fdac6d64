"""The dispatcher with a real Dask cluster in this process: what it sends, retries and records."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace

import dask
import numpy as np
import pytest
from distributed import CancelledError, KilledWorker, LocalCluster
from distributed.comm.core import CommClosedError

from hub import dispatcher as module
from hub import proving
from hub.dispatcher import Dispatcher
from hub.jobs import Job, Jobs, new_job
from hub.metrics import Metrics
from hub.proving import ArtifactError, Order
from tests.hubs import ADA
from zk.errors import CircuitError, KilledError
from zk.files import sha256
from zk.layout import Layout
from zk.proof import Proof, verify

PATIENCE = 20  # seconds for an event of the dispatcher
PROOF = {"proof": "0x00"}
X = np.ones(2)


@pytest.fixture
def jobs(tmp_path):
    opened = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def events_count(monkeypatch):
    """Nothing happens only because time passes, and pauses are short."""
    monkeypatch.setattr(module, "PATIENCE", 5.0)  # for the connection
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**vars(asyncio)))
    module.asyncio.sleep = lambda seconds: asyncio.sleep(min(seconds, 0.01))


def accepted(jobs: Jobs, number: int = 0) -> Job:
    wanted = new_job("ada", "clan", "vk", ADA, None, number, X)
    return jobs.accept(wanted, lambda job, waiting: None)[0]


LAYOUT = Layout(11, 24, outputs=1)


def order_of(job: Job) -> Order:
    return Order(job.id, job.circuit, {}, LAYOUT, int(job.key), job.input, 600)


@asynccontextmanager
async def cluster(workers: int = 1, resources: dict[str, int] | None = None) -> AsyncIterator[str]:
    """A cluster of threads of this process."""
    async with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        resources={"proof": 1} if resources is None else resources,
        dashboard_address=None,
        asynchronous=True,
        silence_logs=logging.CRITICAL,
    ) as started:
        yield started.scheduler_address


@asynccontextmanager
async def dispatching(
    jobs: Jobs, order=order_of, keep=1e9, workers=1, patience=1000.0
) -> AsyncIterator[Dispatcher]:
    async with cluster(workers) as scheduler:
        dispatcher = Dispatcher(jobs, order, Metrics(), scheduler, keep)
        await dispatcher.start()
        module.PATIENCE = patience
        try:
            yield dispatcher
        finally:
            await dispatcher.close()
            assert dispatcher._client.status == "closed"
            assert all(task.cancelling() for task in dispatcher._loops)


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(PATIENCE * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {PATIENCE} s")


def run(jobs: Jobs, test: Callable[[Dispatcher], Awaitable[None]], **more) -> None:
    async def inside() -> None:
        async with dispatching(jobs, **more) as dispatcher:
            await test(dispatcher)

    asyncio.run(inside())


def state(jobs: Jobs, job: Job) -> str | None:
    found = jobs.get(job.id, "ada")
    return found.state if found else None


def settled(jobs: Jobs, order=order_of) -> tuple[Job, str]:
    """A job after its end, and the metrics."""
    job = accepted(jobs)
    figures = []

    async def wait(dispatcher: Dispatcher) -> None:
        await until(lambda: not jobs.open(), "the end of the jobs")
        await until(lambda: not dispatcher._running, "the end of the work")
        figures.append(dispatcher._metrics.written(jobs, 1).decode())

    run(jobs, wait, order=order)
    found = jobs.get(job.id, "ada")
    assert found
    return found, figures[0]


# The work, in place of a proof. Dask's threads call it by name.
work = SimpleNamespace(started=[], release=threading.Event(), raised=[])


def wait_for_release(order: Order) -> dict:
    work.started.append(order.key)
    assert work.release.wait(PATIENCE)
    return {"proof": PROOF, "started": 1.0}


def raise_next(order: Order) -> dict:
    work.started.append(order.key)
    if work.raised:
        raise work.raised.pop(0)
    return {"proof": PROOF, "started": 1.0}


@pytest.fixture
def working(monkeypatch):
    """A function that replaces proving by a task of this module."""
    work.started, work.raised, work.release = [], [], threading.Event()
    yield lambda task: monkeypatch.setattr(proving, "prove", task)
    work.release.set()


def test_a_job_is_proved_and_timed(jobs, clan_served, manifest, views, monkeypatch):
    job = new_job("ada", "clan", "vk", ADA, None, 7 << 160, views[3])
    jobs.accept(job, lambda job, waiting: None)
    bad = new_job("ada", "clan", "vk", ADA, None, 8 << 160, views[3] * 1e6)
    jobs.accept(bad, lambda job, waiting: None)
    steps: list[str | None] = []
    said, texts, heard = [], [], Dispatcher._step

    async def step(dispatcher: Dispatcher, event: tuple[float, dict[str, str]]) -> None:
        said.append((event[1]["job"], event[1]["step"]))
        await heard(dispatcher, event)

    monkeypatch.setattr(Dispatcher, "_step", step)

    def order(job: Job) -> Order:
        files, layout = clan_served.artifacts, manifest.layout
        return Order(job.id, job.circuit, files, layout, int(job.key), job.input, 600)

    async def follow(dispatcher: Dispatcher) -> None:
        async for _ in dispatcher.changes(job.id):
            steps.append(dispatcher.step(job.id))
            if state(jobs, job) == "done":
                break
        await until(lambda: not jobs.open(), "the end of the jobs")
        await until(lambda: not dispatcher._running, "the end of the work")
        texts.append(dispatcher._metrics.written(jobs, 1).decode())

    run(jobs, follow, order=order)
    done = jobs.get(job.id, "ada")
    proof = Proof.of(done.proof, "the job")
    verify(manifest, proof)
    assert proof.key(manifest.layout) == 7 << 160
    assert done.created <= done.started < done.ended
    assert steps[0] is None and steps[-1] is None
    assert said == [(one.id, what) for one in (job, bad) for what in ("fetching", "proving")]
    failed = jobs.get(bad.id, "ada")
    assert (failed.state, failed.proof) == ("failed", None)
    assert failed.reason
    (text,) = texts
    for line in (
        'verdict_jobs_ended_total{circuit="clan",state="done"} 1.0',
        'verdict_jobs_ended_total{circuit="clan",state="failed"} 1.0',
        'verdict_proving_seconds_count{circuit="clan"} 1.0',
        'verdict_waiting_seconds_count{circuit="clan"} 1.0',
    ):
        assert line in text
    bounds = re.findall(r'verdict_proving_seconds_bucket\{circuit="clan",le="(.+)"\}', text)
    assert [float(bound) for bound in bounds[:-1]] == [2.0**power for power in range(-2, 9)]
    taken = done.ended - done.started
    (measured,) = [line for line in text.splitlines() if "proving_seconds_sum" in line]
    assert abs(float(measured.split()[-1]) - taken) < 0.5 + taken
    (waited,) = [line for line in text.splitlines() if "waiting_seconds_sum" in line]
    assert float(waited.split()[-1]) == pytest.approx(done.started - done.created)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_has_two_orders_and_proves_one(jobs, working, workers):
    working(wait_for_release)
    made = [accepted(jobs, number) for number in range(6)]

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: len(work.started) == workers, "the start of each worker")
        assert await asyncio.to_thread(lambda: dispatcher.workers) == workers
        assert list(dispatcher._running) == [job.id for job in made[: 2 * workers]]
        work.release.set()
        await until(lambda: not jobs.open(), "the end of the jobs")
        await until(lambda: not dispatcher._running, "the end of the work")
        assert dispatcher._steps == {}

    run(jobs, test, workers=workers)
    assert sorted(work.started) == list(range(6))


@pytest.mark.parametrize("patience, wakes", [(1000.0, True), (0.05, False)])
def test_an_accepted_job_is_sent_at_once_or_found_later(jobs, working, patience, wakes):
    working(raise_next)

    async def test(dispatcher: Dispatcher) -> None:
        for number in range(2):
            job = accepted(jobs, number)
            if wakes:
                dispatcher.wake()
            await until(partial(_is_done, jobs, job), "the end of the job")

    run(jobs, test, patience=patience)


def test_a_lost_connection_is_made_again(jobs, working):
    working(raise_next)

    async def test(dispatcher: Dispatcher) -> None:
        await dispatcher._client.close()
        assert dispatcher.workers == 0
        job = accepted(jobs)
        module.PATIENCE = 5.0
        dispatcher.wake()
        await until(partial(_is_done, jobs, job), "the end of the job")

    run(jobs, test)


def _is_done(jobs: Jobs, job: Job) -> bool:
    return state(jobs, job) == "done"


def test_a_removed_job_frees_its_place(jobs, working):
    working(wait_for_release)
    first, second = accepted(jobs, 0), accepted(jobs, 1)

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: work.started, "the start of the first job")
        assert set(dispatcher._running) == {first.id, second.id}
        jobs.remove(second.id)
        dispatcher.cancel(second.id)
        await until(lambda: second.id not in dispatcher._running, "the end of the removed job")
        third = accepted(jobs, 2)
        dispatcher.wake()
        await until(lambda: third.id in dispatcher._running, "the start of the next job")
        work.release.set()
        await until(lambda: not jobs.open(), "the end of the jobs")

    run(jobs, test)
    assert (state(jobs, first), state(jobs, second)) == ("done", None)
    assert work.started == [0, 2]


def test_a_job_that_is_removed_before_its_work_begins_frees_its_place(jobs, working, monkeypatch):
    working(raise_next)
    job = accepted(jobs)
    create_task = asyncio.create_task

    def removed_at_once(work) -> asyncio.Task:
        task = create_task(work)
        if work.__name__ == "_run" and job.id in [one.id for one in jobs.open()]:
            jobs.remove(job.id)
            task.cancel()
        return task

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: not jobs.open(), "the removal")
        await until(lambda: not dispatcher._running, "the end of the removed job")
        assert work.started == []

    monkeypatch.setattr(module.asyncio, "create_task", removed_at_once)
    run(jobs, test)


def test_a_job_that_ends_while_jobs_are_read_is_not_proved_again(jobs, working):
    working(wait_for_release)
    job = accepted(jobs)
    read, running = jobs.open, {}

    def slow() -> list[Job]:
        found = read()
        if job.id in running:
            work.release.set()
            for _ in range(PATIENCE * 100):
                if job.id not in running:
                    break
                time.sleep(0.01)
        return found

    async def test(dispatcher: Dispatcher) -> None:
        nonlocal running
        await until(lambda: work.started, "the start of the job")
        running = dispatcher._running
        other = accepted(jobs, 1)
        dispatcher.wake()
        await until(partial(_is_done, jobs, other), "the end of the other job")

    jobs.open = slow
    run(jobs, test)
    assert work.started == [0, 1]


def test_followers_are_told_of_each_change(jobs, working, monkeypatch):
    """Also of a removal, and at the latest after a beat."""
    working(wait_for_release)
    monkeypatch.setattr(module, "BEAT", 1000.0)
    job = accepted(jobs)

    async def told(changes: AsyncIterator[None]) -> None:
        await asyncio.wait_for(anext(changes), PATIENCE)

    async def test(dispatcher: Dispatcher) -> None:
        changes = dispatcher.changes(job.id)
        await told(changes)
        waiting = asyncio.create_task(told(changes))
        await asyncio.sleep(0)
        await dispatcher._step((0.0, {"job": job.id, "step": "fetching"}))
        await waiting
        assert dispatcher.step(job.id) == "fetching"
        assert state(jobs, job) == "proving"
        waiting = asyncio.create_task(told(changes))
        await asyncio.sleep(0)
        dispatcher.cancel(job.id)
        await waiting
        monkeypatch.setattr(module, "BEAT", 0.01)
        await told(changes)

    async def inside() -> None:
        async with dispatching(jobs) as dispatcher:
            await until(lambda: work.started, "the start of the job")
            await test(dispatcher)
            work.release.set()

    asyncio.run(inside())


def test_a_step_begins_a_job_once_and_only_while_it_runs(jobs, working):
    working(wait_for_release)
    job, other = accepted(jobs, 0), accepted(jobs, 1)

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: work.started, "the start of the job")
        jobs.remove(other.id)
        dispatcher.cancel(other.id)
        await until(lambda: other.id not in dispatcher._running, "the end of the removed job")
        await dispatcher._step((0.0, {"job": other.id, "step": "proving"}))
        assert dispatcher.step(other.id) is None
        await dispatcher._step((0.0, {"job": job.id, "step": "fetching"}))
        begun = jobs.get(job.id, "ada").started
        await dispatcher._step((0.0, {"job": job.id, "step": "proving"}))
        assert jobs.get(job.id, "ada").started == begun
        assert dispatcher.step(job.id) == "proving"
        work.release.set()
        await until(lambda: not jobs.open(), "the end of the job")

    run(jobs, test)


# Failures


def test_a_job_whose_order_cannot_be_made_fails(jobs, working):
    working(raise_next)

    def replaced(job: Job) -> Order:
        raise CircuitError("The build was replaced.")

    job, figures = settled(jobs, replaced)
    assert (job.state, job.reason, work.started) == ("failed", "The build was replaced.", [])
    assert 'verdict_jobs_ended_total{circuit="clan",state="failed"} 1.0' in figures


def test_a_job_that_hangs_is_tried_again_then_fails(jobs, hanging, monkeypatch):
    """ezkl's issue 1029, on a worker."""
    built, beyond = hanging
    files = {label: built.file(label) for label in built.proving_files}
    artifacts = {
        label: proving.Artifact(str(path), sha256(path), "") for label, path in files.items()
    }
    steps, heard = [], Dispatcher._step

    async def step(dispatcher: Dispatcher, event: tuple[float, dict[str, str]]) -> None:
        steps.append(event[1]["step"])
        await heard(dispatcher, event)

    monkeypatch.setattr(Dispatcher, "_step", step)
    claim = (built.layout, built.layout.widest, beyond)
    job, _ = settled(jobs, lambda job: Order(job.id, "tiny", artifacts, *claim, limit=1))
    assert (job.state, steps) == ("failed", ["fetching", "proving"] * 2)
    assert "could not prove tiny: it had not ended after 1 seconds and was stopped" in job.reason


def test_a_job_that_kills_its_workers_fails(jobs, working):
    working(raise_next)
    work.raised = [KilledWorker("task", SimpleNamespace(address="gone"), 5) for _ in range(2)]
    job, _ = settled(jobs)
    reason = "5 workers died while proving this job, perhaps for lack of memory."
    assert (job.state, job.reason) == ("failed", reason)


def test_a_job_that_breaks_its_worker_fails(jobs, working, caplog):
    working(raise_next)
    work.raised = [RuntimeError("secret") for _ in range(2)]
    job, _ = settled(jobs)
    reason = "The worker failed with RuntimeError: see the log of the hub."
    assert (job.state, job.reason) == ("failed", reason)
    assert f"job {job.id} failed" in caplog.text


@pytest.mark.parametrize("error", [CommClosedError, OSError, CancelledError])
def test_a_job_is_tried_again_when_the_scheduler_was_away(jobs, working, error):
    """Dask itself tries each order twice."""
    working(raise_next)
    work.raised = [error("away") for _ in range(20)]
    job, _ = settled(jobs)
    assert job.state == "done"
    assert len(work.started) == 21


@pytest.mark.parametrize("error", [ArtifactError, KilledError])
@pytest.mark.parametrize("failures, state", [(4, "done"), (5, "failed")])
def test_a_job_fails_after_five_attempts_on_workers_in_need(jobs, working, failures, state, error):
    """They lack its artifacts, or the memory to prove it."""
    working(raise_next)
    work.raised = [error("no file") for _ in range(2 * failures)]
    job, _ = settled(jobs)
    assert (job.state, job.reason) == (state, "no file" if state == "failed" else None)
    assert len(work.started) == (9 if state == "done" else 10)


def test_a_job_that_ended_already_is_not_counted(jobs, working):
    working(raise_next)
    job = accepted(jobs)

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: not jobs.open(), "the end of the job")
        await dispatcher._finish(job, PROOF, 1.0)
        await dispatcher._fail(job, "no")
        text = dispatcher._metrics.written(jobs, 1).decode()
        assert 'verdict_jobs_ended_total{circuit="clan",state="done"} 1.0' in text
        assert 'state="failed"' not in text.split("verdict_jobs_ended_total")[-1].split("\n")[0]
        assert 'verdict_jobs_ended_total{circuit="clan",state="failed"}' not in text

    run(jobs, test)


def test_a_database_that_fails_is_asked_again(jobs, working, monkeypatch, caplog):
    working(raise_next)
    failures: list[Exception] = [OSError("gone"), ValueError("odd")]
    read = jobs.open

    def failing() -> list[Job]:
        if failures:
            raise failures.pop(0)
        return read()

    job = accepted(jobs)
    monkeypatch.setattr(jobs, "open", failing)

    async def test(dispatcher: Dispatcher) -> None:
        await until(lambda: len(failures) < 2, "the first failure")
        dispatcher.wake()
        await until(lambda: not failures, "the second failure")
        dispatcher.wake()
        await until(lambda: state(jobs, job) == "done", "the end of the job")

    run(jobs, test)
    assert "the scheduler or the database does not answer: gone" in caplog.text
    assert "reading the open jobs failed, and is tried again" in caplog.text


# Old jobs, and workers


def test_ended_jobs_are_kept_for_a_while(jobs, monkeypatch):
    old, recent, waiting = (accepted(jobs, number) for number in range(3))
    jobs.finish(old.id, PROOF, 1.0)
    jobs.finish(recent.id, PROOF, 1.0)
    kept = jobs.get(recent.id, "ada").ended
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: kept + 100))
    tidied, tidy = [], jobs.tidy
    monkeypatch.setattr(jobs, "tidy", lambda: tidied.append(tidy()))

    async def test(keep: float) -> None:
        dispatcher = Dispatcher(jobs, order_of, Metrics(), None, keep)
        task = asyncio.create_task(dispatcher._tidy())
        count = len(tidied)
        await until(lambda: len(tidied) > count + 1, "two removals of old jobs")
        task.cancel()

    asyncio.run(test(100 + (kept - jobs.get(old.id, "ada").ended) / 2))
    assert [state(jobs, job) for job in (old, recent, waiting)] == [None, "done", "queued"]
    asyncio.run(test(99))
    assert [state(jobs, job) for job in (recent, waiting)] == [None, "queued"]


def test_removals_that_fail_are_tried_again(jobs, monkeypatch, caplog):
    forgotten: list[float] = []

    def forget(before: float) -> None:
        forgotten.append(before)
        if len(forgotten) == 1:
            raise OSError("gone")

    monkeypatch.setattr(jobs, "forget", forget)

    async def test() -> None:
        dispatcher = Dispatcher(jobs, order_of, Metrics(), None, 1.0)
        task = asyncio.create_task(dispatcher._tidy())
        await until(lambda: len(forgotten) > 1, "the second removal")
        task.cancel()

    asyncio.run(test())
    assert "removing old jobs failed, and is tried again" in caplog.text


def test_workers_without_the_resource_do_not_count(jobs):
    async def test() -> None:
        async with cluster(2, {}) as scheduler:
            dispatcher = Dispatcher(jobs, order_of, Metrics(), scheduler, 1.0)
            assert dispatcher.workers == 0
            await dispatcher.start()
            assert await asyncio.to_thread(lambda: dispatcher.workers) == 0
            await dispatcher.close()
            assert dispatcher.workers == 0

    asyncio.run(test())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://", "tls://127.0.0.1:9"])
def test_a_scheduler_that_does_not_answer(jobs, address, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    dispatcher = Dispatcher(jobs, order_of, Metrics(), address, 1.0)
    with pytest.raises(CircuitError) as error:
        asyncio.run(dispatcher.start())
    assert str(error.value) == (
        f"No Dask scheduler answers at {address}: start one with `dask scheduler`, and give its "
        "address as tcp://HOST:PORT, or as tls://HOST:PORT with certificates in Dask's "
        "configuration."
    )


@pytest.mark.parametrize("cores, workers", [(1, 1), (2, 1), (3, 1), (5, 2), (8, 4)])
def test_workers_of_this_machine(cores, workers, monkeypatch):
    """One for every two cores, which share them, encrypt, and have no web pages."""
    given = {}

    async def local_cluster(**options: object) -> None:
        given.update(options)

    monkeypatch.setattr(module, "LocalCluster", local_cluster)
    monkeypatch.setattr(module, "CORES", cores)
    monkeypatch.setattr(module.Security, "temporary", lambda: "certificates")
    asyncio.run(module._local_cluster())
    assert given == {
        "n_workers": workers,
        "threads_per_worker": 1,
        "resources": {"proof": 1},
        "env": {"RAYON_NUM_THREADS": str(cores // workers)},
        "memory_limit": 0,
        "dashboard_address": None,
        "worker_dashboard_address": None,
        "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
        "security": "certificates",
        "protocol": "tls://",
        "asynchronous": True,
        "silence_logs": logging.ERROR,
    }
    assert dask.config.get("distributed.scheduler.allowed-failures") == 5
    for place in ("scheduler", "worker"):
        assert dask.config.get(f"distributed.{place}.http.routes") == []

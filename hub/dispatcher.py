"""Send jobs to Dask's workers, and record their results."""

import asyncio
import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import dask
from distributed import (
    CancelledError,
    Client,
    KilledWorker,
    LocalCluster,
    Security,
    WorkerPlugin,
)
from distributed.comm.core import CommClosedError

from hub import proving
from hub.jobs import DONE, FAILED, Job, Jobs
from hub.metrics import Metrics
from zk.errors import CircuitError, KilledError
from zk.processes import CORES, add_project_to_path

log = logging.getLogger("hub")
# What Dask raises for no answer, a malformed address, and missing TLS certificates.
UNREACHED = (OSError, ValueError, TypeError)
RESOURCE = "proof"  # each worker has one, and each proof takes one
AHEAD = 2  # orders per worker, so that no worker waits for the hub
ATTEMPTS = 5  # workers that may die over a job before it fails
PATIENCE = 5.0  # seconds between checks for open jobs when nothing happens
BEAT = 1.0  # seconds between updates of a job that a client follows
ROUTINE = 60.0  # seconds between removals of old jobs


class Subordinate(WorkerPlugin):
    """Let the hub answer while its workers prove, and let it stop them after Ctrl-C."""

    def setup(self, worker: object) -> None:
        os.nice(10)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Dispatcher:
    """Sends open jobs to workers, in the hub's event loop; `order` makes the order of a job."""

    def __init__(
        self,
        jobs: Jobs,
        order: Callable[[Job], proving.Order],
        metrics: Metrics,
        scheduler: str | None,
        keep: float,
    ) -> None:
        self._jobs, self._order, self._metrics = jobs, order, metrics
        self._scheduler, self._keep = scheduler, keep
        self._running: dict[str, asyncio.Task[None]] = {}
        self._steps: dict[str, str] = {}
        self._attempts: dict[str, int] = defaultdict(int)
        self._changed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        # Dask's functions and methods have no types.
        self._client: Any = None
        self._cluster: Any = None

    async def start(self) -> None:
        """Connect to the workers, and begin to send jobs."""
        if not self._scheduler:
            self._cluster = await _local_cluster()
        try:
            await self._connect()
        except UNREACHED as error:
            raise CircuitError(
                f"No Dask scheduler answers at {self._scheduler}: start one with `dask scheduler`, "
                "and give its address as tcp://HOST:PORT, or as tls://HOST:PORT with certificates "
                "in Dask's configuration."
            ) from error
        self._loops = [asyncio.create_task(self._dispatch()), asyncio.create_task(self._tidy())]

    async def _connect(self) -> None:
        where = self._cluster or self._scheduler
        seconds = f"{PATIENCE}s"
        client: Any = Client(where, asynchronous=True, set_as_default=False, timeout=seconds)  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(2 * PATIENCE):  # a server may accept, but never answer
                self._client = await client
        except UNREACHED:
            await client.close()
            raise
        self._client.subscribe_topic(proving.STEPS, self._step)
        if self._cluster:
            await self._client.register_plugin(Subordinate())

    async def close(self) -> None:
        running = list(self._running.values())
        for task in [*self._loops, *running]:
            task.cancel()
        if running:  # their futures end before the connection, or else Dask logs a traceback
            await asyncio.wait(running, timeout=BEAT)
        if self._cluster:  # our workers, which would report that the scheduler goes first
            with suppress(Exception):
                await asyncio.wait_for(self._client.run(logging.disable), BEAT)
        if self._client:
            await self._client.close()
        if self._cluster:
            await self._cluster.close()

    def wake(self) -> None:
        """Look for open jobs now, because one was accepted."""
        self._wake.set()

    def cancel(self, identity: str) -> None:
        """Stop proving a job that was removed."""
        if task := self._running.get(identity):
            task.cancel()
        self._tell(identity)

    def step(self, identity: str) -> str | None:
        """The current step of a job's worker."""
        return self._steps.get(identity)

    @property
    def workers(self) -> int:
        """The number of connected workers that can prove."""
        if not self._client or self._client.status != "running":
            return 0
        return _able(self._client.scheduler_info(n_workers=-1))

    async def changes(self, identity: str) -> AsyncIterator[None]:
        """Yield at once, then each time that a job may have changed."""
        while True:
            changed = self._changed[identity]
            yield
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), BEAT)

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._client and self._client.status == "closed":
                    await self._connect()
                # `workers` is for other threads: in the event loop, Dask's client knows none.
                workers = _able(await self._client.scheduler.identity(n_workers=-1))
                room = max(workers, 1) * AHEAD - len(self._running)
                running = set(self._running)  # some may end while the open jobs are read
                waiting = await asyncio.to_thread(self._jobs.open) if room > 0 else []
                for job in [job for job in waiting if job.id not in running][:room]:
                    task = self._running[job.id] = asyncio.create_task(self._run(job))
                    task.add_done_callback(partial(self._ended, job.id))
            except OSError as error:
                log.warning("the scheduler or the database does not answer: %s", error)
            except Exception:
                log.exception("reading the open jobs failed, and is tried again")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), PATIENCE)

    async def prove(self, order: proving.Order) -> dict[str, Any]:
        """Let a worker prove an order; return its answer. Raises Dask's errors."""
        future = self._client.submit(
            proving.prove, order, resources={RESOURCE: 1}, pure=False, retries=1
        )
        try:
            return dict(await future)
        except asyncio.CancelledError:
            await future.cancel()
            raise

    async def _run(self, job: Job) -> None:
        """Try to prove a job. It stays open after failures that it did not cause."""
        try:
            made = await self.prove(self._order(job))
            if reason := made.get("reason"):
                await self._fail(job, reason)
            else:
                await self._finish(job, made["proof"], made["started"])
        except (proving.ArtifactError, KilledError) as error:
            self._attempts[job.id] += 1
            if self._attempts[job.id] >= ATTEMPTS:
                await self._fail(job, str(error))
            else:
                await self._again(job, error)
        except CircuitError as error:
            await self._fail(job, str(error))
        except KilledWorker:
            await self._fail(
                job, f"{ATTEMPTS} workers died while proving this job, perhaps for lack of memory."
            )
        except (CancelledError, CommClosedError, OSError) as error:  # the scheduler is away
            await self._again(job, error)
        except Exception as error:
            log.exception("job %s failed", job.id)
            await self._fail(
                job, f"The worker failed with {type(error).__name__}: see the log of the hub."
            )

    def _ended(self, identity: str, _task: asyncio.Task[None]) -> None:
        """Free a job's place, also if its task was cancelled before it began."""
        self._running.pop(identity, None)
        self._steps.pop(identity, None)
        self._tell(identity)
        self._wake.set()

    async def _finish(self, job: Job, proof: dict[str, Any], started: float) -> None:
        if await asyncio.to_thread(self._jobs.finish, job.id, proof, started):
            self._metrics.ended.labels(job.circuit, DONE).inc()
            self._metrics.proving.labels(job.circuit).observe(time.time() - started)
            self._metrics.waiting.labels(job.circuit).observe(max(started - job.created, 0))

    async def _again(self, job: Job, error: BaseException) -> None:
        log.warning("job %s is tried again: %s", job.id, error)
        await asyncio.to_thread(self._jobs.again, job.id)
        await asyncio.sleep(1)

    async def _fail(self, job: Job, reason: str) -> None:
        log.warning("job %s failed: %s", job.id, reason)
        if await asyncio.to_thread(self._jobs.fail, job.id, reason):
            self._metrics.ended.labels(job.circuit, FAILED).inc()

    async def _step(self, event: tuple[float, dict[str, str]]) -> None:
        _, said = event
        identity = said["job"]
        if identity not in self._running:
            return
        if self._steps.get(identity) is None:
            await asyncio.to_thread(self._jobs.begin, identity)
        self._steps[identity] = said["step"]
        self._tell(identity)

    def _tell(self, identity: str) -> None:
        self._changed.pop(identity, asyncio.Event()).set()

    async def _tidy(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._jobs.forget, time.time() - self._keep)
                await asyncio.to_thread(self._jobs.tidy)
            except Exception:
                log.exception("removing old jobs failed, and is tried again")
            await asyncio.sleep(ROUTINE)


def _able(scheduler: dict[str, Any]) -> int:
    """The number of a scheduler's workers that can prove."""
    workers = scheduler["workers"].values()
    return sum(1 for worker in workers if worker["resources"].get(RESOURCE))


async def _local_cluster() -> Any:
    """Start workers on this machine, one for every two cores, which no other machine can reach."""
    workers = max(CORES // 2, 1)
    add_project_to_path()
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": ATTEMPTS,
            # No dashboards.
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            # Nobody reads these measurements, which cost an idle hub 5 % of a core.
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.system-monitor.interval": "5s",
        }
    )
    return await LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers,
        threads_per_worker=1,
        resources={RESOURCE: 1},
        env={"RAYON_NUM_THREADS": str(CORES // workers)},
        memory_limit=0,
        dashboard_address=None,
        worker_dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a free port
        security=Security.temporary(),  # type: ignore[no-untyped-call]
        protocol="tls://",
        asynchronous=True,
        silence_logs=logging.ERROR,
    )

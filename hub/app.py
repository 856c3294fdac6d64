"""The hub's HTTP interface, described by OpenAPI at /openapi.json."""

import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY, create_server, socket
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from eth_utils import is_checksum_formatted_address, to_checksum_address
from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles

from hub import problems
from hub.chain import Chain
from hub.circuits import Served
from hub.dispatcher import Dispatcher
from hub.gate import Gate, Pace
from hub.jobs import OPEN, Job, Jobs, new_job
from hub.metrics import Metrics
from hub.problems import RequestError, responses
from hub.proving import Order
from hub.shapes import (
    Call,
    ChainState,
    CircuitState,
    Health,
    Input,
    JobState,
    Prediction,
    Progress,
    ProofFile,
    ProofOrder,
    Verification,
)
from scripts._circuits import ROOT
from zk.errors import CircuitError
from zk.proof import Proof

PAGE = ROOT / "web" / "dist"
DEEPEST = 1000  # calls, Python's own limit
PATIENCE = 5  # seconds for answers under way when the hub is stopped
ANYBODY = f"0x{1:040x}"
GUESS = 2.0  # seconds that a proof takes, as long as none was timed


@dataclass(frozen=True)
class Limits:
    """What a hub takes on."""

    queue: int  # jobs that have not ended, of everybody
    share: int  # of them, of one token
    pace: float  # requests a second of one token
    keep: float  # seconds that ended jobs are kept


class Hub:
    """What the routes stand on."""

    def __init__(
        self,
        circuits: dict[str, Served],
        chain: Chain,
        jobs: Jobs,
        limits: Limits,
        *,
        scheduler: str | None,
        loopback: bool,
    ) -> None:
        self.circuits, self.chain, self.jobs, self.limits = circuits, chain, jobs, limits
        self.loopback, self.pace, self.metrics = loopback, Pace(limits.pace), Metrics()
        self.dispatcher = Dispatcher(jobs, self._order, self.metrics, scheduler, limits.keep)

    def warm(self) -> None:
        """Does once what takes longer the first time, so that nobody who asks waits for that."""
        for served in self.circuits.values():
            with suppress(RequestError, CircuitError, OSError):
                served.predict(Input.model_validate({"input": [0] * math.prod(served.shape)}))
                self.chain.key(served, ANYBODY, None)

    def _order(self, job: Job) -> Order:
        """A job as a worker gets it."""
        served = self.circuits.get(job.circuit)
        if not served or served.sha256["vk"] != job.vk:
            raise CircuitError(
                f"The build of {job.circuit} that the job was accepted for is gone: send it again."
            )
        limbs = served.manifest.layout.split(int(job.key))
        return Order(job.id, job.circuit, served.artifacts, limbs, job.input)

    def state(self, job: Job) -> JobState:
        """A job as its owner sees it."""
        progress = result = None
        if job.state in OPEN:
            progress = Progress(
                ahead=self.jobs.before(job) if job.state == "queued" else 0,
                step=self.dispatcher.step(job.id),
                elapsed_seconds=time.time() - job.started if job.started else 0,
                typical_seconds=self.jobs.typical_seconds(job.circuit),
            )
        if job.proof and job.circuit in self.circuits:
            result = self.circuits[job.circuit].result_of(Proof.of(job.proof, "the job"))
        return JobState(
            id=job.id,
            state=job.state,  # type: ignore[arg-type]
            circuit=job.circuit,
            account=job.account,
            round=job.round,
            created=job.created,
            progress=progress,
            proof=ProofFile(**job.proof) if job.proof else None,
            result=result,
            reason=job.reason,
        )

    def require_room(self, job: Job, waiting: dict[str, int]) -> None:
        """Refuses one job more than the hub takes on, and says when to come back."""
        mine, all_of_them = waiting.get(job.owner, 0), sum(waiting.values())
        if all_of_them < self.limits.queue and mine < self.limits.share:
            return
        what = f"{mine} jobs of this token" if mine >= self.limits.share else f"{all_of_them} jobs"
        typical = self.jobs.typical_seconds(job.circuit) or GUESS
        seconds = round(typical / max(self.dispatcher.workers, 1)) + 1
        raise RequestError(429, f"{what} wait already.", retry_after=min(seconds, 600))


class Server(uvicorn.Server):
    """Leaves signals to `serve`.

    Uvicorn would raise them again when it has stopped, and Ape, which started anvil, end the
    process before the workers are stopped.
    """

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def listen(host: str, port: int) -> socket:
    """The address at which the hub will answer, taken before anything else is done."""
    try:
        door = create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else "no such name"  # a resolver's are negative
        raise CircuitError(
            f"The hub cannot answer at {host}, port {port} ({reason}): stop what does, or give "
            "another --host or --port."
        ) from error
    # Asyncio leaves it off for this kind of socket, and an answer's end would wait for 40 ms.
    door.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return door


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(hub: Hub, door: socket, origins: list[str]) -> None:
    """Answers and proves until somebody stops it."""
    # py_ecc raises this so far that deeply nested JSON would overflow the stack.
    sys.setrecursionlimit(DEEPEST)
    app = create_app(hub, origins)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=PATIENCE)
    server = Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    try:
        await hub.dispatcher.start()
        await asyncio.to_thread(hub.warm)
        where = url_of(*door.getsockname()[:2])
        print(f"serving {', '.join(hub.circuits)}: open {where}, and stop with Ctrl-C", flush=True)
        await server.serve(sockets=[door])
    finally:
        await hub.dispatcher.close()
        hub.jobs.close()


def create_app(hub: Hub, origins: list[str]) -> FastAPI:
    app = FastAPI(
        title="Verdict's prover hub",
        version="1",
        description="Private inputs in, zero-knowledge proofs out.",
        docs_url=None,
        redoc_url=None,
        responses=responses(400, 403, 413, 503),
    )
    app.state.hub = hub
    app.include_router(routes)
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
    app.add_middleware(Gate, loopback=hub.loopback, origins=origins)
    return app


def _no_page() -> None:
    raise RequestError(
        404, "The page is not built: run `make web/dist/index.html`, then start the hub again."
    )


# These are coroutines because a hop to a thread and back costs more than what they do.
async def _hub(request: Request) -> Hub:
    return request.app.state.hub


TheHub = Annotated[Hub, Depends(_hub)]


async def _owner(request: Request, hub: TheHub) -> str:
    """Whose jobs these are: everybody's on loopback, beyond it those of a token."""
    if hub.loopback:
        return ""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    sent = scheme.lower() == "bearer" and token
    owner = await asyncio.to_thread(hub.jobs.owner_of, token) if sent else None
    if owner is None:
        raise RequestError(401, "Send a token of this hub as `Authorization: Bearer …`.")
    hub.pace.require(owner)
    return owner


async def _circuit(name: str, hub: TheHub) -> Served:
    if name not in hub.circuits:
        raise RequestError(
            404, f"There is no circuit {name!r}: there are {', '.join(hub.circuits)}."
        )
    return hub.circuits[name]


def _job(identity: Annotated[UUID, Path(alias="id")], hub: TheHub, owner: "Owner") -> Job:
    job = hub.jobs.get(str(identity), owner)
    if job is None:
        raise RequestError(404, "There is no such job, or it was not ordered with this token.")
    return job


Owner = Annotated[str, Depends(_owner)]
Circuit = Annotated[Served, Depends(_circuit)]
TheJob = Annotated[Job, Depends(_job)]
routes = APIRouter()
WHO = responses(401, 429)


@routes.get("/healthz")
def health(hub: TheHub) -> Health:
    """Whether jobs are taken and proved."""
    workers = hub.dispatcher.workers
    if not workers:
        raise RequestError(503, "There is no worker: jobs wait.", retry_after=5)
    return Health(workers=workers, jobs=sum(hub.jobs.waiting().values()))


@routes.get("/metrics", response_class=PlainTextResponse)
def metrics(hub: TheHub) -> PlainTextResponse:
    """For Prometheus."""
    return PlainTextResponse(hub.metrics.written(hub.jobs, hub.dispatcher.workers))


@routes.get("/v1/chain")
def chain(hub: TheHub) -> ChainState:
    """The chain for which proofs are made, and the contracts on it."""
    return hub.chain.described(tokens=not hub.loopback)


@routes.post("/rpc", responses={**WHO, **responses(422)})
def relay(call: Call, hub: TheHub, owner: Owner) -> dict[str, Any]:
    """Reads from the chain's node, so that a page needs no node of its own."""
    return {"jsonrpc": "2.0", "id": call.id, **hub.chain.relay(call.method, call.params)}


@routes.get("/v1/circuits")
def circuits(hub: TheHub) -> list[CircuitState]:
    return [served.state() for served in hub.circuits.values()]


@routes.get("/v1/circuits/{name}", responses=responses(404, 422))
def one_circuit(circuit: Circuit) -> CircuitState:
    return circuit.state()


@routes.get(
    "/v1/circuits/{name}/files/{label}",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        **responses(404, 422),
    },
)
def file(label: str, circuit: Circuit) -> FileResponse:
    """A file of the build: settings, vk, verifier, …; the ETag is its SHA-256."""
    if label not in circuit.files:
        raise RequestError(
            404, f"There is no file {label!r}: there are {', '.join(circuit.files)}."
        )
    path = circuit.files[label]
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=path.name,
        headers={"ETag": f'"{circuit.sha256[label]}"'},
    )


@routes.post("/v1/circuits/{name}/predictions", responses={**WHO, **responses(404, 422)})
def predict(given: Input, circuit: Circuit, owner: Owner) -> Prediction:
    """What the quantised model answers, without a proof. Nothing is kept."""
    return circuit.predict(given)


@routes.post(
    "/v1/circuits/{name}/proofs", status_code=202, responses={**WHO, **responses(404, 409, 422)}
)
def order(
    given: ProofOrder, circuit: Circuit, owner: Owner, hub: TheHub, response: Response
) -> JobState:
    """Takes a job. The same of the same is the same job."""
    account = _account(given.account)
    x = circuit.read(given)
    key, number = hub.chain.key(circuit, account, given.round)
    wanted = new_job(owner, circuit.name, circuit.sha256["vk"], account, number, key, x)
    job, new = hub.jobs.accept(wanted, hub.require_room)
    if new:
        hub.metrics.accepted.labels(circuit.name).inc()
        hub.dispatcher.wake()
    response.headers["Location"] = f"/v1/proofs/{job.id}"
    return hub.state(job)


@routes.get("/v1/proofs/{id}", responses={**WHO, **responses(404, 422)})
def job(job: TheJob, hub: TheHub) -> JobState:
    return hub.state(job)


@routes.delete("/v1/proofs/{id}", status_code=204, responses={**WHO, **responses(404, 422)})
def remove(job: TheJob, hub: TheHub, owner: Owner) -> None:
    """Forgets a job and its proof; one that is under way is given up."""
    hub.jobs.remove(job.id, owner)
    hub.dispatcher.cancel(job.id)


@routes.get(
    "/v1/proofs/{id}/events",
    response_class=EventSourceResponse,
    responses={**WHO, **responses(404, 422)},
)
async def events(job: TheJob, hub: TheHub, owner: Owner) -> AsyncIterator[ServerSentEvent]:
    """The job, each time that something about it changes, until it ends."""
    last = None
    async for _ in hub.dispatcher.changes(job.id):
        found = await asyncio.to_thread(hub.jobs.get, job.id, owner)
        if found is None:
            yield ServerSentEvent(event="gone", data={"id": job.id})
            return
        state = await asyncio.to_thread(hub.state, found)
        if state != last:
            yield ServerSentEvent(event="job", data=state)
        last = state
        if found.state not in OPEN:
            return


@routes.post("/v1/circuits/{name}/verifications", responses={**WHO, **responses(404, 422)})
def verify(given: ProofFile, circuit: Circuit, owner: Owner) -> Verification:
    """Whether a proof is valid under the circuit's key."""
    if given.circuit != circuit.name:
        raise RequestError(422, f"This is a proof of {given.circuit}, not of {circuit.name}.")
    proof = Proof.of(given.model_dump(), "the body")
    if reason := circuit.refusal(proof):
        return Verification(valid=False, reason=reason)
    key = proof.key(circuit.manifest.layout)
    return Verification(
        valid=True,
        reason=None,
        key=hex(key),
        account=to_checksum_address(f"0x{key % 2**160:040x}"),
        result=circuit.result_of(proof),
    )


def _account(given: str) -> str:
    account = to_checksum_address(given)
    if is_checksum_formatted_address(given) and given != account:
        raise RequestError(422, f"{given} has a wrong checksum: is it typed as it was shown?")
    if int(account, 16) == 0:
        raise RequestError(422, "Nobody has the zero account.")
    return account

"""The hub's HTTP routes, described by OpenAPI at /openapi.json."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from apps.registry import applications
from hub.circuits import Served
from hub.jobs import Job
from hub.problems import RequestError, responses
from hub.schemas import (
    Call,
    ChainState,
    CircuitState,
    Health,
    Input,
    JobState,
    Prediction,
    ProofFile,
    ProofOrder,
    Verification,
)
from hub.service import Hub

routes = APIRouter()
AUTHORIZED = responses(401, 429)


# Dependencies are coroutines where they can be: switching to a thread would cost more than they do.
async def _hub(request: Request) -> Hub:
    return cast(Hub, request.app.state.hub)


TheHub = Annotated[Hub, Depends(_hub)]


async def _token(request: Request, hub: TheHub) -> str:
    """The name of the request's token; empty on loopback, where no token is needed."""
    if hub.loopback:
        return ""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    sent = scheme.lower() == "bearer" and token
    name = await asyncio.to_thread(hub.jobs.name_of_token, token) if sent else None
    if name is None:
        raise RequestError(401, "Send a token of this hub as `Authorization: Bearer …`.")
    hub.pace.require(name)
    return name


Token = Annotated[str, Depends(_token)]


async def _circuit(name: str, hub: TheHub) -> Served:
    if name not in hub.circuits:
        raise RequestError(
            404, f"There is no circuit {name!r}: there are {', '.join(hub.circuits)}."
        )
    return hub.circuits[name]


def _job(identity: Annotated[UUID, Path(alias="id")], hub: TheHub, token: Token) -> Job:
    job = hub.jobs.get(str(identity), token)
    if job is None:
        raise RequestError(404, f"There is no job {identity} of this token.")
    return job


Circuit = Annotated[Served, Depends(_circuit)]
TheJob = Annotated[Job, Depends(_job)]
AnOrder = Annotated[
    ProofOrder,
    Body(openapi_examples={name: {"value": one.order} for name, one in applications().items()}),
]


@routes.get("/healthz")
def health(hub: TheHub) -> Health:
    """Return the number of workers and of open jobs. Fails if there is no worker."""
    workers = hub.dispatcher.workers
    if not workers:
        raise RequestError(503, "No worker is connected: jobs wait for one.", retry_after=5)
    return Health(workers=workers, jobs=sum(hub.jobs.waiting().values()))


@routes.get("/metrics", response_class=PlainTextResponse)
def metrics(hub: TheHub) -> PlainTextResponse:
    """Return figures for Prometheus."""
    return PlainTextResponse(hub.metrics.written(hub.jobs, hub.dispatcher.workers))


@routes.get("/v1/chain")
def chain(hub: TheHub) -> ChainState:
    """Return the chain that proofs are made for, and the contracts on it."""
    return hub.chain.described(tokens=not hub.loopback)


@routes.post("/rpc", responses={**AUTHORIZED, **responses(422)})
def relay(call: Call, hub: TheHub, token: Token) -> dict[str, Any]:
    """Relay a call that only reads to the chain's node. A page then needs no node."""
    return {"jsonrpc": "2.0", "id": call.id, **hub.chain.relay(call.method, call.params)}


@routes.get("/v1/circuits")
def circuits(hub: TheHub) -> list[CircuitState]:
    """Return the circuits that this hub proves with."""
    return [served.state() for served in hub.circuits.values()]


@routes.get("/v1/circuits/{name}", responses=responses(404, 422))
def one_circuit(circuit: Circuit) -> CircuitState:
    """Return a circuit: its input, its manifest and the hashes of its files."""
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
    """Return a file of the build: settings, vk, verifier, …. The ETag is its SHA-256."""
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


@routes.post("/v1/circuits/{name}/predictions", responses={**AUTHORIZED, **responses(404, 422)})
def predict(given: Input, circuit: Circuit, token: Token) -> Prediction:
    """Return the answer of the quantised model, without a proof. The input is not stored."""
    return circuit.predict(given)


@routes.post(
    "/v1/circuits/{name}/proofs",
    status_code=202,
    responses={**AUTHORIZED, **responses(404, 409, 422)},
)
def order(
    given: AnOrder, circuit: Circuit, token: Token, hub: TheHub, response: Response
) -> JobState:
    """Order a proof. The same order again returns the same job."""
    state = hub.order(token, circuit, given)
    response.headers["Location"] = f"/v1/proofs/{state.id}"
    return state


@routes.get("/v1/proofs/{id}", responses={**AUTHORIZED, **responses(404, 422)})
def job(job: TheJob, hub: TheHub) -> JobState:
    """Return a job and, when it is done, its proof."""
    return hub.state(job)


@routes.delete("/v1/proofs/{id}", status_code=204, responses={**AUTHORIZED, **responses(404, 422)})
def remove(job: TheJob, hub: TheHub) -> None:
    """Remove a job and its proof; stop proving it if a worker has begun."""
    hub.remove(job)


@routes.get(
    "/v1/proofs/{id}/events",
    response_class=EventSourceResponse,
    responses={**AUTHORIZED, **responses(404, 422)},
)
async def events(job: TheJob, hub: TheHub) -> AsyncIterator[ServerSentEvent]:
    """Stream the job at each change until it ends."""
    async for state in hub.changes(job):
        if state is None:
            yield ServerSentEvent(event="gone", data={"id": job.id})
        else:
            yield ServerSentEvent(event="job", data=state)


@routes.post("/v1/circuits/{name}/verifications", responses={**AUTHORIZED, **responses(404, 422)})
def verify(given: ProofFile, circuit: Circuit, token: Token, hub: TheHub) -> Verification:
    """Check a proof with the circuit's key, and ask if its application would accept it now."""
    return hub.verify(circuit, given)

"""The hub's HTTP routes, described by OpenAPI at /openapi.json."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.types import Message

from apps.registry import applications
from hub.circuits import Served
from hub.jobs import Job
from hub.limits import LARGEST_PROOF
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

# The routes that take the input of a circuit.
INPUTS = ("/v1/circuits/{name}/predictions", "/v1/circuits/{name}/proofs")


class Private(APIRoute):
    """A route that checks the token and the size of a request before its body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            hub: Hub = request.app.state.hub
            request.state.token = await _name_of_token(request, hub)
            if not self.body_field:
                return await handle(request)
            circuit = hub.circuits.get(request.path_params.get("name", ""))
            largest = circuit.largest_order if circuit and self.path in INPUTS else LARGEST_PROOF
            async with hub.bodies.read(request, largest) as body:
                whole: Message = {"type": "http.request", "body": body}

                async def read() -> Message:
                    return whole

                return await handle(Request(request.scope, read))

        return checked


routes = APIRouter()
private = APIRouter(route_class=Private, responses=responses(401, 429))


# Dependencies are coroutines where they can be: switching to a thread would cost more than they do.
async def _hub(request: Request) -> Hub:
    return cast(Hub, request.app.state.hub)


TheHub = Annotated[Hub, Depends(_hub)]


async def _name_of_token(request: Request, hub: Hub) -> str:
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


async def _token(request: Request) -> str:
    return cast(str, request.state.token)


Token = Annotated[str, Depends(_token)]


async def _circuit(name: str, hub: TheHub) -> Served:
    if name not in hub.circuits:
        raise RequestError(
            404, f"There is no circuit {name!r}: there are {', '.join(hub.circuits)}."
        )
    return hub.circuits[name]


async def _build(name: str, hub: TheHub) -> Served:
    """A circuit, or one for batches, whose files workers fetch."""
    builds = hub.relay.builds if hub.relay else {}
    return builds[name] if name in builds else await _circuit(name, hub)


def _job(identity: Annotated[UUID, Path(alias="id")], hub: TheHub, token: Token) -> Job:
    job = hub.jobs.get(str(identity), token)
    if job is None:
        raise RequestError(404, f"There is no job {identity} of this token.")
    return job


async def _stream(request: Request, hub: TheHub, token: Token) -> AsyncIterator[None]:
    """Count a stream from before its answer to its end."""
    address = request.client.host if request.client else ""
    with hub.streams.one(token or address):
        yield


Circuit = Annotated[Served, Depends(_circuit)]
Build = Annotated[Served, Depends(_build)]
TheJob = Annotated[Job, Depends(_job)]
AnOrder = Annotated[
    ProofOrder,
    Body(openapi_examples={name: {"value": one.order} for name, one in applications().items()}),
]


@routes.get("/healthz")
def health(hub: TheHub) -> Health:
    """Return workers, open jobs and what is wrong with the chain. Fails if there is no worker."""
    workers = hub.dispatcher.workers
    if not workers:
        raise RequestError(503, "No worker is connected: jobs wait for one.", retry_after=5)
    genesis, problem = hub.chain.health()
    jobs = sum(hub.jobs.waiting().values())
    return Health(workers=workers, jobs=jobs, genesis=genesis, problem=problem)


@routes.get("/metrics", response_class=PlainTextResponse)
def metrics(hub: TheHub) -> PlainTextResponse:
    """Return figures for Prometheus."""
    return PlainTextResponse(hub.metrics.written(hub.jobs, hub.dispatcher.workers))


@routes.get("/v1/chain")
def chain(hub: TheHub) -> ChainState:
    """Return the chain that proofs are made for, and the contracts on it."""
    relayed = hub.relay.circuits if hub.relay else []
    return hub.chain.described(not hub.loopback, relayed)


@private.post("/rpc", responses=responses(422))
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
def file(label: str, circuit: Build) -> FileResponse:
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


@private.post("/v1/circuits/{name}/predictions", responses=responses(404, 422))
def predict(given: Input, circuit: Circuit, token: Token) -> Prediction:
    """Return the answer of the quantised model, without a proof. The input is not stored."""
    return circuit.predict(given)


@private.post(
    "/v1/circuits/{name}/proofs",
    status_code=202,
    responses=responses(404, 409, 422),
)
def order(
    given: AnOrder, circuit: Circuit, token: Token, hub: TheHub, response: Response
) -> JobState:
    """Order a proof. The same order again returns the same job."""
    state = hub.order(token, circuit, given)
    response.headers["Location"] = f"/v1/proofs/{state.id}"
    return state


@private.get("/v1/proofs/{id}", responses=responses(404, 422))
def job(job: TheJob, hub: TheHub) -> JobState:
    """Return a job and, when it is done, its proof."""
    return hub.state(job)


@private.delete("/v1/proofs/{id}", status_code=204, responses=responses(404, 422))
def remove(job: TheJob, hub: TheHub) -> None:
    """Remove a job and its proof; stop proving it if a worker has begun."""
    hub.remove(job)


@private.get(
    "/v1/proofs/{id}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(_stream)],
    responses=responses(404, 422),
)
async def events(job: TheJob, hub: TheHub) -> AsyncIterator[ServerSentEvent]:
    """Stream the job at each change until it ends."""
    async for state in hub.changes(job):
        if state is None:
            yield ServerSentEvent(event="gone", data={"id": job.id})
        else:
            yield ServerSentEvent(event="job", data=state)


@private.post("/v1/circuits/{name}/verifications", responses=responses(404, 422))
def verify(given: ProofFile, circuit: Circuit, token: Token, hub: TheHub) -> Verification:
    """Check a proof with the circuit's key, and ask if its application would accept it now."""
    return hub.verify(circuit, given)

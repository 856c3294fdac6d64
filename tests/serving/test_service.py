"""The hub behind its routes, as a web application in this process: no server, no worker."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import requests
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from apps.registry import RefusedError
from chain.contracts import NodeError, first_block
from hub import problems, server, service
from hub.chain import Chain
from hub.jobs import Jobs, keep_token, new_job
from hub.limits import Limits
from hub.problems import RequestError
from hub.schemas import Call, Input, ProofFile, ProofOrder
from hub.service import Hub
from models.data import DatasetError
from tests.hubs import ADA, BEN
from tests.serving.asgi import Ask, asking
from zk.errors import CircuitError

ORDERS = "/v1/circuits/clan/proofs"
LIMITS = Limits(queue=5, share=3, pace=1000, keep=1)
X = [1.0] * 144


@pytest.fixture
def make_hub(tmp_path, clan_recorded, clan_served) -> Iterator:
    """A function that makes a hub, which has no worker, with these limits."""
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")

    def make(limits: Limits = LIMITS, loopback: bool = True) -> Hub:
        circuits = {"clan": clan_served}
        return Hub(circuits, Chain(), jobs, limits, scheduler=None, loopback=loopback)

    yield make
    jobs.close()


@pytest.fixture
def hub(make_hub) -> Hub:
    return make_hub()


@pytest.fixture
def ask(hub) -> Ask:
    return asking(server.create_app(hub, []))


def order(ask: Ask, number: int = 0, account: str = ADA, **more):
    return ask("POST", ORDERS, json={"input": [number, *X[1:]], "account": account}, **more)


# Orders and jobs


def test_an_order_is_accepted(hub, ask, clan, manifest):
    answered = order(ask)
    job = answered.json()
    assert answered.status_code == 202
    assert answered.headers["Location"] == f"/v1/proofs/{job['id']}"
    assert (job["state"], job["circuit"], job["account"]) == ("queued", "clan", ADA)
    assert job["round"] is job["proof"] is job["result"] is job["reason"] is None
    waiting = {"ahead": 0, "step": None, "elapsed_seconds": 0, "typical_seconds": None}
    assert job["progress"] == waiting
    (stored,) = hub.jobs.open()
    assert (stored.id, stored.token, stored.key) == (job["id"], "", str(clan.keyOf(ADA)))
    assert stored.vk == manifest["files"]["vk"]["sha256"]
    assert stored.input.tolist() == [0.0, *X[1:]]
    assert hub.dispatcher._wake.is_set()
    assert order(ask).json()["id"] == job["id"]
    other = order(ask, account=BEN.lower()).json()
    assert (other["account"], other["progress"]["ahead"]) == (BEN, 1)
    figures = ask("GET", "/metrics").text
    assert 'verdict_jobs_accepted_total{circuit="clan"} 2.0' in figures
    assert 'verdict_jobs{state="queued"} 2.0' in figures
    assert 'verdict_jobs{state="proving"} 0.0' in figures
    assert "verdict_workers 0.0" in figures


def test_a_job_is_shown_in_each_state(hub, ask, proof, manifest, monkeypatch):
    first, second, third = (order(ask, number).json()["id"] for number in range(3))
    hub.jobs.begin(second)
    started = hub.jobs.get(second, "").started
    monkeypatch.setattr(service, "time", SimpleNamespace(time=lambda: started + 7))
    hub.dispatcher._steps[second] = "fetching"

    def shown(identity: str) -> dict:
        return ask("GET", f"/v1/proofs/{identity}").json()

    progress = {"ahead": 0, "step": "fetching", "elapsed_seconds": 7.0, "typical_seconds": None}
    assert (shown(second)["state"], shown(second)["progress"]) == ("proving", progress)
    assert shown(third)["progress"]["ahead"] == 2
    assert shown(third)["progress"]["elapsed_seconds"] == 0
    hub.jobs.finish(first, proof.content(), started)
    hub.jobs.fail(second, "no memory")
    done, failed = shown(first), shown(second)
    assert (done["state"], done["progress"], done["proof"]) == ("done", None, proof.content())
    assert done["result"]["digit"] == 7
    assert (failed["state"], failed["reason"], failed["proof"]) == ("failed", "no memory", None)
    assert failed["progress"] is None
    assert shown(third)["progress"]["typical_seconds"] is not None
    hub.circuits.clear()
    assert (shown(first)["result"], shown(first)["proof"]) == (None, proof.content())


def test_a_removed_job_is_gone(hub, ask):
    path = f"/v1/proofs/{order(ask).json()['id']}"
    cancelled = []
    hub.dispatcher.cancel = cancelled.append  # type: ignore[method-assign]
    assert (ask("DELETE", path).status_code, hub.jobs.open()) == (204, [])
    assert cancelled == [path.rpartition("/")[2]]
    for method, more in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        gone = ask(method, path + more)
        identity = path.rpartition("/")[2]
        detail = f"There is no job {identity} of this token."
        assert (gone.status_code, gone.json()["detail"]) == (404, detail)
    assert ask("GET", "/v1/proofs/0").status_code == 422


def test_events_follow_a_job_to_its_end(hub, ask, proof):
    identity = order(ask).json()["id"]
    changes = [
        lambda: None,
        lambda: None,
        lambda: hub.jobs.begin(identity),
        lambda: hub.jobs.finish(identity, proof.content(), 1.0),
    ]
    events = followed(hub, ask, identity, changes)
    assert [event for event, _ in events] == ["job", "job", "job"]
    assert [data["state"] for _, data in events] == ["queued", "proving", "done"]
    assert events[-1][1]["proof"] == proof.content()


def test_events_end_with_the_removal_of_a_job(hub, ask):
    identity = order(ask).json()["id"]
    events = followed(hub, ask, identity, [lambda: None, lambda: hub.jobs.remove(identity)])
    assert [event for event, _ in events] == ["job", "gone"]
    assert events[-1][1] == {"id": identity}


def followed(hub: Hub, ask: Ask, identity: str, changes: list) -> list[tuple[str, dict]]:
    """The events of a job to which these changes happen one after the other."""

    async def each(found: str):
        assert found == identity
        for change in changes:
            change()
            yield

    hub.dispatcher.changes = each  # type: ignore[method-assign, assignment]
    text = ask("GET", f"/v1/proofs/{identity}/events").text
    named = [block.splitlines() for block in text.strip().split("\n\n")]
    events = []
    for lines in named:
        fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
        if "data" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def test_an_order_for_a_worker(hub, ask, clan, manifest, clan_served):
    order(ask)
    (job,) = hub.jobs.open()
    made = hub.dispatcher._order(job)
    assert (made.job, made.circuit, made.artifacts) == (job.id, "clan", clan_served.artifacts)
    assert (made.layout, made.key) == (manifest.layout, clan.keyOf(ADA))
    assert made.x.tolist() == [0.0, *X[1:]]
    replaced = "The build of clan that accepted this job was replaced: order again."
    job.vk = "other"
    with pytest.raises(CircuitError) as error:
        hub.dispatcher._order(job)
    assert str(error.value) == replaced
    job.vk = clan_served.sha256["vk"]
    hub.circuits.clear()
    with pytest.raises(CircuitError) as error:
        hub.dispatcher._order(job)
    assert str(error.value) == replaced


# Limits


@pytest.mark.parametrize(
    "waiting, said",
    [
        ({}, None),
        ({"ada": 2, "ben": 2}, None),
        ({"ada": 2, "ben": 3}, "This hub has 5"),
        ({"ada": 3}, "Your token has 3"),
        ({"ada": 4}, "Your token has 4"),
        ({"ben": 3}, None),
        ({"ben": 4}, None),
        ({"ben": 6}, "This hub has 6"),
    ],
)
def test_limits_of_open_jobs(hub, waiting, said):
    job = new_job("ada", "clan", "vk", ADA, None, 1, np.ones(1))
    if said is None:
        hub.require_room(job, waiting)
        return
    with pytest.raises(RequestError) as refusal:
        hub.require_room(job, waiting)
    assert refusal.value.status == 429
    assert refusal.value.detail == f"{said} open jobs, which is the limit."


@pytest.mark.parametrize(
    "typical, workers, retry",
    [(None, 0, 3), (None, 1, 3), (9.0, 0, 10), (9.0, 3, 4), (1e6, 1, 600), (0.1, 1, 1)],
)
def test_a_full_hub_says_when_there_is_room(hub, typical, workers, retry, monkeypatch):
    job = new_job("ada", "clan", "vk", ADA, None, 1, np.ones(1))
    asked = []
    monkeypatch.setattr(
        hub.jobs, "typical_seconds", lambda circuit: asked.append(circuit) or typical
    )
    monkeypatch.setattr(type(hub.dispatcher), "workers", workers)
    with pytest.raises(RequestError) as refusal:
        hub.require_room(job, {"ben": 5})
    assert (refusal.value.retry_after, asked) == (retry, ["clan"])


def test_limits_hold_under_concurrency(database, jobs):
    """Three jobs per token and five in all; the same order twice is one job."""

    def accept(token: str, number: int) -> tuple[str, bool] | None:
        wanted = new_job(token, "clan", "", ADA, None, 0, np.array([number // 2]))
        try:
            job, new = jobs.accept(wanted, limited.require_room)
        except RequestError as refusal:
            assert refusal.status == 429
            return None
        return job.id, new

    limited = Hub({}, Chain(), jobs, LIMITS, scheduler=None, loopback=False)
    for token, room in (("ada", 3), ("ben", 2)):
        with ThreadPoolExecutor(20) as pool:
            taken = [found for found in pool.map(partial(accept, token), range(40)) if found]
        assert jobs.waiting()[token] == room
        assert sum(new for _, new in taken) == len({job for job, _ in taken}) == room


def test_a_full_hub_refuses_orders(ask):
    for number in range(3):
        assert order(ask, number).status_code == 202
    refused = order(ask, 3)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
    assert order(ask, 2).status_code == 202


# Tokens


def test_beyond_loopback_each_token_has_jobs_and_a_pace(make_hub, tmp_path):
    hub = make_hub(Limits(queue=50, share=30, pace=1.5, keep=1), loopback=False)
    for name in ("ada", "ben"):
        keep_token(f"sqlite:///{tmp_path / 'jobs.sqlite'}", name, f"{name}s-token")
    ask = asking(server.create_app(hub, []), "http://hub.example")
    for authorization in (None, "", "Bearer", "Bearer ", "Bearer adas", "Basic adas-token"):
        refused = order(ask, headers={"Authorization": authorization} if authorization else {})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        detail = "Send a token of this hub as `Authorization: Bearer …`."
        assert refused.json()["detail"] == detail
    ada, ben = {"Authorization": "Bearer adas-token"}, {"Authorization": "bearer bens-token"}
    mine = order(ask, headers=ada)
    assert mine.status_code == 202
    assert order(ask, headers=ben).json()["id"] != mine.json()["id"]
    path = f"/v1/proofs/{mine.json()['id']}"
    assert ask("GET", path, headers=ada).status_code == 200
    assert ask("GET", path, headers=ben).status_code == 404
    assert {job.token for job in hub.jobs.open()} == {"ada", "ben"}
    found = [ask("GET", path, headers=ada).status_code for _ in range(9)]
    assert set(found) == {200, 429}
    for private in (ORDERS, "/rpc", "/v1/circuits/clan/predictions"):
        assert ask("POST", private, json={}).status_code in (401, 422)
    for public in ("/metrics", "/v1/chain", "/v1/circuits", "/v1/circuits/clan"):
        assert ask("GET", public).status_code == 200
    assert ask("GET", "/v1/chain").json()["tokens"] is True


PRIVATE = [
    ("POST", "/rpc", {"method": "eth_chainId"}),
    ("POST", ORDERS, {"input": X, "account": ADA}),
    ("POST", "/v1/circuits/clan/predictions", {"input": X}),
    (
        "POST",
        "/v1/circuits/clan/verifications",
        {"circuit": "clan", "proof": "0x", "instances": []},
    ),
    ("GET", "/v1/proofs/00000000-0000-0000-0000-000000000000", None),
    ("DELETE", "/v1/proofs/00000000-0000-0000-0000-000000000000", None),
    ("GET", "/v1/proofs/00000000-0000-0000-0000-000000000000/events", None),
]


@pytest.mark.parametrize("method, path, body", PRIVATE)
def test_every_private_route_needs_a_token(make_hub, method, path, body):
    ask = asking(server.create_app(make_hub(loopback=False), []))
    assert ask(method, path, json=body).status_code == 401


# Bodies


@pytest.mark.parametrize(
    "path, largest",
    [
        ("/rpc", 200_000),
        ("/v1/circuits/clan/verifications", 200_000),
        ("/v1/circuits/clan/predictions", 200_000 + 144 * 32),
        (ORDERS, 200_000 + 144 * 32),
    ],
)
def test_each_route_has_a_largest_body(ask, voice_served, path, largest):
    assert ask("POST", path, content=b" " * largest).status_code == 422
    refused = ask("POST", path, content=b" " * (largest + 1))
    sentence = f"The request is too large: send at most {largest:,} bytes to {path}."
    assert (refused.status_code, refused.json()["detail"]) == (413, sentence)
    assert voice_served.largest_order == 12_200_000


def test_a_token_is_asked_for_before_a_body(make_hub):
    answers = []

    async def receive():
        raise AssertionError("the body is read")

    async def send(message):
        answers.append(message)

    headers = [(b"host", b"hub.example"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": ORDERS, "query_string": b""}
    app = server.create_app(make_hub(loopback=False), [])
    asyncio.run(app({**scope, "headers": headers}, receive, send))
    assert answers[0]["status"] == 401


# Other routes


def test_health(hub, ask, monkeypatch):
    refused = ask("GET", "/healthz")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["detail"] == "No worker is connected: jobs wait for one."
    order(ask)
    monkeypatch.setattr(type(hub.dispatcher), "workers", 2)
    healthy = ask("GET", "/healthz").json()
    assert healthy == {"workers": 2, "jobs": 1, "genesis": first_block(), "problem": None}
    assert "verdict_workers 2.0" in ask("GET", "/metrics").text


def test_circuits_and_files(ask, manifest, clan_served):
    (listed,) = ask("GET", "/v1/circuits").json()
    assert listed == ask("GET", "/v1/circuits/clan").json()
    assert listed["files"] == clan_served.sha256
    answered = ask("GET", "/v1/circuits/clan/files/settings")
    assert answered.content == manifest.file("settings").read_bytes()
    assert answered.headers["ETag"] == f'"{manifest["files"]["settings"]["sha256"]}"'
    assert answered.headers["Content-Type"] == "application/octet-stream"
    assert 'filename="settings.json"' in answered.headers["Content-Disposition"]
    missing = ask("GET", "/v1/circuits/clan/files/witness")
    detail = f"There is no file 'witness': there are {', '.join(clan_served.files)}."
    assert (missing.status_code, missing.json()["detail"]) == (404, detail)
    missing = ask("GET", "/v1/circuits/other")
    detail = "There is no circuit 'other': there are clan."
    assert (missing.status_code, missing.json()["detail"]) == (404, detail)


def test_chain_and_relay(ask, chain):
    described = ask("GET", "/v1/chain").json()
    assert (described["chain_id"], described["tokens"]) == (chain.chain_id, False)
    call = {"jsonrpc": "2.0", "id": 5, "method": "eth_chainId", "params": []}
    result = {"jsonrpc": "2.0", "id": 5, "result": hex(chain.chain_id)}
    assert ask("POST", "/rpc", json=call).json() == result
    refused = ask("POST", "/rpc", json={"id": "a", "method": "evm_mine"}).json()
    assert (refused["id"], refused["error"]["code"]) == ("a", -32601)


def test_prediction_and_verification(ask, clan, manifest, proof):
    path = "/v1/circuits/clan"
    predicted = ask("POST", f"{path}/predictions", json={"input": X}).json()
    assert predicted["result"]["kind"] == "digit"
    account = proof.key(manifest.layout) % 2**160
    checked = ask("POST", f"{path}/verifications", json=proof.content()).json()
    assert int(checked.pop("account"), 16) == account
    assert int(checked.pop("key"), 16) == proof.key(manifest.layout)
    assert checked.pop("result")["digit"] == 7
    said = {"answer": "accepted", "refusal": None}
    assert checked == {"valid": True, "reason": None, "round": None, **said}
    content = proof.content()
    wrong = {**content, "instances": [*content["instances"][:-1], "0x1"]}
    refused = ask("POST", f"{path}/verifications", json=wrong).json()
    assert (refused["valid"], refused["key"], refused["result"]) == (False, None, None)
    assert refused["reason"] == refused["refusal"] != ""
    other = ask("POST", f"{path}/verifications", json={**content, "circuit": "voice"})
    detail = "This is a proof of voice, not of clan: send it to /v1/circuits/voice/verifications."
    assert (other.status_code, other.json()["detail"]) == (422, detail)


def test_warming_tries_every_circuit(hub, plain_served, clan_served, monkeypatch):
    """A circuit that cannot be warmed stops neither the others nor the hub."""
    asked, predicted = [], []

    def key(served, account, round_number):
        asked.append((served, account, round_number))
        raise CircuitError("no contract")

    monkeypatch.setattr(hub.chain, "key", key)
    monkeypatch.setattr(type(clan_served), "predict", lambda *words: predicted.append(words))
    hub.circuits = {"plain": plain_served, "clan": clan_served}
    hub.warm()
    account = "0x0000000000000000000000000000000000000001"
    assert asked == [(plain_served, account, None), (clan_served, account, None)]
    assert [(served, given.input) for served, given in predicted] == [
        (served, [0.0] * 144) for served in (plain_served, clan_served)
    ]


# The web application


PAGE = "https://clan.example"


def test_pages_of_listed_origins_may_use_the_hub(hub):
    ask = asking(server.create_app(hub, [PAGE]))
    for method in ("GET", "POST", "DELETE"):
        wanted = {"Access-Control-Request-Headers": "authorization, content-type"}
        headers = {"Origin": PAGE, "Access-Control-Request-Method": method, **wanted}
        allowed = ask("OPTIONS", ORDERS, headers=headers)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert method in allowed.headers["Access-Control-Allow-Methods"]
    headers["Access-Control-Request-Method"] = "PUT"
    assert ask("OPTIONS", ORDERS, headers=headers).status_code == 400
    answered = order(ask, headers={"Origin": PAGE})
    assert answered.status_code == 202
    exposed = answered.headers["Access-Control-Expose-Headers"]
    assert set(exposed.split(", ")) == {"Location", "Retry-After"}
    assert order(ask, headers={"Origin": "https://else.example"}).status_code == 403
    assert order(ask, headers={"Host": "else.example"}).status_code == 403
    other = ask("GET", "/v1/circuits", headers={"Origin": "https://else.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_answers_are_compressed_and_guarded(ask):
    answered = ask("GET", "/openapi.json")
    assert answered.headers["Content-Encoding"] == "gzip"
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in ask("GET", "/healthz").headers
    assert [ask("GET", path).status_code for path in ("/docs", "/redoc")] == [404, 404]


def test_the_description_has_every_refusal(ask):
    described = ask("GET", "/openapi.json").json()
    assert described["info"]["title"] == "Verdict prover hub"
    responses = {
        (method, path): set(route["responses"]) - {"200", "202", "204"}
        for path, routes in described["paths"].items()
        for method, route in routes.items()
    }
    always = {"400", "403", "413", "503"}
    private, named = {"401", "429"}, {"404", "422"}
    assert responses == {
        ("get", "/healthz"): always,
        ("get", "/metrics"): always,
        ("get", "/v1/chain"): always,
        ("post", "/rpc"): always | private | {"422"},
        ("get", "/v1/circuits"): always,
        ("get", "/v1/circuits/{name}"): always | named,
        ("get", "/v1/circuits/{name}/files/{label}"): always | named,
        ("post", "/v1/circuits/{name}/predictions"): always | private | named,
        ("post", "/v1/circuits/{name}/proofs"): always | private | named | {"409"},
        ("get", "/v1/proofs/{id}"): always | private | named,
        ("delete", "/v1/proofs/{id}"): always | private | named,
        ("get", "/v1/proofs/{id}/events"): always | private | named,
        ("post", "/v1/circuits/{name}/verifications"): always | private | named,
    }
    examples = described["paths"]["/v1/circuits/{name}/proofs"]["post"]["requestBody"]
    assert set(examples["content"]["application/json"]["examples"]) == {"Clan", "VoiceJudge"}


def test_page_that_is_not_built(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "PAGE", tmp_path / "dist")
    ask = asking(server.create_app(SimpleNamespace(loopback=True), []))  # type: ignore[arg-type]
    answered = ask("GET", "/")
    detail = "The page is not built: run `make web/dist/index.html`, then restart the hub."
    assert (answered.status_code, answered.json()["detail"]) == (404, detail)


def test_page_that_is_built(monkeypatch, tmp_path):
    (tmp_path / "index.html").write_text("the page")
    monkeypatch.setattr(server, "PAGE", tmp_path)
    ask = asking(server.create_app(SimpleNamespace(loopback=True), []))  # type: ignore[arg-type]
    assert (ask("GET", "/").text, ask("GET", "/no").status_code) == ("the page", 404)


# Errors


NO_NODE = "The chain's node does not answer: the request had no effect."
NO_DATABASE = "The hub's database does not answer: the request had no effect."


@pytest.mark.parametrize(
    "error, status, title, detail",
    [
        (RequestError(400, "no"), 400, "Bad request", "no"),
        (RequestError(401, "no"), 401, "Token missing or unknown", "no"),
        (RequestError(403, "no"), 403, "Forbidden", "no"),
        (RequestError(404, "no"), 404, "Not found", "no"),
        (RequestError(413, "no"), 413, "Request too large", "no"),
        (RequestError(415, "no"), 415, "Unsupported media type", "no"),
        (RequestError(429, "no"), 429, "Too many requests", "no"),
        (RequestError(418, "no"), 418, "Error", "no"),
        (RefusedError("no"), 409, "Refused by the application", "no"),
        (CircuitError("no"), 422, "Invalid input", "no"),
        (DatasetError("no"), 422, "Invalid input", "no"),
        (NodeError("no"), 503, "Not available", NO_NODE),
        (requests.ConnectionError("no"), 503, "Not available", NO_NODE),
        (OperationalError("no", {}, Exception()), 503, "Not available", NO_DATABASE),
        (ValueError("no"), 500, "Internal error", "The hub failed: its log has the cause."),
    ],
)
def test_status_of_an_error(error, status, title, detail, caplog):
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    def fail() -> None:
        raise error

    answered = asking(app)("GET", "/")
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    assert (answered.status_code, answered.json()) == (status, document)
    assert answered.headers["Content-Type"] == "application/problem+json"
    assert answered.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert answered.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    logged = {
        NO_NODE: ["the chain's node does not answer: no"],
        NO_DATABASE: [f"the database does not answer: {error}"],
    }
    failure = ["GET / failed"] if status == 500 else []
    assert [one.getMessage() for one in caplog.records if one.name == "hub"] == logged.get(
        detail, failure
    )


def test_errors_of_the_framework_are_problem_documents(ask):
    wrong = ask("PUT", "/v1/circuits")
    assert (wrong.status_code, wrong.json()["title"]) == (405, "Method not allowed")
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert wrong.headers["Allow"]
    secret = {f"field{number}": "secret" for number in range(9)}
    invalid = ask("POST", ORDERS, json={"input": X, "account": ADA, **secret})
    assert invalid.status_code == 422
    assert "secret" not in invalid.text
    said = invalid.json()["detail"]
    assert said.startswith("body.field0: Extra inputs are not permitted; body.field1: ")
    assert said.count(";") == 4 and said.endswith(".")


# Schemas


def accepts(schema: type, **fields: object) -> bool:
    try:
        schema.model_validate(fields)  # type: ignore[attr-defined]
    except ValidationError:
        return False
    return True


ORDER = {"input": [1.0], "account": ADA}
FILE = {"circuit": "clan", "proof": "0x00", "instances": ["0x1"]}


@pytest.mark.parametrize(
    "schema, fields, good",
    [
        (Input, {"drawing": "01" * 392}, True),
        (Input, {"drawing": "01" * 392 + "0"}, False),
        (Input, {"drawing": "0" * 783}, False),
        (Input, {"drawing": "0" * 784 + "\n"}, False),
        (Input, {"drawing": "2" * 784}, False),
        (Input, {"clip": "A" * 12_000_000}, True),
        (Input, {"clip": "A" * 12_000_001}, False),
        (Input, {"input": []}, False),
        (Input, {"input": [0.0] * 1_000_000}, True),
        (Input, {"input": [0.0] * 1_000_001}, False),
        (Input, {"input": [float("nan")]}, False),
        (Input, {"input": [float("inf")]}, False),
        (Input, {}, False),
        (Input, {"input": [1.0], "clip": "A"}, False),
        (Input, {"input": [1.0], "drawing": "0" * 784}, False),
        (Input, {"clip": "A", "drawing": "0" * 784}, False),
        (Input, {"input": [1.0], "other": 1}, False),
        (ProofOrder, ORDER, True),
        (ProofOrder, {"input": [1.0]}, False),
        (ProofOrder, {**ORDER, "account": ADA + "0"}, False),
        (ProofOrder, {**ORDER, "account": ADA[:-1]}, False),
        (ProofOrder, {**ORDER, "account": ADA[2:]}, False),
        (ProofOrder, {**ORDER, "account": ADA[:-1] + "g"}, False),
        (ProofOrder, {**ORDER, "round": 0}, True),
        (ProofOrder, {**ORDER, "round": -1}, False),
        (ProofOrder, {**ORDER, "round": 2**31 - 1}, True),
        (ProofOrder, {**ORDER, "round": 2**31}, False),
        (ProofFile, FILE, True),
        (ProofFile, {**FILE, "more": 1}, False),
        (ProofFile, {**FILE, "circuit": "a-1" * 21 + "a"}, True),
        (ProofFile, {**FILE, "circuit": "a-1" * 21 + "aa"}, False),
        (ProofFile, {**FILE, "circuit": "A"}, False),
        (ProofFile, {**FILE, "circuit": "../clan"}, False),
        (ProofFile, {**FILE, "circuit": ""}, False),
        (ProofFile, {**FILE, "proof": "0x" + "ab" * 49_999}, True),
        (ProofFile, {**FILE, "proof": "0x" + "ab" * 50_000}, False),
        (ProofFile, {**FILE, "proof": "0xabc"}, False),
        (ProofFile, {**FILE, "proof": "ab"}, False),
        (ProofFile, {**FILE, "instances": ["0x" + "f" * 64]}, True),
        (ProofFile, {**FILE, "instances": ["0x" + "f" * 65]}, False),
        (ProofFile, {**FILE, "instances": ["0x"]}, False),
        (ProofFile, {**FILE, "instances": ["1"]}, False),
        (ProofFile, {**FILE, "instances": ["0x1"] * 1000}, True),
        (ProofFile, {**FILE, "instances": ["0x1"] * 1001}, False),
        (Call, {"method": "m" * 64}, True),
        (Call, {"method": "m" * 65}, False),
        (Call, {"method": "m", "params": [1] * 8}, True),
        (Call, {"method": "m", "params": [1] * 9}, False),
        (Call, {"method": "m", "jsonrpc": "1.0"}, False),
        (Call, {"params": []}, False),
    ],
)
def test_limits_of_fields(schema, fields, good):
    assert accepts(schema, **fields) == good


def test_changes_are_told_once(hub, ask, monkeypatch):
    """The same state again is no event."""
    order(ask)
    (job,) = hub.jobs.open()
    ticks = iter(range(4))

    async def each(identity: str):
        for tick in ticks:
            if tick == 3:
                hub.jobs.remove(job.id)
            yield

    monkeypatch.setattr(hub.dispatcher, "changes", each)

    async def seen() -> list:
        return [state async for state in hub.changes(job)]

    first, last = asyncio.run(seen())
    assert (first.state, last) == ("queued", None)

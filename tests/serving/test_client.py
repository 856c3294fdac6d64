"""The Python client, against a server whose answers a test writes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests

from hub import client as module
from hub.client import Hub, SilenceError
from tests.hubs import ADA
from zk.errors import CircuitError

PROOF = {"circuit": "clan", "proof": "0x0a", "instances": ["0x1", "0x2"]}
QUEUED = {"id": "7", "state": "queued", "proof": None}
PROVING = {"id": "7", "state": "proving", "proof": None}
DONE = {"id": "7", "state": "done", "proof": PROOF}


@dataclass
class Script:
    """A server's answers, one for each request, and the requests that it got."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def add(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, body))

    def add_events(self, *jobs: dict[str, Any]) -> None:
        lines = [f"event: job\ndata: {json.dumps(job)}\n\n: comment\n" for job in jobs]
        self.add("".join(lines).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    """A server that answers as the script of a test says."""
    current = SimpleNamespace(script=Script())

    class Answers(BaseHTTPRequestHandler):
        def answer(self) -> None:
            script = current.script
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            script.asked.append((self.command, self.path, body))
            script.tokens.append(self.headers.get("Authorization"))
            status, headers, content = script.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as started:
        Thread(target=started.serve_forever, daemon=True).start()
        current.url = f"http://127.0.0.1:{started.server_port}"
        yield current
        started.shutdown()


@pytest.fixture
def script(server) -> Script:
    server.script = Script(server.url)
    return server.script


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time of the client, which passes only in its pauses."""
    clock = SimpleNamespace(now=100.0, pauses=[])

    def sleep(seconds: float) -> None:
        clock.pauses.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now))
    return clock


def test_an_order_is_followed_until_its_proof(script, clock):
    script.add(QUEUED, 202)
    script.add_events(QUEUED, PROVING, DONE, QUEUED)
    seen = []
    x = np.array([[0.5, 1.0], [2.0, -3.0]], np.float32)
    proof = Hub(f"{script.url}/", "secret").prove("clan", ADA, x, 3, seen.append)
    assert (proof.circuit, proof.proof, proof.instances) == ("clan", b"\x0a", [1, 2])
    assert seen == [QUEUED, PROVING, DONE]
    body = {"input": [0.5, 1.0, 2.0, -3.0], "account": ADA, "round": 3}
    order = ("POST", "/v1/circuits/clan/proofs", body)
    assert script.asked == [order, ("GET", "/v1/proofs/7/events", None)]
    assert script.tokens == ["Bearer secret"] * 2
    assert clock.pauses == []


@pytest.mark.parametrize(
    "last, reason",
    [
        ({"id": "7", "state": "failed", "reason": "too large"}, "too large"),
        ({"id": "7"}, "The job was removed."),
    ],
)
def test_a_job_without_a_proof(script, clock, last, reason):
    script.add(QUEUED, 202)
    script.add_events(PROVING, last)
    with pytest.raises(CircuitError) as error:
        Hub(script.url).prove("clan", ADA, np.ones(1))
    assert str(error.value) == f"The hub could not prove the input: {reason}"


def test_an_answer_that_is_no_proof(script, clock):
    script.add(QUEUED, 202)
    script.add_events({**DONE, "proof": {"circuit": "clan"}})
    with pytest.raises(CircuitError, match=f"The answer of {script.url} is not a proof file"):
        Hub(script.url).prove("clan", ADA, np.ones(1))


def test_a_client_waits_while_the_hub_is_full(script, clock):
    script.add({"detail": "full"}, 429, Retry_After="7")
    script.add({"detail": "full"}, 429)
    script.add(QUEUED, 202)
    assert Hub(script.url).order("clan", ADA, np.ones(2)) == QUEUED
    assert clock.pauses == [7.0, 1.0]
    assert len({json.dumps(asked) for asked in script.asked}) == 1
    assert script.asked[0][2]["round"] is None


def test_other_requests(script):
    hub = Hub(script.url)
    script.add({"result": {"kind": "digit", "digit": 3}, "picture": None})
    assert hub.predict("clan", np.eye(2)) == {"kind": "digit", "digit": 3}
    script.add([{"name": "clan"}])
    assert hub.circuits() == [{"name": "clan"}]
    script.add(DONE)
    assert hub.job("7") == DONE
    script.add(b"", 204)
    hub.remove("7")
    assert script.asked == [
        ("POST", "/v1/circuits/clan/predictions", {"input": [1.0, 0.0, 0.0, 1.0]}),
        ("GET", "/v1/circuits", None),
        ("GET", "/v1/proofs/7", None),
        ("DELETE", "/v1/proofs/7", None),
    ]
    assert script.tokens == [None] * 4


@pytest.mark.parametrize(
    "content, said",
    [
        ({"detail": "no room"}, "no room"),
        (b"<html>", "HTTP 503"),
        ({"error": "no"}, "HTTP 503"),
        ([], "HTTP 503"),
    ],
)
def test_refusals_are_sentences(script, content, said):
    hub = Hub(script.url)
    asks = [
        lambda: hub.job("7"),
        lambda: hub.remove("7"),
        hub.circuits,
        lambda: hub.predict("clan", np.ones(1)),
        lambda: hub.order("clan", ADA, np.ones(1)),
        lambda: list(hub.changes("7")),
    ]
    for ask in asks:
        script.add(content, 503)
        with pytest.raises(CircuitError) as error:
            ask()
        assert str(error.value) == f"The hub at {script.url} refuses the request: {said}"
        assert not isinstance(error.value, SilenceError)


def test_an_interrupted_stream_is_asked_for_again(script, clock):
    script.add_events(QUEUED)
    script.add(b"data: ", Content_Length="1000")
    script.add_events(PROVING, DONE)
    assert list(Hub(script.url).changes("7")) == [QUEUED, PROVING, DONE]
    assert clock.pauses == [0.5, 0.5]


def test_a_hub_has_thirty_seconds_to_come_back(script, clock, monkeypatch):
    """They begin at its last answer."""
    hub = Hub(script.url)
    script.add_events(QUEUED)
    changes = hub.changes("7")
    clock.now += 1000
    assert next(changes) == QUEUED
    sent, timeouts = hub._session.request, []

    def silent(*words: object, timeout: float, **more: object) -> None:
        timeouts.append(timeout)
        raise requests.ConnectionError

    monkeypatch.setattr(hub._session, "request", silent)
    started = clock.now
    with pytest.raises(SilenceError) as error:
        next(changes)
    assert str(error.value) == (
        f"No hub answers at {script.url} (ConnectionError): start one with `ape run hub`."
    )
    assert clock.now - started == 30.5
    assert set(timeouts) == {30.0}
    monkeypatch.setattr(hub._session, "request", sent)
    script.add_events(DONE)
    assert list(hub.changes("7")) == [DONE]


def test_client_without_a_hub():
    hub = Hub("http://127.0.0.1:9")
    for ask in (lambda: hub.job("0"), hub.circuits, lambda: hub.order("clan", ADA, np.ones(1))):
        with pytest.raises(SilenceError, match=r"No hub answers at http://127\.0\.0\.1:9"):
            ask()

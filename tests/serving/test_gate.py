"""The gate before every request: sizes, hosts, origins, headers, and the pace of a token."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from starlette.responses import Response

from hub import gate
from hub.gate import Gate, Pace
from hub.problems import RequestError
from tests.serving.asgi import asking

LARGEST = 16_000_000
OWN = "127.0.0.1:8000"
PAGE = "https://clan.example"


class Behind:
    """An application that records the requests which pass the gate."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.kinds: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        self.kinds.append(scope["type"])
        if scope["type"] != "http":
            return
        message = await receive()
        assert (message["type"], message.get("more_body", False)) == ("http.request", False)
        self.bodies.append(message["body"])
        answer = Response(b"passed", headers={"X-Own": "kept", "Referrer-Policy": "origin"})
        await answer(scope, receive, send)
        assert await receive() == {"type": "http.disconnect"}


@pytest.fixture
def behind() -> Behind:
    return Behind()


def gated(behind: Behind, loopback: bool = True, origins: Iterable[str] = ()):
    return asking(Gate(behind, loopback, list(origins)))


def test_a_whole_body_reaches_the_application_and_then_the_disconnection(behind):
    async def pieces():
        for piece in (b"one ", b"", b"two ", b"three"):
            yield piece

    answered = gated(behind)("POST", "/", content=pieces())
    assert (answered.status_code, answered.content) == (200, b"passed")
    assert behind.bodies == [b"one two three"]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_body(behind, announced, more):
    """One more byte is refused, whether or not the request says its length."""

    async def pieces():
        yield b" " * (LARGEST - 1)
        yield b" " * (1 + more)

    content = b" " * (LARGEST + more) if announced else pieces()
    answered = gated(behind)("POST", "/", content=content)
    assert answered.status_code == (413 if more else 200)
    assert [len(body) for body in behind.bodies] == ([] if more else [LARGEST])
    if more:
        assert answered.headers["Content-Type"] == "application/problem+json"
        sentence = "The request is too large: send at most 16,000,000 bytes."
        assert answered.json()["detail"] == sentence


def test_an_announced_body_is_refused_before_it_is_read(behind):
    sent = []

    async def receive():
        raise AssertionError("the body is read")

    async def send(message):
        sent.append(message)

    headers = [(b"host", OWN.encode()), (b"content-length", str(LARGEST + 1).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(Gate(behind, True, [])(scope, receive, send))
    assert (sent[0]["status"], behind.bodies) == (413, [])


@pytest.mark.parametrize("length", ["-1", "many", ""])
def test_a_malformed_length_is_left_to_the_server(behind, length):
    answered = gated(behind)("POST", "/", headers={"Content-Length": length}, content=b"body")
    assert (answered.status_code, behind.bodies) == (200, [b"body"])


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_pass_unchecked(behind, kind):
    asyncio.run(Gate(behind, True, [])({"type": kind}, None, None))
    assert behind.kinds == [kind]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", OWN, "localhost", "LOCALHOST:1", "[::1]", "[::1]:8000"]
)
def test_loopback_names_are_accepted(behind, host):
    assert gated(behind)("GET", "/", headers={"Host": host}).status_code == 200


FOREIGN_HOSTS = [
    "",
    "elsewhere.example",
    "elsewhere.example:8000",
    "127.0.0.2",
    "localhost.elsewhere.example",
    "localhost@elsewhere.example",
    "elsewhere.example@localhost",
    "localhost#elsewhere",
    "localhost/elsewhere",
    "localhost?elsewhere",
    "localhost:",
    "localhost:8000:1",
    "[",
    "[::1",
    "[::2]",
    ":",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_on_loopback_other_hosts_are_refused(behind, host):
    for method in ("GET", "POST"):
        refused = gated(behind)(method, "/", headers={"Host": host})
        assert (refused.status_code, behind.kinds) == (403, [])
        sentence = f"This hub answers at loopback addresses only, not at {host!r}."
        assert refused.json()["detail"] == sentence
    assert gated(behind, loopback=False)("GET", "/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(
    "origin",
    [
        *("https://elsewhere.example", "null", f"http://{OWN}0", f"{PAGE}.example", "http://["),
        *(f"ftp://{OWN}", f"http://{OWN}/", f"http://a@{OWN}", OWN, f"://{OWN}"),
    ],
)
def test_foreign_pages_may_read_and_not_write(behind, loopback, origin):
    ask = gated(behind, loopback, [PAGE])
    for method in ("POST", "DELETE", "PUT", "OPTIONS"):
        refused = ask(method, "/", headers={"Origin": origin})
        assert (refused.status_code, behind.kinds) == (403, [])
        sentence = f"Pages of {origin} may not use this hub: restart it with --origin {origin}."
        assert refused.json()["detail"] == sentence
    assert ask("GET", "/", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("origin", [None, PAGE, f"http://{OWN}", f"https://{OWN}"])
def test_its_own_page_and_listed_pages_may_write(behind, origin):
    headers = {"Origin": origin} if origin else {}
    for method in ("POST", "DELETE", "GET"):
        assert gated(behind, True, [PAGE])(method, "/", headers=headers).status_code == 200


def test_every_answer_has_the_security_headers(behind):
    headers = gated(behind)("GET", "/").headers
    assert headers["X-Own"] == "kept"
    assert headers.get_list("Referrer-Policy") == ["no-referrer"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time of `Pace`, which a test sets."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def passed(pace: Pace, name: str, most: int = 100) -> int:
    """The number of requests that pass at this moment."""
    for count in range(most):
        try:
            pace.require(name)
        except RequestError as refusal:
            assert refusal.status == 429
            return count
    raise AssertionError("no request is refused")


@pytest.mark.parametrize("rate, burst", [(2.0, 8), (0.5, 2), (0.25, 1), (0.1, 1)])
def test_a_burst_has_four_seconds_of_requests_and_at_least_one(clock, rate, burst):
    pace = Pace(rate)
    assert passed(pace, "ada") == burst
    assert passed(pace, "ben") == burst
    clock.now += 1000
    assert passed(pace, "ada") == burst


def test_a_bucket_fills_at_the_rate(clock):
    pace = Pace(2.0)
    passed(pace, "ada")
    clock.now += 0.25
    assert passed(pace, "ada") == 0
    clock.now += 0.25
    assert passed(pace, "ada") == 1
    clock.now += 1.5
    assert passed(pace, "ada") == 3


def test_requests_cost_one_each_at_any_time(clock):
    pace = Pace(0.5)
    for _ in range(5):
        pace.require("ada")
        clock.now += 2
    assert passed(pace, "ada") == 2


@pytest.mark.parametrize("waited, retry", [(0, 4), (1, 3), (2, 2), (3.75, 1)])
def test_a_refusal_says_when_the_next_request_passes(clock, waited, retry):
    pace = Pace(0.25)
    pace.require("ada")
    clock.now += waited
    with pytest.raises(RequestError) as refusal:
        pace.require("ada")
    sentence = "Your token sent more than 0.25 requests per second."
    assert (refusal.value.detail, refusal.value.retry_after) == (sentence, retry)
    clock.now += 4 - waited
    pace.require("ada")


def test_a_fast_token_retries_after_a_second(clock):
    pace = Pace(20.0)
    passed(pace, "ada")
    with pytest.raises(RequestError) as refusal:
        pace.require("ada")
    assert refusal.value.retry_after == 1

"""The checks of requests: hosts, origins, headers, sizes, streams, and the pace of a token."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from hub import gate
from hub.gate import Bodies, Gate, Pace, Streams
from hub.limits import Limits
from hub.problems import RequestError
from tests.serving.asgi import asking

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
        self.bodies.append(await Request(scope, receive).body())
        answer = Response(b"passed", headers={"X-Own": "kept", "Referrer-Policy": "origin"})
        await answer(scope, receive, send)
        assert await receive() == {"type": "http.disconnect"}


@pytest.fixture
def behind() -> Behind:
    return Behind()


def gated(behind: Behind, loopback: bool = True, origins: Iterable[str] = ()):
    return asking(Gate(behind, loopback, list(origins)))


def test_a_body_passes_the_gate(behind):
    answered = gated(behind)("POST", "/", content=b"one two")
    assert (answered.status_code, answered.content) == (200, b"passed")
    assert behind.bodies == [b"one two"]


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


def test_with_tls_one_address_is_accepted(behind):
    """The exact host, and writing pages of the exact origin, or of a listed one."""
    address = "192.168.7.8:8000"
    own = f"https://{address}"
    ask = asking(Gate(behind, False, [PAGE], own), own)
    for origin in (own, PAGE):
        assert ask("POST", "/", headers={"Origin": origin}).status_code == 200
    for origin in (f"http://{address}", f"{own}0", f"{own}/", "https://192.168.7.8", "null"):
        assert ask("POST", "/", headers={"Origin": origin}).status_code == 403
    for host in (*FOREIGN_HOSTS, OWN, "192.168.7.8", f"{address}0", f"a@{address}", f"{address}/"):
        refused = ask("GET", "/", headers={"Host": host})
        sentence = f"This hub answers at {own} only, not at {host!r}."
        assert (refused.status_code, refused.json()["detail"]) == (403, sentence)


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


# Bodies

SIZES = Limits(queue=1, share=1, pace=1, keep=1, small=10, large=30)
LARGEST = 20


def request(*pieces: bytes, announced: int | str | None = None) -> Request:
    """A request whose body arrives in pieces; after them the client leaves."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    ends = announced is None
    if waiting and ends:
        waiting[-1]["more_body"] = False
    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    scope = {"type": "http", "method": "POST", "path": "/rpc", "headers": headers}

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    return Request(scope, receive)


async def read(bodies: Bodies, *pieces: bytes) -> bytes:
    async with bodies.read(request(*pieces), LARGEST) as body:
        return bytes(body)


async def refused(bodies: Bodies, sent: Request) -> RequestError:
    with pytest.raises(RequestError) as refusal:
        async with bodies.read(sent, LARGEST):
            raise AssertionError("the body is accepted")
    return refusal.value


def refusal(bodies: Bodies, sent: Request) -> RequestError:
    return asyncio.run(refused(bodies, sent))


def test_a_body_is_read_to_its_end():
    pieces = b"one ", b"", b"two ", b"three"
    assert asyncio.run(read(Bodies(SIZES), *pieces)) == b"one two three"
    assert asyncio.run(read(Bodies(SIZES), b" " * 15, b" " * 5)) == b" " * LARGEST


@pytest.mark.parametrize(
    "pieces", [[b" " * 21], [b" " * 20, b" "], [b" " * 15, b" " * 6]], ids=["one", "more", "across"]
)
def test_a_body_over_the_limit_is_refused(pieces):
    found = refusal(Bodies(SIZES), request(*pieces))
    sentence = "The request is too large: send at most 20 bytes to /rpc."
    assert (found.status, found.detail) == (413, sentence)


def unfinished(*pieces: bytes) -> Request:
    """A request of which nothing may be read beyond these pieces."""
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def receive():
        assert waiting, "more is read"
        return waiting.pop(0)

    return Request(request().scope, receive)


def test_a_body_over_a_limit_is_refused_at_once():
    assert refusal(Bodies(SIZES), unfinished(b" " * 15, b" " * 6)).status == 413

    async def beside_another():
        bodies = Bodies(SIZES)
        async with bodies.read(request(b" " * 20), LARGEST):
            return await refused(bodies, unfinished(b" " * 8, b" " * 5))

    assert asyncio.run(beside_another()).status == 503


def test_an_announced_body_is_refused_before_it_is_read():
    async def receive():
        raise AssertionError("the body is read")

    unread = request(announced=21)
    assert refusal(Bodies(SIZES), Request(unread.scope, receive)).status == 413
    assert refusal(Bodies(SIZES), request(announced=20)).status == 400


@pytest.mark.parametrize("length", ["-1", "many", ""])
def test_a_malformed_length_is_left_to_the_server(length):
    assert refusal(Bodies(SIZES), request(b"body", announced=length)).status == 400


def test_large_bodies_share_memory_and_small_ones_have_room():
    bodies = Bodies(SIZES)

    async def story() -> None:
        async with bodies.read(request(b" " * 20), LARGEST):
            found = await refused(bodies, request(b" " * 11))
            assert (found.status, found.retry_after) == (503, 5)
            assert found.detail == "This hub has too many large requests at once."
        half = b" " * 15
        async with bodies.read(request(half), LARGEST), bodies.read(request(half), LARGEST):
            assert await read(bodies, b" " * 10) == b" " * 10
        async with bodies.read(request(b" " * 19), LARGEST):
            assert await read(bodies, b" " * 11) == b" " * 11

    asyncio.run(story())


def test_memory_is_free_again_after_each_end():
    bodies = Bodies(SIZES)

    async def fail() -> None:
        async with bodies.read(request(b" " * 15), LARGEST):
            raise ZeroDivisionError

    for _ in range(3):
        assert refusal(bodies, request(b" " * 21)).status == 413
        assert refusal(bodies, request(b" " * 15, b" " * 6)).status == 413
        left = refusal(bodies, request(b" " * 15, announced=20))
        assert (left.status, left.detail) == (400, "The client left before the end of its request.")
        with pytest.raises(ZeroDivisionError):
            asyncio.run(fail())
        assert len(asyncio.run(read(bodies, b" " * 20))) == 20


# Streams


def test_each_name_has_its_streams():
    streams = Streams(2)
    with streams.one("ada"):
        with streams.one("ada"), streams.one("ben"):
            with pytest.raises(RequestError) as refused, streams.one("ada"):
                raise AssertionError("the stream is accepted")
            assert (refused.value.status, refused.value.retry_after) == (429, 5)
            sentence = "You have 2 open streams of events, which is the limit."
            assert refused.value.detail == sentence
        with streams.one("ada"):
            pass
    assert not streams._open


# Pace


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

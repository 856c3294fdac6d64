"""Checks of every request: host, origin, size, the pace of its token, and streams."""

import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import LOOPBACK
from hub.limits import Limits
from hub.problems import PAUSE, RequestError

# `Host` headers that reach this machine only.
LOCAL = re.compile(
    f"({'|'.join(re.escape(f'[{name}]' if ':' in name else name) for name in LOOPBACK)})"
    r"(:\d{1,5})?",
    re.ASCII | re.IGNORECASE,
)

# Only the hub's own files run, and they connect only to the hub.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Middleware that refuses requests of foreign web pages.

    On loopback, only loopback's host names are accepted: a foreign page could point its own name to
    this machine (DNS rebinding). Any origin may read; only the listed origins may write. A hub with
    an `own` origin, which has TLS, answers there only.
    """

    def __init__(
        self, app: ASGIApp, loopback: bool, origins: Sequence[str], own: str | None = None
    ) -> None:
        self._app, self._loopback, self._origins, self._own = app, loopback, set(origins), own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            self._check(scope)
        except RequestError as problem:
            return await problem.response()(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        return await self._app(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._loopback and not LOCAL.fullmatch(host):
            raise RequestError(
                403, f"This hub answers at loopback addresses only, not at {host!r}."
            )
        if self._own and f"https://{host}" != self._own:
            raise RequestError(403, f"This hub answers at {self._own} only, not at {host!r}.")
        origin = headers.get("origin")
        own = origin == f"https://{host}" or (not self._own and origin == f"http://{host}")
        if origin and not own and scope["method"] != "GET" and origin not in self._origins:
            raise RequestError(
                403, f"Pages of {origin} may not use this hub: restart it with --origin {origin}."
            )


class Bodies:
    """The bodies of requests. Large ones share a limited amount of memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._held = limits, 0

    @asynccontextmanager
    async def read(self, request: Request, largest: int) -> AsyncIterator[bytearray]:
        """Read a body; it counts as held in memory until the context ends."""
        too_large = RequestError(
            413, f"The request is too large: send at most {largest:,} bytes to {request.url.path}."
        )
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > largest:
            raise too_large
        body, counted = bytearray(), 0
        try:
            async for piece in request.stream():
                if len(body) + len(piece) > largest:
                    raise too_large
                if len(body) + len(piece) > self._limits.small:
                    counted += self._hold(len(body) + len(piece) - counted)
                body += piece
            yield body
        except ClientDisconnect:
            raise RequestError(400, "The client left before the end of its request.") from None
        finally:
            self._held -= counted

    def _hold(self, size: int) -> int:
        if self._held + size > self._limits.large:
            raise RequestError(503, "This hub has too many large requests at once.", PAUSE)
        self._held += size
        return size


class Streams:
    """The open streams of events, counted by whose they are."""

    def __init__(self, most: int) -> None:
        self._most, self._open = most, Counter[str]()

    @contextmanager
    def one(self, whose: str) -> Iterator[None]:
        """Count a stream while the context lasts, or refuse it if there are too many."""
        if self._open[whose] >= self._most:
            raise RequestError(
                429, f"You have {self._most} open streams of events, which is the limit.", PAUSE
            )
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            self._open += Counter()  # forgets those that have none


class Pace:
    """A token bucket per name: a burst of four seconds' requests, then a steady rate."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._most = per_second, max(per_second * 4, 1.0)
        self._left: dict[str, tuple[float, float]] = {}

    def require(self, name: str) -> None:
        """Count a request, or refuse it if the name has sent too many."""
        now = time.monotonic()
        left, seen = self._left.get(name, (self._most, now))
        left = min(left + (now - seen) * self._rate, self._most)
        if left < 1:
            raise RequestError(
                429,
                f"Your token sent more than {self._rate:g} requests per second.",
                retry_after=max(round((1 - left) / self._rate), 1),
            )
        self._left[name] = (left - 1, now)

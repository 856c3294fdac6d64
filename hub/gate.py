"""Checks before every request: its size, host and origin, and the pace of its token."""

import re
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import LOOPBACK
from hub.problems import RequestError

LARGEST_BODY = 16_000_000  # bytes; thirty seconds of sound in base64 have up to 12,000,000

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
    """Middleware that refuses requests of foreign web pages, and requests that are too large.

    On loopback, only loopback's host names are accepted: a foreign page could point its own name to
    this machine (DNS rebinding). Any origin may read; only the listed origins may write.
    """

    def __init__(self, app: ASGIApp, loopback: bool, origins: Sequence[str]) -> None:
        self._app, self._loopback, self._origins = app, loopback, set(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            self._check(scope)
        except RequestError as problem:
            return await problem.response()(scope, receive, send)
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                return await RequestError(413, _TOO_LARGE).response()(scope, receive, send)
            if not message.get("more_body"):
                break
        whole: list[Message] = [{"type": "http.request", "body": bytes(body)}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        return await self._app(scope, replayed, guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._loopback and not LOCAL.fullmatch(host):
            raise RequestError(
                403, f"This hub answers at loopback addresses only, not at {host!r}."
            )
        origin = headers.get("origin")
        own = origin in (f"http://{host}", f"https://{host}")
        if origin and not own and scope["method"] != "GET" and origin not in self._origins:
            raise RequestError(
                403, f"Pages of {origin} may not use this hub: restart it with --origin {origin}."
            )
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > LARGEST_BODY:
            raise RequestError(413, _TOO_LARGE)


_TOO_LARGE = f"The request is too large: send at most {LARGEST_BODY:,} bytes."


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

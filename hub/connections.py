"""The connections of a hub: a limited number, and a deadline for each thing that a client owes."""

from asyncio import BaseTransport
from ipaddress import ip_network
from typing import Any, Literal

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from hub.limits import Limits
from hub.problems import PAUSE, RequestError

BACKLOG = 128  # connections that wait to be accepted; accepting them opens as many files at once
Owed = Literal["headers", "body", "reading"]


class Settings(uvicorn.Config):
    """Uvicorn's settings, and the hub's limits."""

    def __init__(self, app: ASGIApp, limits: Limits, **more: Any) -> None:
        # Proxies' headers name any address, and would get around the limits per address.
        plain: dict[str, Any] = {"http": Connection, "ws": "none", "proxy_headers": False}
        super().__init__(app, **plain, backlog=BACKLOG, log_level="warning", **more)
        self.limits = limits


class Connection(H11Protocol):
    """A connection that is closed if its client keeps the hub waiting.

    If there are too many connections, the one that has kept the hub waiting longest gives way.
    """

    def __init__(self, config: Settings, **more: Any) -> None:
        super().__init__(config, **more)
        self._limits = config.limits
        self._place = ""
        self._phase: tuple[Owed | None, object] = (None, None)
        self._since = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._place = _place(self.client[0] if self.client else "")
        everybody = [one for one in self.connections if isinstance(one, Connection)]
        neighbours = [one for one in everybody if one._place == self._place]
        if len(neighbours) > self._limits.connections_per_address:
            self._make_room(neighbours, "your address")
        elif len(everybody) > self._limits.connections:
            self._make_room(everybody, "all users")

    def _make_room(self, crowd: list["Connection"], whose: str) -> None:
        waits = {one: one._waited() for one in crowd if one is not self and one._owed()}
        if waits:
            max(waits, key=waits.__getitem__)._drop()
            return
        many = len(crowd) - 1
        reason = f"This hub has {many} connections of {whose}, which is the limit."
        self._refuse(RequestError(503, reason, PAUSE))

    def check(self) -> None:
        """Close the connection if its client is late."""
        owed = self._owed()
        seconds = self._limits.headers if owed == "headers" else self._limits.transfer
        if self._waited() < seconds or not owed:
            return
        unanswered = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if unanswered and not self.transport.is_closing():
            reason = (
                f"The {owed} of the request took longer than {seconds:g} seconds: send it again."
            )
            self._refuse(RequestError(408, reason))
        else:
            self._drop()

    def _owed(self) -> Owed | None:
        """Return the part that the hub is waiting for, or None while the client waits."""
        if self.flow.write_paused or self.transport.is_closing():
            return "reading"
        if self.conn.their_state is h11.IDLE:
            return "headers"
        return "body" if self.conn.their_state is h11.SEND_BODY else None

    def _waited(self) -> float:
        """The seconds since this was first asked in the connection's present phase."""
        phase, now = (self._owed(), self.cycle), self.loop.time()
        if phase != self._phase:
            self._phase, self._since = phase, now
        return now - self._since

    def _refuse(self, problem: RequestError) -> None:
        """Answer in place of the application, and close the connection."""
        response = problem.response()
        headers = [*response.raw_headers, (b"connection", b"close")]
        answer = (
            h11.Response(status_code=response.status_code, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        )
        for event in answer:
            self.transport.write(self.conn.send(event) or b"")
        if self.cycle:  # the application, which may wait for a body, is told that nobody listens
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()


def _place(host: str) -> str:
    """An address, or the network that IPv6 gives to each customer, with its 2**64 addresses."""
    plain = host.partition("%")[0]
    return str(ip_network(f"{plain}/64", strict=False)) if ":" in plain else plain

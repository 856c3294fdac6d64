"""Requests to a web application in this process."""

import asyncio
from collections.abc import Callable

import httpx
from starlette.types import ASGIApp

Ask = Callable[..., httpx.Response]


def asking(app: ASGIApp, base_url: str = "http://127.0.0.1:8000") -> Ask:
    """A function that sends a request to the application; call it with a method and a path."""
    answers = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def send(method: str, path: str, **more: object) -> httpx.Response:
        async with httpx.AsyncClient(transport=answers, base_url=base_url) as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    return lambda method, path, **more: asyncio.run(send(method, path, **more))

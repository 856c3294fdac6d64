"""The automatic modeller: works in a process beside it, and serves progress and files."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zk.files import ROOT, read_json

PAGE = Path(__file__).with_name("page")
ATTEMPTS = 3  # of a work that is killed
BEAT = 15  # seconds without a change until a stream says that it lives
MOST_CONNECTIONS = 100
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Modeller:
    """The state of the work in a folder: `working`, then `ready` or `failed`."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.exports = folder / "exports"
        self._words = [sys.executable, "-P", "-m", "modellers.training", str(folder), *words]
        self._changed = asyncio.Condition()
        self.history: list[dict[str, Any]] = [
            {"state": "working", "doing": "starting", "files": []}
        ]

    @property
    def state(self) -> dict[str, Any]:
        return self.history[-1]

    async def work(self, report: Callable[[str], None]) -> None:
        """Do the work; start anew if it is killed."""
        for left in reversed(range(ATTEMPTS)):
            code = await self._attempt(report)
            if code >= 0:
                break
            again = "it starts anew" if left else "start the modeller again"
            problem = f"The training was killed by {signal.Signals(-code).name}: {again}."
            await self._say({"state": "working" if left else "failed", "problem": problem}, report)
        if code == 0:
            files = read_json(self.exports / "index.json")["files"]
            await self._say({"state": "ready", "files": files}, report)

    async def _attempt(self, report: Callable[[str], None]) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._words,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        try:
            async for line in process.stdout:
                step = json.loads(line)
                await self._say(
                    {"state": "failed" if "problem" in step else "working"} | step, report
                )
            code = await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        if code > 0 and self.state["state"] != "failed":
            problem = "The training failed: its reason is on the terminal."
            await self._say({"state": "failed", "problem": problem}, report)
        return code

    async def _say(self, state: dict[str, Any], report: Callable[[str], None]) -> None:
        async with self._changed:
            self.history.append({"files": []} | state)
            self._changed.notify_all()
        report(in_words(self.state))

    async def states(self) -> AsyncIterator[dict[str, Any] | None]:
        """Yield all states until now, each new one, and None when nothing changes for long."""
        shown = 0
        while True:
            for state in self.history[shown:]:
                shown += 1
                yield state
            try:
                async with asyncio.timeout(BEAT), self._changed:
                    if len(self.history) == shown:
                        await self._changed.wait()
            except TimeoutError:
                yield None


def in_words(state: dict[str, Any]) -> str:
    """A state as a line on the terminal."""
    if state["state"] == "ready":
        return "\n".join(
            f"{file['name']:17} {file['bytes']:>9,} bytes"
            + (f"  reads {file['accuracy']:.2%}" if file["accuracy"] is not None else "")
            for file in state["files"]
        )
    if "problem" in state:
        return str(state["problem"])
    if "accuracy" in state:
        figures = f"loss {state['loss']:.4f}, accuracy {state['accuracy']:.2%}"
        return f"{state['doing']}: epoch {state['epoch']} of {state['epochs']}, {figures}"
    return str(state["doing"])


def create_app(modeller: Modeller, hosts: list[str]) -> FastAPI:
    """The web application: reads only, for requests to these host names."""
    app = FastAPI(title="Verdict modeller", docs_url=None, redoc_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"state": modeller.state["state"]}

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for state in modeller.states():
                yield f"data: {json.dumps(state)}\n\n" if state else ": still here\n\n"

        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)

    @app.get("/files")
    async def files() -> list[dict[str, Any]]:
        """The files with their sizes, hashes and accuracies. None before all are complete."""
        listed: list[dict[str, Any]] = modeller.state["files"]
        return listed

    @app.get("/files/{name}")
    async def file(name: str) -> FileResponse:
        found = next((one for one in modeller.state["files"] if one["name"] == name), None)
        if found is None:
            raise HTTPException(404, f"There is no {name!r} yet: GET /files lists what there is.")
        # The hash as the tag of a version: a download resumes only on the same file.
        return FileResponse(
            modeller.exports / name, filename=name, headers={"ETag": f'"{found["sha256"]}"'}
        )

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_middleware(SafeHeaders)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    return app


class SafeHeaders:
    """Adds the headers that keep a page to its own files."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, sent)


async def serve(
    modeller: Modeller, door: socket, hosts: list[str], report: Callable[[str], None]
) -> None:
    """Work and serve until the process gets SIGINT or SIGTERM."""
    settings = uvicorn.Config(
        create_app(modeller, hosts),
        log_level="warning",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    work = asyncio.create_task(modeller.work(report))
    try:
        await uvicorn.Server(settings).serve(sockets=[door])
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

"""Errors as RFC 9457 problem documents: a sentence about the request, and its fix."""

import logging
from typing import Any

import requests
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from apps.registry import RefusedError
from chain.contracts import NodeError
from chain.deployments import MissingError
from models.data import DatasetError
from zk.errors import CircuitError

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Token missing or unknown",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    409: "Refused by the application",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}
NO_NODE = "The chain's node does not answer: the request had no effect."
NO_DATABASE = "The hub's database does not answer: the request had no effect."
PAUSE = 5  # seconds until a node or database that does not answer is worth another try
log = logging.getLogger("hub")


class ProblemDocument(BaseModel):
    """The body of every error."""

    title: str
    status: int
    detail: str


class RequestError(Exception):
    """A refused request; `retry_after` is in seconds."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after

    def response(self) -> JSONResponse:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        content = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }
        return JSONResponse(content, self.status, headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents of a route, for its OpenAPI description."""
    schema = ProblemDocument.model_json_schema()
    return {
        status: {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every failed request with a problem document."""

    @app.exception_handler(RequestError)
    async def problem(request: Request, error: RequestError) -> JSONResponse:
        return error.response()

    @app.exception_handler(MissingError)
    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        return RequestError(409, str(error)).response()

    @app.exception_handler(CircuitError)
    @app.exception_handler(DatasetError)
    async def unusable(request: Request, error: Exception) -> JSONResponse:
        return RequestError(422, str(error)).response()

    @app.exception_handler(NodeError)
    @app.exception_handler(requests.RequestException)
    async def no_node(request: Request, error: Exception) -> JSONResponse:
        log.warning("the chain's node does not answer: %s", error)
        return RequestError(503, NO_NODE, PAUSE).response()

    @app.exception_handler(OperationalError)
    async def no_database(request: Request, error: Exception) -> JSONResponse:
        log.warning("the database does not answer: %s", error)
        return RequestError(503, NO_DATABASE, PAUSE).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return RequestError(422, _sentence(error)).response()

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        response = RequestError(error.status_code, str(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failure(request: Request, error: Exception) -> JSONResponse:
        log.exception("%s %s failed", request.method, request.url.path)
        return RequestError(500, "The hub failed: its log has the cause.").response()


def _sentence(error: RequestValidationError) -> str:
    """The invalid fields and the reasons, without the values, which may be private."""
    places = [
        f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
        for found in error.errors()
    ]
    return "; ".join(places[:5]) + "."

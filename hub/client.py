"""A hub from afar: what Python programs, and `ape run prove --hub`, speak to it with."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import requests

from zk.errors import CircuitError
from zk.proof import Proof

PATIENCE = 30.0  # seconds without a word from the hub
PAUSE = 0.5  # seconds until a hub that went away is asked again
Follow = Callable[[dict[str, Any]], None]


class SilenceError(CircuitError):
    """No hub answers."""


class Hub:
    """One hub. Its proofs are its word alone: whoever asked checks them."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def prove(
        self,
        circuit: str,
        account: str,
        x: np.ndarray,
        number: int | None = None,
        follow: Follow = lambda job: None,
    ) -> Proof:
        """Orders a proof and waits for it; `follow` hears each change."""
        job = self.order(circuit, account, x, number)
        for changed in self.changes(job["id"]):
            follow(job := changed)
        if job["state"] != "done":
            raise CircuitError(f"The hub could not prove it: {job.get('reason') or 'it is gone'}")
        return Proof.of(job["proof"], f"the answer of {self._url}")

    def order(
        self, circuit: str, account: str, x: np.ndarray, number: int | None = None
    ) -> dict[str, Any]:
        """Has a job accepted; comes back later where the hub has too much to do."""
        body = {"input": np.ravel(x).tolist(), "account": account, "round": number}
        while True:
            answer = self._ask("POST", f"/v1/circuits/{circuit}/proofs", json=body)
            if answer.status_code != requests.codes.too_many_requests:
                return self._content(answer)
            time.sleep(float(answer.headers.get("Retry-After", 1)))

    def predict(self, circuit: str, x: np.ndarray) -> dict[str, Any]:
        """What the quantised model answers, without a proof."""
        body = {"input": np.ravel(x).tolist()}
        path = f"/v1/circuits/{circuit}/predictions"
        return self._content(self._ask("POST", path, json=body))["result"]

    def circuits(self) -> list[dict[str, Any]]:
        return self._content(self._ask("GET", "/v1/circuits"))

    def job(self, identity: str) -> dict[str, Any]:
        return self._content(self._ask("GET", f"/v1/proofs/{identity}"))

    def remove(self, identity: str) -> None:
        self._content(self._ask("DELETE", f"/v1/proofs/{identity}"))

    def changes(self, identity: str) -> Iterator[dict[str, Any]]:
        """A job each time that it changed, until it has ended or is gone.

        A hub that goes away is waited for: it does not lose a job.
        """
        heard = time.monotonic()
        while True:
            try:
                for job in self._events(identity):
                    heard = time.monotonic()
                    yield job
                    if job.get("state") not in ("queued", "proving"):
                        return
            except SilenceError:
                if time.monotonic() - heard > PATIENCE:
                    raise
            time.sleep(PAUSE)

    def _events(self, identity: str) -> Iterator[dict[str, Any]]:
        answer = self._ask("GET", f"/v1/proofs/{identity}/events", stream=True)
        if not answer.ok:
            self._content(answer)
        try:
            for line in answer.iter_lines():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
        except requests.RequestException as error:
            raise self._silent(error) from error

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        try:
            return self._session.request(method, self._url + path, timeout=PATIENCE, **more)
        except requests.RequestException as error:
            raise self._silent(error) from error

    def _content(self, answer: requests.Response) -> Any:
        if answer.ok:
            return answer.json() if answer.content else None
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = f"HTTP {answer.status_code}"
        raise CircuitError(f"The hub at {self._url} refuses: {detail}")

    def _silent(self, error: requests.RequestException) -> SilenceError:
        return SilenceError(
            f"No hub answers at {self._url} ({type(error).__name__}): start one with `ape run hub`."
        )

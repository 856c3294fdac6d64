"""A client of a hub for Python programs. `ape run prove --hub` uses it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import requests

from zk.errors import CircuitError
from zk.proof import Proof
from zk.samples import Array

PATIENCE = 30.0  # seconds to wait for a hub that does not answer
PAUSE = 0.5  # seconds between two tries to reach it
Follow = Callable[[dict[str, Any]], None]


class SilenceError(CircuitError):
    """No hub answers."""


class Hub:
    """A hub at a URL. It can return any proof: check each one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def prove(
        self,
        circuit: str,
        account: str,
        x: Array,
        round_number: int | None = None,
        follow: Follow = lambda job: None,
    ) -> Proof:
        """Order a proof and wait for it; `follow` is called with each change of the job."""
        job = self.order(circuit, account, x, round_number)
        for changed in self.changes(job["id"]):
            follow(job := changed)
        if job.get("state") != "done":
            reason = job.get("reason") or "The job was removed."
            raise CircuitError(f"The hub could not prove the input: {reason}")
        return Proof.of(job["proof"], f"The answer of {self._url}")

    def order(
        self,
        circuit: str,
        account: str,
        x: Array,
        round_number: int | None = None,
        consent: tuple[int, str] | None = None,
    ) -> dict[str, Any]:
        """Order a proof; return the job. Waits while the hub has too many jobs.

        With a consent, a deadline and a signature, the hub also sends the proof.
        """
        body = {"input": np.ravel(x).tolist(), "account": account, "round": round_number}
        if consent:
            deadline, signature = consent
            body |= {"relay": True, "consent": {"deadline": deadline, "signature": signature}}
        while True:
            answer = self._ask("POST", f"/v1/circuits/{circuit}/proofs", json=body)
            if answer.status_code != requests.codes.too_many_requests:
                return dict(self._content(answer))
            time.sleep(float(answer.headers.get("Retry-After", 1)))

    def predict(self, circuit: str, x: Array) -> dict[str, Any]:
        """Return the answer of the quantised model, without a proof."""
        body = {"input": np.ravel(x).tolist()}
        path = f"/v1/circuits/{circuit}/predictions"
        return dict(self._content(self._ask("POST", path, json=body))["result"])

    def circuits(self) -> list[dict[str, Any]]:
        return list(self._content(self._ask("GET", "/v1/circuits")))

    def job(self, identity: str) -> dict[str, Any]:
        return dict(self._content(self._ask("GET", f"/v1/proofs/{identity}")))

    def remove(self, identity: str) -> None:
        self._content(self._ask("DELETE", f"/v1/proofs/{identity}"))

    def changes(self, identity: str) -> Iterator[dict[str, Any]]:
        """Yield a job at each change until it ends or is removed.

        Waits for a hub that stops answering: a restarted hub still has the job.
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
        raise CircuitError(f"The hub at {self._url} refuses the request: {detail}")

    def _silent(self, error: requests.RequestException) -> SilenceError:
        return SilenceError(
            f"No hub answers at {self._url} ({type(error).__name__}): start one with `ape run hub`."
        )

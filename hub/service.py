"""The hub behind its routes: orders, jobs and limits."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from apps.registry import Digit
from chain.accounts import account_of, checked_account
from hub.chain import Chain
from hub.circuits import Served
from hub.dispatcher import Dispatcher
from hub.gate import Bodies, Pace, Streams
from hub.jobs import OPEN, QUEUED, Job, Jobs, new_job
from hub.limits import Limits
from hub.metrics import Metrics
from hub.problems import RequestError
from hub.proving import Order
from hub.relay import Relay, Route, Terms
from hub.schemas import Input, JobState, Mined, Progress, ProofFile, ProofOrder, Verification
from zk.errors import CircuitError
from zk.proof import Proof

ANY_ACCOUNT = f"0x{1:040x}"
GUESS = 2.0  # seconds for a proof of a circuit that was not timed yet


class Hub:
    """A prover hub: its circuits, chain, jobs and workers."""

    def __init__(
        self,
        circuits: dict[str, Served],
        chain: Chain,
        jobs: Jobs,
        limits: Limits,
        *,
        scheduler: str | None,
        loopback: bool,
    ) -> None:
        self.circuits, self.chain, self.jobs, self.limits = circuits, chain, jobs, limits
        self.loopback, self.metrics = loopback, Metrics()
        self.pace, self.bodies = Pace(limits.pace), Bodies(limits)
        self.streams = Streams(limits.streams)
        self.dispatcher = Dispatcher(jobs, self._order, self.metrics, scheduler, limits.keep)
        self.relay: Relay | None = None

    def relay_by(self, terms: Terms, routes: list[Route]) -> None:
        """Relay the orders that carry a consent."""
        self.relay = Relay(terms, routes, self.jobs, self.dispatcher, self.metrics)

    def warm(self) -> None:
        """Do everything once that is slow the first time, before users wait for it."""
        for served in self.circuits.values():
            with suppress(RequestError, CircuitError, OSError):
                served.predict(Input.model_validate({"input": [0] * math.prod(served.shape)}))
                self.chain.key(served, ANY_ACCOUNT, None)

    def order(self, token: str, circuit: Served, given: ProofOrder) -> JobState:
        """Accept a job unless the application would refuse its proof."""
        account = checked_account(given.account)
        x = circuit.read(given)
        key, round_number = self.chain.key(circuit, account, given.round)
        consent = None
        if given.consent:
            consent = given.consent.deadline, given.consent.signature
            self._require_consent(circuit, account, given, consent)
        build = circuit.sha256["vk"]
        wanted = new_job(token, circuit.name, build, account, round_number, key, x, consent)
        job, new = self.jobs.accept(wanted, self.require_room)
        if new:
            self.metrics.accepted.labels(circuit.name).inc()
            self.dispatcher.wake()
        return self.state(job)

    def _require_consent(
        self, circuit: Served, account: str, given: ProofOrder, consent: tuple[int, str]
    ) -> None:
        if self.relay is None:
            raise RequestError(409, "This hub relays nothing: send the proof yourself.")
        result = circuit.predict(given).result
        if not isinstance(result, Digit):
            raise RequestError(409, f"This hub does not relay proofs of {circuit.name}.")
        self.relay.require(circuit, account, result.digit, consent)

    def require_room(self, job: Job, waiting: dict[str, int]) -> None:
        """Refuse a job beyond the limits, and estimate when there is room for it."""
        mine, total = waiting.get(job.token, 0), sum(waiting.values())
        if total < self.limits.queue and mine < self.limits.share:
            return
        full = f"This hub has {total}" if total >= self.limits.queue else f"Your token has {mine}"
        typical = self.jobs.typical_seconds(job.circuit) or GUESS
        seconds = round(typical / max(self.dispatcher.workers, 1)) + 1
        raise RequestError(
            429, f"{full} open jobs, which is the limit.", retry_after=min(seconds, 600)
        )

    def state(self, job: Job) -> JobState:
        """The job as the API returns it."""
        progress = result = None
        relayed = self.relay.step(job) if self.relay else None
        if job.state in OPEN:
            progress = Progress(
                ahead=self.jobs.before(job) if job.state == QUEUED else 0,
                step=self.dispatcher.step(job.id) or relayed,
                elapsed_seconds=time.time() - job.started if job.started else 0,
                typical_seconds=self.jobs.typical_seconds(job.circuit),
            )
        if job.proof and job.circuit in self.circuits:
            result = self.circuits[job.circuit].result_of(Proof.of(job.proof, "the job"))
        return JobState(
            id=job.id,
            state=job.state,
            circuit=job.circuit,
            account=job.account,
            round=job.round,
            created=job.created,
            progress=progress,
            proof=ProofFile(**job.proof) if job.proof else None,
            result=result,
            reason=job.reason,
            transaction=Mined(**job.mined) if job.mined else None,
        )

    async def changes(self, job: Job) -> AsyncIterator[JobState | None]:
        """Yield the job at each change until it ends; yield None if it was removed."""
        last = None
        async for _ in self.dispatcher.changes(job.id):
            found = await asyncio.to_thread(self.jobs.get, job.id, job.token)
            if found is None:
                yield None
                return
            state = await asyncio.to_thread(self.state, found)
            if state != last:
                yield state
            last = state
            if found.state not in OPEN:
                return

    def remove(self, job: Job) -> None:
        """Remove a job and its proof; stop proving it if a worker has begun."""
        self.jobs.remove(job.id)
        self.dispatcher.cancel(job.id)

    def verify(self, circuit: Served, given: ProofFile) -> Verification:
        """Check a proof, and ask its application if it would accept it now."""
        if given.circuit != circuit.name:
            raise RequestError(
                422,
                f"This is a proof of {given.circuit}, not of {circuit.name}: send it to "
                f"/v1/circuits/{given.circuit}/verifications.",
            )
        proof = Proof.of(given.model_dump(), "The body")
        if reason := circuit.flaw(proof):
            return Verification(valid=False, reason=reason, answer="refused", refusal=reason)
        layout = circuit.manifest.layout
        key, outputs = proof.key(layout), proof.outputs(layout)
        round_number, answer, refusal = self.chain.submission(circuit, key, outputs)
        return Verification(
            valid=True,
            reason=None,
            key=hex(key),
            account=account_of(key),
            result=circuit.result(outputs),
            round=round_number,
            answer=answer,
            refusal=refusal,
        )

    def _order(self, job: Job) -> Order:
        """The order that a worker gets for a job."""
        served = self.circuits.get(job.circuit)
        if not served or served.sha256["vk"] != job.vk:
            raise CircuitError(
                f"The build of {job.circuit} that accepted this job was replaced: order again."
            )
        layout, limit = served.manifest.layout, served.manifest.time_limit
        files = served.artifacts
        return Order(job.id, job.circuit, files, layout, int(job.key), job.input, limit)

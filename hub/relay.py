"""The hub as a relayer: orders with a consent are proved in batches, and sent from its account."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ape
import numpy as np
import requests

from apps.batches import ANSWER_GAS, Short, agrees, outcomes, short
from apps.circuits import ARTIFACTS
from apps.consents import NO_CONSENT
from apps.registry import Application, RefusedError, named
from chain import deployments
from chain.accounts import account_of
from chain.contracts import key_for
from chain.network import now
from chain.sending import count, turn
from hub.batches import Batch, Batches
from hub.circuits import Served
from hub.dispatcher import Dispatcher
from hub.jobs import DONE, FAILED, Job, Jobs
from hub.metrics import Metrics
from hub.problems import RequestError
from hub.proving import Order
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof

if TYPE_CHECKING:
    from ape.api import AccountAPI
    from ape.contracts import ContractInstance

log = logging.getLogger("hub")
POLL = 0.5  # seconds between two looks at jobs, and at a pending transaction
DAY = 86_400.0
LAG = 15.0  # seconds by which the receipts of a node may be behind its nonces
STUCK = 120.0  # seconds after which a pending transaction gets a higher price
SPARE = 300  # seconds that a consent must hold beyond the wait for a batch
ATTEMPTS = 5  # to prove a batch


@dataclass(frozen=True)
class Terms:
    """The account that sends, and its limits."""

    sender: AccountAPI
    wait: float  # seconds after which a batch is proved that is not full
    gas_price: int  # the highest, in wei
    budget: int  # the most that transactions may cost in a day, in wei
    confirmations: int  # blocks after which a receipt counts


@dataclass(frozen=True)
class Route:
    """A circuit whose contract takes batches, and the build that proves them."""

    single: Served
    several: Served
    contract: ContractInstance

    @property
    def size(self) -> int:
        return self.several.manifest.layout.batch

    @property
    def application(self) -> Application:
        return named(self.several.manifest.application)


def routes_of(circuits: dict[str, Served], url: str) -> list[Route]:
    """The served circuits whose deployment takes batches that this machine can prove."""
    found = []
    for circuit, entry in deployments.read().items():
        batch = entry.get("batch") or {}
        if circuit not in circuits or not batch:
            continue
        manifest = Manifest(ARTIFACTS / batch["circuit"])
        if manifest["files"]["vk"]["sha256"] != batch["vk_sha256"]:
            raise CircuitError(
                f"{circuit} is deployed with another build of {batch['circuit']}: deploy it again."
            )
        single = circuits[circuit]
        contract = deployments.contract_of(circuit, entry["application"], single.manifest)
        found.append(Route(single, Served(manifest, url), contract))
    if not found:
        raise CircuitError(
            "No deployed contract takes batches, which a relay sends: deploy one with `ape run "
            "deploy --only CIRCUIT --batch CIRCUIT`."
        )
    return found


class Relay:
    """Collects orders, has them proved together, and sends each batch once."""

    def __init__(
        self,
        terms: Terms,
        routes: list[Route],
        jobs: Jobs,
        dispatcher: Dispatcher,
        metrics: Metrics,
    ) -> None:
        self._terms, self._dispatcher, self._metrics = terms, dispatcher, metrics
        self._routes = {route.single.name: route for route in routes}
        self._store = Batches(jobs)
        self._jobs = jobs
        self._steps: dict[int, str] = {}
        self._taken: dict[int, float] = {}  # since when a nonce is used without a receipt
        self._task: asyncio.Task[None] | None = None
        self._attempts: dict[int, int] = defaultdict(int)

    def require(self, circuit: Served, account: str, digit: int, consent: tuple[int, str]) -> None:
        """Refuse an order whose account has not consented to this digit."""
        route = self._routes.get(circuit.name)
        if route is None:
            raise RequestError(409, f"This hub does not relay proofs of {circuit.name}.")
        if deployments.entry_of(circuit.name)["contract"] != route.contract.address:
            raise RequestError(503, f"{circuit.name} was deployed again: restart this hub.")
        deadline, signature = consent
        earliest = now() + self._terms.wait + SPARE
        if deadline < earliest:
            raise RequestError(
                422,
                f"The consent ends {earliest - deadline:.0f} seconds too early for this hub: sign "
                "one with a later deadline.",
            )
        short(deadline, bytes.fromhex(signature[2:]))
        if not agrees(route.contract, account, digit, deadline, signature):
            raise RequestError(
                422,
                f"The signature is not a consent of {account} to the {digit} that the model reads, "
                f"for {route.contract.address} and with its current nonce: sign again.",
            )

    def step(self, job: Job) -> str | None:
        """The current step of a relayed job."""
        if job.batch is None:
            return "collecting" if job.signature else None
        return self._steps.get(job.batch, "proving")

    @property
    def circuits(self) -> list[str]:
        """The circuits whose proofs are relayed."""
        return list(self._routes)

    @property
    def builds(self) -> dict[str, Served]:
        """The builds that prove batches, whose files other machines fetch."""
        return {route.several.name: route.several for route in self._routes.values()}

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Carry batches to their end, one after the other: their nonces follow each other."""
        while True:
            try:
                for batch in await asyncio.to_thread(self._store.open):
                    await self._carry(batch)
                for route in self._routes.values():
                    await asyncio.to_thread(self._collect, route)
            except (OSError, CircuitError, requests.RequestException) as error:
                log.warning("relaying is tried again: %s", error)
            except Exception:
                log.exception("relaying failed, and is tried again")
            await asyncio.sleep(POLL)

    # Collecting

    def _collect(self, route: Route) -> None:
        """Begin a batch if enough accounts wait for one, or the first has waited long enough."""
        waiting: dict[str, Job] = {}
        for job in self._store.waiting(route.single.name):
            if reason := self._obstacle(route, job):
                self._fail(job, reason)
            else:
                waiting.setdefault(job.account, job)
        jobs = list(waiting.values())[: route.size]
        late = jobs and jobs[0].created + self._terms.wait <= time.time()
        if len(jobs) == route.size or late:
            self._store.collect(route.single.name, route.several.sha256["vk"], jobs)

    def _obstacle(self, route: Route, job: Job) -> str | None:
        """The reason why a waiting job can be relayed no more."""
        if job.vk != route.single.sha256["vk"]:
            return "The build that accepted this job was replaced: order again."
        try:
            route.application.require_open(route.contract, job.account, None)
        except RefusedError as error:
            return str(error)
        if (job.deadline or 0) < now():
            return "The consent expired before its batch was sent."
        return None

    def _fail(self, job: Job, reason: str) -> None:
        log.warning("job %s failed: %s", job.id, reason)
        self._jobs.fail(job.id, reason)
        self._metrics.ended.labels(job.circuit, FAILED).inc()

    # A batch

    async def _carry(self, batch: Batch) -> None:
        """Prove and send a batch, from where an earlier run left it."""
        route = self._routes.get(batch.circuit)
        if route is None or route.several.sha256["vk"] != batch.vk:
            await asyncio.to_thread(
                self._give_up, batch, "The build that accepted this job was replaced: order again."
            )
            return
        if batch.proof is None and not await self._prove(route, batch):
            return
        while not await asyncio.to_thread(self._advance, route, batch):
            await asyncio.sleep(POLL)
        self._steps.pop(batch.number, None)

    async def _prove(self, route: Route, batch: Batch) -> bool:
        self._steps[batch.number] = "proving"
        jobs = await asyncio.to_thread(self._store.jobs_of, batch)
        if not jobs:
            await asyncio.to_thread(self._give_up, batch, "")
            return False
        try:
            made = await self._dispatcher.prove(self._order(route, batch, jobs))
        except Exception as error:  # of the worker, of Dask, or of the way between
            self._attempts[batch.number] += 1
            if self._attempts[batch.number] < ATTEMPTS:
                raise
            made = {"reason": f"{ATTEMPTS} workers could not prove the batch: {error}"}
        if reason := made.get("reason"):
            await asyncio.to_thread(self._give_up, batch, reason)
            return False
        await asyncio.to_thread(self._store.keep, batch, proof=made["proof"])
        return True

    def _order(self, route: Route, batch: Batch, jobs: Sequence[Job]) -> Order:
        manifest = route.several.manifest
        missing = route.size - len(jobs)
        padding = key_for(str(route.contract.address), account_of(0), 0)
        keys = [*(int(job.key) for job in jobs), *[padding] * missing]
        x = np.stack([*(job.input for job in jobs), *[np.zeros_like(jobs[0].input)] * missing])
        name, files = route.several.name, route.several.artifacts
        layout, limit = manifest.layout, manifest.time_limit
        return Order(f"batch {batch.number}", name, files, layout, keys, x, limit)

    def _give_up(self, batch: Batch, reason: str) -> None:
        jobs = self._store.jobs_of(batch)
        self._end(batch, {}, {job.id: reason for job in jobs})

    # Its transaction

    def _advance(self, route: Route, batch: Batch) -> bool:
        """Send a batch or look at its transaction; return True if it has ended."""
        sender, head = self._terms.sender, ape.networks.provider.web3.eth.block_number
        # Asked before the receipts: a transaction that is mined in between is not sent again.
        taken = batch.nonce is not None and count(sender, "latest") > batch.nonce
        if not taken:
            self._taken.pop(batch.number, None)
        for sent in batch.sent:
            if receipt := _receipt(sent["hash"]):
                self._taken.pop(batch.number, None)
                self._steps[batch.number] = "waiting for confirmations"
                if head - receipt["blockNumber"] < self._terms.confirmations:
                    return False
                self._settle(route, batch, receipt)
                return True
        if not batch.sent or (taken and self._is_lost(batch)):
            return self._send(route, batch)
        if time.time() - batch.sent[-1]["at"] > STUCK and self._send(route, batch, again=True):
            return True
        _broadcast(batch.sent[-1]["raw"])  # changes nothing unless the node has dropped it
        return False

    def _is_lost(self, batch: Batch) -> bool:
        """Return whether something else took the nonce: no receipt has come for a while."""
        since = self._taken.setdefault(batch.number, time.monotonic())
        if time.monotonic() - since < LAG:
            return False
        del self._taken[batch.number]
        return True

    def _send(self, route: Route, batch: Batch, again: bool = False) -> bool:
        """Sign and record a transaction, then send it; return True if the contract refuses it."""
        sender, terms = self._terms.sender, self._terms
        price = self._price(int(batch.sent[-1]["price"]) if again else 0)
        if price is None:
            self._steps[batch.number] = "waiting for a lower gas price"
            return False
        call = route.contract.joinMany
        proof = Proof.of(batch.proof, "the batch")
        given = (proof.proof, proof.instances, self._consents(route, batch))
        with turn(sender):
            nonce = batch.nonce if again else count(sender, "pending")
            try:
                gas = call.estimate_gas_cost(*given, sender=sender) * 5 // 4
                gas += ANSWER_GAS * route.size  # an account may begin to burn it after the estimate
            except ape.exceptions.ContractLogicError as error:
                self._give_up(batch, f"The contract refuses the batch: {error}.")
                return True
            cost = gas * price
            before = int(batch.sent[-1]["cost"]) if again else 0
            if self._store.spent(time.time() - DAY) - before + cost > terms.budget:
                self._steps[batch.number] = "waiting, because today's budget is spent"
                return False
            tip = min(ape.networks.provider.priority_fee, price)
            transaction = call.as_transaction(
                *given, sender=sender, nonce=nonce, gas=gas, max_fee=price, max_priority_fee=tip
            )
            signed = sender.sign_transaction(transaction)
            raw = signed.serialize_transaction()
            sent = {"hash": _hash(raw), "raw": "0x" + raw.hex(), "at": time.time()}
            sent |= {"price": str(price), "cost": str(cost)}
            self._store.keep(batch, nonce=nonce, sent=[*batch.sent, sent])
            _broadcast(sent["raw"])
        self._steps[batch.number] = "sent"
        return False

    def _price(self, before: int) -> int | None:
        """The price to offer for gas, above an offer `before`; None if the limit is lower."""
        provider, limit = ape.networks.provider, self._terms.gas_price
        least = max(provider.base_fee + provider.priority_fee, before * 9 // 8 + bool(before))
        return None if least > limit else min(max(2 * provider.base_fee, least), limit)

    def _consents(self, route: Route, batch: Batch) -> list[Short]:
        jobs = {job.account: job for job in self._store.jobs_of(batch)}
        proof = Proof.of(batch.proof, "the batch")
        layout = route.several.manifest.layout
        found = [jobs.get(account_of(key)) for key in proof.keys(layout)]
        return [_short(job) if job else NO_CONSENT for job in found]

    def _settle(self, route: Route, batch: Batch, receipt: dict[str, Any]) -> None:
        """Tell each job what the transaction did for its account."""
        found = outcomes(route.contract, [dict(entry) for entry in receipt["logs"]])
        mined, reasons = {}, {}
        for job in self._store.jobs_of(batch):
            outcome = found.get(job.account, "the transaction failed")
            if isinstance(outcome, int):
                mined[job.id] = {
                    "hash": receipt["transactionHash"].to_0x_hex(),
                    "block": receipt["blockNumber"],
                    "gas": receipt["gasUsed"],
                    "result": outcome,
                }
            else:
                reasons[job.id] = f"{job.account} was skipped: {outcome}."
        self._end(batch, mined, reasons, receipt["gasUsed"] * receipt["effectiveGasPrice"])

    def _end(
        self,
        batch: Batch,
        mined: dict[str, dict[str, Any]],
        reasons: dict[str, str],
        cost: int = 0,
    ) -> None:
        for identity, reason in reasons.items():
            log.warning("job %s failed: %s", identity, reason)
        self._store.settle(batch, mined, reasons, cost)
        self._metrics.ended.labels(batch.circuit, DONE).inc(len(mined))
        self._metrics.ended.labels(batch.circuit, FAILED).inc(len(reasons))


def _short(job: Job) -> Short:
    return short(job.deadline or 0, bytes.fromhex((job.signature or "")[2:]))


def _receipt(transaction: str) -> dict[str, Any] | None:
    from web3.exceptions import TransactionNotFound

    with suppress(TransactionNotFound):
        return dict(ape.networks.provider.web3.eth.get_transaction_receipt(transaction))
    return None


def _broadcast(raw: str) -> None:
    """Hand a signed transaction to the node, which may have it already."""
    answer = ape.networks.provider.web3.provider.make_request("eth_sendRawTransaction", [raw])
    if error := answer.get("error"):
        log.debug("the node answers to a transaction: %s", error)


def _hash(raw: bytes) -> str:
    from eth_utils.crypto import keccak

    return "0x" + keccak(raw).hex()

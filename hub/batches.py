"""Batches of jobs that a hub relays, in its database: proved together, and sent once."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, select, update
from sqlalchemy.orm import Mapped, mapped_column

from hub.jobs import DONE, FAILED, OPEN, PROVING, QUEUED, Base, Job, Jobs


class Batch(Base):
    """Jobs from their collection to the receipt of their transaction. Times are Unix times."""

    __tablename__ = "batches"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    circuit: Mapped[str]  # of a single input
    vk: Mapped[str]  # the hash of the verification key of the circuit for batches
    created: Mapped[float]
    ended: Mapped[float | None]
    proof: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    nonce: Mapped[int | None]
    # Each is signed and recorded before it is sent: hash, raw transaction, its largest cost in wei
    # as a string, and the time. Those with the batch's nonce exclude each other.
    sent: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class Batches:
    """The batches of a hub's database."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def open(self) -> Sequence[Batch]:
        """The batches that have not ended, oldest first."""
        with self._jobs.session() as session:
            unfinished = select(Batch).where(Batch.ended.is_(None)).order_by(Batch.number)
            return session.scalars(unfinished).all()

    def waiting(self, circuit: str) -> Sequence[Job]:
        """The jobs that wait for a batch, oldest first."""
        with self._jobs.session() as session:
            relayed = (Job.circuit == circuit, Job.state == QUEUED, Job.signature.is_not(None))
            return session.scalars(select(Job).where(*relayed).order_by(Job.number)).all()

    def collect(self, circuit: str, vk: str, jobs: Sequence[Job]) -> Batch:
        """Begin a batch of jobs."""
        batch = Batch(circuit=circuit, vk=vk, created=time.time(), sent=[])
        with self._jobs.writing() as session:
            session.add(batch)
            session.flush()
            chosen = update(Job).where(Job.id.in_([job.id for job in jobs]), Job.state == QUEUED)
            begun = {"batch": batch.number, "state": PROVING, "started": time.time()}
            session.execute(chosen.values(**begun))
        return batch

    def jobs_of(self, batch: Batch) -> Sequence[Job]:
        """The jobs of a batch in the order of their places; removed ones are missing."""
        with self._jobs.session() as session:
            inside = select(Job).where(Job.batch == batch.number).order_by(Job.number)
            return session.scalars(inside).all()

    def keep(self, batch: Batch, **values: Any) -> None:
        """Record what became of a batch, there and in the object."""
        with self._jobs.writing() as session:
            session.execute(update(Batch).where(Batch.number == batch.number).values(**values))
        for name, value in values.items():
            setattr(batch, name, value)

    def settle(
        self,
        batch: Batch,
        mined: dict[str, dict[str, Any]],
        reasons: dict[str, str],
        cost: int,
    ) -> None:
        """End a batch: jobs by id are done, with their transaction, or failed with a reason.

        `cost` is what the transaction cost in the end.
        """
        ended: dict[str, Any] = {"ended": time.time(), "x": None}
        with self._jobs.writing() as session:
            for identity, transaction in mined.items():
                job = update(Job).where(Job.id == identity, Job.state.in_(OPEN))
                session.execute(job.values(state=DONE, mined=transaction, **ended))
            for identity, reason in reasons.items():
                job = update(Job).where(Job.id == identity, Job.state.in_(OPEN))
                session.execute(job.values(state=FAILED, reason=reason, digest=None, **ended))
            # What the budget needs stays.
            sent = [{"at": one["at"], "cost": str(cost)} for one in batch.sent[-1:]]
            settled = {"ended": time.time(), "proof": None, "sent": sent}
            session.execute(update(Batch).where(Batch.number == batch.number).values(**settled))

    def spent(self, since: float) -> int:
        """The wei that the transactions since a time cost, or may cost at the most."""
        with self._jobs.session() as session:
            batches = session.scalars(select(Batch).where(Batch.created >= since - 86_400)).all()
        newest = [batch.sent[-1] for batch in batches if batch.sent]
        return sum(int(sent["cost"]) for sent in newest if sent["at"] >= since)

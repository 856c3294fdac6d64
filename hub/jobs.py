"""The jobs of a hub, in SQLite or PostgreSQL. A job that is here is never lost."""

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    Engine,
    LargeBinary,
    Select,
    create_engine,
    delete,
    event,
    func,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from zk.errors import CircuitError

QUEUED, PROVING, DONE, FAILED = "queued", "proving", "done", "failed"
OPEN = (QUEUED, PROVING)
RECENT = 20  # proofs of which the typical time is told
PATIENCE = 10  # seconds that PostgreSQL has to answer
LOCK = 0x7665726469637400  # in PostgreSQL, of the one hub that works on a database


class Base(DeclarativeBase):
    pass


class Job(Base):
    """One proof, from its order to its end. Times are in seconds since 1970."""

    __tablename__ = "jobs"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(index=True)  # the name of a token, "" on loopback
    digest: Mapped[str | None] = mapped_column(unique=True)  # of what is to be proved, for whom
    circuit: Mapped[str]
    vk: Mapped[str]  # the hash of the key that it is proved with
    account: Mapped[str]
    round: Mapped[int | None]
    key: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    x: Mapped[bytes | None] = mapped_column(LargeBinary)  # private, and gone when the job ends
    created: Mapped[float]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    proof: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    reason: Mapped[str | None]

    @property
    def input(self) -> np.ndarray:
        return np.frombuffer(self.x or b"", np.float32)


class Token(Base):
    """Who may use a hub beyond loopback. Of the token itself only the hash is kept."""

    __tablename__ = "tokens"

    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)


class Jobs:
    """All that is asked of the database. One hub works on a database at a time."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._lock = _lock(self._engine, url)
        try:
            Base.metadata.create_all(self._engine)
        except SQLAlchemyError as error:
            raise CircuitError(f"The database does not answer: {_reason(error)}.") from error
        self._session = sessionmaker(self._engine, expire_on_commit=False)
        self._turn = Lock()
        with self._writing() as session:  # a hub that was killed left these
            session.execute(update(Job).where(Job.state == PROVING).values(state=QUEUED))

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """One writer after the other: so limits hold, and nobody waits as long as SQLite would."""
        with self._turn, self._session.begin() as session:
            yield session

    def accept(
        self, job: Job, require_room: Callable[[Job, dict[str, int]], None]
    ) -> tuple[Job, bool]:
        """Takes a job, or gives the one there is for the same input and key; and whether it is new.

        `require_room` refuses what is too much, by how many jobs of each owner have not ended.
        """
        with self._writing() as session:
            if found := session.scalar(select(Job).where(Job.digest == job.digest)):
                return found, False
            require_room(job, _waiting(session))
            session.add(job)
        return job, True

    def get(self, identity: str, owner: str) -> Job | None:
        with self._session() as session:
            return session.scalar(select(Job).where(Job.id == identity, Job.owner == owner))

    def open(self) -> Sequence[Job]:
        """The jobs that have not ended, the oldest first."""
        with self._session() as session:
            return session.scalars(
                select(Job).where(Job.state.in_(OPEN)).order_by(Job.number)
            ).all()

    def before(self, job: Job) -> int:
        """How many jobs are to be proved before a queued one."""
        with self._session() as session:
            ahead = select(func.count()).where(Job.state.in_(OPEN), Job.number < job.number)
            return session.scalar(ahead) or 0

    def states(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        with self._session() as session:
            return _counted(session, select(Job.state, func.count()).group_by(Job.state))

    def waiting(self) -> dict[str, int]:
        """How many jobs of each owner have not ended."""
        with self._session() as session:
            return _waiting(session)

    def typical_seconds(self, circuit: str) -> float | None:
        """The median time of a circuit's last proofs."""
        times = (
            select(Job.ended - Job.started)
            .where(Job.circuit == circuit, Job.state == DONE)
            .order_by(Job.number.desc())
            .limit(RECENT)
        )
        with self._session() as session:
            found = [seconds for seconds in session.scalars(times) if seconds is not None]
        return float(np.median(found)) if found else None

    def begin(self, identity: str) -> bool:
        """Notes that a worker proves a job; not if it has ended or is gone."""
        return self._change(identity, state=PROVING, started=time.time())

    def again(self, identity: str) -> bool:
        return self._change(identity, state=QUEUED, started=None)

    def finish(self, identity: str, proof: dict[str, Any], started: float) -> bool:
        return self._change(
            identity, state=DONE, proof=proof, started=started, ended=time.time(), x=None
        )

    def fail(self, identity: str, reason: str) -> bool:
        """The same may be sent again after a failure."""
        return self._change(
            identity, state=FAILED, reason=reason, ended=time.time(), x=None, digest=None
        )

    def remove(self, identity: str, owner: str) -> bool:
        with self._writing() as session:
            gone = session.execute(delete(Job).where(Job.id == identity, Job.owner == owner))
            return gone.rowcount == 1  # type: ignore[attr-defined]

    def forget(self, before: float) -> int:
        """Removes the jobs that ended before a moment."""
        with self._writing() as session:
            return session.execute(delete(Job).where(Job.ended < before)).rowcount  # type: ignore[attr-defined]

    def tidy(self) -> None:
        """Leaves no copy of an ended job's input in SQLite's journal."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def close(self) -> None:
        self.tidy()
        self._engine.dispose()
        self._lock.close()

    def owner_of(self, token: str) -> str | None:
        with self._session() as session:
            return session.scalar(select(Token.name).where(Token.sha256 == _sha256(token)))

    def has_tokens(self) -> bool:
        with self._session() as session:
            return session.scalar(select(func.count()).select_from(Token)) != 0

    def _change(self, identity: str, **values: Any) -> bool:
        with self._writing() as session:
            open_job = (Job.id == identity, Job.state.in_(OPEN))
            changed = session.execute(update(Job).where(*open_job).values(**values))
            return changed.rowcount == 1  # type: ignore[attr-defined]


def new_job(
    owner: str, circuit: str, vk: str, account: str, number: int | None, key: int, x: np.ndarray
) -> Job:
    content = np.asarray(x, np.float32).tobytes()
    parts = [owner, circuit, vk, str(key)]
    return Job(
        id=str(uuid.uuid4()),
        owner=owner,
        digest=hashlib.sha256("\n".join(parts).encode() + content).hexdigest(),
        circuit=circuit,
        vk=vk,
        account=account,
        round=number,
        key=str(key),
        state=QUEUED,
        x=content,
        created=time.time(),
    )


def _waiting(session: Session) -> dict[str, int]:
    open_jobs = select(Job.owner, func.count()).where(Job.state.in_(OPEN))
    return _counted(session, open_jobs.group_by(Job.owner))


def _counted(session: Session, query: Select) -> dict[str, int]:
    return dict(session.execute(query).all())


def keep_token(url: str, name: str, token: str) -> None:
    """Lets whoever has a token use the hubs of a database; a name's older token ends."""
    engine = _engine(url)
    try:
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.merge(Token(name=name, sha256=_sha256(token)))
    except SQLAlchemyError as error:
        raise CircuitError(f"The database does not answer: {_reason(error)}.") from error
    finally:
        engine.dispose()


def _sha256(token: str) -> str:
    """Tokens are random numbers of 256 bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
    except SQLAlchemyError as error:
        raise CircuitError("--database is no URL: give postgresql://… or sqlite:///….") from error
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    if place.drivername not in ("postgresql+psycopg", "sqlite"):
        raise CircuitError(
            f"{place.drivername} is no database of the hub: give postgresql://… or sqlite:///…."
        )
    if place.drivername != "sqlite":
        return create_engine(place, pool_pre_ping=True, connect_args={"connect_timeout": PATIENCE})
    path = Path(place.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise CircuitError(
            f"The database cannot be at {path} ({error.strerror}): give --database another place."
        ) from error
    engine = create_engine(place, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def configure(connection, _record) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _lock(engine: Engine, url: str):
    """What keeps a second hub from working on the same jobs, until it is closed or killed."""
    taken = CircuitError(
        f"Another hub works on the database {make_url(url).render_as_string()}: stop it first, or "
        "give this one another with --database."
    )
    if engine.dialect.name == "sqlite":
        lock = Path(f"{engine.url.database}.lock").open("w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise taken from None
        os.chmod(lock.name, 0o600)  # noqa: PTH101
        return lock
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise CircuitError(f"The database does not answer: {_reason(error)}.") from error
    if not connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
        connection.close()
        raise taken
    connection.commit()
    return connection


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0].rstrip(".")

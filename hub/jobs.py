"""The jobs of a hub, in SQLite or PostgreSQL. An accepted job survives crashes."""

import fcntl
import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any, Final, Literal

import numpy as np
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Engine,
    LargeBinary,
    Select,
    String,
    create_engine,
    delete,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from zk.errors import CircuitError
from zk.samples import Array

State = Literal["queued", "proving", "done", "failed"]
QUEUED: Final = "queued"
PROVING: Final = "proving"
DONE: Final = "done"
FAILED: Final = "failed"
OPEN = (QUEUED, PROVING)
CONNECTIONS = 5  # to SQLite at once, each with two files
RECENT = 20  # proofs that the typical time is computed from
PATIENCE = 10  # seconds for PostgreSQL to accept a connection
LOCK = 0x7665726469637400  # PostgreSQL's advisory lock of the one hub that uses a database


class Base(DeclarativeBase):
    pass


class Job(Base):
    """A proof from its order to its end. Times are Unix times."""

    __tablename__ = "jobs"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    # The name of the token that ordered it; "" on loopback. The column keeps its old name.
    token: Mapped[str] = mapped_column("owner", index=True)
    digest: Mapped[str | None] = mapped_column(unique=True)  # of token, build, key and input
    circuit: Mapped[str]
    vk: Mapped[str]  # the hash of the circuit's verification key
    account: Mapped[str]
    round: Mapped[int | None]
    key: Mapped[str]
    state: Mapped[State] = mapped_column(String, index=True)
    x: Mapped[bytes | None] = mapped_column(LargeBinary)  # private; removed when the job ends
    created: Mapped[float]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    proof: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    reason: Mapped[str | None]
    # Of a job that the hub relays: the consent of its account, its batch, and its transaction.
    deadline: Mapped[int | None] = mapped_column(BigInteger)
    signature: Mapped[str | None]
    batch: Mapped[int | None] = mapped_column(index=True)
    mined: Mapped[dict[str, Any] | None] = mapped_column(JSON)

    @property
    def input(self) -> Array:
        return np.frombuffer(self.x or b"", np.float32)


class Token(Base):
    """A token of a hub beyond loopback, of which only the hash is stored."""

    __tablename__ = "tokens"

    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    created: Mapped[float | None]  # None for those of an older hub


class Jobs:
    """The database of a hub. Only one hub at a time can use a database."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._lock = _lock(self._engine, url)
        try:
            _prepare(self._engine)
        except SQLAlchemyError as error:
            raise CircuitError(f"The database does not answer: {_reason(error)}.") from error
        self.session = sessionmaker(self._engine, expire_on_commit=False)
        self._turn = Lock()
        with self.writing() as session:  # jobs of a hub that was killed; `hub.relay` has the others
            alone = update(Job).where(Job.state == PROVING, Job.batch.is_(None))
            session.execute(alone.values(state=QUEUED))

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One writer at a time: limits hold, and SQLite's slow waiting for a lock is avoided."""
        with self._turn, self.session.begin() as session:
            yield session

    def accept(
        self, job: Job, require_room: Callable[[Job, dict[str, int]], None]
    ) -> tuple[Job, bool]:
        """Store a job, or find the one with the same digest; return it, and True if it is new.

        `require_room` gets a new job and the number of open jobs per token; it raises if there are
        too many.
        """
        with self.writing() as session:
            if found := session.scalar(select(Job).where(Job.digest == job.digest)):
                return found, False
            require_room(job, _waiting(session))
            session.add(job)
        return job, True

    def get(self, identity: str, token: str) -> Job | None:
        """The job with this id, if this token ordered it."""
        with self.session() as session:
            return session.scalar(select(Job).where(Job.id == identity, Job.token == token))

    def open(self) -> Sequence[Job]:
        """The open jobs that are proved alone, oldest first."""
        with self.session() as session:
            alone = (Job.state.in_(OPEN), Job.signature.is_(None))
            return session.scalars(select(Job).where(*alone).order_by(Job.number)).all()

    def before(self, job: Job) -> int:
        """The number of jobs that are proved before a queued one."""
        with self.session() as session:
            ahead = select(func.count()).where(Job.state.in_(OPEN), Job.number < job.number)
            return session.scalar(ahead) or 0

    def states(self) -> dict[str, int]:
        """The number of jobs in each state."""
        with self.session() as session:
            return _counted(session, select(Job.state, func.count()).group_by(Job.state))

    def waiting(self) -> dict[str, int]:
        """The number of open jobs per token."""
        with self.session() as session:
            return _waiting(session)

    def typical_seconds(self, circuit: str) -> float | None:
        """The median time of a circuit's latest proofs."""
        times = (
            select(Job.ended - Job.started)
            .where(Job.circuit == circuit, Job.state == DONE, Job.batch.is_(None))
            .order_by(Job.number.desc())
            .limit(RECENT)
        )
        with self.session() as session:
            found = [seconds for seconds in session.scalars(times) if seconds is not None]
        return float(np.median(found)) if found else None

    def begin(self, identity: str) -> bool:
        """Record that a worker proves a job; return False if it has ended or is gone."""
        return self._change(identity, state=PROVING, started=time.time())

    def again(self, identity: str) -> bool:
        """Put a job back into the queue."""
        return self._change(identity, state=QUEUED, started=None)

    def finish(self, identity: str, proof: dict[str, Any], started: float) -> bool:
        return self._change(
            identity, state=DONE, proof=proof, started=started, ended=time.time(), x=None
        )

    def fail(self, identity: str, reason: str) -> bool:
        """Record a failure. Without its digest, the same order is a new job."""
        return self._change(
            identity, state=FAILED, reason=reason, ended=time.time(), x=None, digest=None
        )

    def remove(self, identity: str) -> None:
        with self.writing() as session:
            session.execute(delete(Job).where(Job.id == identity))

    def forget(self, before: float) -> None:
        """Remove the jobs that ended before a time."""
        with self.writing() as session:
            session.execute(delete(Job).where(Job.ended < before))

    def tidy(self) -> None:
        """Remove copies of ended jobs' inputs from SQLite's journal."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def close(self) -> None:
        self.tidy()
        self._lock.close()  # first: it returns PostgreSQL's connection, which then is closed
        self._engine.dispose()

    def name_of_token(self, token: str) -> str | None:
        """The name that a token was created with, or None if it is unknown."""
        with self.session() as session:
            return session.scalar(select(Token.name).where(Token.sha256 == _sha256(token)))

    def has_tokens(self) -> bool:
        with self.session() as session:
            return session.scalar(select(func.count()).select_from(Token)) != 0

    def _change(self, identity: str, **values: Any) -> bool:
        with self.writing() as session:
            open_job = (Job.id == identity, Job.state.in_(OPEN))
            changed = update(Job).where(*open_job).values(**values).returning(Job.number)
            return session.scalar(changed) is not None


def new_job(
    token: str,
    circuit: str,
    vk: str,
    account: str,
    round_number: int | None,
    key: int,
    x: Array,
    consent: tuple[int, str] | None = None,
) -> Job:
    """A queued job, ordered with the token of this name. One with a `consent` is relayed."""
    content = np.asarray(x, np.float32).tobytes()
    deadline, signature = consent or (None, None)
    parts = [token, circuit, vk, str(key), *([str(deadline), signature] if signature else [])]
    return Job(
        id=str(uuid.uuid4()),
        token=token,
        digest=hashlib.sha256("\n".join(parts).encode() + content).hexdigest(),
        circuit=circuit,
        vk=vk,
        account=account,
        round=round_number,
        key=str(key),
        state=QUEUED,
        x=content,
        created=time.time(),
        deadline=deadline,
        signature=signature,
    )


def _waiting(session: Session) -> dict[str, int]:
    open_jobs = select(Job.token, func.count()).where(Job.state.in_(OPEN))
    return _counted(session, open_jobs.group_by(Job.token))


def _counted(session: Session, query: Select[Any, int]) -> dict[str, int]:
    return dict(session.execute(query).all())


def keep_token(url: str, name: str, token: str) -> None:
    """Store a token for the hubs of a database; it replaces an older token of the same name."""
    with _tokens(url) as session:
        session.merge(Token(name=name, sha256=_sha256(token), created=time.time()))


def tokens_of(url: str) -> list[tuple[str, float | None]]:
    """The name of each token of a database, and the time when it was created."""
    with _tokens(url) as session:
        return [
            (name, at)
            for name, at in session.execute(select(Token.name, Token.created).order_by(Token.name))
        ]


def revoke_token(url: str, name: str) -> None:
    """Remove a token; a running hub refuses its next request."""
    with _tokens(url) as session:
        removed = session.execute(delete(Token).where(Token.name == name).returning(Token.name))
        if removed.first() is None:
            known = ", ".join(session.scalars(select(Token.name))) or "none"
            raise CircuitError(f"There is no token {name!r}: there are {known}.")


@contextmanager
def _tokens(url: str) -> Iterator[Session]:
    """Change the tokens of a database, beside the hub that uses it."""
    engine = _engine(url)
    try:
        _prepare(engine)
        with Session(engine) as session, session.begin():
            yield session
    except SQLAlchemyError as error:
        raise CircuitError(f"The database does not answer: {_reason(error)}.") from error
    finally:
        engine.dispose()


def _prepare(engine: Engine) -> None:
    """Make the tables, and the columns that tables of an older hub lack."""
    Base.metadata.create_all(engine)
    for table in Base.metadata.sorted_tables:
        there = {column["name"] for column in inspect(engine).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(engine.dialect)
                with engine.begin() as connection:
                    add = f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"
                    connection.execute(text(add))


def _sha256(token: str) -> str:
    # A token has 256 random bits, and cannot be guessed from a plain hash.
    return hashlib.sha256(token.encode()).hexdigest()


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
    except SQLAlchemyError as error:
        raise CircuitError(
            "--database is not a URL: give postgresql://… or sqlite:///…."
        ) from error
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    if place.drivername not in ("postgresql+psycopg", "sqlite"):
        raise CircuitError(
            f"{place.drivername} databases are not supported: give postgresql://… or sqlite:///…."
        )
    if place.drivername != "sqlite":
        return create_engine(place, pool_pre_ping=True, connect_args={"connect_timeout": PATIENCE})
    path = Path(place.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise CircuitError(
            f"The database cannot be created at {path} ({error.strerror}): choose another place "
            "with --database."
        ) from error
    # SQLite keeps a closed connection's files open until all are closed: none is closed early.
    few: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0}
    engine = create_engine(place, **few, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _lock(engine: Engine, url: str) -> IO[str] | Connection:
    """Take the lock that keeps other hubs from a database until it is closed or the hub ends."""
    taken = CircuitError(
        f"Another hub uses the database {make_url(url).render_as_string()}: stop it, or choose "
        "another one with --database."
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

"""The jobs of a hub, in SQLite and PostgreSQL: one writer, one hub, and nothing private kept."""

import hashlib
import os
import socket
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, event, inspect, text

from hub import jobs as module
from hub.jobs import CONNECTIONS, Job, Jobs, keep_token, new_job, revoke_token, tokens_of
from tests.hubs import ADA, BEN
from zk.errors import CircuitError

X = np.array([0.5, -1.25, 3.0])
SECRET = np.frombuffer(b"a private input that no file may keep " * 50, np.uint8).astype(np.float32)
PROOF = {"circuit": "clan", "proof": "0x00", "instances": ["0x1"]}


def accepted(jobs: Jobs, number: int = 0, token: str = "ada", circuit: str = "clan", x=X) -> Job:
    wanted = new_job(token, circuit, "vk", ADA, None, number, x)
    job, new = jobs.accept(wanted, lambda job, waiting: None)
    assert new
    return job


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time that the jobs record, which a test sets."""
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


# Orders


def test_a_new_job(clock):
    job = new_job("ada", "clan", "vk", BEN, 3, 2**223 + 1, X)
    assert (job.token, job.circuit, job.vk, job.account, job.round) == ("ada", "clan", "vk", BEN, 3)
    assert (job.key, job.state, job.created) == (str(2**223 + 1), "queued", 1_000.0)
    assert str(uuid.UUID(job.id)) == job.id != new_job("ada", "clan", "vk", BEN, 3, 1, X).id
    assert job.input.dtype == np.float32
    assert job.input.tolist() == X.tolist()
    assert Job(x=None).input.size == 0


ORDER = ("ada", "clan", "vk", ADA, None, 5, X)


@pytest.mark.parametrize(
    "changed",
    [
        ("ben", "clan", "vk", ADA, None, 5, X),
        ("ada", "voice", "vk", ADA, None, 5, X),
        ("ada", "clan", "kv", ADA, None, 5, X),
        ("ada", "clan", "vk", ADA, None, 6, X),
        ("ada", "clan", "vk", ADA, None, 5, X * 2),
        ("adac", "lan", "vk", ADA, None, 5, X),
        ("ada", "clanv", "k", ADA, None, 5, X),
        ("ada", "clan", "v", ADA, None, "k5", X),
    ],
)
def test_another_token_build_key_or_input_is_another_job(jobs, changed):
    first, _ = jobs.accept(new_job(*ORDER), lambda job, waiting: None)
    other, new = jobs.accept(new_job(*changed), lambda job, waiting: None)
    assert new
    assert other.id != first.id


def test_the_same_order_is_the_same_job_also_when_there_is_no_room(jobs):
    def full(job, waiting):
        raise CircuitError("full")

    first, new = jobs.accept(new_job(*ORDER), lambda job, waiting: None)
    assert new
    same = new_job(*ORDER[:-1], X.astype(np.float64))
    found, new = jobs.accept(same, full)
    assert (found.id, found.number, new) == (first.id, first.number, False)
    jobs.finish(first.id, PROOF, 1.0)
    found, new = jobs.accept(new_job(*ORDER), full)
    assert (found.id, found.state, new) == (first.id, "done", False)


def test_a_job_without_room_is_not_stored(jobs):
    accepted(jobs, 1)
    accepted(jobs, 2)
    jobs.begin(accepted(jobs, 3, "ben").id)
    jobs.fail(accepted(jobs, 4, "ben").id, "no")
    asked = []

    def full(job, waiting):
        asked.append((job.key, waiting))
        raise CircuitError("full")

    with pytest.raises(CircuitError, match="full"):
        jobs.accept(new_job(*ORDER), full)
    assert asked == [("5", {"ada": 2, "ben": 1})]
    assert [job.key for job in jobs.open()] == ["1", "2", "3"]


def test_writers_take_turns(jobs):
    """Room that one order saw is not given to another."""
    inside = []

    def room(job, waiting):
        inside.append(job.key)
        time.sleep(0.002)  # lets other threads run, if they can
        assert inside == [job.key]
        inside.clear()

    with ThreadPoolExecutor(8) as pool:
        orders = [new_job("ada", "clan", "vk", ADA, None, number, X) for number in range(24)]
        taken = list(pool.map(lambda order: jobs.accept(order, room)[1], orders))
    assert taken == [True] * 24
    assert jobs.waiting() == {"ada": 24}


# Queries


def test_a_job_belongs_to_its_token(jobs):
    mine, other = accepted(jobs, 1), accepted(jobs, 2)
    assert jobs.get(mine.id, "ada").key == "1"
    assert jobs.get(other.id, "ada").key == "2"
    assert jobs.get(mine.id, "ben") is None
    assert jobs.get(mine.id, "") is None
    assert jobs.get("0", "ada") is None


def test_open_jobs_are_in_the_order_of_their_acceptance(jobs):
    made = [accepted(jobs, number, "ada" if number % 2 else "ben") for number in range(6)]
    jobs.begin(made[4].id)
    jobs.begin(made[1].id)
    jobs.finish(made[2].id, PROOF, 1.0)
    jobs.fail(made[3].id, "no")
    assert [job.id for job in jobs.open()] == [made[number].id for number in (0, 1, 4, 5)]
    assert [jobs.before(made[number]) for number in (0, 1, 4, 5)] == [0, 1, 2, 3]
    assert jobs.states() == {"queued": 2, "proving": 2, "done": 1, "failed": 1}
    assert jobs.waiting() == {"ada": 2, "ben": 2}


def test_lookups_by_token_state_and_order_have_an_index(tmp_path):
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    Jobs(database).close()
    engine = create_engine(database)
    found = inspect(engine).get_indexes("jobs") + inspect(engine).get_unique_constraints("jobs")
    assert {tuple(one["column_names"]) for one in found} >= {("owner",), ("state",), ("digest",)}
    unique = inspect(engine).get_unique_constraints("tokens")
    assert [one["column_names"] for one in unique] == [["sha256"]]
    engine.dispose()


def test_the_typical_time_is_the_median_of_the_latest_proofs(jobs, clock):
    assert jobs.typical_seconds("clan") is None
    clock.now = 1_000.0
    for number, seconds in enumerate([500] * 15 + [90] * 10 + [7] + [1] * 9):
        jobs.finish(accepted(jobs, number).id, PROOF, clock.now - seconds)
    assert jobs.typical_seconds("clan") == (7 + 90) / 2
    jobs.finish(accepted(jobs, 50, circuit="voice").id, PROOF, clock.now - 1)
    jobs.fail(accepted(jobs, 51).id, "no")
    jobs.begin(accepted(jobs, 52).id)
    jobs.fail(accepted(jobs, 53).id, "no")
    assert jobs.typical_seconds("clan") == (7 + 90) / 2
    jobs.finish(accepted(jobs, 54).id, PROOF, clock.now - 2)
    assert jobs.typical_seconds("clan") == (2 + 7) / 2
    assert jobs.typical_seconds("voice") == 1


def test_a_failure_does_not_count_as_a_proof_time(jobs, clock):
    failed = accepted(jobs, 1)
    jobs.begin(failed.id)
    clock.now += 50
    jobs.fail(failed.id, "no")
    assert jobs.typical_seconds("clan") is None


# Changes


def test_the_life_of_a_job(jobs, clock):
    job, other = accepted(jobs, 1), accepted(jobs, 2)

    def now() -> Job:
        return jobs.get(job.id, "ada")

    clock.now = 2_000.0
    assert jobs.begin(job.id)
    assert (now().state, now().started, now().ended) == ("proving", 2_000.0, None)
    assert jobs.again(job.id)
    assert (now().state, now().started) == ("queued", None)
    assert jobs.begin(job.id)
    clock.now = 3_000.0
    assert jobs.finish(job.id, PROOF, 2_500.0)
    assert (now().state, now().started, now().ended) == ("done", 2_500.0, 3_000.0)
    assert (now().proof, now().x, now().reason) == (PROOF, None, None)
    assert now().digest == job.digest
    rest = jobs.get(other.id, "ada")
    assert (rest.state, rest.started, rest.ended, rest.proof) == ("queued", None, None, None)
    assert rest.x == other.x


def test_the_same_order_after_a_failure_is_a_new_job(jobs, clock):
    job, _ = jobs.accept(new_job(*ORDER), lambda job, waiting: None)
    clock.now = 2_000.0
    assert jobs.fail(job.id, "no memory")
    failed = jobs.get(job.id, "ada")
    assert (failed.state, failed.reason, failed.ended) == ("failed", "no memory", 2_000.0)
    assert (failed.x, failed.digest, failed.proof) == (None, None, None)
    again, new = jobs.accept(new_job(*ORDER), lambda job, waiting: None)
    assert new
    assert again.id != job.id


@pytest.mark.parametrize("end", ["done", "failed", "removed"])
def test_an_ended_job_does_not_change(jobs, end):
    job = accepted(jobs)
    endings = {
        "done": lambda: jobs.finish(job.id, PROOF, 1.0),
        "failed": lambda: jobs.fail(job.id, "no"),
        "removed": lambda: jobs.remove(job.id) or True,
    }
    assert endings[end]()
    before = jobs.get(job.id, "ada")
    assert not jobs.begin(job.id)
    assert not jobs.again(job.id)
    assert not jobs.finish(job.id, {}, 5.0)
    assert not jobs.fail(job.id, "other")
    after = jobs.get(job.id, "ada")
    if end == "removed":
        assert before is after is None
        return
    fields = ("state", "proof", "reason", "started", "ended")
    assert [getattr(after, name) for name in fields] == [getattr(before, name) for name in fields]


def test_a_removed_job_is_gone_and_others_stay(jobs):
    job, other = accepted(jobs, 1), accepted(jobs, 2)
    jobs.remove(job.id)
    assert jobs.get(job.id, "ada") is None
    assert [left.id for left in jobs.open()] == [other.id]


def test_only_jobs_that_ended_before_a_time_are_forgotten(jobs, clock):
    made = [accepted(jobs, number) for number in range(5)]
    for job, ended in zip(made[:3], (1_999.0, 2_000.0, 2_001.0), strict=True):
        clock.now = ended
        jobs.finish(job.id, PROOF, 1.0)
    clock.now = 1_500.0
    jobs.fail(made[3].id, "no")
    jobs.forget(2_000.0)
    left = [job.id for job in made if jobs.get(job.id, "ada")]
    assert left == [made[1].id, made[2].id, made[4].id]


# What is left on the disk


def test_inputs_leave_no_trace(tmp_path):
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    content = SECRET.tobytes()[:400]

    def found() -> list[str]:
        return [path.name for path in tmp_path.iterdir() if content in path.read_bytes()]

    done, failed, kept = (accepted(jobs, number, x=SECRET) for number in range(3))
    assert "jobs.sqlite-wal" in found()
    jobs.finish(done.id, PROOF, 1.0)
    jobs.fail(failed.id, "no")
    jobs.remove(kept.id)
    jobs.tidy()
    assert found() == []
    assert (tmp_path / "jobs.sqlite-wal").stat().st_size == 0
    jobs.remove(accepted(jobs, 4, x=SECRET).id)
    assert found() != []
    jobs.close()
    assert found() == []


def test_a_database_is_for_its_user_only(tmp_path):
    before = os.umask(0)
    try:
        folder = tmp_path / "some" / "hub"
        jobs = Jobs(f"sqlite:///{folder / 'jobs.sqlite'}")
        accepted(jobs)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
        jobs.close()
    finally:
        os.umask(before)
    assert modes.pop("hub") == 0o700
    assert set(modes) >= {"jobs.sqlite", "jobs.sqlite.lock", "jobs.sqlite-wal"}
    assert set(modes.values()) == {0o600}


def test_an_accepted_job_survives_a_power_cut(tmp_path):
    """Each commit is on the disk, in a journal beside the database, before it returns."""
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    with jobs._engine.connect() as connection:
        pragma = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "secure_delete", "busy_timeout")
        }
    jobs.close()
    full = 2
    expected = {"journal_mode": "wal", "synchronous": full, "secure_delete": 1}
    assert pragma == {**expected, "busy_timeout": 30_000}


def test_a_crowd_leaves_few_files_open(tmp_path):
    """SQLite keeps the files of connections that were closed while others are open."""
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    with ThreadPoolExecutor(40) as crowd:
        list(crowd.map(lambda _: jobs.waiting(), range(1_000)))
    opened = [file for file in psutil.Process().open_files() if str(tmp_path) in file.path]
    assert len(opened) <= 2 * CONNECTIONS + 2  # each has two; one lock, and one shared memory
    jobs.close()


# A hub that stops and starts


def test_jobs_of_a_killed_hub_are_queued_again(database, end_hubs):
    jobs = Jobs(database)
    proving, queued, done, failed = (accepted(jobs, number) for number in range(4))
    jobs.begin(proving.id)
    jobs.finish(done.id, PROOF, 1.0)
    jobs.fail(failed.id, "no")
    jobs.close()
    end_hubs()
    again = Jobs(database)
    states = [again.get(job.id, "ada").state for job in (proving, queued, done, failed)]
    kept = again.get(proving.id, "ada").input.tolist()
    again.close()
    assert states == ["queued", "queued", "done", "failed"]
    assert kept == X.tolist()


def reopened(url: str) -> Jobs:
    """Open a database that was closed; a PostgreSQL server takes a moment to release the lock."""
    for _ in range(100):
        try:
            return Jobs(url)
        except CircuitError:
            time.sleep(0.1)
    raise AssertionError("the closed database is still locked after 10 s")


def test_one_hub_uses_a_database(database):
    shown = database.replace("verdict@", "verdict:***@")
    given = database.replace("verdict@", "verdict:secret@")
    jobs = Jobs(given)
    with pytest.raises(CircuitError) as refusal:
        Jobs(given)
    sentence = f"Another hub uses the database {shown}: stop it, or choose another one with"
    assert str(refusal.value) == f"{sentence} --database."
    jobs.close()
    reopened(given).close()


def test_the_lock_is_the_one_of_other_versions(empty_postgres):
    with psycopg.connect(empty_postgres) as other:
        other.execute("SELECT pg_advisory_lock(8531350844713694208)")
        with pytest.raises(CircuitError, match="Another hub uses"):
            Jobs(empty_postgres)


def test_the_lock_keeps_no_transaction_open(empty_postgres):
    """Such a transaction would stop PostgreSQL from removing deleted rows."""
    jobs = Jobs(empty_postgres)
    query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    with psycopg.connect(empty_postgres) as connection:
        assert connection.execute(query).fetchone() == (0,)
    jobs.close()


def test_connections_that_the_server_ended_are_replaced(empty_postgres):
    jobs = Jobs(empty_postgres)
    jobs.states()
    lock = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = "
            f"'client backend' AND pid <> pg_backend_pid() AND pid NOT IN ({lock})"
        ).fetchall()
    assert ended
    assert jobs.has_tokens() in (True, False)
    jobs.close()


OLD_TABLES = """
CREATE TABLE jobs (
    number INTEGER NOT NULL, id VARCHAR NOT NULL, owner VARCHAR NOT NULL, digest VARCHAR,
    circuit VARCHAR NOT NULL, vk VARCHAR NOT NULL, account VARCHAR NOT NULL, round INTEGER,
    "key" VARCHAR NOT NULL, state VARCHAR NOT NULL, x BLOB, created FLOAT NOT NULL,
    started FLOAT, ended FLOAT, proof JSON, reason VARCHAR,
    PRIMARY KEY (number), UNIQUE (id), UNIQUE (digest)
);
CREATE INDEX ix_jobs_owner ON jobs (owner);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE tokens (
    name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, PRIMARY KEY (name), UNIQUE (sha256)
);
"""


def test_database_of_an_older_version(tmp_path):
    path = tmp_path / "jobs.sqlite"
    same = new_job("ada", "clan", "vk", ADA, None, 5, np.ones(4))
    values = ("old", "ada", same.digest, "clan", "vk", ADA, "5", "proving", same.x, 1.0)
    columns = "id, owner, digest, circuit, vk, account, key, state, x, created"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_TABLES)
        connection.execute(f"INSERT INTO jobs ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", values)
    jobs = Jobs(f"sqlite:///{path}")
    try:
        assert jobs.get("old", "ben") is None
        assert jobs.get("old", "ada").state == "queued"
        assert jobs.waiting() == {"ada": 1}
        found, new = jobs.accept(same, lambda job, waiting: None)
        assert (found.id, new) == ("old", False)
    finally:
        jobs.close()


# Tokens


def test_tokens(jobs, database, rows):
    assert not jobs.has_tokens()
    assert jobs.name_of_token("one") is None
    keep_token(database, "ada", "one")
    keep_token(database, "ben", "two")
    assert jobs.has_tokens()
    assert (jobs.name_of_token("one"), jobs.name_of_token("two")) == ("ada", "ben")
    assert [jobs.name_of_token(other) for other in ("", "On", "one ", "ada")] == [None] * 4
    keep_token(database, "ada", "three")
    assert (jobs.name_of_token("three"), jobs.name_of_token("one")) == ("ada", None)
    kept = {"ada": "three", "ben": "two"}
    hashed = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in kept.items()}
    assert dict(rows("SELECT name, sha256 FROM tokens")) == hashed


def test_a_token_creates_the_database(database, rows):
    keep_token(database, "ada", "one")
    assert rows("SELECT count(*) FROM jobs") == [(0,)]
    jobs = Jobs(database)
    assert jobs.name_of_token("one") == "ada"
    jobs.close()


# Databases that cannot be used


def refusal_of(url: str, opened=Jobs) -> str:
    with pytest.raises(CircuitError) as refusal:
        opened(url)
    return str(refusal.value)


def test_tokens_are_listed_and_revoked(database, jobs):
    before = time.time()
    assert tokens_of(database) == []
    with pytest.raises(CircuitError, match=r"^There is no token 'ada': there are none\.$"):
        revoke_token(database, "ada")
    keep_token(database, "ada", "one")
    keep_token(database, "ben", "two")
    listed = dict(tokens_of(database))
    assert set(listed) == {"ada", "ben"}
    assert all(before <= created <= time.time() for created in listed.values())
    revoke_token(database, "ada")
    assert (jobs.name_of_token("one"), jobs.name_of_token("two")) == (None, "ben")
    with pytest.raises(CircuitError, match=r"^There is no token 'ada': there are ben\.$"):
        revoke_token(database, "ada")


def test_tokens_of_an_older_hub_have_no_date(database, jobs):
    keep_token(database, "ada", "one")
    with jobs._engine.begin() as connection:
        connection.execute(text("ALTER TABLE tokens DROP COLUMN created"))
    assert tokens_of(database) == [("ada", None)]
    keep_token(database, "ben", "two")
    assert (jobs.name_of_token("one"), jobs.name_of_token("two")) == ("ada", "ben")


@pytest.mark.parametrize("opened", [Jobs, lambda url: keep_token(url, "ada", "one")])
def test_databases_that_cannot_be_used(tmp_path, opened):
    assert refusal_of("jobs", opened) == (
        "--database is not a URL: give postgresql://… or sqlite:///…."
    )
    assert refusal_of("mysql://host/name", opened) == (
        "mysql databases are not supported: give postgresql://… or sqlite:///…."
    )
    (tmp_path / "file").write_text("no database")
    inside = tmp_path / "file" / "hub" / "jobs.sqlite"
    assert refusal_of(f"sqlite:///{inside}", opened) == (
        f"The database cannot be created at {inside} (Not a directory): choose another place with "
        "--database."
    )
    assert refusal_of(f"sqlite:///{tmp_path / 'file'}", opened) == (
        "The database does not answer: file is not a database."
    )
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://verdict@127.0.0.1:{closed.getsockname()[1]}/postgres"
        said = refusal_of(url, opened)
    assert said.startswith("The database does not answer: ")
    assert "Connection refused" in said
    assert said.endswith(".") and not said.endswith("..")
    assert "\n" not in said


def test_postgresql_has_ten_seconds_to_accept_a_connection():
    engine = module._engine("postgresql://verdict@127.0.0.1:9/postgres")
    given = []

    @event.listens_for(engine, "do_connect")
    def connecting(dialect, record, arguments, options):
        given.append(options["connect_timeout"])
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        engine.connect()
    assert given == [10]
    assert engine.dialect.driver == "psycopg"


def test_a_database_without_a_folder_is_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Jobs("sqlite:///jobs.sqlite").close()
    assert Path("jobs.sqlite").is_file()

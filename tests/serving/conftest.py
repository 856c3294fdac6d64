"""Databases, circuits and a record of deployments for parts of the hub."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from chain import deployments
from hub.circuits import Served
from hub.jobs import Jobs
from tests.hubs import new_database
from zk.files import write_json
from zk.manifest import Manifest

URL = "http://hub"
# Wait at most five seconds for the end of each connection but this one.
END_HUBS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return request.getfixturevalue("empty_postgres")


@pytest.fixture
def empty_postgres(postgres_server) -> str:
    """The URL of an empty PostgreSQL database."""
    return new_database(postgres_server)


@pytest.fixture
def end_hubs(database) -> Callable[[], None]:
    """A function that ends the connections of hubs that were killed or closed."""

    def end_hubs() -> None:
        if not database.startswith("sqlite"):
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(END_HUBS)

    return end_hubs


@pytest.fixture
def jobs(database) -> Iterator[Jobs]:
    opened = Jobs(database)
    yield opened
    opened.close()


@pytest.fixture
def rows(database):
    """A function that runs a query in the database, beside the hub."""

    def rows(query: str) -> list[tuple]:
        if database.startswith("sqlite"):
            with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(database, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    return rows


@pytest.fixture(scope="session")
def plain_served(manifest) -> Served:
    """A circuit without an application."""
    without = Manifest(manifest.folder)
    without.content["application"] = None
    return Served(without, URL)


@pytest.fixture(scope="session")
def clan_served(manifest) -> Served:
    return Served(manifest, URL)


@pytest.fixture(scope="session")
def voice_served(voice_manifest) -> Served:
    return Served(voice_manifest, URL)


@pytest.fixture
def record(monkeypatch, tmp_path) -> Path:
    """The path of the chain's record of deployments, in which nothing is recorded yet."""
    monkeypatch.setattr(deployments, "FOLDER", tmp_path / "deployments")
    deployments.FOLDER.mkdir()
    return deployments.path()


@pytest.fixture
def clan_recorded(record, manifest, clan) -> Path:
    write_json(record, {"clan": deployments.entry_for(manifest, clan)})
    return record


@pytest.fixture
def both_recorded(clan_recorded, voice_manifest, voice_judge) -> Path:
    entry = deployments.entry_for(voice_manifest, voice_judge)
    write_json(clan_recorded, {**deployments.read(), "voice": entry})
    return clan_recorded

"""One embedded PostgreSQL per test process, and a fresh migrated database for every test that asks for one."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestration.embedded import EmbeddedPostgres
from trading.stores.postgres import migrate

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Its database `marketloom` is migrated and otherwise empty. Nothing is synced to disk: tests need no durability."""
    home = Path(tempfile.mkdtemp(prefix="loom-", dir="/tmp"))  # pytest's own folders are too long for a socket
    try:
        with EmbeddedPostgres(home) as server:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            migrate(server.dsn)
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Address of a database that no other test has seen, with all tables."""
    name = f"test_{next(NUMBERS)}"
    administration = postgres_server.dsn.replace("/marketloom?", "/postgres?")
    with psycopg.connect(administration, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE marketloom".encode())
        yield postgres_server.dsn.replace("/marketloom?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

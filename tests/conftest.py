"""One embedded PostgreSQL per test process, its tables empty for every test; asynchronous tests run on asyncio."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from orchestration.postgres.embedded import EmbeddedPostgres
from tests.clickhouse import clickhouse as clickhouse
from trading.stores.postgres import migrate

# A busy machine is no fault of the code: no example is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes per core: most of the time a test waits, for another process, a disk or a clock."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Its database `marketloom` is migrated and empty. Nothing is synced to disk: tests need no durability."""
    home = Path(tempfile.mkdtemp(prefix="loom-"))  # pytest's own folders are long for a socket
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
def dsn(postgres_server: EmbeddedPostgres) -> str:
    """Address of a database whose tables are all empty. A new database per test would take ten times longer."""
    with psycopg.connect(postgres_server.dsn) as connection:
        names = connection.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
            "WHERE schemaname = 'public' AND tablename <> 'marketloom_schema'"
        ).fetchone()
        connection.execute(f"TRUNCATE {names and names[0]} RESTART IDENTITY CASCADE".encode())
    return postgres_server.dsn


@pytest.fixture
def anyio_backend() -> str:
    """Run tests marked `anyio`, and their asynchronous fixtures, on asyncio alone."""
    return "asyncio"

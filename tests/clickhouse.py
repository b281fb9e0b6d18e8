"""ClickHouse's engine in this process, behind the client that speaks to a server; a database per test."""

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.services import needs_module
from trading.stores.clickhouse import ClickHouse

_NUMBERS = itertools.count()


@cache
def engine_client() -> Any:
    """The engine takes a folder for itself until the process ends."""
    needs_module("chdb")
    import clickhouse_connect

    return clickhouse_connect.get_client(interface="chdb", path=str(Path(mkdtemp(prefix="loom-chdb-"))))


@pytest.fixture
def clickhouse() -> Iterator[ClickHouse]:
    """An empty database."""
    server = ClickHouse(engine_client, f"test_{next(_NUMBERS)}", "the engine in this process")
    yield server
    server.execute(f"DROP DATABASE IF EXISTS {server.quoted_database}")

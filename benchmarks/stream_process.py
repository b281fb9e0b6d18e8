"""The streaming process: from the socket to durable, its memory, and how long it takes to start."""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil

from benchmarks.row import Benchmark, Row, row
from orchestration.postgres.embedded import EmbeddedPostgres
from streaming.bars import PairCandles
from streaming.book_sampler import BookSampler
from streaming.events import Channel, Subscription, Ticker, Trade
from streaming.feeds.kraken import KrakenFeed
from streaming.quarantine import Quarantine
from streaming.recorder.committer import Committer
from streaming.recorder.metrics import StreamMetrics
from streaming.recorder.process import Line, StreamProcess
from streaming.recorder.recorder import Recorder
from streaming.recorder.venue_time import VenueTime
from streaming.session import Session
from trading.feed_gaps import FeedGap
from trading.market import Pair, Timeframe
from trading.orders import Side
from trading.ports import Message
from trading.stores.postgres import migrate
from trading.stores.postgres.connection import Database
from trading.stores.postgres.outbox import append_many
from trading.stores.postgres.stream import StreamOutbox

PAIR = Pair("BTC", "USDT")
TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
SECONDS = 10
COMMITS = 300
MILLION = 1_000_000


class _Sent(msgspec.Struct):
    at: datetime


class _MeasuredOutbox:
    """The real outbox, and when each trade was durable."""

    def __init__(self, outbox: StreamOutbox) -> None:
        self._outbox = outbox
        self.durable: list[tuple[float, Sequence[Message]]] = []
        self.trades = 0

    def open(self) -> Mapping[Pair, bytes]:
        return self._outbox.open()

    def commit(
        self,
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, bytes],
        gaps: Sequence[FeedGap] = (),
        repaired: Sequence[FeedGap] = (),
    ) -> None:
        self._outbox.commit(messages, checkpoints, gaps, repaired)
        trades = [each for each in messages if each.topic == "trades"]
        self.durable.append((time.time(), trades))
        self.trades += len(trades)

    def close(self) -> None:
        self._outbox.close()

    def latencies(self) -> list[float]:
        """Seconds from each trade being sent to its being durable."""
        decoder = msgspec.json.Decoder(_Sent)
        return [
            at - decoder.decode(each.value).at.timestamp() for at, trades in self.durable for each in trades
        ]


def stream_latency() -> Iterator[Row]:
    for rate in (1_000, 10_000):
        with _database() as dsn:
            commit = _median_commit(dsn)
            outbox = _MeasuredOutbox(StreamOutbox(dsn, "benchmark", "a benchmark"))
            asyncio.run(_run(outbox, rate, rate * SECONDS))
            latencies = sorted(outbox.latencies())
            with Database(dsn).transaction() as connection:
                found = connection.execute(
                    "SELECT count(DISTINCT (payload->>'trade_id')::bigint) AS known, count(*) AS all FROM bus_event "
                    "WHERE topic = 'trades'"
                ).fetchone()
            assert found is not None
            if (found["known"], found["all"]) != (rate * SECONDS, rate * SECONDS):
                raise ArithmeticError(f"{found} of {rate * SECONDS} trades are on the outbox")
            batches = statistics.median(len(trades) for _, trades in outbox.durable if trades)
            what = f"socket to durable at {rate:,} trades/s, none lost or doubled, median batch {batches:.0f}"
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                yield row(
                    "stream_latency",
                    f"{what}: {name}",
                    latencies[int(share * (len(latencies) - 1))] * 1000,
                    "ms",
                    "one PostgreSQL transaction with one message, median",
                    commit * 1000,
                    target="<= 2 x peer" if name == "p50" else "",
                    packages=("websockets", "psycopg", "msgspec"),
                )


def stream_memory() -> Iterator[Row]:
    """Feed a million messages through the recorder, each batch thrown away as if it were durable."""
    recorder, _ = _recorder(VenueTime(None))
    process = psutil.Process()
    start = datetime.now(UTC) - timedelta(milliseconds=20 * MILLION)
    sizes, trades = [], 0
    for number in range(MILLION):
        at = start + timedelta(milliseconds=20 * number)
        if number % 4:
            trades += 1  # the ids have no hole, as a venue's: each would be a gap
            recorder.handle(Trade(PAIR, trades, Side.BUY, 30_000.0 + number % 50, 0.01, at))
        else:
            recorder.handle(Ticker(PAIR, 30_000.0 + number % 7, 1.0, 30_010.0, 1.0, 30_000.0, 5.0, at))
        if number % 500 == 0:
            recorder.cut()
        if number in (MILLION // 10, MILLION - 1):
            sizes.append(process.memory_info().rss / 1e6)
    yield row(
        "stream_memory",
        f"resident memory after {MILLION:,} messages through the recorder",
        sizes[1],
        "MB",
        "the same process after a tenth of them",
        sizes[0],
        target="<= 1.1 x peer",
        packages=("msgspec",),
    )


def stream_start() -> Iterator[Row]:
    """Start the stream on a fresh home beside a sandbox at 60 x, until it listens and until a candle is stored."""
    from tests.streaming.recorder.running_stream import running_stream

    with (
        _database() as dsn,
        tempfile.TemporaryDirectory() as folder,
        running_stream(Path(folder), dsn, start=False, speed=60.0) as running,
    ):
        began = time.monotonic()
        running.start()
        live = time.monotonic() - began
        running.until(lambda: running.rows("SELECT 1 FROM market_data LIMIT 1"), 300)
        stored = time.monotonic() - began
    interpreter = _seconds_of([sys.executable, "-c", "import orchestration.cli"])
    for what, seconds in (
        ("every pair's trades are live", live),
        ("the first candle is in market_data (a market minute is a second)", stored),
    ):
        yield row(
            "stream_start",
            f"from the start of `marketloom stream` until {what}",
            seconds,
            "s",
            "a Python that only imports the command line",
            interpreter,
            target="",
            packages=("psycopg",),
        )


def _seconds_of(command: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    return time.monotonic() - began


async def _run(outbox: _MeasuredOutbox, rate: int, count: int) -> None:
    command = [sys.executable, "-m", "benchmarks.stream_server", str(rate), str(count)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    url = server.stdout.readline().strip()
    outbox.open()
    clock = VenueTime(lambda: datetime.now(UTC))
    clock.measure()
    recorder, metrics = _recorder(clock)
    subscriptions = [Subscription(Channel.TRADE, (PAIR,))]
    with tempfile.TemporaryDirectory() as folder:
        line = Line(
            Session(KrakenFeed(url), subscriptions), Quarantine(Path(folder)), None, trades=True, books=False
        )
        process = StreamProcess(
            recorder=recorder,
            committer=Committer(outbox, recorder.cut, lambda: recorder.waiting, metrics),
            clock=clock,
            lines=[line],
            metrics=metrics,
            measure_interval=60.0,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(process.run(stop))
        try:
            async with asyncio.timeout(20 * SECONDS):
                while outbox.trades < count and not running.done():
                    await asyncio.sleep(0.1)
        finally:
            stop.set()
            await running
            server.communicate()
            outbox.close()


def _recorder(clock: VenueTime) -> tuple[Recorder, StreamMetrics]:
    metrics = StreamMetrics()
    candles = {PAIR: PairCandles("benchmark", PAIR, TIMEFRAMES, timedelta(seconds=1))}
    return Recorder(
        "benchmark", candles, clock, BookSampler("benchmark", timedelta(seconds=1)), metrics
    ), metrics


def _median_commit(dsn: str) -> float:
    """Seconds of one transaction that makes one message durable."""
    database, seconds = Database(dsn), []
    for number in range(COMMITS):
        began = time.perf_counter()
        with database.transaction() as connection:
            append_many(connection, [Message("benchmark", "BTC-USDT", b'{"number":%d}' % number)])
        seconds.append(time.perf_counter() - began)
    database.close()
    return statistics.median(seconds)


@contextmanager
def _database() -> Iterator[str]:
    """Run a PostgreSQL whose commits wait for the disk."""
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    try:
        with EmbeddedPostgres(home) as server:
            migrate(server.dsn)
            yield server.dsn
    finally:
        shutil.rmtree(home, ignore_errors=True)


BENCHMARKS: dict[str, Benchmark] = {
    "stream_latency": stream_latency,
    "stream_memory": stream_memory,
    "stream_start": stream_start,
}

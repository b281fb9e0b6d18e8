"""The two stores: rows per second into each, beside the plain way of writing the same rows in the same run."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg

from benchmarks.row import Benchmark, Row, medians, row
from orchestration.postgres.embedded import EmbeddedPostgres
from streaming.messages import TradeMessage, encode
from streaming.sinks.analytical import AnalyticalSink
from trading.closed_candles import Basis, ClosedCandle
from trading.market import Pair, Timeframe
from trading.ports import Record, TapeTable
from trading.ports.market_data import TAPE_SCHEMAS
from trading.stores.clickhouse import ClickHouse, ClickHouseTape
from trading.stores.clickhouse.tape import name_of
from trading.stores.postgres import PostgresMarketData, migrate
from trading.stores.postgres.candle_rows import ROW_SCHEMA, rows_of
from trading.stores.tape_lake import LakeTape

ROWS, CANDLES, RECORDS, ROUNDS = 500_000, 50_000, 20_000, 5
PAIR = Pair("BTC", "USDT")
START = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = ">= 0.6"


def sink_lake() -> Iterator[Row]:
    """Measure batches of the tape against Polars' own file, and the sink that decodes its records first."""
    rows, numbers = _trades(), itertools.count()
    with tempfile.TemporaryDirectory(prefix="loom-") as folder:
        tape, plain = LakeTape(Path(folder) / "tape"), Path(folder) / "plain.parquet"
        records = _records()
        sink = AnalyticalSink(LakeTape(Path(folder) / "sink"))
        spent = medians(
            {
                "ours": lambda: tape.append(TapeTable.TRADES, rows, f"batch-{next(numbers)}"),
                "plain": lambda: rows.write_parquet(plain, compression="zstd"),
                "sink": lambda: sink.write(
                    [replace(each, offset=next(numbers)) for each in records[:1]] + records[1:]
                ),
            },
            ROUNDS,
        )
    yield _result("sink_lake", "trades onto the tape in the lake: sealed, synced, renamed", ROWS, spent,
                  "the same rows with write_parquet", "polars")  # fmt: skip
    yield row("sink_lake_records", "records of the bus onto the tape, decoded and checked", RECORDS / spent["sink"],
              "rows/s", "-", None, target="-", packages=("polars", "msgspec"))  # fmt: skip


def sink_clickhouse() -> Iterator[Row]:
    """Measure in ClickHouse's engine in this process: what a network adds is not in it."""
    import clickhouse_connect

    rows = _trades()
    with tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder:
        client = clickhouse_connect.get_client(interface="chdb", path=folder)
        server = ClickHouse(lambda: client, "bench", "the engine in this process")
        tape = ClickHouseTape(server)
        tape.rows(TapeTable.TRADES, "kraken")
        client.command(
            f"CREATE TABLE bench.plain AS bench.{name_of(TapeTable.TRADES)} ENGINE = MergeTree ORDER BY (pair, at)"
        )
        spent = medians(
            {
                "ours": lambda: tape.append(TapeTable.TRADES, rows, "batch"),
                "plain": lambda: client.insert_arrow("plain", rows.to_arrow(), database="bench"),
            },
            ROUNDS,
        )
        client.close()
    yield _result("sink_clickhouse", "trades onto the tape in ClickHouse, in order of their keys", ROWS, spent,
                  "the same rows with insert_arrow into a plain MergeTree", "clickhouse-connect", "chdb")  # fmt: skip


def sink_postgres() -> Iterator[Row]:
    """Measure new candles, with the look at what is stored already, against COPY alone; the server is durable."""
    with (
        tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        migrate(server.dsn)
        store = PostgresMarketData(server.dsn, "other", "other-1m", Timeframe.M1)
        copied = psycopg.connect(server.dsn)
        copied.execute("CREATE TABLE plain (LIKE market_data INCLUDING ALL)")
        copied.commit()
        ours, plain = _batches(), _batches()

        def copy(candles: list[ClosedCandle]) -> None:
            with copied.cursor().copy(
                f"COPY plain ({', '.join(ROW_SCHEMA)}) FROM STDIN (FORMAT csv)".encode()
            ) as into:
                into.write(rows_of(candles).write_csv(include_header=False).encode())
            copied.commit()

        spent = medians({"ours": lambda: store.store(next(ours)), "plain": lambda: copy(next(plain))}, ROUNDS)
        copied.close()
    yield _result("sink_postgres", "closed candles into market_data, each revision once", CANDLES, spent,
                  "the same candles with COPY into an equal table", "psycopg")  # fmt: skip


def _result(name: str, what: str, rows: int, spent: dict[str, float], peer: str, *packages: str) -> Row:
    return row(
        name,
        what,
        rows / spent["ours"],
        "rows/s",
        peer,
        rows / spent["plain"],
        target=TARGET,
        packages=packages,
    )


def _trades() -> pl.DataFrame:
    """Trades of a day, in order."""
    random = np.random.default_rng(1)
    every = timedelta(days=1) / (ROWS + 1)
    at = pl.Series([START + number * every for number in range(ROWS)]).cast(
        TAPE_SCHEMAS[TapeTable.TRADES]["at"]
    )
    columns: dict[str, Any] = {
        "origin": ["kraken"] * ROWS, "pair": [PAIR.key] * ROWS, "at": at, "trade_id": np.arange(ROWS),
        "side": random.choice(["buy", "sell"], ROWS), "price": 50_000 + random.normal(0, 10, ROWS).cumsum().round(1),
        "quantity": random.exponential(0.1, ROWS).round(8), "known_at": at + timedelta(milliseconds=30),
    }  # fmt: skip
    return pl.DataFrame(columns, TAPE_SCHEMAS[TapeTable.TRADES])


def _records() -> list[Record]:
    found = []
    for number in range(RECORDS):
        at = START + timedelta(seconds=number)
        message = encode(
            TradeMessage(
                origin="kraken", pair=str(PAIR), trade_id=number, side="buy", price=50_000.5, quantity=0.1, at=at,
                known_at=at,
            )
        )  # fmt: skip
        found.append(Record(message.topic, message.key, message.value, 0, number, at))
    return found


def _batches() -> Iterator[list[ClosedCandle]]:
    """Lots of candles, each of another time: made before they are measured."""
    lots = []
    for lot in range(ROUNDS + 1):
        first = START + lot * CANDLES * timedelta(minutes=1)
        opens = [first + number * timedelta(minutes=1) for number in range(CANDLES)]
        lots.append(
            [
                ClosedCandle(
                    origin="kraken", pair=PAIR, timeframe=Timeframe.M1, open_time=time, open=50_000.1, high=50_010.5,
                    low=49_990.25, close=50_001.3 + number % 97, volume=1.25 + number % 13, trades=number % 50 + 1,
                    first_trade_id=number, last_trade_id=number + 50, basis=Basis.TRADES,
                    known_at=time + timedelta(seconds=61),
                )
                for number, time in enumerate(opens)
            ]
        )  # fmt: skip
    return iter(lots)


BENCHMARKS: dict[str, Benchmark] = {
    "sink_lake": sink_lake,
    "sink_clickhouse": sink_clickhouse,
    "sink_postgres": sink_postgres,
}

"""The operational store of closed candles: table `market_data`, every revision of every candle."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import polars as pl

from trading.candle_events import CANDLE_CLOSED, candle_closed, candle_key
from trading.closed_candles import ClosedCandle, Restatement
from trading.market import Pair, Timeframe
from trading.ports import Message
from trading.stores.journal_rules import json_text
from trading.stores.new_revisions import CANDLE, new_revisions
from trading.stores.postgres.candle_rows import (
    ROW_SCHEMA,
    SELECT_READ,
    candle_from,
    copy_in,
    packed,
    rows_of,
    unpack,
)
from trading.stores.postgres.connection import Connection, Database
from trading.stores.postgres.outbox import append_many

STORE_LOCK = 7_201_003  # any number that nothing else in the database locks
_SERIES = "origin = %(origin)s AND pair = %(pair)s AND timeframe = %(timeframe)s"
_AS_OF = "(%(as_of)s::timestamptz IS NULL OR known_at <= %(as_of)s)"
# The primary key is read backwards: newest candle first, of each its newest revision.
_IN_FORCE = (
    f"SELECT DISTINCT ON (open_time) {SELECT_READ} FROM market_data WHERE {_SERIES} AND {_AS_OF} "
    "AND open_time {range} ORDER BY open_time DESC, known_at DESC"
)
_BETWEEN = packed(_IN_FORCE.replace("{range}", ">= %(start)s AND open_time < %(end)s"))
_TAIL = packed(
    f"SELECT * FROM ({_IN_FORCE.replace('{range}', '<= %(last)s')}) AS newest "
    "WHERE trades IS DISTINCT FROM 0 LIMIT %(rows)s"
)
_STORED = (
    f"SELECT {', '.join(f'stored.{name}' for name in ROW_SCHEMA)} FROM market_data AS stored JOIN "
    "unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[]) "
    "AS asked (origin, pair, timeframe, first, last) USING (origin, pair, timeframe) "
    "WHERE stored.open_time BETWEEN asked.first AND asked.last"
)


class PostgresMarketData:
    """Candles of `origin` as a reader sees them; `store` takes those of any venue.

    A candle of `origin` and `timeframe` that has a trade is announced in the outbox as `candle_closed` of `dataset`,
    in the transaction that stores it: once, and only where it is newer than every candle that was stored or announced
    before. A decision belongs to a candle, not to a revision of it, and nobody decides on an old candle because it was
    restated or repaired.
    """

    def __init__(self, dsn: str, origin: str, dataset: str, timeframe: Timeframe) -> None:
        self._database = Database(dsn)
        self._origin = origin
        self._dataset = dataset
        self._timeframe = timeframe

    def store(self, candles: Sequence[ClosedCandle]) -> int:
        if not candles:
            return 0
        rows = rows_of(candles)
        with self._database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (STORE_LOCK,))
            new = new_revisions(_stored(connection, rows), rows)
            announced = self._to_announce(connection, new)
            if new.height:
                copy_in(connection, new)
                append_many(connection, announced)
        return new.height

    def between(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime, as_of: datetime | None = None
    ) -> pl.DataFrame:
        values = self._series(pair, timeframe) | {"start": start, "end": end, "as_of": as_of}
        return self._read(_BETWEEN, values, timeframe)

    def tail(
        self, pair: Pair, timeframe: Timeframe, until: datetime, rows: int, as_of: datetime | None = None
    ) -> pl.DataFrame:
        last = until - timeframe.duration
        values = self._series(pair, timeframe) | {"last": last, "rows": rows, "as_of": as_of}
        return self._read(_TAIL, values, timeframe)

    def newest(self, pair: Pair, timeframe: Timeframe) -> ClosedCandle | None:
        found = self._database.execute(
            f"SELECT * FROM market_data WHERE {_SERIES} ORDER BY open_time DESC, known_at DESC LIMIT 1",
            self._series(pair, timeframe),
        )
        return candle_from(found[0]) if found else None

    def restatements(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[Restatement]:
        found = self._database.execute(
            f"SELECT * FROM market_restatements WHERE {_SERIES} "
            "AND open_time >= %(start)s AND open_time < %(end)s ORDER BY known_at, open_time",
            self._series(pair, timeframe) | {"start": start, "end": end},
        )
        return [Restatement(_before(row), candle_from(row)) for row in found]

    def _to_announce(self, connection: Connection, new: pl.DataFrame) -> list[Message]:
        """Return the events, oldest candle first. Reads what was stored before: call it first."""
        own = new.filter(
            pl.col("origin") == self._origin,
            pl.col("timeframe") == self._timeframe.value,
            pl.col("trades").ne_missing(0),
        )
        closes: dict[str, set[datetime]] = {}
        for text, close in own.select("pair", "close_time").iter_rows():
            closes.setdefault(text, set()).add(close)
        return [
            self._event(Pair.parse(text), close)
            for text, times in closes.items()
            for newest in [self._newest_known(connection, Pair.parse(text))]
            for close in sorted(times)
            if newest is None or close > newest
        ]

    def _event(self, pair: Pair, close: datetime) -> Message:
        event = candle_closed(self._dataset, pair, close)
        return Message(CANDLE_CLOSED, event.key, json_text(event.values).encode())

    def _newest_known(self, connection: Connection, pair: Pair) -> datetime | None:
        """Return the close of the newest candle with a trade that is stored or was announced, by whomever."""
        stored = connection.execute(
            f"SELECT close_time FROM market_data WHERE {_SERIES} AND trades IS DISTINCT FROM 0 "
            "ORDER BY open_time DESC LIMIT 1",
            self._series(pair, self._timeframe),
        ).fetchone()
        announced = connection.execute(
            "SELECT payload->>'close_time' AS close_time FROM bus_event WHERE topic = %s AND key = %s "
            'ORDER BY "offset" DESC LIMIT 1',
            (CANDLE_CLOSED, candle_key(self._dataset, pair)),
        ).fetchone()
        known = [stored["close_time"]] if stored else []
        known += [datetime.fromisoformat(announced["close_time"])] if announced else []
        return max(known, default=None)

    def _read(self, query: LiteralString, values: dict[str, Any], timeframe: Timeframe) -> pl.DataFrame:
        """Run a query, newest candle first, in one round trip; returns it oldest first."""
        [row] = self._database.execute(query, values)
        return unpack(row["rows"], timeframe, self._origin).reverse()

    def _series(self, pair: Pair, timeframe: Timeframe) -> dict[str, Any]:
        return {"origin": self._origin, "pair": str(pair), "timeframe": timeframe.value}


def _stored(connection: Connection, rows: pl.DataFrame) -> pl.DataFrame:
    """Read every stored revision of the span that the rows lie in."""
    spans = rows.group_by(CANDLE[:-1]).agg(first=pl.col("open_time").min(), last=pl.col("open_time").max())
    found = connection.execute(_STORED, [spans[name].to_list() for name in spans.columns]).fetchall()
    return pl.DataFrame(found, schema=ROW_SCHEMA, orient="row") if found else ROW_SCHEMA.to_frame()


def _before(row: dict[str, Any]) -> ClosedCandle:
    return candle_from(
        row | {name.removesuffix("_before"): row[name] for name in row if name.endswith("_before")}
    )

"""Live features: table `market_features`, every revision of every row."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe
from trading.ports import Message
from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Connection, Database
from trading.stores.postgres.outbox import append_many

STORE_LOCK = 7_201_004  # any number that nothing else in the database locks
_SERIES = "origin = %(origin)s AND pair = %(pair)s AND timeframe = %(timeframe)s"
_AS_OF = "(%(as_of)s::timestamptz IS NULL OR known_at <= %(as_of)s)"
_NEWEST = """
SELECT DISTINCT ON (origin, pair, timeframe, close_time) stored.*
FROM market_features AS stored
JOIN unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) AS asked (origin, pair, timeframe, close_time)
    USING (origin, pair, timeframe, close_time)
ORDER BY origin, pair, timeframe, close_time, known_at DESC
"""
_INSERT = """
INSERT INTO market_features (origin, pair, timeframe, close_time, known_at, regime, "values")
SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::json[]
)
"""
_TAIL = f"""
SELECT DISTINCT ON (close_time) * FROM market_features
WHERE {_SERIES} AND {_AS_OF} AND close_time <= %(until)s
ORDER BY close_time DESC, known_at DESC LIMIT %(rows)s
"""
Place = tuple[Pair, Timeframe, datetime]


class PostgresMarketFeatures:
    """Rows of one origin. StoreUnreachable while the server is away."""

    def __init__(self, dsn: str, origin: str) -> None:
        self._database = Database(dsn)
        self._origin = origin

    def store(self, rows: Sequence[FeatureRow], message: Callable[[FeatureRow], Message]) -> list[FeatureRow]:
        """Store the revisions that say something new and append the message of each to the outbox, all or none.

        Not new is a row with the numbers of the newest stored revision, so everything may come again. One with other
        numbers but no later `known_at` became known in another order than its candles: it is stored as known just
        after the one before. Returns the new rows as they are stored.
        """
        if not rows:
            return []
        with self._database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (STORE_LOCK,))
            new = _new_revisions(self._newest(connection, rows), rows)
            if new:
                connection.execute(_INSERT, _columns(new))
                append_many(connection, [message(row) for row in new])
        return new

    def tail(
        self, pair: Pair, timeframe: Timeframe, until: datetime, rows: int, as_of: datetime | None = None
    ) -> list[FeatureRow]:
        """Return the newest `rows` rows with close_time <= until, oldest first, as they were known at `as_of`."""
        values = self._series(pair, timeframe) | {"until": until, "rows": rows, "as_of": as_of}
        return [_row_from(found) for found in reversed(self._database.execute(_TAIL, values))]

    def newest_close(self, pair: Pair, timeframe: Timeframe) -> datetime | None:
        """Return the close time of the newest row, None without one."""
        [found] = self._database.execute(
            f"SELECT max(close_time) AS newest FROM market_features WHERE {_SERIES}",
            self._series(pair, timeframe),
        )
        newest: datetime | None = found["newest"]
        return newest

    def _newest(self, connection: Connection, rows: Sequence[FeatureRow]) -> dict[Place, FeatureRow]:
        found = connection.execute(_NEWEST, _columns(rows)[:4]).fetchall()
        return {_place(row): row for row in map(_row_from, found)}

    def _series(self, pair: Pair, timeframe: Timeframe) -> dict[str, Any]:
        return {"origin": self._origin, "pair": str(pair), "timeframe": timeframe.value}


def _new_revisions(newest: dict[Place, FeatureRow], rows: Sequence[FeatureRow]) -> list[FeatureRow]:
    new = []
    for row in rows:
        stored = newest.get(_place(row))
        if stored is not None:
            if (stored.values, stored.regime) == (row.values, row.regime):
                continue
            row = replace(row, known_at=max(row.known_at, stored.known_at + timedelta.resolution))
        newest[_place(row)] = row
        new.append(row)
    return new


def _place(row: FeatureRow) -> Place:
    return row.pair, row.timeframe, row.close_time


def _columns(rows: Sequence[FeatureRow]) -> list[list[Any]]:
    records = [
        (
            row.origin,
            str(row.pair),
            row.timeframe.value,
            row.close_time,
            row.known_at,
            row.regime,
            json_text(dict(row.values)),
        )
        for row in rows
    ]
    return [list(column) for column in zip(*records, strict=True)]


def _row_from(found: dict[str, Any]) -> FeatureRow:
    values = found["values"]
    return FeatureRow(
        origin=found["origin"],
        pair=Pair.parse(found["pair"]),
        timeframe=Timeframe(found["timeframe"]),
        close_time=found["close_time"],
        values=json.loads(values) if isinstance(values, str) else values,
        regime=found["regime"],
        known_at=found["known_at"],
    )

"""The ledger of feed gaps in PostgreSQL; what the stream writes of it goes into the stream's own transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from trading.feed_gaps import FeedGap, GapState, MissingInterval, MissingKind
from trading.market import Pair, Timeframe
from trading.missing_candles import missing_candles
from trading.stores.postgres.connection import Connection, Database

_OPEN = """
INSERT INTO market_gaps (origin, pair, since, until, after_id, before_id, kind, reason, found_at)
VALUES (%(origin)s, %(pair)s, %(since)s, %(until)s, %(after_id)s, %(before_id)s, %(kind)s, %(reason)s, %(found_at)s)
ON CONFLICT (origin, pair, since, after_id) DO UPDATE SET
    until = excluded.until, before_id = excluded.before_id, kind = excluded.kind, reason = excluded.reason,
    next_attempt_at = CASE WHEN market_gaps.state = 'open' THEN market_gaps.next_attempt_at END,
    state = 'open', repaired_at = NULL
"""
_CLOSE = """
UPDATE market_gaps SET state = 'repaired', repaired_at = %(at)s, until = coalesce(%(until)s, until),
    before_id = coalesce(%(before_id)s, before_id)
WHERE origin = %(origin)s AND pair = %(pair)s AND since = %(since)s AND after_id IS NOT DISTINCT FROM %(after_id)s
    AND state = 'open'
"""


def open_gaps(connection: Connection, gaps: Sequence[FeedGap]) -> None:
    """Note gaps inside the caller's transaction; see GapLedger.open."""
    if gaps:
        connection.cursor().executemany(_OPEN, [_to_row(gap) for gap in gaps])


def close_gaps(connection: Connection, gaps: Sequence[FeedGap], at: datetime) -> None:
    """Note inside the caller's transaction that nothing of these is missing any more."""
    if gaps:
        connection.cursor().executemany(_CLOSE, [_to_row(gap) | {"at": at} for gap in gaps])


class PostgresGaps:
    """A GapLedger."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def open(self, gaps: Sequence[FeedGap]) -> None:
        with self._database.transaction() as connection:
            open_gaps(connection, gaps)

    def wanting_repair(self, origin: str, at: datetime, limit: int = 10) -> list[FeedGap]:
        return self._select(
            "origin = %s AND state = 'open' AND (next_attempt_at IS NULL OR next_attempt_at <= %s) "
            "ORDER BY since, gap_id LIMIT %s",
            (origin, at, limit),
        )

    def failed(self, gap: FeedGap, error: str, next_attempt_at: datetime) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE market_gaps SET attempts = attempts + 1, last_error = %s, next_attempt_at = %s "
                "WHERE gap_id = %s AND state = 'open'",
                (error, next_attempt_at, gap.gap_id),
            )

    def repaired(self, gap: FeedGap, at: datetime) -> None:
        with self._database.transaction() as connection:
            close_gaps(connection, [gap], at)

    def gaps(self, origin: str, pair: Pair, start: datetime, end: datetime) -> list[FeedGap]:
        return self._select(
            "origin = %s AND pair = %s AND since < %s AND (until IS NULL OR until >= %s) ORDER BY since, gap_id",
            (origin, str(pair), end, start),
        )

    def missing(
        self, origin: str, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[MissingInterval]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT ON (open_time) open_time, trades FROM market_data "
                "WHERE origin = %s AND pair = %s AND timeframe = %s AND open_time >= %s AND open_time < %s "
                "ORDER BY open_time, known_at DESC",
                (origin, str(pair), timeframe.value, start, end),
            ).fetchall()
            candles = [(row["open_time"].astimezone(UTC), row["trades"]) for row in rows]
            touching = self.gaps(origin, pair, start, end + timeframe.duration)
        return missing_candles(pair, timeframe, start, end, candles, touching)

    def _select(self, condition: str, values: tuple[Any, ...]) -> list[FeedGap]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM market_gaps WHERE {condition}".encode(), values
            ).fetchall()
        return [_to_gap(row) for row in rows]


def _to_row(gap: FeedGap) -> dict[str, Any]:
    return {
        "origin": gap.origin,
        "pair": str(gap.pair),
        "since": gap.since,
        "until": gap.until,
        "after_id": gap.after_id,
        "before_id": gap.before_id,
        "kind": gap.kind.value,
        "reason": gap.reason,
        "found_at": gap.found_at,
    }


def _to_gap(row: dict[str, Any]) -> FeedGap:
    times: dict[str, Any] = {
        name: None if row[name] is None else row[name].astimezone(UTC)
        for name in ("since", "until", "found_at", "next_attempt_at", "repaired_at")
    }
    return FeedGap(
        **times,
        origin=row["origin"],
        pair=Pair.parse(row["pair"]),
        after_id=row["after_id"],
        before_id=row["before_id"],
        kind=MissingKind(row["kind"]),
        reason=row["reason"],
        state=GapState(row["state"]),
        attempts=row["attempts"],
        last_error=row["last_error"],
        gap_id=row["gap_id"],
    )

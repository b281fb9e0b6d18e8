"""What PostgreSQL and the tape say of a stream: gaps, restatements, stored rows, and how far each consumer is."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.settings_schema import Settings
from trading.ports import Tape, TapeTable
from trading.stores.postgres.connection import Database

SLOW_SECONDS = 10.0  # between two counts of whole tables, at least, and ...
SPARING = 20  # ... so many times as long as one took: the tape of a year takes seconds
MAX_UNREAD = 100_000  # records of one topic that are counted, at most
GAPS = """
SELECT pair, count(*) AS gaps FROM market_gaps WHERE origin = %(origin)s AND state = 'open' GROUP BY pair
"""
UNREAD = """
SELECT "group", topic, (SELECT count(*) FROM (
    SELECT 1 FROM bus_event WHERE topic = bus_groups.topic AND "offset" > bus_groups."offset" LIMIT %(most)s
) AS unread) AS unread
FROM bus_groups ORDER BY "group", topic
"""
NEWEST = """
SELECT wanted.pair, newest.close_time FROM unnest(%(pairs)s::text[]) AS wanted (pair)
CROSS JOIN LATERAL (
    SELECT close_time FROM market_data
    WHERE origin = %(origin)s AND pair = wanted.pair AND timeframe = %(timeframe)s ORDER BY open_time DESC LIMIT 1
) AS newest
"""
RESTATED = """
SELECT pair, count(*) - count(DISTINCT (timeframe, open_time)) AS restatements FROM market_data
WHERE origin = %(origin)s AND open_time > %(since)s::timestamptz GROUP BY pair
"""
ROWS = """
SELECT (SELECT count(*) FROM market_data WHERE origin = %(origin)s) AS market_data,
    (SELECT count(*) FROM market_features WHERE origin = %(origin)s) AS market_features
"""


@dataclass
class StreamTables:
    """The facts of one origin; what takes long to count is counted each ten seconds, or less often."""

    database: Database
    origin: str
    pairs: Sequence[str]
    timeframe: str
    tape: Tape
    monotonic: Callable[[], float] = time.monotonic
    _slow: dict[str, Any] = field(default_factory=dict)
    _count_again: float = float("-inf")

    @classmethod
    def of(cls, settings: Settings, dsn: str, tape: Tape) -> "StreamTables":
        market = settings.market
        return cls(
            database=Database(dsn),
            origin=market.origin,
            pairs=[str(pair) for pair in market.pairs],
            timeframe=market.timeframe.value,
            tape=tape,
        )

    def read(self) -> dict[str, Any]:
        """Return the facts as JSON values. StoreUnreachable while PostgreSQL is away."""
        asked = {"origin": self.origin, "pairs": list(self.pairs), "timeframe": self.timeframe}
        gaps = {row["pair"]: row["gaps"] for row in self.database.execute(GAPS, asked)}
        newest = {row["pair"]: row["close_time"] for row in self.database.execute(NEWEST, asked)}
        consumers: dict[str, dict[str, int]] = {}
        for row in self.database.execute(UNREAD, {"most": MAX_UNREAD}):
            consumers.setdefault(row["group"], {})[row["topic"]] = row["unread"]
        if (began := self.monotonic()) >= self._count_again:
            self._slow = self._count(max(newest.values(), default=None))
            ended = self.monotonic()
            self._count_again = ended + max(SLOW_SECONDS, SPARING * (ended - began))
        restated = self._slow["restatements"]
        return {
            "consumers": consumers,
            "rows": self._slow["rows"],
            "pairs": {
                pair: {
                    "gaps": gaps.get(pair, 0),
                    "newest_candle": newest.get(pair),
                    "restatements": restated.get(pair, 0),
                }
                for pair in self.pairs
            },
        }

    def _count(self, newest: Any) -> dict[str, Any]:
        """Count rows, and the restatements among the candles of the newest day."""
        [rows] = self.database.execute(ROWS, {"origin": self.origin})
        restated = []
        if newest is not None:
            day = {"origin": self.origin, "since": f"{newest:%Y-%m-%d}T00:00:00+00:00"}
            restated = self.database.execute(RESTATED, day)
        tape = {f"tape {table.value}": self.tape.rows(table, self.origin) for table in TapeTable}
        return {
            "rows": {**rows, **tape},
            "restatements": {row["pair"]: row["restatements"] for row in restated},
        }


def newest_age(pair: Mapping[str, Any]) -> float | None:
    """Return the seconds since the newest trade or quote of a pair, as the stream's /status has them."""
    ages = pair.get("age_seconds", {})
    return min((ages[channel] for channel in ("trade", "ticker", "book") if channel in ages), default=None)

"""Closed candles in memory."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import polars as pl

from trading.candle_events import CANDLE_CLOSED, candle_closed, candle_key
from trading.closed_candles import ClosedCandle, Restatement
from trading.market import Pair, Timeframe
from trading.ports import EventLog
from trading.stores.new_revisions import new_revisions
from trading.stores.postgres.candle_rows import REVISION_SCHEMA, ROW_SCHEMA, candle_from, rows_of


class MemoryMarketData:
    def __init__(self, events: EventLog, origin: str, dataset: str, timeframe: Timeframe) -> None:
        self._events = events
        self._origin = origin
        self._dataset = dataset
        self._timeframe = timeframe
        self._rows = ROW_SCHEMA.to_frame()

    def store(self, candles: Sequence[ClosedCandle]) -> int:
        new = new_revisions(self._rows, rows_of(candles)) if candles else ROW_SCHEMA.to_frame()
        for row in new.sort("open_time").iter_rows(named=True):
            self._announce(candle_from(row))
        self._rows = pl.concat([self._rows, new]).sort("open_time", "known_at")
        return new.height

    def between(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime, as_of: datetime | None = None
    ) -> pl.DataFrame:
        inside = (pl.col("open_time") >= start) & (pl.col("open_time") < end)
        return self._in_force(pair, timeframe, as_of).filter(inside).select(REVISION_SCHEMA.names())

    def tail(
        self, pair: Pair, timeframe: Timeframe, until: datetime, rows: int, as_of: datetime | None = None
    ) -> pl.DataFrame:
        closed = self._in_force(pair, timeframe, as_of).filter(pl.col("close_time") <= until)
        return closed.filter(pl.col("trades").ne_missing(0)).tail(rows).select(REVISION_SCHEMA.names())

    def newest(self, pair: Pair, timeframe: Timeframe) -> ClosedCandle | None:
        rows = self._in_force(pair, timeframe, None)
        return candle_from(rows.row(-1, named=True)) if rows.height else None

    def restatements(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[Restatement]:
        found = []
        for _, revisions in self._of(pair, timeframe).group_by("open_time"):
            candles = [candle_from(row) for row in revisions.sort("known_at").iter_rows(named=True)]
            if start <= candles[0].open_time < end:
                found += [Restatement(*both) for both in pairwise(candles)]
        return sorted(found, key=lambda each: (each.after.known_at, each.after.open_time))

    def _of(self, pair: Pair, timeframe: Timeframe) -> pl.DataFrame:
        return self._rows.filter(
            pl.col("origin") == self._origin,
            pl.col("pair") == str(pair),
            pl.col("timeframe") == timeframe.value,
        )

    def _in_force(self, pair: Pair, timeframe: Timeframe, as_of: datetime | None) -> pl.DataFrame:
        rows = self._of(pair, timeframe)
        known = rows if as_of is None else rows.filter(pl.col("known_at") <= as_of)
        return known.unique("open_time", keep="last", maintain_order=True)

    def _announce(self, candle: ClosedCandle) -> None:
        if (candle.origin, candle.timeframe) != (self._origin, self._timeframe) or candle.trades == 0:
            return
        newest = self._events.newest(CANDLE_CLOSED, candle_key(self._dataset, candle.pair))
        stored = (
            self._of(candle.pair, candle.timeframe).filter(pl.col("trades").ne_missing(0))["close_time"].max()
        )
        known = [stored] if isinstance(stored, datetime) else []
        known += [datetime.fromisoformat(newest.payload["close_time"])] if newest else []
        if all(candle.close_time > each for each in known):
            event = candle_closed(self._dataset, candle.pair, candle.close_time)
            self._events.publish(CANDLE_CLOSED, event.key, event.values)

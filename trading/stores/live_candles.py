"""Candles as a decision reads them: the table `ohlcv` with what the stream has stored since, as it was known then."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading.errors import NotStored
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, month_of, month_start, next_month
from trading.ports import MarketData, TableStore


class LiveCandles:
    """A table store for readers; `write` goes to the table beneath.

    `tail` and `between` return what was known at the end of the time that is read for: no row with a later `known_at`,
    and of a restated candle the revision that was in force then. So a decision that is computed again later reads what
    it read. Where both have a candle the stream's revision counts; where the stream knew that nothing traded there is
    no row. `read` returns a month as it is known now.
    """

    def __init__(self, table: TableStore, stream: MarketData, timeframe: Timeframe) -> None:
        self._table = table
        self._stream = stream
        self._timeframe = timeframe

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        self._table.write(pair, month, table)

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        streamed = self._stream.between(
            pair, self._timeframe, month_start(month), month_start(next_month(month))
        )
        try:
            return _with_streamed(self._table.read(pair, month), streamed)
        except NotStored:
            if streamed.is_empty():
                raise
            return _with_streamed(CANDLE_SCHEMA.to_frame(), streamed)

    def months(self, pair: Pair) -> list[date]:
        stored = self._table.months(pair)
        newest = self._stream.newest(pair, self._timeframe)
        if newest is None:
            return stored
        months, last = [*stored], month_of(newest.open_time)
        month = next_month(stored[-1]) if stored else last
        while month <= last:
            months.append(month)
            month = next_month(month)
        return months

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        streamed = self._stream.between(pair, self._timeframe, start, end, as_of=end)
        try:
            stored = self._table.between(pair, start, end)
        except NotStored:
            if streamed.is_empty():
                raise
            stored = CANDLE_SCHEMA.to_frame()
        rows = _with_streamed(_known_at(stored, end), streamed)
        return rows if columns is None else rows.select(columns)

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        wanted = rows
        while True:
            stored, streamed = self._newest(pair, until, wanted)
            found = _with_streamed(_known_at(stored, until), streamed)
            if found.height >= rows or stored.height < wanted:
                return found.tail(rows)
            wanted *= 2  # some of the table's rows were not known then, or not known to be candles

    def _newest(self, pair: Pair, until: datetime, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Read up to `rows` rows of the table, and every streamed candle of their span; with fewer, older ones too."""
        missing: NotStored | None = None
        try:
            stored = self._table.tail(pair, until, rows)
        except NotStored as error:
            stored, missing = CANDLE_SCHEMA.to_frame(), error
        pieces = []
        if stored.height < rows:
            pieces.append(self._stream.tail(pair, self._timeframe, until, rows, as_of=until))
        if stored.height:
            first = stored["open_time"][0]
            pieces.append(self._stream.between(pair, self._timeframe, first, until, as_of=until))
        streamed = pl.concat(pieces).unique("open_time").sort("open_time")
        if missing is not None and streamed.is_empty() and self._stream.newest(pair, self._timeframe) is None:
            raise missing
        return stored, streamed.filter(pl.col("close_time") <= until)


def _known_at(rows: pl.DataFrame, time: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("known_at") <= time)


def _with_streamed(stored: pl.DataFrame, streamed: pl.DataFrame) -> pl.DataFrame:
    if streamed.is_empty():
        return stored
    others = stored.join(streamed.select("open_time"), on="open_time", how="anti")
    traded = streamed.filter(pl.col("trades").ne_missing(0)).select(stored.columns)
    return pl.concat([others, traded]).sort("open_time")

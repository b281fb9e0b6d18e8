"""Candles of a market that is streamed: proven ones from the tape, everything else from the venue's own history."""

from datetime import datetime

import polars as pl

from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import CandleSource, Quote, Tape, TapeTable

# Asked of the venue one by one, as far as there are no more: a request each. Beyond, one request spans them all.
MAX_REQUESTS = 8
Interval = tuple[datetime, datetime]


class TapeCandles:
    """A CandleSource. Where both have a candle, the venue's history says the same as the tape.

    A candle is on the tape only when it is proven, one without a trade too: what is missing there, before the stream
    began or in a gap, is asked of the venue. Of a restated candle the newest numbers count.
    """

    def __init__(self, tape: Tape, history: CandleSource, timeframe: Timeframe) -> None:
        self._tape = tape
        self._history = history
        self._timeframe = timeframe

    @property
    def origin(self) -> str:
        return self._history.origin

    def span(self, pair: Pair) -> Interval:
        return self._history.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Read them; `known_at` is when the stream published a candle, its close where it is history.

        A candle that was proven only after the next one had closed is history: nobody could act on it in time.
        """
        end = min(end, self._history.span(pair)[1])
        if start >= end:
            return CANDLE_SCHEMA.to_frame()
        proven = self._proven(pair, start, end)
        # No-trade candles are proof, and no rows: the venue's history has none either.
        parts = [proven.filter(pl.col("trades").fill_null(1) > 0).select(CANDLE_SCHEMA.names())]
        for since, until in self._missing(proven["open_time"].to_list(), start, end):
            asked = self._history.candles(pair, since, until)
            parts.append(asked.join(proven, on="open_time", how="anti"))
        return pl.concat(parts).sort("open_time")

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return self._history.quote_after(pair, time)

    def _proven(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Read CANDLE_SCHEMA and `trades`: the newest revision of each closed candle, as it first became known."""
        rows = self._tape.read(TapeTable.CANDLES, self.origin, pair, start, end)
        live = pl.col("first_known") < pl.col("close_time") + self._timeframe.duration
        return (
            rows.filter(pl.col("timeframe") == self._timeframe.value, pl.col("close_time") <= end)
            .sort("open_time", "known_at")
            .group_by("open_time", maintain_order=True)
            .agg(pl.exclude("known_at").last(), first_known=pl.col("known_at").first())
            .with_columns(known_at=pl.when(live).then("first_known").otherwise("close_time"))
            .select(*(pl.col(name).cast(kind) for name, kind in CANDLE_SCHEMA.items()), "trades")
        )

    def _missing(self, opens: list[datetime], start: datetime, end: datetime) -> list[Interval]:
        """Return the stretches of [start, end) without a proven candle."""
        found, reached = [], start
        for open_time in opens:
            if open_time > reached:
                found.append((reached, open_time))
            reached = open_time + self._timeframe.duration
        if reached < end:
            found.append((reached, end))
        return found if len(found) <= MAX_REQUESTS else [(found[0][0], found[-1][1])]

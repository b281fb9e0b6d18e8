"""The candles that live features begin with: what is stored, and what is on the bus and may not be stored yet."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import polars as pl

from streaming.messages import OHLCV_RAW, CandleMessage, decode
from streaming.sinks.hot_refill import record_of
from trading.candles import composed
from trading.errors import InvalidMessage, NotStored
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.ports import EventLog, MarketData, TableStore

NEVER = datetime.max.replace(tzinfo=UTC)
PAGE = 10_000  # events read at once


class StoredCandles:
    """A `CandleHistory` of this moment: each candle in its newest revision, from three sources. Make one per start.

    The lake's `ohlcv` (the universe's timeframe, and the ones above composed of it), `market_data`, and the
    candles on the bus: the operational store may be behind the features, and what it has not taken is on the outbox.
    """

    def __init__(
        self, universe: Universe, lake: TableStore, market_data: MarketData, outbox: EventLog
    ) -> None:
        self._universe = universe
        self._lake = lake
        self._market_data = market_data
        self._on_the_bus = _newest_on_the_bus(outbox, universe.origin)

    def __call__(self, pair: Pair, timeframe: Timeframe, rows: int) -> pl.DataFrame:
        stored = self._market_data.tail(pair, timeframe, NEVER, rows).select(CANDLE_SCHEMA.names())
        messages = self._on_the_bus.get((str(pair), timeframe.value), {}).values()
        known = pl.concat([self._from_lake(pair, timeframe, rows), stored, _candles(messages)])
        # Stable: of two sources with the same revision the later one counts.
        newest = known.sort("open_time", "known_at", maintain_order=True)
        newest = newest.unique("open_time", keep="last", maintain_order=True)
        quiet = [each.open_time for each in messages if each.trades == 0]
        return newest.filter(~pl.col("open_time").is_in(quiet)).tail(rows)

    def _from_lake(self, pair: Pair, timeframe: Timeframe, rows: int) -> pl.DataFrame:
        base = self._universe.timeframe
        if timeframe.duration < base.duration:
            return CANDLE_SCHEMA.to_frame()
        try:
            candles = self._lake.tail(pair, NEVER, rows * (timeframe.duration // base.duration))
        except NotStored:
            return CANDLE_SCHEMA.to_frame()
        return candles if timeframe is base else composed(candles, timeframe)


def _newest_on_the_bus(outbox: EventLog, origin: str) -> dict[tuple[str, str], dict[datetime, CandleMessage]]:
    """Return the newest revision of each candle of the origin by pair, timeframe and open time. What cannot be read
    is left out: the sinks make dead letters of it."""
    newest: dict[tuple[str, str], dict[datetime, CandleMessage]] = {}
    offset = 0
    while events := outbox.read(OHLCV_RAW, offset, PAGE):
        offset = events[-1].offset
        for event in events:
            with suppress(InvalidMessage):
                message = decode(record_of(event), CandleMessage)
                if message.origin != origin:
                    continue
                candles = newest.setdefault((message.pair, message.timeframe), {})
                stored = candles.get(message.open_time, message)
                candles[message.open_time] = max(message, stored, key=lambda each: each.known_at)
    return newest


def _candles(messages: Iterable[CandleMessage]) -> pl.DataFrame:
    rows = [[getattr(message, name) for name in CANDLE_SCHEMA] for message in messages if message.trades != 0]
    return pl.DataFrame(rows, schema=CANDLE_SCHEMA, orient="row")

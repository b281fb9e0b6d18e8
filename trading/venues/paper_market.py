"""What the paper venue reads of its market: prices to fill at, touches of a stop, and what could be traded."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import polars as pl

from trading.fills import Liquidity
from trading.market import Instrument, Pair, Timeframe
from trading.orders import Side
from trading.ports import CandleSource

MOMENT = timedelta(microseconds=1)
LOOK_BACK = 24  # candles in which the last one before a fill is looked for; without one nothing was traded


@dataclass(frozen=True, slots=True)
class PricePoint:
    """A price that something can be filled at, before spread and slippage."""

    price: float
    time: datetime  # by which it has surely been there
    opened: datetime  # since when its candle is open


class PaperMarket:
    """Reads a candle source. What it says about the time until a moment never changes later."""

    def __init__(self, source: CandleSource, timeframe: Timeframe, liquidity: Liquidity) -> None:
        self._source = source
        self._timeframe = timeframe
        self._liquidity = liquidity

    def openings(self, pair: Pair, start: datetime, until: datetime) -> Iterator[PricePoint]:
        """Yield the first price at or after `start`, then the first one of each later candle, up to `until`."""
        time = start
        while (quote := self._source.quote_after(pair, time)) is not None and quote.time <= until:
            yield PricePoint(quote.price, quote.time, quote.time)
            time = self.next_open(quote.time)

    def candle_open(self, time: datetime) -> datetime:
        """Return when the candle that holds `time` opens."""
        return self._timeframe.floor(time)

    def next_open(self, time: datetime) -> datetime:
        """Return when the candle after the one that holds `time` opens."""
        return self._timeframe.floor(time) + self._timeframe.duration

    def first_touch(
        self, pair: Pair, side: Side, trigger: Decimal, since: datetime, until: datetime
    ) -> PricePoint | None:
        """Return where a stop that rests since then is filled first; None while nothing has touched it.

        Candles that close after `since` and by `until` count, the one that holds `since` as a whole: what of it came
        later is not known. A stop that the open has passed is filled there, else at its trigger, in its last moment.
        """
        level = float(trigger)
        touches = pl.col("low") <= level if side is Side.SELL else pl.col("high") >= level
        table = self._source.candles(pair, self._timeframe.floor(since), until).filter(
            pl.col("close_time") > since, pl.col("close_time") <= until, touches
        )
        for opened, closed, price in table.select("open_time", "close_time", "open").head(1).iter_rows():
            passed = price <= level if side is Side.SELL else price >= level
            at_open = passed and opened >= since
            return PricePoint(price if passed else level, opened if at_open else closed - MOMENT, opened)
        return None

    def capacity(self, pair: Pair, opened: datetime, instrument: Instrument) -> Decimal:
        """Return how much the candle that opened then may fill of one order, a multiple of the quantity increment."""
        if not self._liquidity.is_limited:
            return Decimal("Infinity")
        share = self._liquidity.capacity(self._volume_before(pair, opened))
        step = instrument.quantity_increment
        return (Decimal(format(share, ".15g")) / step).to_integral_value(ROUND_DOWN) * step

    def last_price(self, pair: Pair, at: datetime) -> float:
        """Return the newest price of the market by `at`, NaN when there is none."""
        quote = self._source.quote_after(pair, self._timeframe.floor(at))
        if quote is not None and quote.time <= at:
            return quote.price
        closes = self._closed_before(pair, at)["close"]
        return float(closes[-1]) if closes.len() else math.nan

    def _volume_before(self, pair: Pair, time: datetime) -> float:
        volumes = self._closed_before(pair, time)["volume"]
        return float(volumes[-1]) if volumes.len() else 0.0

    def _closed_before(self, pair: Pair, time: datetime) -> pl.DataFrame:
        start = self._timeframe.floor(time) - LOOK_BACK * self._timeframe.duration
        return self._source.candles(pair, start, time).filter(pl.col("close_time") <= time)

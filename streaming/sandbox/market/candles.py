"""Candles replayed as trades: prints between open and close whose aggregate is the candle again."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import NamedTuple
from zlib import crc32

import polars as pl

from streaming.sandbox.market.increments import Increments
from streaming.sandbox.market.source import Tick
from trading.errors import InvalidCandles, InvalidValue, NotStored
from trading.market import Instrument, Pair, Timeframe
from trading.orders import Side
from trading.ports import CandleSource

CHUNK = 1000  # candles of one pair that are read at once
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LAST_MOMENT = timedelta(milliseconds=1)  # before the close: the last trade still belongs to the candle
READ = (pl.col("open_time").dt.epoch("us"), pl.col("close_time").dt.epoch("us"))
NUMBERS = ("open", "high", "low", "close", "volume")
Row = tuple[int, int, float, float, float, float, float]


class CandleReplay:
    """A TickSource over any CandleSource, also one without an end: it reads as far as it is asked.

    A candle prints four trades: its open at open_time, its two extremes after a quarter and a half of its time,
    its close a millisecond before close_time. Prices are rounded to the nearest increment, and so is the volume,
    which is spread over the four. Which extreme comes first is a coin thrown for each candle: were it the close
    that decides, the first extreme would tell the future. A candle without volume prints nothing, as an exchange
    prints nothing without a trade; one that traded fewer increments than it visited prices prints one increment
    at each of them, which is the only volume that is not the candle's.
    """

    def __init__(
        self, source: CandleSource, instruments: Mapping[Pair, Instrument], timeframe: Timeframe
    ) -> None:
        if not instruments:
            raise InvalidValue("a replay needs at least one pair")
        self._source = source
        self._step = timeframe.duration
        self._paths = {pair: _Path(instrument, timeframe) for pair, instrument in sorted(instruments.items())}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(self._paths)

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """Yield trades. InvalidCandles for a candle that cannot be printed on the pair's increments."""
        return merge(*(self._pair_ticks(pair, after) for pair in self._paths), key=lambda tick: tick.at)

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        """Read backwards until there is enough, never more than that takes; nothing of a pair that is not replayed."""
        first = self._first_of(pair) if pair in self._paths else None
        candles = count // 4 + 2  # one more for the candle that `until` cuts
        found: list[Tick] = []
        end = until + MICROSECOND
        while first is not None and len(found) < count and end > first:
            begin = max(end - candles * self._step, first)
            table = self._source.candles(pair, begin, end)
            found = [tick for tick in self._candle_ticks(pair, table) if tick.at <= until] + found
            end, candles = begin, candles * 2
        return found[max(len(found) - count, 0) :]

    def first(self) -> datetime:
        firsts = [time for pair in self._paths if (time := self._first_of(pair)) is not None]
        if not firsts:
            raise NotStored(f"there are no candles of {', '.join(map(str, self._paths))} to replay")
        return min(firsts)

    def _first_of(self, pair: Pair) -> datetime | None:
        quote = self._source.quote_after(pair, EPOCH)
        return quote.time.astimezone(UTC) if quote else None

    def _pair_ticks(self, pair: Pair, after: datetime) -> Iterator[Tick]:
        begin = max(after, EPOCH + self._step) - self._step
        for table in self._chunks(pair, begin):
            yield from (tick for tick in self._candle_ticks(pair, table) if tick.at > after)

    def _chunks(self, pair: Pair, begin: datetime) -> Iterator[pl.DataFrame]:
        """Yield tables of candles that open at or after `begin`; gaps are stepped over without reading through them."""
        while (quote := self._source.quote_after(pair, begin)) is not None:
            end = quote.time + CHUNK * self._step
            table = self._source.candles(pair, quote.time, end)
            if table.is_empty():  # the quote's own candle is hidden or still open: the source ends here
                return
            yield table
            begin = end

    def _candle_ticks(self, pair: Pair, table: pl.DataFrame) -> Iterator[Tick]:
        path = self._paths[pair]
        for row in table.select(*READ, *NUMBERS).iter_rows():
            yield from path.ticks(row)


class _Visit(NamedTuple):
    """A price on the way through a candle."""

    at: datetime
    price: int  # increments


class _Path:
    """The path of prices through the candles of one pair."""

    def __init__(self, instrument: Instrument, timeframe: Timeframe) -> None:
        self._pair = instrument.pair
        self._timeframe = timeframe
        self._length = timeframe.duration
        self._prices = Increments(instrument.price_increment, f"{instrument.pair} price")
        self._quantities = Increments(instrument.quantity_increment, f"{instrument.pair} volume")

    def ticks(self, row: Row) -> Iterator[Tick]:
        opened, closed = EPOCH + timedelta(microseconds=row[0]), EPOCH + timedelta(microseconds=row[1])
        if closed - opened != self._length:
            raise InvalidCandles(f"candle of {self._pair} at {opened} is not one of {self._timeframe.value}")
        try:
            prices, volume = [self._prices.nearest(price) for price in row[2:6]], self._volume(row[6])
        except InvalidValue as error:
            raise InvalidCandles(f"candle of {self._pair} at {opened}: {error}") from error
        if not all(prices):
            raise InvalidCandles(
                f"candle of {self._pair} at {opened} has a price of zero increments of {self._prices.step}: "
                "a smaller price_increment is needed"
            )
        if not volume:
            return
        noise = crc32(b"%s %d" % (self._pair.key.encode(), row[0]))
        yield from self._visit_ticks(_visits(opened, closed, prices, bool(noise & 1)), volume, noise >> 1)

    def _volume(self, volume: float) -> int:
        """Round to increments; what rounds to none still traded."""
        return max(self._quantities.nearest(volume), 1 if volume > 0 else 0)

    def _visit_ticks(self, visits: list[_Visit], volume: int, noise: int) -> Iterator[Tick]:
        if volume < len(visits):
            visits = _distinct_visits(visits)
            volume = max(volume, len(visits))
        share, rest = divmod(volume, len(visits))
        before, side = visits[0].price, Side.BUY if noise & 1 else Side.SELL
        for number, visit in enumerate(visits):
            if visit.price != before:
                side = Side.BUY if visit.price > before else Side.SELL
            before = visit.price
            yield Tick(
                pair=self._pair,
                at=visit.at,
                price=self._prices.amount(visit.price),
                quantity=self._quantities.amount(share + (number < rest)),
                side=side,
                order_type="limit" if noise >> number & 2 else "market",
            )


def _visits(opened: datetime, closed: datetime, prices: list[int], low_first: bool) -> list[_Visit]:
    first, high, low, last = prices
    extremes = (low, high) if low_first else (high, low)
    length = closed - opened
    return [
        _Visit(opened, first),
        _Visit(opened + length / 4, extremes[0]),
        _Visit(opened + length / 2, extremes[1]),
        _Visit(closed - LAST_MOMENT, last),
    ]


def _distinct_visits(visits: list[_Visit]) -> list[_Visit]:
    """Drop the visits that change nothing: extremes that are the open or the close, a close that is all of it."""
    first, *extremes, last = visits
    ends = {first.price, last.price}
    distinct = [first, *(visit for visit in extremes if visit.price not in ends)]
    return distinct if len(distinct) == 1 and last.price == first.price else [*distinct, last]

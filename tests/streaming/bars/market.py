"""A market whose every trade is known, a stream of it that may fail in every way, and what must come of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from streaming.bars import Built, PairCandles
from streaming.bars.pair_candles import GIVEN_UP
from streaming.events import Trade
from trading.closed_candles import ClosedCandle
from trading.feed_gaps import FeedGap
from trading.history.trade_candles import candles_from_trades
from trading.market import Pair, Timeframe
from trading.orders import Side

ORIGIN = "kraken"
BTC = Pair("BTC", "USDT")
TIMEFRAMES = tuple(Timeframe)
GRACE = timedelta(seconds=1)
MINUTE, SECOND, MICROSECOND = timedelta(minutes=1), timedelta(seconds=1), timedelta(microseconds=1)
MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)  # of a day and of a month
Numbers = tuple[float, float, float, float, float, int | None]


def trade(number: int | None, at: datetime, price: float = 100.0, quantity: float = 1.0) -> Trade:
    return Trade(BTC, number, Side.BUY, price, quantity, at)


def numbers(candle: ClosedCandle) -> Numbers:
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades


class Recording:
    """What a stream published, as the stores keep it."""

    def __init__(
        self, timeframes: Sequence[Timeframe] = TIMEFRAMES, grace: timedelta = GRACE, origin: str = ORIGIN
    ) -> None:
        self._arguments = origin, BTC, timeframes, grace
        self.candles = PairCandles(*self._arguments)
        self.revisions: dict[tuple[Timeframe, datetime], list[ClosedCandle]] = {}
        self.trades: list[Trade] = []
        self.restated = 0
        self.ledger: dict[tuple[datetime, int | None], FeedGap] = {}  # the open ones

    def take(self, built: Built) -> Built:
        """Store an output, and check what holds for every output."""
        self.trades += built.trades
        for gap in built.repaired:
            del self.ledger[gap.since, gap.after_id]  # KeyError: it was never noted
        for gap in built.gaps:
            self.ledger[gap.since, gap.after_id] = gap
        for each in built.restatements:
            assert self.newest(each.before.timeframe, each.before.open_time) == each.before
            self.restated += 1
        for candle in [*built.candles, *(each.after for each in built.restatements)]:
            assert candle.known_at >= candle.close_time
            known = self.revisions.setdefault((candle.timeframe, candle.open_time), [])
            assert all(each.known_at < candle.known_at for each in known)
            known.append(candle)
        waiting = [each for each in self.ledger.values() if GIVEN_UP not in each.reason]
        assert sorted(waiting, key=_gap_order) == sorted(self.candles.gaps, key=_gap_order)
        return built

    def restart(self) -> None:
        """Go on from the checkpoint as another process does."""
        checkpoint = self.candles.checkpoint()
        self.candles = PairCandles(*self._arguments, checkpoint)
        assert self.candles.checkpoint() == checkpoint

    def newest(self, timeframe: Timeframe, open_time: datetime) -> ClosedCandle | None:
        known = self.revisions.get((timeframe, open_time))
        return known[-1] if known else None

    def opens(self, timeframe: Timeframe) -> list[datetime]:
        return sorted(open_time for each, open_time in self.revisions if each is timeframe)

    def final(self) -> dict[tuple[Timeframe, datetime], Numbers]:
        return {key: numbers(revisions[-1]) for key, revisions in self.revisions.items()}


def _gap_order(gap: FeedGap) -> tuple[datetime, int]:
    return gap.since, gap.after_id or 0


def history(trades: Sequence[Trade], since: datetime, until: datetime) -> list[Trade]:
    """What the venue's history answers."""
    return [each for each in trades if since <= each.at <= until]


def expected(
    trades: Sequence[Trade], since: datetime, until: datetime, timeframes: Sequence[Timeframe] = TIMEFRAMES
) -> dict[tuple[Timeframe, datetime], Numbers]:
    """The candles of a batch over the complete trades, those without a trade between them included."""
    found: dict[tuple[Timeframe, datetime], Numbers] = {}
    inside = [each for each in trades if each.at >= since]
    for timeframe in timeframes:
        batch = {row[0]: row for row in _batch(inside, timeframe)}
        price = None
        for open_time in _grid(timeframe, since, until):
            if open_time in batch:
                price = batch[open_time][4]
                found[timeframe, open_time] = batch[open_time][1:]
            elif price is not None:
                found[timeframe, open_time] = price, price, price, price, 0.0, 0
    return found


def _batch(trades: Sequence[Trade], timeframe: Timeframe) -> Iterator[tuple[datetime, *Numbers]]:
    table = pl.DataFrame(
        {
            "time": pl.Series([each.at for each in trades], dtype=pl.Datetime("us", "UTC")),
            "price": pl.Series([each.price for each in trades], dtype=pl.Float64),
            "quantity": pl.Series([Decimal(repr(each.quantity)) for each in trades], dtype=pl.Decimal(38, 8)),
        }
    )
    counts: dict[datetime, int] = {}
    for each in trades:
        open_time = timeframe.floor(each.at)
        counts[open_time] = counts.get(open_time, 0) + 1
    for row in candles_from_trades(table, timeframe, ORIGIN).iter_rows(named=True):
        prices = row["open"], row["high"], row["low"], row["close"], row["volume"]
        yield row["open_time"], *prices, counts[row["open_time"]]


def _grid(timeframe: Timeframe, since: datetime, until: datetime) -> Iterator[datetime]:
    open_time = timeframe.ceil(since)
    while open_time + timeframe.duration <= until:
        yield open_time
        open_time += timeframe.duration

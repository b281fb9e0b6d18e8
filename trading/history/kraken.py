"""Kraken's history as candles: its own for the newest 720, built from its trades for everything older.

Kraken gives out no candle older than its newest 720, whatever one asks for; all trades since a pair's first can be
asked for, a thousand at a time (docs.kraken.com, get-ohlc-data and get-recent-trades). Trades are cached on disk, so
that a download which is killed goes on where it stopped.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl

from trading.candles import complete, opening_between
from trading.errors import InvalidMessage, NotStored, VenueUnreachable
from trading.history.page_cache import CachedPages, PageCache
from trading.history.progress import log_progress
from trading.history.trade_candles import candles_from_trades
from trading.history.trade_pages import (
    check_no_later_trade,
    cursor_before,
    fetch_page,
    first_trade,
    trade_time,
)
from trading.market import CANDLE_SCHEMA, EPOCH, TIME, Pair, Timeframe
from trading.ports import Quote
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.market_responses import OhlcRow, TradeRow

MAX_OHLC_ROWS = 720  # candles that OHLC gives, the unfinished one not counted
QUANTITY_DECIMALS = 8  # of a quantity: Kraken counts no asset finer
TRADE_SCHEMA = pl.Schema(
    {
        "time": TIME,
        "trade_id": pl.Int64(),
        "price": pl.Float64(),
        "quantity": pl.Decimal(38, QUANTITY_DECIMALS),
    }
)


class KrakenHistory:
    """A CandleSource. Like Kraken's own streams it has no candle where nothing traded."""

    def __init__(
        self,
        client: KrakenClient,
        timeframe: Timeframe,
        cache: PageCache,
        origin: str = "kraken",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`origin` names what `client` talks to; `clock` is the time of its market."""
        self._client = client
        self._timeframe = timeframe
        self._cache = cache
        self._origin = origin
        self._clock = clock
        self._first_opens: dict[Pair, datetime] = {}

    @property
    def origin(self) -> str:
        return self._origin

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        """Return the first trade's candle as far as Kraken gives it out, and the close of the last closed candle."""
        closed = self._last_close()
        if pair not in self._first_opens:
            row = self._first_trade(pair)
            self._first_opens[pair] = _first_complete_open(trade_time(row), row.trade_id, self._timeframe)
        return self._first_opens[pair], max(closed, self._first_opens[pair])

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        closed = self._last_close()
        end = min(end, closed)
        if start >= end:
            return CANDLE_SCHEMA.to_frame()
        recent, since = self._recent_candles(pair, end, closed)
        parts = [opening_between(recent, max(start, since), end)]
        if start < since:
            older = self._build_from_trades(pair, self._timeframe.floor(start), min(end, since))
            parts.insert(0, opening_between(older, start, min(end, since)))
        return pl.concat(parts)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """Read the first trade at or after `time`."""
        rows = self._client.trades(pair, cursor_before(time), count=10).rows
        later = (row for row in rows if trade_time(row) >= time)
        row = next(later, None)
        return Quote(float(row.price), trade_time(row)) if row else None

    def _last_close(self) -> datetime:
        """Close time of the newest closed candle."""
        return self._timeframe.floor(self._clock())

    def _recent_candles(self, pair: Pair, end: datetime, closed: datetime) -> tuple[pl.DataFrame, datetime]:
        """Kraken's own closed candles, and the time from which on none of them is missing."""
        if end <= closed - MAX_OHLC_ROWS * self._timeframe.duration:
            return CANDLE_SCHEMA.to_frame(), end
        rows = self._client.ohlc(pair, self._timeframe)
        if not rows:
            return CANDLE_SCHEMA.to_frame(), end
        self._check_closed(pair, rows, end)
        first = EPOCH + timedelta(seconds=rows[0].open_time)
        return _candle_table(rows[:-1], self._timeframe, self._origin), first

    def _check_closed(self, pair: Pair, rows: list[OhlcRow], end: datetime) -> None:
        """Raise while the clock is ahead of the venue: candles that do not exist yet are not a quiet market."""
        unfinished = EPOCH + timedelta(seconds=rows[-1].open_time)
        if unfinished < end:
            raise VenueUnreachable(
                f"{self._origin} has not closed the {self._timeframe.value} candle of {pair} that opened at "
                f"{unfinished:%Y-%m-%d %H:%M} yet: ask again in a moment"
            )

    def _build_from_trades(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        """Candles built from trades. Both times lie in the past, beyond the newest candles."""
        end = self._timeframe.ceil(end)
        pages = self._cache.pages(self._origin, pair.key, "trades")
        with pages.locked():
            if missing := pages.missing_ranges(start, end):
                first = trade_time(self._first_trade(pair))
                for gap in missing:
                    self._download_missing(pair, pages, first, *gap)
            begin, trades = _read_trades(pages, start, end)
        candles = candles_from_trades(trades, self._timeframe, self._origin)
        if begin == start or trades.is_empty():
            return candles
        return opening_between(
            candles, _first_complete_open(begin, trades["trade_id"][0], self._timeframe), end
        )

    def _download_missing(
        self, pair: Pair, pages: CachedPages, first: datetime, start: datetime, end: datetime
    ) -> None:
        """Nothing traded before the first trade that is given out, unless earlier trades are in the cache."""
        if start < first and any(begin < start for begin, _ in pages.covered_ranges()):
            raise NotStored(
                f"{self._origin} gives out no trades of {pair} before {first:%Y-%m-%d %H:%M:%S} any more: what "
                f"traded from {start:%Y-%m-%d %H:%M:%S} until then cannot be known"
            )
        if first < end:
            self._download(pair, pages, first, max(start, first), end)

    def _first_trade(self, pair: Pair) -> TradeRow:
        return first_trade(self._client, self._origin, pair)

    def _download(
        self, pair: Pair, pages: CachedPages, first: datetime, start: datetime, end: datetime
    ) -> None:
        """Each page ends at its newest moment, which is asked for again: more trades of it may follow."""
        reached = start
        while reached < end:
            rows, complete_until = fetch_page(self._client, pair, reached)
            trades = _trade_table(rows)
            if complete_until is None:
                self._check_no_later_trade(pair, rows, reached, end)
            if (reached > start or reached == first) and not (rows and trade_time(rows[0]) == reached):
                raise InvalidMessage("Kraken Trades", f"{pair}: trades of {reached} were there and are gone")
            until = min(complete_until or end, end)
            frame = trades.filter(pl.col("time") >= reached, pl.col("time") < until)
            pages.append(frame, reached, until)
            reached = until
            log_progress(
                f"{self._origin} {pair} trades", reached, start, end, (reached - start) / (end - start)
            )

    def _check_no_later_trade(
        self, pair: Pair, rows: list[TradeRow], reached: datetime, end: datetime
    ) -> None:
        """Raise unless the venue's newest trades are among the rows of a response without a later trade."""
        check_no_later_trade(self._client, self._origin, pair, rows, reached)
        if candles := self._client.ohlc(pair, self._timeframe):
            self._check_closed(pair, candles, end)


def _read_trades(pages: CachedPages, start: datetime, end: datetime) -> tuple[datetime, pl.DataFrame]:
    """Return the cached trades and their beginning: only what lies before the first trade of all may be missing."""
    missing = pages.missing_ranges(start, end)
    begin = missing[0][1] if missing and missing[0][0] == start else start
    return begin, pages.read(begin, end) if begin < end else TRADE_SCHEMA.to_frame()


def _first_complete_open(first: datetime, trade_id: int, timeframe: Timeframe) -> datetime:
    """Open time of the first candle whose trades are all known; `first` is the oldest trade that is given out.

    Trades are counted from 1. An exchange that forgets old ones, as the sandbox does, may have had more in the
    candle of its oldest.
    """
    opened = timeframe.floor(first)
    return opened if trade_id <= 1 or opened == first else opened + timeframe.duration


def _candle_table(rows: list[OhlcRow], timeframe: Timeframe, origin: str) -> pl.DataFrame:
    """Rows without a trade repeat the last price: they are no candles."""
    traded = [row for row in rows if row.trades]
    frame = pl.DataFrame(
        {
            "open_time": pl.Series([row.open_time * 1_000_000 for row in traded], dtype=pl.Int64).cast(TIME),
            **{
                name: pl.Series([float(getattr(row, name)) for row in traded], dtype=pl.Float64)
                for name in ("open", "high", "low", "close", "volume")
            },
        }
    )
    return complete(frame, timeframe, origin)


def _trade_table(rows: list[TradeRow]) -> pl.DataFrame:
    """InvalidMessage for what cannot be a trade, and for trades out of the order of time."""
    for row in rows:
        if row.price <= 0 or row.quantity < 0 or row.quantity != round(row.quantity, QUANTITY_DECIMALS):
            raise InvalidMessage("Kraken Trades", f"trade {row.trade_id} is {row.quantity} at {row.price}")
    columns = {
        "time": [trade_time(row) for row in rows],
        "trade_id": [row.trade_id for row in rows],
        "price": [float(row.price) for row in rows],
        "quantity": [row.quantity for row in rows],
    }
    frame = pl.DataFrame(columns, schema=TRADE_SCHEMA)
    if not frame["time"].is_sorted():
        raise InvalidMessage(
            "Kraken Trades", f"trades from {rows[0].trade_id} on are not in the order of time"
        )
    return frame

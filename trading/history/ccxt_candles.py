"""Candles of any venue that ccxt knows, page by page forwards. ccxt is imported when the first request is made."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from time import sleep as real_sleep
from typing import Any

import polars as pl

from trading.errors import InvalidMessage, InvalidValue, MarketloomError, NotStored, VenueRefused
from trading.history.candle_rows import CandleRow, candle_table, microseconds
from trading.history.ccxt_responses import candle_rows, ccxt_library, translate_error
from trading.history.page_cache import PageCache
from trading.history.paged_candles import CandlePage, PagedCandles
from trading.history.retries import retry
from trading.market import EPOCH, Pair, Timeframe

EARLIEST_CANDLE = datetime(2010, 1, 1, tzinfo=UTC)  # Mt. Gox opened in July 2010: no venue is older
DEFAULT_LIMIT = 500  # candles a request, for venues that ccxt does not know the limit of
TIMEOUT = 20_000  # milliseconds, ccxt's unit


class CcxtCandles(PagedCandles):
    """A CandleSource for `venue` (ccxt's word for it: binance, bybit ...).

    InvalidValue for an unknown venue or timeframe, NotStored for a pair that it does not list, VenueRefused for one
    that hides its older candles. `config` is given to ccxt as it is, with a test's URL for example.
    """

    def __init__(
        self,
        venue: str,
        timeframe: Timeframe,
        cache: PageCache,
        clock: Callable[[], datetime],
        config: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = real_sleep,
    ) -> None:
        asked = _CcxtVenue(venue, timeframe, clock, config or {}, sleep)
        super().__init__(asked, timeframe, cache, clock)
        self.server_time = asked.server_time


class _CcxtVenue:
    """One venue as a PagedVenue."""

    def __init__(
        self,
        venue: str,
        timeframe: Timeframe,
        clock: Callable[[], datetime],
        config: Mapping[str, Any],
        sleep: Callable[[float], None],
    ) -> None:
        self._venue = venue
        self._timeframe = timeframe
        self._clock = clock
        self._config = config
        self._sleep = sleep
        self._ccxt: Any = None  # ccxt has no types

    @property
    def name(self) -> str:
        return self._venue

    def server_time(self) -> datetime | None:
        """Return the venue's time, cut off to milliseconds; None where it tells none."""
        exchange = _create_client(self._venue, self._config)
        if exchange.has.get("fetchTime") is not True:
            return None
        milliseconds = retry(lambda: _call_ccxt(exchange.fetch_time, f"{self._venue} time"), self._sleep)
        return EPOCH + timedelta(milliseconds=int(milliseconds))

    def first_open(self, pair: Pair) -> datetime:
        """Find the first candle of the first day that traded; both are fetched, and have to agree."""
        days = self._first_days(pair)
        day: datetime = days["open_time"][0]
        if self._longest_timeframe() is self._timeframe:
            return day
        found = self._fetch(pair, self._timeframe, day)
        self._check_not_newest_page(pair, found, self._timeframe, day)
        if found.is_empty() or found["open_time"][0] >= self._first_traded_day(days) + timedelta(days=1):
            begins = found["open_time"][0] if found.height else "nowhere"
            raise VenueRefused(
                f"{self._label(pair)}: the pair traded on {day:%Y-%m-%d}, yet the candles of {self._timeframe.value} "
                f"begin {begins}: the venue keeps only its newest ones or ignores where to begin; choose a longer "
                "timeframe or another source"
            )
        opened: datetime = found["open_time"][0]
        return opened

    def fetch_page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        """Fetch one page. An empty response says that nothing traded for as many candles as one request may give."""
        limit = self._limit(pair)
        found = self._fetch(pair, self._timeframe, start)
        if found.is_empty():
            reached = start + limit * self._timeframe.duration
        else:
            reached = found["open_time"][-1] + self._timeframe.duration
        covered = min(end, reached)
        return CandlePage(found.filter(found["open_time"] < covered), start, covered)

    def _first_days(self, pair: Pair) -> pl.DataFrame:
        """Fetch the first page of daily candles that is not empty."""
        timeframe, start, now = self._longest_timeframe(), EARLIEST_CANDLE, self._clock()
        while start <= now:
            found = self._fetch(pair, timeframe, start)
            if found.height:
                self._check_not_newest_page(pair, found, timeframe, start)
                return found
            start += self._limit(pair) * timeframe.duration
        raise NotStored(f"{self._label(pair)}: {self._venue} lists it but has no candle of it")

    def _longest_timeframe(self) -> Timeframe:
        return Timeframe.D1 if Timeframe.D1.value in self._exchange().timeframes else self._timeframe

    def _first_traded_day(self, days: pl.DataFrame) -> datetime:
        traded = days.filter(days["volume"] > 0)
        first: datetime = (traded if traded.height else days)["open_time"][0]
        return first

    def _check_not_newest_page(
        self, pair: Pair, found: pl.DataFrame, timeframe: Timeframe, asked: datetime
    ) -> None:
        """Refuse a full page that reaches the present though older candles were requested: it is the newest page."""
        if found.height < self._limit(pair) or found["open_time"][0] < asked + timeframe.duration:
            return
        if found["open_time"][-1] + 2 * timeframe.duration > self._clock():
            raise VenueRefused(
                f"{self._label(pair)}: asked for {timeframe.value} candles from {asked:%Y-%m-%d} on, got the newest "
                f"{found.height}: the venue ignores where to begin or keeps no older ones, and what is missing cannot "
                "be told from what never was; use another source"
            )

    def _fetch(self, pair: Pair, timeframe: Timeframe, since: datetime) -> pl.DataFrame:
        """Fetch the oldest candles that open at or after `since`, as many as one request gives."""
        symbol, limit = self._symbol(pair), self._limit(pair)
        milliseconds = microseconds(since) // 1000
        candles = self._call_with_retries(
            lambda venue: _fetch_rows(venue, symbol, timeframe, milliseconds, limit, self._label(pair)), pair
        )
        found = candle_table(candles, timeframe, self._label(pair))
        if found.height and found["open_time"][0] < since:
            raise VenueRefused(
                f"{self._label(pair)}: asked for candles from {since} on, got {found['open_time'][0]}: "
                "the venue ignores where to begin; use another source"
            )
        return found

    def _symbol(self, pair: Pair) -> str:
        markets = self._exchange().markets
        symbol = str(pair)
        if symbol in markets and markets[symbol].get("spot"):
            return symbol
        spot = [name for name, market in markets.items() if market.get("spot")]
        near = difflib.get_close_matches(symbol, spot, n=5, cutoff=0.5) or sorted(spot)[:5]
        raise NotStored(f"{self._venue} does not list {pair}; near to it are {', '.join(near)}")

    def _limit(self, pair: Pair) -> int:
        limit = self._exchange().feature_value(self._symbol(pair), "fetchOHLCV", "limit", DEFAULT_LIMIT)
        return limit if isinstance(limit, int) and limit > 0 else DEFAULT_LIMIT

    def _exchange(self) -> Any:
        """ccxt's client with the venue's markets; made on first use."""
        if self._ccxt is None:
            exchange = _create_client(self._venue, self._config)
            self._check_offered(exchange)
            retry(lambda: _call_ccxt(exchange.load_markets, f"{self._venue} markets"), self._sleep)
            self._ccxt = exchange
        return self._ccxt

    def _check_offered(self, exchange: Any) -> None:
        offered = exchange.timeframes or {}
        if exchange.has.get("fetchOHLCV") is not True or not offered:
            raise InvalidValue(f"{self._venue} publishes no candles: choose another venue")
        if self._timeframe.value not in offered:
            raise InvalidValue(
                f"{self._venue} has no candles of {self._timeframe.value}; it has {', '.join(offered)}"
            )

    def _call_with_retries(self, request: Callable[[Any], Any], pair: Pair) -> Any:
        exchange = self._exchange()
        return retry(lambda: _call_ccxt(lambda: request(exchange), self._label(pair)), self._sleep)

    def _label(self, pair: Pair) -> str:
        return f"{self._venue} {pair} candles"


def _fetch_rows(
    exchange: Any, symbol: str, timeframe: Timeframe, since: int, limit: int, what: str
) -> list[CandleRow]:
    exchange.last_json_response = None
    parsed = exchange.fetch_ohlcv(symbol, timeframe.value, since=since, limit=limit)
    market = exchange.market(symbol)
    return candle_rows(
        parsed, exchange.last_json_response, lambda entry: exchange.parse_ohlcv(entry, market), what
    )


def _create_client(venue: str, config: Mapping[str, Any]) -> Any:
    ccxt = ccxt_library()
    if venue not in ccxt.exchanges:
        raise InvalidValue(f"ccxt knows no venue {venue!r}{_suggestion(venue, ccxt.exchanges)}")
    return getattr(ccxt, venue)(
        {"enableRateLimit": True, "enableLastJsonResponse": True, "timeout": TIMEOUT, **config}
    )


def _suggestion(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, words, n=3)
    return f": did you mean {' or '.join(near)}?" if near else ": the list is at https://docs.ccxt.com"


def _call_ccxt(request: Callable[[], Any], what: str) -> Any:
    """Translate errors, also those that ccxt's parsers raise by accident on a response of another form."""
    ccxt = ccxt_library()
    try:
        return request()
    except MarketloomError:
        raise
    except ccxt.BaseError as error:
        raise translate_error(error, what) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidMessage(what, f"unreadable answer ({type(error).__name__}: {error})") from error

"""Candles of CryptoCompare (CoinDesk Data), page by page backwards. Every request needs a key of a subscription.

The modern interface is the default: it counts the trades of each candle, leaves windows without a trade out
(`fill=false`) and keeps minutes for longer than a week. CCCAGG, the old index, exists on the legacy one alone.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import sleep as real_sleep
from typing import Any

import httpx

from trading.errors import (
    OFFLINE_ADVICE,
    InvalidMessage,
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    NotStored,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.candle_rows import candle_table
from trading.history.cryptocompare_responses import (
    CandleResponse,
    NoEarlierCandles,
    legacy_candles,
    modern_candles,
    refusal_reason,
    translate_refusal,
)
from trading.history.page_cache import PageCache
from trading.history.paged_candles import CandlePage, PagedCandles
from trading.history.retries import retry
from trading.market import Pair, Timeframe

MODERN = "https://data-api.cryptocompare.com"
LEGACY = "https://min-api.cryptocompare.com"
LEGACY_MARKETS = frozenset({"CCCAGG"})
INDICES = frozenset({"cadli", "ccix"})  # computed from many venues; they live under another path than venues
MAX_POINTS = 2000  # of the base unit in one response, before they are put together
TIMEOUT = httpx.Timeout(20.0)


@dataclass(frozen=True, slots=True)
class _Interval:
    """A timeframe in the vendor's terms: a number of minutes, hours or days."""

    unit: str
    count: int
    length: timedelta  # of the whole interval


INTERVALS = {
    Timeframe.M1: _Interval("minute", 1, Timeframe.M1.duration),
    Timeframe.M5: _Interval("minute", 5, Timeframe.M5.duration),
    Timeframe.M15: _Interval("minute", 15, Timeframe.M15.duration),
    Timeframe.M30: _Interval("minute", 30, Timeframe.M30.duration),
    Timeframe.H1: _Interval("hour", 1, Timeframe.H1.duration),
    Timeframe.H4: _Interval("hour", 4, Timeframe.H4.duration),
    Timeframe.D1: _Interval("day", 1, Timeframe.D1.duration),
}


class CryptoCompareCandles(PagedCandles):
    """A CandleSource. `market` is a venue (`kraken`), an index (`cadli`), or `CCCAGG`; `key` may be empty until used.

    NotAuthorised without a key, NotStored for an unknown market or pair, VenueUnreachable and RateLimited after some
    attempts, InvalidMessage for answers that cannot be true.
    """

    def __init__(
        self,
        market: str,
        timeframe: Timeframe,
        cache: PageCache,
        clock: Callable[[], datetime],
        key: str,
        http: httpx.Client | None = None,
        url: str | None = None,
        sleep: Callable[[float], None] = real_sleep,
    ) -> None:
        super().__init__(
            _CryptoCompare(market, timeframe, clock, key, http, url, sleep), timeframe, cache, clock
        )


class _CryptoCompare:
    """One market of the vendor as a PagedVenue; never shows its key."""

    def __init__(
        self,
        market: str,
        timeframe: Timeframe,
        clock: Callable[[], datetime],
        key: str,
        http: httpx.Client | None,
        url: str | None,
        sleep: Callable[[float], None],
    ) -> None:
        if not market.isalnum() or not market.isascii():
            raise InvalidValue(
                f"{market!r} is no market of CryptoCompare: write it like kraken, cadli or CCCAGG"
            )
        self._legacy = market.upper() in LEGACY_MARKETS
        self._market = market.upper() if self._legacy else market.lower()
        self._timeframe = timeframe
        self._clock = clock
        self._key = key
        self._http = http if http is not None else self._create_http()
        self._url = url or (LEGACY if self._legacy else MODERN)
        self._sleep = sleep

    @property
    def name(self) -> str:
        return f"cryptocompare-{self._market.lower()}"

    def first_open(self, pair: Pair) -> datetime:
        """Find the first day by going back until a page has no candles, then the first candle inside that day."""
        day = self._first_day(pair)
        interval = INTERVALS[self._timeframe]
        response = self._fetch(pair, interval, day + timedelta(days=1), timedelta(days=1) // interval.length)
        opens = [candle[0] for candle in response.candles if candle[0] >= _seconds(day) * 1_000_000]
        if not opens:
            raise NotStored(
                f"{self._label(pair)}: daily candles begin on {day:%Y-%m-%d}, those of {self._timeframe.value} do not "
                "reach back to there; choose a longer timeframe"
            )
        return _utc(min(opens) // 1_000_000)

    def fetch_page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        interval = INTERVALS[self._timeframe]
        points = min(MAX_POINTS // interval.count, -((start - end) // interval.length))
        response = self._fetch(pair, interval, end, points)
        reached = _utc(min(response.times)) if response.times else end - points * interval.length
        candles = candle_table(response.candles, self._timeframe, self._label(pair))
        covered = max(start, reached)
        return CandlePage(candles.filter(candles["open_time"] >= covered), covered, end)

    def _first_day(self, pair: Pair) -> datetime:
        """Once a page has come, only a response without candles, or a refusal that says so, marks the beginning."""
        before, first = self._clock() + timedelta(seconds=1), None
        while True:
            try:
                response = self._fetch(pair, INTERVALS[Timeframe.D1], before, MAX_POINTS)
            except NotStored as error:
                if first is None:
                    raise
                if isinstance(error, NoEarlierCandles):
                    return first
                raise VenueRefused(
                    f"{error}: candles from {first:%Y-%m-%d} on were there, when they begin is not known; run it again"
                ) from error
            if not response.candles:
                break
            first = before = _utc(min(candle[0] for candle in response.candles) // 1_000_000)
        if first is None:
            raise NotStored(
                f"{self._label(pair)}: no candle was ever published; choose another market or pair"
            )
        return first

    def _fetch(self, pair: Pair, interval: _Interval, before: datetime, points: int) -> CandleResponse:
        """Fetch the newest `points` intervals that open before `before`, or fewer."""
        last = _seconds(before) - 1
        response = retry(lambda: self._fetch_once(pair, interval, last, points), self._sleep)
        if response.times and not 0 <= min(response.times) <= max(response.times) <= last:
            raise InvalidMessage(
                self._label(pair),
                f"asked for candles until {last}, got {min(response.times)} to {max(response.times)}",
            )
        return response

    def _fetch_once(self, pair: Pair, interval: _Interval, last: int, points: int) -> CandleResponse:
        what = self._label(pair)
        if self._legacy:
            body = self._get(
                f"/data/v2/histo{interval.unit}", self._legacy_query(pair, interval, last, points), what
            )
            return legacy_candles(body, what)
        path = "/index/cc/v1" if self._market in INDICES else "/spot/v1"
        body = self._get(
            f"{path}/historical/{interval.unit}s", self._query(pair, interval, last, points), what
        )
        return modern_candles(body, self._market, pair.key, interval.unit.upper(), what)

    def _query(self, pair: Pair, interval: _Interval, last: int, points: int) -> dict[str, Any]:
        query = {"market": self._market, "instrument": pair.key, "to_ts": last, "limit": points}
        return query | {
            "aggregate": interval.count,
            "fill": "false",
            "apply_mapping": "true",
            "response_format": "JSON",
        }

    def _legacy_query(self, pair: Pair, interval: _Interval, last: int, points: int) -> dict[str, Any]:
        """Return the query; the legacy `limit` counts the steps between the candles, not the candles."""
        query = {"fsym": pair.base, "tsym": pair.quote, "e": self._market, "toTs": last}
        return query | {"limit": max(points - 1, 1), "aggregate": interval.count, "tryConversion": "false"}

    def _get(self, path: str, query: dict[str, Any], what: str) -> bytes:
        if not self._key:
            raise NotAuthorised(
                f"{what}: a key is needed since May 2026; get one at https://developers.coindesk.com/settings/api-keys "
                "and put it into the environment variable CRYPTOCOMPARE_API_KEY"
            )
        try:
            response = self._http.get(
                self._url + path,
                params=query,
                headers={"Authorization": f"Apikey {self._key}"},
                timeout=TIMEOUT,
            )
        except httpx.DecodingError as error:
            raise InvalidMessage(what, f"unreadable answer: {error}") from error
        except httpx.RequestError as error:
            problem = f"{what}: no answer ({type(error).__name__}: {error})"
            raise VenueUnreachable(f"{problem}; {OFFLINE_ADVICE}") from error
        if response.status_code != 200:
            raise _refusal_error(response, what)
        return response.content

    def _label(self, pair: Pair) -> str:
        return f"{self.name} {pair} candles"

    def _create_http(self) -> httpx.Client:
        client = httpx.Client()
        weakref.finalize(self, client.close)
        return client


def _refusal_error(response: httpx.Response, what: str) -> MarketloomError:
    kind, words = refusal_reason(response.content)
    wait = response.headers.get("Retry-After", "")
    return translate_refusal(
        response.status_code, kind, words, what, float(wait) if wait.isdecimal() else None
    )


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

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
    InvalidMessage,
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    NotStored,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.candle_rows import rows
from trading.history.cryptocompare_responses import (
    Answered,
    NoEarlier,
    error_of,
    legacy_candles,
    modern_candles,
    refusal,
)
from trading.history.page_cache import PageShelf
from trading.history.paged_candles import CandlePage, PagedCandles
from trading.history.retries import repeated
from trading.market import Pair, Timeframe

MODERN = "https://data-api.cryptocompare.com"
LEGACY = "https://min-api.cryptocompare.com"
LEGACY_MARKETS = frozenset({"CCCAGG"})
INDICES = frozenset({"cadli", "ccix"})  # computed from many venues; they live under another path than venues
MOST_POINTS = 2000  # of the base unit in one answer, before they are put together
TIMEOUT = httpx.Timeout(20.0)


@dataclass(frozen=True, slots=True)
class _Step:
    """A timeframe in the vendor's words: so many minutes, hours or days."""

    unit: str
    count: int
    length: timedelta  # of the whole step


STEPS = {
    Timeframe.M1: _Step("minute", 1, Timeframe.M1.duration),
    Timeframe.M5: _Step("minute", 5, Timeframe.M5.duration),
    Timeframe.M15: _Step("minute", 15, Timeframe.M15.duration),
    Timeframe.M30: _Step("minute", 30, Timeframe.M30.duration),
    Timeframe.H1: _Step("hour", 1, Timeframe.H1.duration),
    Timeframe.H4: _Step("hour", 4, Timeframe.H4.duration),
    Timeframe.D1: _Step("day", 1, Timeframe.D1.duration),
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
        shelf: PageShelf,
        clock: Callable[[], datetime],
        key: str,
        http: httpx.Client | None = None,
        url: str | None = None,
        sleep: Callable[[float], None] = real_sleep,
    ) -> None:
        super().__init__(
            _CryptoCompare(market, timeframe, clock, key, http, url, sleep), timeframe, shelf, clock
        )


class _CryptoCompare:
    """One market of the vendor, request by request; never shows its key."""

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
        self._http = http if http is not None else self._own_client()
        self._url = url or (LEGACY if self._legacy else MODERN)
        self._sleep = sleep

    @property
    def name(self) -> str:
        return f"cryptocompare-{self._market.lower()}"

    def first(self, pair: Pair) -> datetime:
        """By the day, backwards to the day before which nothing is answered; then by the candle inside that day."""
        day = self._first_day(pair)
        step = STEPS[self._timeframe]
        answer = self._ask(pair, step, day + timedelta(days=1), timedelta(days=1) // step.length)
        opens = [candle[0] for candle in answer.candles if candle[0] >= _seconds(day) * 1_000_000]
        if not opens:
            raise NotStored(
                f"{self._what(pair)}: daily candles begin on {day:%Y-%m-%d}, those of {self._timeframe.value} do not "
                "reach back to there; choose a longer timeframe"
            )
        return _utc(min(opens) // 1_000_000)

    def page(self, pair: Pair, start: datetime, end: datetime) -> CandlePage:
        step = STEPS[self._timeframe]
        points = min(MOST_POINTS // step.count, -((start - end) // step.length))
        answer = self._ask(pair, step, end, points)
        reached = _utc(min(answer.times)) if answer.times else end - points * step.length
        candles = rows(answer.candles, self._timeframe, self._what(pair))
        covered = max(start, reached)
        return CandlePage(candles.filter(candles["open_time"] >= covered), covered, end)

    def _first_day(self, pair: Pair) -> datetime:
        """Once a page has come, only an answer without candles, or a refusal that says so, is the beginning."""
        before, first = self._clock() + timedelta(seconds=1), None
        while True:
            try:
                answer = self._ask(pair, STEPS[Timeframe.D1], before, MOST_POINTS)
            except NotStored as error:
                if first is None:
                    raise
                if isinstance(error, NoEarlier):
                    return first
                raise VenueRefused(
                    f"{error}: candles from {first:%Y-%m-%d} on were there, when they begin is not known; run it again"
                ) from error
            if not answer.candles:
                break
            first = before = _utc(min(candle[0] for candle in answer.candles) // 1_000_000)
        if first is None:
            raise NotStored(
                f"{self._what(pair)}: no candle was ever published; choose another market or pair"
            )
        return first

    def _ask(self, pair: Pair, step: _Step, before: datetime, points: int) -> Answered:
        """Up to `points` steps that open before `before`, the newest of them."""
        last = _seconds(before) - 1
        answer = repeated(lambda: self._read(pair, step, last, points), self._sleep)
        if answer.times and not 0 <= min(answer.times) <= max(answer.times) <= last:
            raise InvalidMessage(
                self._what(pair),
                f"asked for candles until {last}, got {min(answer.times)} to {max(answer.times)}",
            )
        return answer

    def _read(self, pair: Pair, step: _Step, last: int, points: int) -> Answered:
        what = self._what(pair)
        if self._legacy:
            body = self._get(f"/data/v2/histo{step.unit}", self._legacy_query(pair, step, last, points), what)
            return legacy_candles(body, what)
        room = "/index/cc/v1" if self._market in INDICES else "/spot/v1"
        body = self._get(f"{room}/historical/{step.unit}s", self._query(pair, step, last, points), what)
        return modern_candles(body, self._market, pair.key, step.unit.upper(), what)

    def _query(self, pair: Pair, step: _Step, last: int, points: int) -> dict[str, Any]:
        query = {"market": self._market, "instrument": pair.key, "to_ts": last, "limit": points}
        return query | {
            "aggregate": step.count,
            "fill": "false",
            "apply_mapping": "true",
            "response_format": "JSON",
        }

    def _legacy_query(self, pair: Pair, step: _Step, last: int, points: int) -> dict[str, Any]:
        """The legacy `limit` counts the steps between the candles, not the candles."""
        query = {"fsym": pair.base, "tsym": pair.quote, "e": self._market, "toTs": last}
        return query | {"limit": max(points - 1, 1), "aggregate": step.count, "tryConversion": "false"}

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
            raise VenueUnreachable(f"{what}: no answer ({type(error).__name__}: {error})") from error
        if response.status_code != 200:
            raise _refused(response, what)
        return response.content

    def _what(self, pair: Pair) -> str:
        return f"{self.name} {pair} candles"

    def _own_client(self) -> httpx.Client:
        client = httpx.Client()
        weakref.finalize(self, client.close)
        return client


def _refused(response: httpx.Response, what: str) -> MarketloomError:
    kind, words = error_of(response.content)
    wait = response.headers.get("Retry-After", "")
    return refusal(response.status_code, kind, words, what, float(wait) if wait.isdecimal() else None)


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

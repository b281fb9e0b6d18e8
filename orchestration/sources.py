"""Candle sources, built from [market] source. Each kind is imported when chosen: ccxt alone takes seconds."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ml.decision.clock import SECOND, Clock, history_clock
from orchestration.clocks import VenueClock, machine_clock, read_market_time, sandbox_clock
from orchestration.settings_schema import CRYPTOCOMPARE_MARKET, Settings
from trading.importers.landing_area import LandingArea
from trading.market import EPOCH, Timeframe, midnight
from trading.ports import CandleSource
from trading.simulation.market import SimulatedMarket

if TYPE_CHECKING:
    from trading.venues.kraken import KrakenClient

Time = Callable[[], datetime]
MILLISECOND = timedelta(milliseconds=1)
CRYPTOCOMPARE_KEY = "CRYPTOCOMPARE_API_KEY"


def candle_source(settings: Settings, home: Path) -> CandleSource:
    """Build the candle source; opens no connection. Candles that close after [market] until stay unknown."""
    market = settings.market
    match market.source.split(":"):
        case ["simulator"]:
            return _simulator(settings)
        case ["files"]:
            return LandingArea(home / "landing").source(market.venue, market.timeframe, market.known_until)
        case ["sandbox"]:
            return _sandbox(settings, home)
        case ["kraken"]:
            return _kraken(settings, home)
        case ["cryptocompare", *chosen]:
            return _cryptocompare(settings, home, "".join(chosen) or CRYPTOCOMPARE_MARKET)
        case [_, venue]:
            return _ccxt(settings, home, venue)
        case other:
            raise ValueError(f"no such source: {other}")  # the settings allow no other


def machine_time(until: datetime | None) -> Time:
    """Return a clock of this machine that stops at `until`."""

    def clock() -> datetime:
        now = datetime.now(UTC)
        return min(now, until) if until else now

    return clock


def sandbox_time(url: str, until: datetime | None) -> Time:
    """Return a clock that asks the sandbox for its market time each time: its speed may be any."""

    def clock() -> datetime:
        now = read_market_time(url)
        return min(now, until) if until else now

    return clock


def market_clock(settings: Settings, home: Path, newest_known: Time) -> Clock:
    """Return the clock of the market that the settings name; `newest_known` is the one of stored history.

    A dataset with an end is history, whatever it is read from.
    """
    source = settings.market.source
    if settings.market.is_history:
        return history_clock(newest_known)
    match source.split(":"):
        case ["sandbox"]:
            return sandbox_clock(
                lambda: read_market_time(settings.sandbox.url),
                lambda: _server_time(sandbox_public_client(settings, home)),
                newest_known,
            )
        case ["kraken"]:
            return VenueClock("kraken", lambda: _server_time(kraken_client(settings, home)), SECOND)
        case ["ccxt", venue]:
            return VenueClock(venue, lambda: _ccxt_time(settings, home, venue), MILLISECOND)
        case _:
            return machine_clock(f"{source} tells no time")


def _server_time(asked: "KrakenClient") -> datetime:
    with asked as client:
        return EPOCH + timedelta(seconds=client.server_time())


def _ccxt_time(settings: Settings, home: Path, venue: str) -> datetime | None:
    from trading.history.ccxt_candles import CcxtCandles
    from trading.history.page_cache import PageCache

    return CcxtCandles(
        venue, settings.market.timeframe, PageCache(home / "history"), machine_time(None)
    ).server_time()


def _simulator(settings: Settings) -> CandleSource:
    market, simulator = settings.market, settings.simulator
    start, end = midnight(simulator.start), midnight(simulator.end)
    return SimulatedMarket(market.pairs, market.timeframe, simulator.seed, start, end)


def _kraken(settings: Settings, home: Path) -> CandleSource:
    from trading.history.kraken import KrakenHistory
    from trading.history.page_cache import PageCache

    client, clock = kraken_client(settings, home), machine_time(settings.market.known_until)
    return KrakenHistory(client, settings.market.timeframe, PageCache(home / "history"), clock=clock)


def kraken_client(settings: Settings, home: Path) -> "KrakenClient":
    from trading.venues.kraken.client import KrakenClient
    from trading.venues.kraken.rate_limits import Tier

    return KrakenClient(
        home / "kraken", base_url=settings.kraken.rest_url, allowance=Tier(settings.kraken.tier).allowance
    )


def _sandbox(settings: Settings, home: Path) -> CandleSource:
    from trading.history.kraken import KrakenHistory
    from trading.history.page_cache import PageCache

    clock = sandbox_time(settings.sandbox.url, settings.market.known_until)
    client, pages = sandbox_public_client(settings, home), PageCache(home / "sandbox" / "history")
    return KrakenHistory(client, settings.market.timeframe, pages, settings.market.origin, clock)


def sandbox_public_client(settings: Settings, home: Path) -> "KrakenClient":
    from trading.venues.kraken.client import KrakenClient
    from trading.venues.kraken.rate_limits import RateLimit

    folder = home / "sandbox" / "client"
    return KrakenClient(folder, base_url=settings.sandbox.url, public=RateLimit(60, 30.0))


def _cryptocompare(settings: Settings, home: Path, market: str) -> CandleSource:
    from trading.history.cryptocompare import CryptoCompareCandles
    from trading.history.page_cache import PageCache

    clock = machine_time(settings.market.known_until)
    key = os.environ.get(CRYPTOCOMPARE_KEY, "")
    return CryptoCompareCandles(market, settings.market.timeframe, PageCache(home / "history"), clock, key)


def _ccxt(settings: Settings, home: Path, venue: str) -> CandleSource:
    from trading.history.ccxt_candles import CcxtCandles
    from trading.history.finer_quotes import FinerQuotes
    from trading.history.page_cache import PageCache

    clock, pages = machine_time(settings.market.known_until), PageCache(home / "history")
    candles = CcxtCandles(venue, settings.market.timeframe, pages, clock)
    if not settings.market.is_live or settings.market.timeframe is Timeframe.M1:
        return candles  # a decision on history is made at the close, where the next candle opens
    return FinerQuotes(candles, CcxtCandles(venue, Timeframe.M1, pages, clock))

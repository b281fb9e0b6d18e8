"""Candle sources, built from [market] source. Each kind is imported when chosen: ccxt alone takes seconds."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

from orchestration.settings_schema import CRYPTOCOMPARE_MARKET, Settings
from trading.errors import InvalidMessage, VenueUnreachable
from trading.importers.landing_area import LandingArea
from trading.ports import CandleSource
from trading.simulation.market import SimulatedMarket

Clock = Callable[[], datetime]
CRYPTOCOMPARE_KEY = "CRYPTOCOMPARE_API_KEY"
PATIENCE = 5.0  # seconds until a sandbox on this machine counts as not running


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


def machine_time(until: datetime | None) -> Clock:
    """Return a clock of this machine that stops at `until`."""

    def clock() -> datetime:
        now = datetime.now(UTC)
        return min(now, until) if until else now

    return clock


def sandbox_time(url: str, until: datetime | None) -> Clock:
    """Return a clock that asks the sandbox for its market time each time: its speed may be any."""

    def clock() -> datetime:
        now = _market_time(url)
        return min(now, until) if until else now

    return clock


def _simulator(settings: Settings) -> CandleSource:
    market, simulator = settings.market, settings.simulator
    start, end = _midnight(simulator.start), _midnight(simulator.end)
    return SimulatedMarket(market.pairs, market.timeframe, simulator.seed, start, end)


def _kraken(settings: Settings, home: Path) -> CandleSource:
    from trading.history.kraken import KrakenHistory
    from trading.history.page_cache import PageCache
    from trading.venues.kraken.client import KrakenClient
    from trading.venues.kraken.rate_limits import Tier

    client = KrakenClient(
        home / "kraken", base_url=settings.kraken.rest_url, allowance=Tier(settings.kraken.tier).allowance
    )
    clock = machine_time(settings.market.known_until)
    return KrakenHistory(client, settings.market.timeframe, PageCache(home / "history"), clock=clock)


def _sandbox(settings: Settings, home: Path) -> CandleSource:
    from trading.history.kraken import KrakenHistory
    from trading.history.page_cache import PageCache
    from trading.venues.kraken.client import KrakenClient
    from trading.venues.kraken.rate_limits import RateLimit

    url = settings.sandbox.url
    client = KrakenClient(home / "sandbox" / "client", base_url=url, public=RateLimit(60, 30.0))
    clock = sandbox_time(url, settings.market.known_until)
    pages = PageCache(home / "sandbox" / "history")
    return KrakenHistory(client, settings.market.timeframe, pages, settings.market.origin, clock)


def _cryptocompare(settings: Settings, home: Path, market: str) -> CandleSource:
    from trading.history.cryptocompare import CryptoCompareCandles
    from trading.history.page_cache import PageCache

    clock = machine_time(settings.market.known_until)
    key = os.environ.get(CRYPTOCOMPARE_KEY, "")
    return CryptoCompareCandles(market, settings.market.timeframe, PageCache(home / "history"), clock, key)


def _ccxt(settings: Settings, home: Path, venue: str) -> CandleSource:
    from trading.history.ccxt_candles import CcxtCandles
    from trading.history.page_cache import PageCache

    clock = machine_time(settings.market.known_until)
    return CcxtCandles(venue, settings.market.timeframe, PageCache(home / "history"), clock)


def _market_time(url: str) -> datetime:
    import httpx

    try:
        answer = httpx.get(f"{url}/admin/status", timeout=PATIENCE).raise_for_status().json()
        return datetime.fromisoformat(answer["market_time"])
    except httpx.HTTPError as error:
        raise VenueUnreachable(
            f"no sandbox answers on {url} ({error}): start one with `marketloom sandbox`, "
            "or choose another [market] source"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidMessage("status", f"{url} is not a sandbox of Marketloom ({error!r})") from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

"""Streams of market data, built from the source's name: the feed, what to subscribe to, and the venue's clock."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.settings_schema import Settings
from orchestration.sources import CRYPTOCOMPARE_KEY, kraken_client
from orchestration.streamed import streams
from streaming.events import Channel, Subscription
from streaming.feeds import Feed
from streaming.recorder.venue_time import VenueTime
from streaming.session.settings import BookMode
from trading.errors import InvalidMessage, InvalidSettings, InvalidValue, VenueUnreachable
from trading.market import EPOCH, Timeframe

SANDBOX_SECONDS = 0.2  # between two questions for the sandbox's time, which may run at any speed
VENUE_SECONDS = 300.0  # the same for a real venue: its clock goes as fast as ours
ANY_SPEED = 1e6  # of the sandbox's market
NO_STREAM = (
    '{source!r} does not stream: set [market] source = "kraken" or "sandbox" (with `marketloom sandbox` running), or '
    '"cryptocompare:<venue>" with a key (MARKETLOOM__MARKET__SOURCE=sandbox sets it for one command)'
)


def check_streams(settings: Settings) -> None:
    """Raise InvalidSettings for a source that does not stream, with what to do."""
    if settings.market.until:
        raise InvalidSettings(
            f'[market] until is "{settings.market.until}": a dataset with an end does not stream; set until = ""'
        )
    if not streams(settings):
        raise InvalidSettings(NO_STREAM.format(source=settings.market.source))


def public_feed(settings: Settings, source: str) -> Feed:
    """Build the feed of public market data. InvalidValue for a source without one."""
    match source.split(":"):
        case ["sandbox"]:
            from streaming.feeds.kraken import KrakenFeed

            return KrakenFeed(f"ws{settings.sandbox.url.removeprefix('http')}/v2")
        case ["kraken"]:
            from streaming.feeds.kraken import KrakenFeed

            return KrakenFeed(settings.kraken.websocket_url)
        case ["cryptocompare", market] if market:
            from streaming.feeds.cryptocompare import CryptoCompareFeed

            return CryptoCompareFeed(market, os.environ.get(CRYPTOCOMPARE_KEY, ""))
    raise InvalidValue(
        f"{source!r} has no stream here: choose sandbox, kraken, or cryptocompare with a market, "
        "such as cryptocompare:kraken (its index CCCAGG has a ticker alone)"
    )


def book_mode(source: str) -> BookMode:
    """Return how the source sends its books."""
    return BookMode.FULL_DEPTH if source.startswith("cryptocompare") else BookMode.LIMITED_DEPTH


def subscriptions(settings: Settings) -> list[list[Subscription]]:
    """Return what is streamed, a list per connection; the trade channel is on the first one.

    Books have a connection of their own: one that breaks, and all its traffic, never delays or ends the trades.
    CryptoCompare grants few connections: everything is on one there, and it has no listings.
    """
    pairs = settings.market.pairs
    trades = [
        Subscription(Channel.TRADE, pairs),
        Subscription(Channel.TICKER, pairs),
        Subscription(Channel.CANDLE, pairs, timeframe=Timeframe.M1),
    ]
    books = Subscription(Channel.BOOK, pairs, depth=settings.stream.book_depth)
    if settings.market.source.startswith("cryptocompare"):
        return [[*trades, books]]
    return [trades, [Subscription(Channel.INSTRUMENT), books]]


def venue_time(settings: Settings, home: Path) -> tuple[VenueTime, float]:
    """Build the clock of the source, and how many seconds lie between two questions for its time."""
    match settings.market.source:
        case "sandbox":
            ask = sandbox_time(settings.sandbox.url)
            return VenueTime(ask, rate=0.0, fastest=ANY_SPEED), SANDBOX_SECONDS
        case "kraken":
            client = kraken_client(settings, home)
            seconds = timedelta(seconds=1)
            return VenueTime(lambda: EPOCH + client.server_time() * seconds, seconds), VENUE_SECONDS
        case _:
            return VenueTime(None), VENUE_SECONDS


def sandbox_time(url: str) -> Callable[[], datetime]:
    """Return a function that asks the sandbox for its market time over one connection."""
    import httpx

    client = httpx.Client(base_url=url, timeout=5.0)

    def ask() -> datetime:
        try:
            answer = client.get("/admin/status").raise_for_status().json()
            return datetime.fromisoformat(answer["market_time"])
        except httpx.HTTPError as error:
            raise VenueUnreachable(
                f"no sandbox answers on {url} ({error}): start `marketloom sandbox`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidMessage("status", f"{url} is not a sandbox of Marketloom ({error!r})") from None

    return ask

"""`marketloom watch`: the events of a venue's stream, as lines on the screen."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from orchestration.feeds import book_mode, public_feed
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.system import postgres_addresses
from orchestration.venues import exchange_access
from streaming.connection.budget import budget_for
from streaming.events import PRIVATE, Channel, Heartbeat, Subscription
from streaming.feeds import Feed
from streaming.quarantine import Quarantine
from streaming.session.output import SessionEvent
from streaming.session.settings import SessionSettings
from streaming.watching import format_event, watch
from trading.api_keys import KeyState
from trading.errors import InvalidValue
from trading.market import Pair, Timeframe
from trading.stores.postgres import PostgresKeyState, migrate
from trading.venues.kraken import KrakenClient


def watch_stream(
    pairs: Sequence[str],
    channels: Sequence[str],
    source: str,
    depth: int,
    seconds: float | None,
    out: Console,
) -> None:
    """Print events until Ctrl-C, or for `seconds`."""
    settings, home = load_settings(), prepare_home(home_folder())
    logging.getLogger("streaming").setLevel(logging.ERROR)  # what it warns of stands on the screen already
    asked = [_channel(name) for name in channels or ["trade", "book"]]
    wanted = [Pair.parse(name) for name in pairs] or list(settings.market.pairs)
    subscriptions = [_subscription(channel, wanted, depth, settings.market.timeframe) for channel in asked]
    with _key_state(home, _private(asked, source)) as keys:
        _watch(_feed(settings, home, source, keys), subscriptions, source, home, seconds, out)


@contextmanager
def _key_state(home: Path, private: bool) -> Iterator[KeyState | None]:
    """Yield what all users of a key share, for private channels; None for public ones, which need no key."""
    if not private:
        yield None
        return
    with postgres_addresses(home) as (dsn, _):
        migrate(dsn)
        yield PostgresKeyState(dsn)


def _watch(
    feed: Feed,
    subscriptions: Sequence[Subscription],
    source: str,
    home: Path,
    seconds: float | None,
    out: Console,
) -> None:
    quarantine = Quarantine(home / "quarantine" / feed.venue)

    def show(event: SessionEvent) -> None:
        if not isinstance(event, Heartbeat):
            out.print(format_event(event), soft_wrap=True)

    async def run() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        budget = budget_for(feed, home / "connections")
        chosen = SessionSettings(book_mode=book_mode(source))
        await watch(feed, subscriptions, show, stop, quarantine=quarantine, budget=budget, settings=chosen)

    asyncio.run(run())
    if quarantine.stored or quarantine.lost:
        counted = f"{quarantine.stored} unreadable messages were kept in {home / 'quarantine' / feed.venue}"
        out.print(f"{counted}, {quarantine.lost} lost by the disk, {quarantine.dropped} older ones dropped")


def _private(asked: Sequence[Channel], source: str) -> bool:
    """Kraken has private channels at an address of their own, without any other; the sandbox has all at one."""
    private = [channel for channel in asked if channel in PRIVATE]
    if source == "kraken" and private and len(private) < len(asked):
        raise InvalidValue(
            f"{', '.join(private)} need a `watch` of their own: Kraken has them at another address"
        )
    return bool(private)


def _channel(name: str) -> Channel:
    try:
        return Channel(name)
    except ValueError:
        raise InvalidValue(f"{name!r} is no channel: choose among {', '.join(Channel)}") from None


def _subscription(channel: Channel, pairs: list[Pair], depth: int, timeframe: Timeframe) -> Subscription:
    if channel in (*PRIVATE, Channel.INSTRUMENT):
        return Subscription(channel)
    return Subscription(channel, tuple(pairs), depth, timeframe)


def _feed(settings: Settings, home: Path, source: str, keys: KeyState | None) -> Feed:
    if keys is None or (source != "sandbox" and source != "kraken"):
        return public_feed(settings, source)
    from streaming.feeds.kraken import KrakenFeed

    access = exchange_access("sandbox" if source == "sandbox" else "kraken", settings, home)
    return KrakenFeed(access.websocket_url, _token(access.client(keys)))


def _token(client: KrakenClient) -> Callable[[], str]:
    return lambda: client.websockets_token().token

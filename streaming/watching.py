"""A stream on the screen: every event as one line, with what is unknown marked by `!!!`."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from streaming import events
from streaming.connection.backoff import Backoff
from streaming.connection.budget import ConnectionBudget
from streaming.connection.opening import ConnectionLimits
from streaming.connection.runner import FrameStore, run_session
from streaming.events import Channel, Level, Subscription, UnreadableMessage
from streaming.feeds import Feed
from streaming.session import Session, output
from streaming.session.output import SessionEvent
from streaming.session.settings import SessionSettings
from trading.market import Pair


class DisplayingFrameStore:
    """A frame store that also shows each rejected frame on the screen."""

    def __init__(self, show: Callable[[SessionEvent], None], frames: FrameStore) -> None:
        self._show = show
        self._frames = frames

    def store(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        """Store the frame and show it."""
        self._frames.store(frame, venue, channel, reason)
        self._show(UnreadableMessage(channel, None, reason, frame))


async def watch(
    feed: Feed,
    subscriptions: Iterable[Subscription],
    show: Callable[[SessionEvent], None],
    stop: asyncio.Event,
    *,
    quarantine: FrameStore,
    budget: ConnectionBudget | None = None,
    settings: SessionSettings | None = None,
    limits: ConnectionLimits | None = None,
) -> None:
    """Show every event until `stop`. Raises as `streaming.connection.run_session` does."""

    async def handle(event: SessionEvent) -> None:
        if not isinstance(event, UnreadableMessage):  # shown when it was stored
            show(event)

    await run_session(
        Session(feed, subscriptions, settings),
        handle,
        stop,
        quarantine=DisplayingFrameStore(show, quarantine),
        backoff=Backoff(feed.rules, Random()),
        budget=budget,
        limits=limits,
    )


def format_event(event: SessionEvent) -> str:
    """Return one readable line; times are UTC."""
    match event:
        case events.Trade():
            side = event.side.value if event.side else "?"
            number = "" if event.trade_id is None else f"  #{event.trade_id}"
            text = f"{side} {_number(event.quantity)} @ {_number(event.price)}{number}"
            return _row(event.at, "trade", event.pair, text)
        case events.Candle():
            prices = " ".join(_number(price) for price in (event.open, event.high, event.low, event.close))
            text = f"{event.timeframe.value} open high low close {prices}, volume {_number(event.volume)}"
            return _row(event.open_time, "candle", event.pair, text)
        case events.Ticker():
            bid = _quote(event.bid, event.bid_quantity)
            ask = _quote(event.ask, event.ask_quantity)
            return _row(event.at, "ticker", event.pair, f"bid {bid}, ask {ask}, last {_number(event.last)}")
        case output.TopOfBook():
            return _row(event.at, "best", event.pair, f"bid {_level(event.bid)}, ask {_level(event.ask)}")
        case events.BookChange():
            kind = "snapshot" if event.snapshot else "change"
            text = f"{kind}: {len(event.bids)} bids, {len(event.asks)} asks"
            return _row(event.at, "book", event.pair, text)
        case events.InstrumentListing():
            return _format_listing(event)
        case events.Execution() | events.Balance():
            return _format_account(event)
    return _format_connection(event)


def _format_account(event: events.Execution | events.Balance) -> str:
    if isinstance(event, events.Balance):
        return _row(event.at, "balance", None, f"{event.amount:f} {event.asset}")
    fill = (
        "" if event.fill_quantity is None else f", fill {event.fill_quantity:f} @ {_number(event.fill_price)}"
    )
    side = "" if event.side is None else f" {event.side.value}"
    reason = f" ({event.reason})" if event.reason else ""
    return _row(event.at, "order", event.pair, f"{event.order_id} {event.kind}{side}{fill}{reason}")


def _format_listing(event: events.InstrumentListing) -> str:
    instrument = event.instrument
    steps = f"price by {instrument.price_increment:f}, quantity by {instrument.quantity_increment:f}"
    return _row(None, "listed", instrument.pair, f"{instrument.status.value}, {steps}")


def _format_connection(event: SessionEvent) -> str:
    match event:
        case events.UnknownInterval():
            span = f"{_clock(event.since)} to {_clock(event.until)}"
            return _alarm("UNKNOWN", event.channel, event.pair, f"from {span}: {event.reason}")
        case output.Interrupted():
            text = f"since {_clock(event.since)}: {event.reason}"
            return _alarm("INTERRUPTED", event.channel, event.pair, text)
        case output.Restored():
            return _row(event.at, "restored", event.pair, event.channel.value)
        case output.SubscriptionRefused():
            return _alarm("REFUSED", event.channel, event.pair, event.reason)
        case output.Reconnecting():
            return f"!!! NO CONNECTION  {event.reason}; next attempt in {event.pause:.1f} s"
        case UnreadableMessage():
            return f"!!! UNREADABLE  {event.channel or 'message'}  {ascii(event.reason)[1:-1]}"
        case events.VenueStatus():
            return _row(None, "venue", None, event.status)
        case events.Acknowledgement():
            return f"!!! {event.method or 'venue'}: {event.error or 'done'}"
    return _row(None, "alive", None, "")


def _row(at: datetime | None, kind: str, pair: Pair | None, text: str) -> str:
    return f"{_clock(at)}  {kind:<8}  {pair or ''!s:<10}  {text}".rstrip()


def _alarm(kind: str, channel: Channel, pair: Pair | None, text: str) -> str:
    return f"!!! {kind}  {channel.value}{f' {pair}' if pair else ''}  {text}"


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3] if at else " " * 12


def _number(number: float | Decimal | None) -> str:
    """Return all digits of the number, without an exponent."""
    return "?" if number is None else f"{Decimal(str(number)):f}"


def _quote(price: float | None, quantity: float | None) -> str:
    return _number(price) if quantity is None else f"{_number(price)} ({_number(quantity)})"


def _level(level: Level | None) -> str:
    return "none" if level is None else f"{level[0]:f} ({level[1]:f})"

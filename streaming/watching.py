"""A stream on a screen: every event as one line, and what is unknown loudly."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from streaming import events
from streaming.connection.attempts import Attempts, Budget
from streaming.connection.opening import Wire
from streaming.connection.runner import Keeper, run
from streaming.events import Channel, Level, Subscription, Unreadable
from streaming.feeds import Feed
from streaming.session import Session, output
from streaming.session.output import Heard, SessionSettings
from trading.market import Pair

logger = logging.getLogger(__name__)


class Shown:
    """Unreadable messages on the screen as they come, and kept."""

    def __init__(self, show: Callable[[Heard], None], kept: Keeper) -> None:
        self._show = show
        self._kept = kept

    def keep(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        self._kept.keep(frame, venue, channel, reason)
        self._show(Unreadable(channel, None, reason, frame))


class Logged:
    """Unreadable messages as warnings, for those who keep none."""

    def keep(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        logger.warning("%s %s: unreadable message: %s: %r", venue, channel, reason, frame[:200])


async def watch(
    feed: Feed,
    subscriptions: Iterable[Subscription],
    show: Callable[[Heard], None],
    stop: asyncio.Event,
    *,
    quarantine: Keeper | None = None,
    budget: Budget | None = None,
    settings: SessionSettings | None = None,
    wire: Wire | None = None,
) -> None:
    """Show everything that is heard until `stop`. Raises as `streaming.connection.run` does."""

    async def shown(heard: Heard) -> None:
        if not isinstance(heard, Unreadable):  # shown when it was kept
            show(heard)

    await run(
        Session(feed, subscriptions, settings),
        shown,
        stop,
        quarantine=Shown(show, quarantine or Logged()),
        attempts=Attempts(feed.rules, Random(), budget),
        wire=wire,
    )


def line(heard: Heard) -> str:
    """One readable line; times are UTC."""
    match heard:
        case events.Trade():
            side = heard.side.value if heard.side else "?"
            number = "" if heard.trade_id is None else f"  #{heard.trade_id}"
            return _row(
                heard.at,
                "trade",
                heard.pair,
                f"{side} {_text(heard.quantity)} @ {_text(heard.price)}{number}",
            )
        case events.Candle():
            prices = " ".join(_text(price) for price in (heard.open, heard.high, heard.low, heard.close))
            text = f"{heard.timeframe.value} open high low close {prices}, volume {_text(heard.volume)}"
            return _row(heard.open_time, "candle", heard.pair, text)
        case events.Ticker():
            bid = _side(heard.bid, heard.bid_quantity)
            ask = _side(heard.ask, heard.ask_quantity)
            return _row(heard.at, "ticker", heard.pair, f"bid {bid}, ask {ask}, last {_text(heard.last)}")
        case output.BestOffers():
            return _row(heard.at, "best", heard.pair, f"bid {_level(heard.bid)}, ask {_level(heard.ask)}")
        case events.BookChange():
            kind = "snapshot" if heard.snapshot else "change"
            return _row(
                heard.at, "book", heard.pair, f"{kind}: {len(heard.bids)} bids, {len(heard.asks)} asks"
            )
        case events.Listed():
            return _listed(heard)
        case events.Execution() | events.Balance():
            return _own(heard)
    return _connection(heard)


def _own(heard: events.Execution | events.Balance) -> str:
    if isinstance(heard, events.Balance):
        return _row(heard.at, "balance", None, f"{heard.amount:f} {heard.asset}")
    fill = (
        "" if heard.fill_quantity is None else f", fill {heard.fill_quantity:f} @ {_text(heard.fill_price)}"
    )
    side = "" if heard.side is None else f" {heard.side.value}"
    reason = f" ({heard.reason})" if heard.reason else ""
    return _row(heard.at, "order", heard.pair, f"{heard.order_id} {heard.kind}{side}{fill}{reason}")


def _listed(heard: events.Listed) -> str:
    instrument = heard.instrument
    steps = f"price by {instrument.price_increment:f}, quantity by {instrument.quantity_increment:f}"
    return _row(None, "listed", instrument.pair, f"{instrument.status.value}, {steps}")


def _connection(heard: Heard) -> str:
    match heard:
        case events.Unknown():
            span = f"{_clock(heard.since)} to {_clock(heard.until)}"
            return _loud("UNKNOWN", heard.channel, heard.pair, f"from {span}: {heard.reason}")
        case output.Interrupted():
            return _loud(
                "INTERRUPTED", heard.channel, heard.pair, f"since {_clock(heard.since)}: {heard.reason}"
            )
        case output.Restored():
            return _row(heard.at, "restored", heard.pair, heard.channel.value)
        case output.SubscriptionRefused():
            return _loud("REFUSED", heard.channel, heard.pair, heard.reason)
        case output.Reconnecting():
            return f"!!! NO CONNECTION  {heard.reason}; next attempt in {heard.pause:.1f} s"
        case Unreadable():
            return f"!!! UNREADABLE  {heard.channel or 'message'}  {ascii(heard.reason)[1:-1]}"
        case events.VenueStatus():
            return _row(None, "venue", None, heard.status)
        case events.Acknowledged():
            return f"!!! {heard.method or 'venue'}: {heard.error or 'done'}"
    return _row(None, "alive", None, "")


def _row(at: datetime | None, kind: str, pair: Pair | None, text: str) -> str:
    return f"{_clock(at)}  {kind:<8}  {pair or ''!s:<10}  {text}".rstrip()


def _loud(what: str, channel: Channel, pair: Pair | None, text: str) -> str:
    return f"!!! {what}  {channel.value}{f' {pair}' if pair else ''}  {text}"


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3] if at else " " * 12


def _text(number: float | Decimal | None) -> str:
    """All digits that it has, without an exponent."""
    return "?" if number is None else f"{Decimal(str(number)):f}"


def _side(price: float | None, quantity: float | None) -> str:
    return _text(price) if quantity is None else f"{_text(price)} ({_text(quantity)})"


def _level(level: Level | None) -> str:
    return "none" if level is None else f"{level[0]:f} ({level[1]:f})"

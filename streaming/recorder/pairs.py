"""What is known of each pair and channel right now, for people: prices, ages, what is interrupted or refused."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streaming import events
from streaming.events import Channel
from streaming.session.output import Interrupted, Restored, SessionEvent, SubscriptionRefused, TopOfBook
from trading.market import Pair

CHANNEL_OF: dict[type[Any], Channel] = {
    events.Trade: Channel.TRADE,
    events.Ticker: Channel.TICKER,
    events.Candle: Channel.CANDLE,
    events.BookChange: Channel.BOOK,
    events.InstrumentListing: Channel.INSTRUMENT,
}


@dataclass(slots=True)
class PairView:
    """The newest values of one pair; `received` is when each channel last sent something, by `time.monotonic`."""

    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    traded_at: datetime | None = None
    listed: str | None = None  # the venue's status of the pair
    received: dict[Channel, float] = field(default_factory=dict)
    interrupted: dict[Channel, str] = field(default_factory=dict)  # why
    refused: dict[Channel, str] = field(default_factory=dict)  # the venue's words


class PairViews:
    """One view per pair, fed with every event of the sessions."""

    def __init__(self, pairs: Sequence[Pair], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._views = {pair: PairView() for pair in pairs}
        self._monotonic = monotonic

    def __getitem__(self, pair: Pair) -> PairView:
        return self._views[pair]

    def observe(self, event: SessionEvent) -> None:
        match event:
            case events.Trade():
                view = self._note(event.pair, Channel.TRADE)
                view.last, view.traded_at = event.price, event.at
            case events.Ticker():
                view = self._note(event.pair, Channel.TICKER)
                view.bid, view.ask = event.bid, event.ask
                view.last = view.last if event.last is None else event.last
            case TopOfBook():
                view = self._views[event.pair]
                view.bid = None if event.bid is None else float(event.bid[0])
                view.ask = None if event.ask is None else float(event.ask[0])
            case events.BookChange() | events.Candle():
                self._note(event.pair, CHANNEL_OF[type(event)])
            case events.InstrumentListing() if event.instrument.pair in self._views:
                self._note(event.instrument.pair, Channel.INSTRUMENT).listed = event.instrument.status.value
            case Interrupted(channel, pair, _, reason) if pair is not None:
                self._views[pair].interrupted[channel] = reason
            case Restored(channel, pair) if pair is not None:
                self._views[pair].interrupted.pop(channel, None)
            case SubscriptionRefused(channel, pair, reason) if pair is not None:
                self._views[pair].refused[channel] = reason

    def ages(self, pair: Pair) -> dict[Channel, float]:
        """Return the seconds since each channel sent something last."""
        now = self._monotonic()
        return {channel: now - at for channel, at in self._views[pair].received.items()}

    def facts(self, pair: Pair) -> dict[str, Any]:
        """Return what a person wants to know, as JSON values; times in RFC 3339, ages in seconds."""
        view = self._views[pair]
        bid, ask = view.bid, view.ask
        return {
            "price": view.last,
            "bid": bid,
            "ask": ask,
            "spread": None if bid is None or ask is None else ask - bid,
            "traded_at": view.traded_at and view.traded_at.isoformat(),
            "listed": view.listed,
            "age_seconds": {channel.value: round(age, 3) for channel, age in self.ages(pair).items()},
            "interrupted": {channel.value: why for channel, why in view.interrupted.items()},
            "refused": {channel.value: why for channel, why in view.refused.items()},
        }

    def _note(self, pair: Pair, channel: Channel) -> PairView:
        view = self._views[pair]
        view.received[channel] = self._monotonic()
        view.refused.pop(channel, None)
        return view

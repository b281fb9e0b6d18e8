"""A venue without a protocol, and a harness in which a session meets it in simulated time (tests only)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from msgspec.structs import replace

from streaming.events import (
    Acknowledgement,
    BookChange,
    Channel,
    EmptyMessage,
    Event,
    Execution,
    Heartbeat,
    InstrumentListing,
    Level,
    Subscription,
    Ticker,
    Trade,
)
from streaming.feeds import ConnectionRules
from streaming.order_book import OrderBook
from streaming.session import Session
from streaming.session.output import CloseRequest, Moment, RejectedFrame, SessionOutput
from streaming.session.settings import SessionSettings
from tests.streaming.kraken_recordings import levels
from trading.errors import InvalidMessage
from trading.market import Instrument, Pair
from trading.orders import Side

BTC, XRP = Pair("BTC", "USD"), Pair("XRP", "USD")
START = datetime(2026, 8, 2, 12, tzinfo=UTC)
RULES = ConnectionRules(
    max_attempts=150,
    window=timedelta(minutes=10),
    silence_timeout=timedelta(seconds=8),
    first_pause=timedelta(seconds=0.5),
    max_pause=timedelta(seconds=60),
    maintenance_pause=timedelta(seconds=5),
)
DECIMALS = (1, 2)
Kind = TypeVar("Kind")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class FakeFeed:
    """Frames are names of events that a test registered; requests are `subscribe ticker BTC/USD #1`."""

    venue = "fake"
    url = "ws://127.0.0.1/"
    rules = RULES

    def __init__(self) -> None:
        self.resets = 0
        self._frames: dict[str, Sequence[Event]] = {}

    def frame_of(self, *events: Event) -> str:
        name = f"frame {len(self._frames)}"
        self._frames[name] = events
        return name

    def prepare(self) -> None: ...

    def subscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (_request("subscribe", subscription, request_id),)

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (_request("unsubscribe", subscription, request_id),)

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        if frame not in self._frames:
            channel = re.search('"channel":"([^"]*)"', str(frame))
            raise InvalidMessage(channel[1] if channel else "trade", f"what is {frame!r}")
        return self._frames[str(frame)]

    def reset(self) -> None:
        self.resets += 1


def _request(method: str, subscription: Subscription, request_id: int) -> str:
    pairs = ",".join(map(str, subscription.pairs))
    return f"{method} {subscription.channel.value} {pairs} #{request_id}".replace("  ", " ")


class SessionHarness:
    """Drives a session in simulated time and collects its output; the venue's heartbeat never stops meanwhile."""

    def __init__(self, *subscriptions: Subscription, **settings: Any) -> None:
        self.feed = FakeFeed()
        self.session = Session(self.feed, subscriptions, SessionSettings(**settings))
        self.now = 0.0
        self.events: list[Any] = []
        self.sent: list[str] = []
        self.rejected: list[RejectedFrame] = []
        self.close: CloseRequest | None = None
        self._responded = 0

    @property
    def moment(self) -> Moment:
        return Moment(self.now, at(self.now))

    def connect(self, confirm: bool = True) -> None:
        self.close = None
        self._collect(self.session.on_connect(self.moment))
        if confirm:
            self.confirm_all()

    def drop(self, reason: str = "cut") -> None:
        self._collect(self.session.on_disconnect(self.moment, reason))
        self._responded = len(self.sent)

    def stop(self) -> None:
        self._collect(self.session.on_stop(self.moment))

    def receive(self, *events: Event) -> None:
        self.receive_frame(self.feed.frame_of(*events))

    def receive_frame(self, frame: str | bytes) -> None:
        self._collect(self.session.on_frame(frame, self.moment))

    def advance(self, seconds: float, heartbeat: bool = True, step: float = 0.25) -> None:
        until = self.now + seconds
        while self.now < until and self.close is None:
            self.now = min(self.now + step, until)
            if heartbeat:
                self.receive(Heartbeat())
            self._collect(self.session.on_tick(self.moment))

    def confirm_all(self) -> None:
        """Confirm every request, also those that follow from a confirmation."""
        for _ in self.confirm_each():
            pass

    def confirm_each(self) -> Iterator[str]:
        """Confirm the open requests one by one; each is returned after that."""
        while self._responded < len(self.sent):
            request = self.sent[self._responded]
            self.respond(request)
            yield request

    def respond(self, request: str, error: str = "", with_id: bool = True) -> None:
        """Confirm a request, or refuse it with an error."""
        self._responded = max(self._responded, self.sent.index(request) + 1)
        method, channel, *pair, number = request.split()
        self.receive(
            Acknowledgement(
                request_id=int(number[1:]) if with_id else None,
                method=method,
                channel=Channel(channel),
                pair=Pair.parse(pair[0]) if pair else None,
                success=not error,
                error=error,
            )
        )

    def events_of(self, kind: type[Kind]) -> list[Kind]:
        return [each for each in self.events if type(each) is kind]

    def count_requests(self, method: str, channel: str) -> int:
        return sum(frame.startswith(f"{method} {channel}") for frame in self.sent)

    def clear_events(self) -> None:
        self.events.clear()

    def _collect(self, output: SessionOutput) -> None:
        self.events += output.events
        self.sent += output.frames
        self.rejected += output.rejected
        self.close = self.close or output.close


def connected(*subscriptions: Subscription, **settings: Any) -> SessionHarness:
    """A harness whose subscriptions the venue has confirmed."""
    harness = SessionHarness(*subscriptions, **settings)
    harness.connect()
    return harness


def trade(number: int | None, second: float | None = None, pair: Pair = BTC) -> Trade:
    """A trade; by default one each second, by its number."""
    return Trade(pair, number, Side.BUY, 100.0, 1.0, at(float(number or 0) if second is None else second))


def ticker(last: float = 100.0, pair: Pair = BTC) -> Ticker:
    return Ticker(pair, 99.0, 1.0, 101.0, 1.0, last, 5.0, None)


def listing(pair: Pair = BTC, decimals: tuple[int, int] = DECIMALS) -> InstrumentListing:
    one = Decimal(1)
    steps = one.scaleb(-decimals[0]), one.scaleb(-decimals[1])
    return InstrumentListing(Instrument(pair, *steps, one, one, Decimal(0), Decimal(0)), *decimals)


def execution(sequence: int, snapshot: bool = False, order: str = "O1") -> Execution:
    nothing = (None, None, None)
    return Execution(
        sequence, snapshot, order, "", BTC, "new", "new", None, *nothing, "", None, None, (), "", START
    )


def empty_snapshot(channel: Channel = Channel.EXECUTIONS) -> EmptyMessage:
    return EmptyMessage(channel, 1, snapshot=True)


class VenueBook:
    """The venue's side of a book: every change gets the right checksum."""

    def __init__(self, pair: Pair = BTC, decimals: tuple[int, int] = DECIMALS) -> None:
        self._pair = pair
        self._book = OrderBook(10, *decimals)

    def snapshot(self, bids: str = "99.0 1.00", asks: str = "101.0 1.00") -> BookChange:
        return self._apply(levels(bids), levels(asks), snapshot=True)

    def change(self, bids: str = "", asks: str = "") -> BookChange:
        return self._apply(levels(bids), levels(asks), snapshot=False)

    def snapshot_now(self) -> BookChange:
        return self._apply(self._book.bids(), self._book.asks(), snapshot=True)

    def _apply(self, bids: tuple[Level, ...], asks: tuple[Level, ...], snapshot: bool) -> BookChange:
        change = BookChange(self._pair, snapshot, bids, asks, None, None, None)
        self._book.apply(change)
        return replace(change, checksum=self._book.checksum())


def with_sequence(changes: Iterable[BookChange], first: int) -> list[BookChange]:
    """The changes without checksums but with sequence numbers."""
    return [
        replace(change, checksum=None, sequence=number) for number, change in enumerate(changes, start=first)
    ]

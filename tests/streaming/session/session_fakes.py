"""A venue without a protocol and a stage on which a session meets it in made-up time (tests only)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from msgspec.structs import replace

from streaming.events import (
    Acknowledged,
    BookChange,
    Channel,
    Event,
    Execution,
    Heartbeat,
    Level,
    Listed,
    Subscription,
    Ticker,
    Trade,
)
from streaming.feeds import ConnectionRules
from streaming.order_book import Book
from streaming.session import Session
from streaming.session.output import Close, Moment, Output, SessionSettings, Undecodable
from tests.streaming.kraken_recordings import levels
from trading.errors import InvalidMessage
from trading.market import Instrument, Pair
from trading.orders import Side

BTC, XRP = Pair("BTC", "USD"), Pair("XRP", "USD")
START = datetime(2026, 8, 2, 12, tzinfo=UTC)
RULES = ConnectionRules(
    attempts=150,
    window=timedelta(minutes=10),
    silence=timedelta(seconds=8),
    first_pause=timedelta(seconds=0.5),
    longest_pause=timedelta(seconds=60),
    maintenance_pause=timedelta(seconds=5),
)
DECIMALS = (1, 2)
Kind = TypeVar("Kind")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class FakeFeed:
    """Frames are the names of events that a test put there; requests are `subscribe ticker BTC/USD #1`."""

    venue = "fake"
    url = "ws://127.0.0.1/"
    rules = RULES

    def __init__(self) -> None:
        self.restarts = 0
        self._frames: dict[str, Sequence[Event]] = {}

    def says(self, *events: Event) -> str:
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
            named = re.search('"channel":"([^"]*)"', str(frame))
            raise InvalidMessage(named[1] if named else "trade", f"what is {frame!r}")
        return self._frames[str(frame)]

    def restart(self) -> None:
        self.restarts += 1


def _request(method: str, subscription: Subscription, request_id: int) -> str:
    pairs = ",".join(map(str, subscription.pairs))
    return f"{method} {subscription.channel.value} {pairs} #{request_id}".replace("  ", " ")


class Stage:
    """Collects what the session says and sends; the venue's heartbeat never stops while time passes."""

    def __init__(self, *subscriptions: Subscription, **settings: Any) -> None:
        self.feed = FakeFeed()
        self.session = Session(self.feed, subscriptions, SessionSettings(**settings))
        self.now = 0.0
        self.heard: list[Any] = []
        self.sent: list[str] = []
        self.undecodable: list[Undecodable] = []
        self.close: Close | None = None
        self._answered = 0

    @property
    def moment(self) -> Moment:
        return Moment(self.now, at(self.now))

    def connect(self, answered: bool = True) -> None:
        self.close = None
        self._take(self.session.connected(self.moment))
        if answered:
            self.accept()

    def drop(self, reason: str = "cut") -> None:
        self._take(self.session.disconnected(self.moment, reason))
        self._answered = len(self.sent)

    def end(self) -> None:
        self._take(self.session.ended(self.moment))

    def say(self, *events: Event) -> None:
        self.receive(self.feed.says(*events))

    def receive(self, frame: str | bytes) -> None:
        self._take(self.session.receive(frame, self.moment))

    def wait(self, seconds: float, heartbeat: bool = True, step: float = 0.25) -> None:
        until = self.now + seconds
        while self.now < until and self.close is None:
            self.now = min(self.now + step, until)
            if heartbeat:
                self.say(Heartbeat())
            self._take(self.session.tick(self.moment))

    def accept(self) -> None:
        """The venue says yes to everything that was asked, also to what is asked because of that."""
        for _ in self.answers():
            pass

    def answers(self) -> Iterator[str]:
        """Each request after it was answered with yes."""
        while self._answered < len(self.sent):
            request = self.sent[self._answered]
            self.answer(request)
            yield request

    def answer(self, request: str, error: str = "", numbered: bool = True) -> None:
        """Yes, or no with an error."""
        self._answered = max(self._answered, self.sent.index(request) + 1)
        method, channel, *pair, number = request.split()
        self.say(
            Acknowledged(
                request_id=int(number[1:]) if numbered else None,
                method=method,
                channel=Channel(channel),
                pair=Pair.parse(pair[0]) if pair else None,
                success=not error,
                error=error,
            )
        )

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [each for each in self.heard if type(each) is kind]

    def asked(self, method: str, channel: str) -> int:
        """How often."""
        return sum(frame.startswith(f"{method} {channel}") for frame in self.sent)

    def forget(self) -> None:
        self.heard.clear()

    def _take(self, output: Output) -> None:
        self.heard += output.heard
        self.sent += output.frames
        self.undecodable += output.undecodable
        self.close = self.close or output.close


def trade(number: int | None, second: float | None = None, pair: Pair = BTC) -> Trade:
    """By default one in each second, by its number."""
    return Trade(pair, number, Side.BUY, 100.0, 1.0, at(float(number or 0) if second is None else second))


def ticker(last: float = 100.0, pair: Pair = BTC) -> Ticker:
    return Ticker(pair, 99.0, 1.0, 101.0, 1.0, last, 5.0, None)


def listed(pair: Pair = BTC, decimals: tuple[int, int] = DECIMALS) -> Listed:
    one = Decimal(1)
    steps = one.scaleb(-decimals[0]), one.scaleb(-decimals[1])
    return Listed(Instrument(pair, *steps, one, one, Decimal(0), Decimal(0)), *decimals)


def execution(sequence: int, snapshot: bool = False, order: str = "O1") -> Execution:
    nothing = (None, None, None)
    return Execution(
        sequence, snapshot, order, "", BTC, "new", "new", None, *nothing, "", None, None, (), "", START
    )


class VenueBook:
    """The venue's side of a book: every change gets the right checksum."""

    def __init__(self, pair: Pair = BTC, decimals: tuple[int, int] = DECIMALS) -> None:
        self._pair = pair
        self._book = Book(10, *decimals)

    def snapshot(self, bids: str = "99.0 1.00", asks: str = "101.0 1.00") -> BookChange:
        return self._made(levels(bids), levels(asks), snapshot=True)

    def change(self, bids: str = "", asks: str = "") -> BookChange:
        return self._made(levels(bids), levels(asks), snapshot=False)

    def again(self) -> BookChange:
        return self._made(self._book.bids(), self._book.asks(), snapshot=True)

    def _made(self, bids: tuple[Level, ...], asks: tuple[Level, ...], snapshot: bool) -> BookChange:
        change = BookChange(self._pair, snapshot, bids, asks, None, None, None)
        self._book.apply(change)
        return replace(change, checksum=self._book.checksum())


def numbered(changes: Iterable[BookChange], first: int) -> list[BookChange]:
    """Without checksums but with a sequence."""
    return [
        replace(change, checksum=None, sequence=number) for number, change in enumerate(changes, start=first)
    ]

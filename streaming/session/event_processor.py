"""What a session makes of the events that it hears: verified, in order, and with everything that is missing told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streaming.events import (
    PRIVATE,
    Acknowledged,
    Balance,
    BookChange,
    Candle,
    Channel,
    Event,
    Execution,
    Heartbeat,
    Listed,
    Ticker,
    Trade,
    Unknown,
    Unreadable,
    VenueStatus,
)
from streaming.session.gaps import MessageNumbers, Step, TradeOrder
from streaming.session.output import Interrupted, Moment, Output, Restored, SessionSettings, Undecodable
from streaming.session.streams import Break, Key, State, Stream
from streaming.session.verified_book import KeptBook
from trading.errors import InvalidMessage
from trading.market import Pair


class Hearing:
    """Tells the consumer through `out`, and the session what it has to ask for again or for the first time."""

    def __init__(self, streams: Mapping[Key, Stream], settings: SessionSettings) -> None:
        self.status = ""  # the venue's last word on itself
        self.books: dict[Pair, KeptBook] = {}
        self._orders: dict[Pair, TradeOrder] = {}
        self._streams = streams
        self._numbers = {channel: MessageNumbers() for channel in PRIVATE}
        self._odd: dict[Pair | None, str] = {}
        self._frame = 0
        self._answers: list[Acknowledged] = []
        self._broken: list[tuple[Stream, str]] = []
        self._listed: list[Stream] = []
        self._unrequested: InvalidMessage | None = None
        self._takes: dict[type[Event], Callable[[Any, Moment, Output], None]] = {
            BookChange: self._book_change,
            Ticker: self._quote,
            Candle: self._quote,
            Listed: self._listing,
            Unreadable: self._unreadable,
            Execution: self._account,
            Balance: self._account,
            VenueStatus: self._venue_status,
            Acknowledged: lambda answer, now, out: self._answers.append(answer),
            Heartbeat: lambda heartbeat, now, out: None,
        }
        for (channel, pair), stream in streams.items():
            if pair is not None and channel is Channel.BOOK:
                self.books[pair] = KeptBook(stream.subscription, settings.books)
            if pair is not None and channel is Channel.TRADE:
                self._orders[pair] = TradeOrder(settings.patience.total_seconds())

    def hear(self, heard: Sequence[Event], now: Moment, out: Output) -> None:
        """The events of one frame."""
        self._frame += 1
        trades: dict[Pair, list[Trade]] = {}
        for event in heard:
            if type(event) is Trade:
                trades.setdefault(event.pair, []).append(event)
            else:
                self._takes[type(event)](event, now, out)
        for pair, group in trades.items():
            self._trades(pair, group, now, out)

    def answers(self) -> list[Acknowledged]:
        """Heard since the last call."""
        taken, self._answers = self._answers, []
        return taken

    def broken(self) -> list[tuple[Stream, str]]:
        """Streams that were interrupted since the last call because a message was missing or wrong, and why."""
        taken, self._broken = self._broken, []
        return taken

    def listed(self) -> list[Stream]:
        """Books whose decimals became known since the last call: they can be subscribed to."""
        taken, self._listed = self._listed, []
        return taken

    def unrequested(self) -> InvalidMessage | None:
        """The first message since the last call that nobody had subscribed to."""
        taken, self._unrequested = self._unrequested, None
        return taken

    def odd(self, pair: Pair | None) -> str:
        """Why the listing of a pair could not be read on this connection; empty when that did not happen."""
        return self._odd.get(pair) or self._odd.get(None, "")

    def connected(self) -> None:
        self._odd.clear()

    def miss(self, streams: Sequence[Stream], reason: str, now: Moment, out: Output) -> None:
        """A message of one of them could not be read. What is being left misses nothing that it would tell."""
        for stream in streams:
            if stream.state in (State.ASKED, State.LIVE):
                self._break(stream, reason, now, out)

    def begin_anew(self, stream: Stream) -> None:
        """The messages of its next subscription are numbered anew."""
        if stream.channel in self._numbers:
            self._numbers[stream.channel].forget()

    def interrupt(self, stream: Stream, reason: str, now: Moment, out: Output) -> None:
        """What is interrupted already stays so, since when it was."""
        if stream.channel is Channel.BOOK and stream.pair is not None:
            self.books[stream.pair].forget()
        self.begin_anew(stream)
        if stream.broken is None:
            stream.broken = Break(now.at if stream.heard is None else stream.heard.at, reason)
            if stream.wanted:
                out.heard.append(Interrupted(*stream.key, stream.broken.since, reason))

    def restore(self, stream: Stream, now: Moment, out: Output, missed: bool = True) -> None:
        """`missed`: nothing proves that no message was missed."""
        broken, stream.broken = stream.broken, None
        if broken is None or not stream.wanted:
            return
        if missed:
            out.heard.append(_unknown(stream, broken, now))
        out.heard.append(Restored(*stream.key, now.at))

    def release_trades(self, now: Moment, out: Output) -> None:
        """Trades that were held back for long enough. While it is interrupted, its next messages may fill gaps."""
        for pair, order in self._orders.items():
            stream = self._streams[Channel.TRADE, pair]
            if stream.state is State.LIVE and stream.broken is None:
                out.heard += order.overdue(now.seconds)

    def end(self, now: Moment, out: Output) -> None:
        for order in self._orders.values():
            out.heard += order.flush()
        for stream in self._streams.values():
            if stream.broken is not None and stream.wanted:
                out.heard.append(_unknown(stream, stream.broken, now))
            stream.broken = None

    def _speaks(self, stream: Stream, now: Moment, out: Output, missed: bool = True) -> None:
        stream.heard, stream.unanswered = now, 0
        if stream.state is State.ASKED:  # the answer is late or lost: messages are answer enough
            stream.state = State.LIVE
        if stream.broken is not None and stream.state is State.LIVE:
            self.restore(stream, now, out, missed)

    def _nobody_asked(self, channel: Channel, what: object) -> None:
        if self._unrequested is None:
            self._unrequested = InvalidMessage(channel.value, f"nobody subscribed to {what}")

    def _trades(self, pair: Pair, trades: Sequence[Trade], now: Moment, out: Output) -> None:
        stream = self._streams.get((Channel.TRADE, pair))
        if stream is None:
            self._nobody_asked(Channel.TRADE, pair)
            return
        order = self._orders[pair]
        if stream.broken is not None:
            order.wait_again(now.seconds)
        proven = order.counts and all(trade.trade_id is not None for trade in trades)
        self._speaks(stream, now, out, missed=not proven)
        out.heard += order.offer(trades, now.seconds)

    def _book_change(self, change: BookChange, now: Moment, out: Output) -> None:
        stream = self._streams.get((Channel.BOOK, change.pair))
        if stream is None:
            self._nobody_asked(Channel.BOOK, change.pair)
            return
        if stream.state not in (State.ASKED, State.LIVE):
            return  # of a subscription that is being left
        kept = self.books[change.pair]
        try:
            if not kept.apply(change, self._frame):
                return
        except InvalidMessage as error:
            self._break(stream, error.reason, now, out)
            return
        self._speaks(stream, now, out)
        out.heard.append(change)
        if best := kept.new_best(change):
            out.heard.append(best)

    def _quote(self, quote: Ticker | Candle, now: Moment, out: Output) -> None:
        channel = Channel.CANDLE if isinstance(quote, Candle) else Channel.TICKER
        stream = self._streams.get((channel, quote.pair))
        if stream is None:
            self._nobody_asked(channel, quote.pair)
        elif isinstance(quote, Candle) and quote.timeframe is not stream.subscription.timeframe:
            self._nobody_asked(channel, f"{quote.pair} of {quote.timeframe.value}")
        else:
            self._speaks(stream, now, out)
            out.heard.append(quote)

    def _account(self, said: Execution | Balance, now: Moment, out: Output) -> None:
        """What follows a gap is told nevertheless: it happened. Only a repeated message is not."""
        channel = Channel.EXECUTIONS if isinstance(said, Execution) else Channel.BALANCES
        stream = self._streams.get((channel, None))
        if stream is None:
            self._nobody_asked(channel, channel.value)
            return
        if stream.broken is None or stream.state in (State.ASKED, State.LIVE):
            numbers = self._numbers[channel]
            last, step = numbers.last, numbers.step(said.sequence, said.snapshot, self._frame)
            if step is Step.REPEATED:
                return
            if step is Step.NEXT:
                self._speaks(stream, now, out)
            else:
                self._break(stream, f"message {said.sequence} came after {last}", now, out)
        out.heard.append(said)

    def _listing(self, listed: Listed, now: Moment, out: Output) -> None:
        stream = self._streams.get((Channel.INSTRUMENT, None))
        if stream is None:
            self._nobody_asked(Channel.INSTRUMENT, "listings")
            return
        self._speaks(stream, now, out)
        if stream.wanted:
            out.heard.append(listed)
        pair = listed.instrument.pair
        self._odd.pop(pair, None)
        kept = self.books.get(pair)
        if kept is None or not kept.list_as(listed.price_decimals, listed.quantity_decimals):
            return
        book = self._streams[Channel.BOOK, pair]
        if book.state in (State.UNLISTED, State.REFUSED):
            self._listed.append(book)
        elif book.state in (State.ASKED, State.LIVE):
            self._break(book, "the venue lists it with other decimals", now, out)

    def _unreadable(self, unreadable: Unreadable, now: Moment, out: Output) -> None:
        """A listing that was left out of the others."""
        out.undecodable.append(Undecodable(unreadable.part, unreadable.channel, unreadable.reason))
        stream = self._streams.get((Channel.INSTRUMENT, None))
        if stream is None:
            return
        self._odd[unreadable.pair] = unreadable.reason
        self._speaks(stream, now, out)
        if stream.wanted:
            out.heard.append(unreadable)

    def _venue_status(self, status: VenueStatus, now: Moment, out: Output) -> None:
        self.status = status.status
        out.heard.append(status)

    def _break(self, stream: Stream, reason: str, now: Moment, out: Output) -> None:
        self.interrupt(stream, reason, now, out)
        if stream.state is not State.QUEUED:
            stream.state = State.LEAVING  # so that the rest of the frame is not taken for a new beginning
        self._broken.append((stream, reason))


def _unknown(stream: Stream, broken: Break, now: Moment) -> Unknown:
    return Unknown(*stream.key, broken.since, max(broken.since, now.at), broken.reason)

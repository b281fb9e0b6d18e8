"""What the events of a frame mean: verified, in order, and with everything reported that is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streaming.events import (
    PRIVATE,
    Acknowledgement,
    Balance,
    BookChange,
    Candle,
    Channel,
    EmptyMessage,
    Event,
    Execution,
    Heartbeat,
    InstrumentListing,
    Ticker,
    Trade,
    UnknownInterval,
    UnreadableMessage,
    VenueStatus,
)
from streaming.session.gaps import SequenceStep, SequenceTracker, TradeSequencer
from streaming.session.output import Interrupted, Moment, RejectedFrame, Restored, SessionEvent
from streaming.session.settings import SessionSettings
from streaming.session.streams import RECEIVING, Interruption, Stream, StreamKey, StreamState
from streaming.session.verified_book import VerifiedBook
from trading.errors import InvalidMessage
from trading.market import Pair


class BrokenStream(NamedTuple):
    """A stream that was interrupted because a message was missing or wrong."""

    stream: Stream
    reason: str


@dataclass(frozen=True, slots=True)
class ProcessedFrame:
    """The result of one frame: `events` and `rejected` for the consumer, the rest for the session to act on."""

    events: list[SessionEvent] = field(default_factory=list)
    rejected: list[RejectedFrame] = field(default_factory=list)  # listings that were left out
    responses: list[Acknowledgement] = field(default_factory=list)
    broken: list[BrokenStream] = field(default_factory=list)  # to subscribe to again
    listed: list[Stream] = field(default_factory=list)  # books whose decimals are known now: to subscribe to
    unrequested: list[InvalidMessage] = field(default_factory=list)  # the first message nobody subscribed to


class EventProcessor:
    """Turns the venue's events into the session's, and keeps what tells a gap: books, trade ids, sequence numbers."""

    def __init__(self, streams: Mapping[StreamKey, Stream], settings: SessionSettings) -> None:
        self.in_maintenance = False  # the venue last reported that it is not online
        self.books: dict[Pair, VerifiedBook] = {}
        self._sequencers: dict[Pair, TradeSequencer] = {}
        self._streams = streams
        self._sequences = {channel: SequenceTracker() for channel in PRIVATE}
        self._listing_errors: dict[Pair | None, str] = {}
        self._frame = 0
        self._handlers: dict[type[Event], Callable[[Any, Moment, ProcessedFrame], None]] = {
            BookChange: self._process_book_change,
            Ticker: self._process_quote,
            Candle: self._process_quote,
            InstrumentListing: self._process_listing,
            UnreadableMessage: self._process_unreadable_listing,
            Execution: self._process_account,
            Balance: self._process_account,
            EmptyMessage: self._process_account,
            VenueStatus: self._process_status,
            Acknowledgement: lambda response, now, result: result.responses.append(response),
            Heartbeat: lambda heartbeat, now, result: None,
        }
        for (channel, pair), stream in streams.items():
            if pair is not None and channel is Channel.BOOK:
                self.books[pair] = VerifiedBook(stream.subscription, settings.book_mode)
            if pair is not None and channel is Channel.TRADE:
                self._sequencers[pair] = TradeSequencer(settings.reorder_window.total_seconds())

    def process(self, events: Sequence[Event], now: Moment) -> ProcessedFrame:
        """Process the events of one frame."""
        self._frame += 1
        result = ProcessedFrame()
        trades: dict[Pair, list[Trade]] = {}
        for event in events:
            if type(event) is Trade:
                trades.setdefault(event.pair, []).append(event)
            else:
                self._handlers[type(event)](event, now, result)
        for pair, group in trades.items():
            self._process_trades(pair, group, now, result)
        return result

    def process_unreadable(self, streams: Sequence[Stream], reason: str, now: Moment) -> ProcessedFrame:
        """Interrupt the streams whose message could not be read. One being unsubscribed from misses nothing."""
        result = ProcessedFrame()
        for stream in streams:
            if stream.state in RECEIVING:
                self._break(stream, reason, now, result)
        return result

    def listing_error(self, pair: Pair | None) -> str:
        """Return why the pair's listing could not be read on this connection; empty when that did not happen."""
        return self._listing_errors.get(pair) or self._listing_errors.get(None, "")

    def clear_listing_errors(self) -> None:
        """Forget the listings that could not be read: a new connection begins."""
        self._listing_errors.clear()

    def awaits_snapshot(self, stream: Stream) -> bool:
        """Return whether nothing has come of a private subscription, which begins with a snapshot, if an empty one."""
        return stream.channel in self._sequences and self._sequences[stream.channel].last is None

    def reset_sequence(self, stream: Stream) -> None:
        """Expect the first message of the stream's next subscription."""
        if stream.channel in self._sequences:
            self._sequences[stream.channel].reset()

    def interrupt(self, stream: Stream, reason: str, now: Moment) -> list[SessionEvent]:
        """Mark the stream's data as unknown; one that is interrupted already keeps its beginning and reason."""
        if stream.channel is Channel.BOOK and stream.pair is not None:
            self.books[stream.pair].clear()
        self.reset_sequence(stream)
        if stream.interruption is not None:
            return []
        since = now.at if stream.last_message is None else stream.last_message.at
        stream.interruption = Interruption(since, reason)
        return [Interrupted(*stream.key, since, reason)] if stream.wanted else []

    def restore(self, stream: Stream, now: Moment, complete: bool = False) -> list[SessionEvent]:
        """End the stream's interruption. `complete`: it is proven that no message was missed."""
        interruption, stream.interruption = stream.interruption, None
        if interruption is None or not stream.wanted:
            return []
        missed = [] if complete else [_unknown_interval(stream, interruption, now)]
        return [*missed, Restored(*stream.key, now.at)]

    def holds_trades(self, pair: Pair) -> bool:
        """Return whether trades of the pair were received that wait for others before they are passed on."""
        return pair in self._sequencers and self._sequencers[pair].waits

    def release_trades(self, now: Moment) -> list[SessionEvent]:
        """Return trades that waited long enough. While a stream is interrupted, its next messages may fill gaps."""
        events: list[SessionEvent] = []
        for pair, sequencer in self._sequencers.items():
            stream = self._streams[Channel.TRADE, pair]
            if stream.state is StreamState.LIVE and stream.interruption is None:
                events += sequencer.release_overdue(now.seconds)
        return events

    def finish(self, now: Moment) -> list[SessionEvent]:
        """Return the trades that still wait and what is unknown until now: nothing more will come."""
        events: list[SessionEvent] = []
        for sequencer in self._sequencers.values():
            events += sequencer.flush()
        for stream in self._streams.values():
            if stream.interruption is not None and stream.wanted:
                events.append(_unknown_interval(stream, stream.interruption, now))
            stream.interruption = None
        return events

    def _process_trades(
        self, pair: Pair, trades: Sequence[Trade], now: Moment, result: ProcessedFrame
    ) -> None:
        stream = self._find_stream(Channel.TRADE, pair, result)
        if stream is None:
            return
        sequencer = self._sequencers[pair]
        if stream.interruption is not None:
            sequencer.restart_waiting(now.seconds)
        complete = sequencer.proves_gaps and all(trade.trade_id is not None for trade in trades)
        self._mark_live(stream, now, result, complete)
        result.events.extend(sequencer.add(trades, now.seconds))

    def _process_book_change(self, change: BookChange, now: Moment, result: ProcessedFrame) -> None:
        stream = self._find_stream(Channel.BOOK, change.pair, result)
        if stream is None or stream.state not in RECEIVING:  # or it is of a subscription that is being left
            return
        book = self.books[change.pair]
        try:
            if not book.apply(change, self._frame):
                return
        except InvalidMessage as error:
            self._break(stream, error.reason, now, result)
            return
        self._mark_live(stream, now, result)
        result.events.append(change)
        if top := book.new_top(change):
            result.events.append(top)

    def _process_quote(self, quote: Ticker | Candle, now: Moment, result: ProcessedFrame) -> None:
        channel = Channel.CANDLE if isinstance(quote, Candle) else Channel.TICKER
        stream = self._find_stream(channel, quote.pair, result)
        if stream is None:
            return
        if isinstance(quote, Candle) and quote.timeframe is not stream.subscription.timeframe:
            _reject_unrequested(channel, f"{quote.pair} of {quote.timeframe.value}", result)
            return
        self._mark_live(stream, now, result)
        result.events.append(quote)

    def _process_account(
        self, update: Execution | Balance | EmptyMessage, now: Moment, result: ProcessedFrame
    ) -> None:
        """Pass on what follows a gap, too, because it happened. Only repeated and empty messages are dropped."""
        channel = _account_channel(update)
        stream = self._find_stream(channel, None, result)
        if stream is None:
            return
        if stream.interruption is None or stream.state in RECEIVING:
            sequence = self._sequences[channel]
            last, step = sequence.last, sequence.advance(update.sequence, update.snapshot, self._frame)
            if step is SequenceStep.REPEATED:
                return
            if step is SequenceStep.NEXT:
                self._mark_live(stream, now, result)
            else:
                before = "instead of the snapshot" if last is None else f"after {last}"
                self._break(stream, f"message {update.sequence} came {before}", now, result)
        if not isinstance(update, EmptyMessage):
            result.events.append(update)

    def _process_listing(self, listing: InstrumentListing, now: Moment, result: ProcessedFrame) -> None:
        stream = self._find_stream(Channel.INSTRUMENT, None, result)
        if stream is None:
            return
        self._mark_live(stream, now, result)
        if stream.wanted:
            result.events.append(listing)
        pair = listing.instrument.pair
        self._listing_errors.pop(pair, None)
        book = self.books.get(pair)
        if book is None or not book.set_decimals(listing.price_decimals, listing.quantity_decimals):
            return
        book_stream = self._streams[Channel.BOOK, pair]
        if book_stream.state in (StreamState.AWAITING_LISTING, StreamState.REFUSED):
            result.listed.append(book_stream)
        elif book_stream.state in RECEIVING:
            self._break(book_stream, "the venue lists it with other decimals", now, result)

    def _process_unreadable_listing(
        self, listing: UnreadableMessage, now: Moment, result: ProcessedFrame
    ) -> None:
        result.rejected.append(RejectedFrame(listing.content, listing.channel, listing.reason))
        stream = self._streams.get((Channel.INSTRUMENT, None))
        if stream is None:
            return
        self._listing_errors[listing.pair] = listing.reason
        self._mark_live(stream, now, result)
        if stream.wanted:
            result.events.append(listing)

    def _process_status(self, status: VenueStatus, now: Moment, result: ProcessedFrame) -> None:
        self.in_maintenance = status.status not in ("", "online")
        result.events.append(status)

    def _find_stream(self, channel: Channel, pair: Pair | None, result: ProcessedFrame) -> Stream | None:
        stream = self._streams.get((channel, pair))
        if stream is None:
            content = "listings" if channel is Channel.INSTRUMENT else pair or channel.value
            _reject_unrequested(channel, content, result)
        return stream

    def _mark_live(self, stream: Stream, now: Moment, result: ProcessedFrame, complete: bool = False) -> None:
        """Record that a message came; where its response is late or lost, the message is response enough."""
        stream.last_message, stream.unanswered = now, 0
        if stream.state is StreamState.REQUESTED:
            stream.go_live()
        if stream.interruption is not None and stream.state is StreamState.LIVE:
            result.events.extend(self.restore(stream, now, complete))

    def _break(self, stream: Stream, reason: str, now: Moment, result: ProcessedFrame) -> None:
        result.events.extend(self.interrupt(stream, reason, now))
        if stream.state is not StreamState.QUEUED:
            stream.state = StreamState.UNSUBSCRIBING  # the rest of the frame is not taken for a new beginning
        result.broken.append(BrokenStream(stream, reason))


def _account_channel(update: Execution | Balance | EmptyMessage) -> Channel:
    if isinstance(update, EmptyMessage):
        return update.channel
    return Channel.EXECUTIONS if isinstance(update, Execution) else Channel.BALANCES


def _reject_unrequested(channel: Channel, content: object, result: ProcessedFrame) -> None:
    if not result.unrequested:
        result.unrequested.append(InvalidMessage(channel.value, f"nobody subscribed to {content}"))


def _unknown_interval(stream: Stream, interruption: Interruption, now: Moment) -> UnknownInterval:
    since = interruption.since
    return UnknownInterval(*stream.key, since, max(since, now.at), interruption.reason)

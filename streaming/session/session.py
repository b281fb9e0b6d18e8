"""The lifetime of a stream without its socket and clock: many subscriptions, over many connections.

Everything that comes in and everything that goes out is a value, so whatever can go wrong between two messages can be
tested. What was not received is reported as `UnknownInterval`, never filled in.
"""

from collections import deque
from collections.abc import Iterable

from streaming.events import Channel, Subscription
from streaming.feeds import Feed
from streaming.order_book import OrderBook
from streaming.session.event_processor import EventProcessor
from streaming.session.output import Moment, RejectedFrame, SessionOutput
from streaming.session.settings import SessionSettings
from streaming.session.streams import Stream, StreamState, affected_streams, count_exceeds, session_streams
from streaming.session.subscriptions import Subscriptions
from trading.errors import InvalidMessage
from trading.market import Pair


class Session:
    """Every input has its time and returns its output; after an output with `close` the connection has to be closed.

    InvalidValue for a pair that is subscribed to twice, and from `on_connect` for what the venue does not offer.
    Executions and balances may be reported twice around an interruption: their ids tell.
    """

    def __init__(
        self, feed: Feed, subscriptions: Iterable[Subscription], settings: SessionSettings | None = None
    ) -> None:
        self._feed = feed
        self._settings = settings or SessionSettings()
        self._streams = session_streams(subscriptions, self._settings.book_mode)
        self._processor = EventProcessor(self._streams, self._settings)
        self._subscriptions = Subscriptions(feed, self._streams, self._processor, self._settings)
        self._rejection_times: deque[float] = deque()
        self._connected = False
        self._last_frame = 0.0

    @property
    def feed(self) -> Feed:
        return self._feed

    @property
    def in_maintenance(self) -> bool:
        """True when the venue last reported that it is not online."""
        return self._processor.in_maintenance

    @property
    def books(self) -> dict[Pair, OrderBook]:
        """The books that are verified right now; they change with every frame."""
        return {
            pair: each.book for pair, each in self._processor.books.items() if each.book and each.is_valid
        }

    def book(self, pair: Pair) -> OrderBook | None:
        """Return the book of the pair where it is verified right now."""
        verified = self._processor.books.get(pair)
        return verified.book if verified is not None and verified.is_valid else None

    def subscription(self, channel: Channel, pair: Pair | None) -> int | None:
        """Return the number of the subscription that the venue confirmed and that is live; None while none is.

        With another number messages may have been missed in between.
        """
        stream = self._streams.get((channel, pair))
        return stream.times_live if stream is not None and stream.state is StreamState.LIVE else None

    def holds_trades(self, pair: Pair) -> bool:
        """Return whether trades of the pair were received that wait for others before they are passed on."""
        return self._processor.holds_trades(pair)

    def on_connect(self, now: Moment) -> SessionOutput:
        """Subscribe to everything on a new connection."""
        self._feed.reset()
        self._processor.clear_listing_errors()
        self._connected, self._last_frame = True, now.seconds
        self._subscriptions.start()
        return self._finish(SessionOutput(), now)

    def on_frame(self, frame: str | bytes, now: Moment) -> SessionOutput:
        """Process a frame of the venue."""
        out = SessionOutput()
        self._last_frame = now.seconds
        try:
            events = self._feed.decode(frame)
        except InvalidMessage as error:
            self._handle_unreadable(frame, error, now, out)
            return self._finish(out, now)
        was_in_maintenance = self.in_maintenance
        result = self._processor.process(events, now)
        out.events += result.events
        out.rejected += result.rejected
        if was_in_maintenance and not self.in_maintenance:
            self._subscriptions.retry_refused(now.seconds)
        for response in result.responses:
            self._subscriptions.process_response(response, now, out)
        for unrequested in result.unrequested:
            self._reject(frame, unrequested, now, out)
        for stream, reason in result.broken:
            out.rejected.append(RejectedFrame(frame, stream.channel.value, f"{stream}: {reason}"))
            self._resubscribe_broken(stream, reason, now, out)
        for stream in result.listed:
            self._subscriptions.subscribe(stream)
        return self._finish(out, now)

    def on_tick(self, now: Moment) -> SessionOutput:
        """Check all timeouts. Call it a few times within each timeout of `SessionSettings` and the venue's rules."""
        out = SessionOutput()
        if not self._connected:
            return out
        timeout = self._feed.rules.silence_timeout.total_seconds()
        if now.seconds - self._last_frame > timeout:
            out.request_close(f"no frame for {timeout:g} seconds")
            return out
        self._subscriptions.check_timeouts(now, out)
        out.events += self._processor.release_trades(now)
        return self._finish(out, now)

    def on_disconnect(self, now: Moment, reason: str) -> SessionOutput:
        """Interrupt every stream that delivered: the connection is gone."""
        out = SessionOutput()
        self._connected = False
        for stream in self._streams.values():
            if stream.last_message is not None:
                out.events += self._processor.interrupt(stream, reason, now)
        self._subscriptions.stop()
        return out

    def on_stop(self, now: Moment) -> SessionOutput:
        """Return the trades that still wait and what is unknown until now: nothing more will come."""
        return SessionOutput(self._processor.finish(now))

    def _finish(self, out: SessionOutput, now: Moment) -> SessionOutput:
        if self._connected and out.close is None:
            out.frames += self._subscriptions.take_frames(now.seconds)
        return out

    def _handle_unreadable(
        self, frame: str | bytes, error: InvalidMessage, now: Moment, out: SessionOutput
    ) -> None:
        self._reject(frame, error, now, out)
        streams = affected_streams(self._streams.values(), error.channel, frame)
        reason = f"a message could not be read: {error.reason}"
        result = self._processor.process_unreadable(streams, reason, now)
        out.events += result.events
        for stream, cause in result.broken:
            self._resubscribe_broken(stream, cause, now, out)

    def _reject(self, frame: str | bytes, error: InvalidMessage, now: Moment, out: SessionOutput) -> None:
        out.rejected.append(RejectedFrame(frame, error.channel, error.reason))
        times, period = self._rejection_times, self._settings.counting_period.total_seconds()
        if count_exceeds(times, now.seconds, self._settings.max_unreadable, period):
            out.request_close(f"{len(times)} unreadable messages in {period:g} seconds, last: {error.reason}")

    def _resubscribe_broken(self, stream: Stream, reason: str, now: Moment, out: SessionOutput) -> None:
        times, period = stream.break_times, self._settings.counting_period.total_seconds()
        if count_exceeds(times, now.seconds, self._settings.max_breaks, period):
            out.request_close(f"{stream} broke {len(times)} times in {period:g} seconds, last: {reason}")
        else:
            self._subscriptions.resubscribe(stream)

"""The subscriptions of a session: requested, confirmed, refused, and requested again where nothing comes."""

from collections.abc import Mapping

from streaming.events import PRIVATE, Acknowledgement, Channel
from streaming.feeds import Feed
from streaming.session.event_processor import EventProcessor
from streaming.session.output import CloseKind, Moment, SessionOutput, SubscriptionRefused
from streaming.session.requests import RequestQueue, SubscriptionRequest
from streaming.session.settings import SessionSettings
from streaming.session.streams import Stream, StreamKey, StreamState
from streaming.session.verified_book import VerifiedBook

CONNECT = "connect"  # the method a feed names when the venue refuses the connection itself, not a request
RENEWED = PRIVATE | {Channel.INSTRUMENT}


class Subscriptions:
    """Keeps every stream of one connection subscribed, as far as the venue offers it."""

    def __init__(
        self,
        feed: Feed,
        streams: Mapping[StreamKey, Stream],
        processor: EventProcessor,
        settings: SessionSettings,
    ) -> None:
        self._venue = feed.venue
        self._streams = streams
        self._listings = streams.get((Channel.INSTRUMENT, None))
        self._processor = processor
        self._settings = settings
        self._requests = RequestQueue(feed, settings.max_in_flight)
        self.subscribe = self._requests.subscribe
        self.resubscribe = self._requests.resubscribe
        self.take_frames = self._requests.take_frames

    def start(self) -> None:
        """Request all streams on a new connection; a book whose decimals are not known waits for its listing."""
        for stream in self._streams.values():
            if stream.channel is Channel.BOOK and not self._book(stream).has_decimals:
                stream.state = StreamState.AWAITING_LISTING
            else:
                self.subscribe(stream)

    def stop(self) -> None:
        """Forget all requests: the connection is gone."""
        self._requests.clear()
        for stream in self._streams.values():
            stream.state, stream.unsubscribe_first, stream.unanswered = StreamState.IDLE, False, 0

    def process_response(self, response: Acknowledgement, now: Moment, out: SessionOutput) -> None:
        """Process the venue's response to a request, or an error that belongs to none."""
        request = self._requests.close_answered(response)
        if request is None:
            self._process_stray(response, out)
        elif request.unsubscribes:  # also when refused: there was nothing to leave
            self._finish_unsubscribe(request.stream)
        elif response.success:
            self._confirm(request.stream, now)
        else:
            self._refuse(request.stream, response.error, now.seconds, out)

    def retry_refused(self, refused_until: float) -> None:
        """Request again what was refused until then. For a book that was not listed the listings are requested."""
        for stream in self._streams.values():
            if stream.state is not StreamState.REFUSED or stream.refused_at > refused_until:
                continue
            if stream.channel is not Channel.BOOK or self._book(stream).has_decimals:
                self.subscribe(stream)
                continue
            stream.state = StreamState.AWAITING_LISTING
            if self._listings is not None and self._listings.state is StreamState.LIVE:
                self.resubscribe(self._listings)

    def check_timeouts(self, now: Moment, out: SessionOutput) -> None:
        """Request again where no response or message came in time, and what was refused for long enough."""
        settings = self._settings
        for request in self._requests.close_overdue(now.seconds - settings.response_timeout.total_seconds()):
            self._handle_unanswered(request, out)
        for stream in self._streams.values():
            if self._misses_snapshot(stream, now.seconds):
                out.events += self._processor.interrupt(stream, "its snapshot did not come", now)
                self._try_again(stream, "no snapshot", out)
            elif self._is_silent(stream, now.seconds):
                out.events += self._processor.interrupt(stream, "the channel fell silent", now)
                self._try_again(stream, "no message", out)
            elif self._needs_renewal(stream, now.seconds):
                self.resubscribe(stream)
        self.retry_refused(now.seconds - settings.refused_retry_interval.total_seconds())
        self._refuse_unlisted(now.seconds, out)

    def _book(self, stream: Stream) -> VerifiedBook:
        return self._processor.books[stream.subscription.pairs[0]]

    def _finish_unsubscribe(self, stream: Stream) -> None:
        self._processor.reset_sequence(stream)
        self._requests.finish_unsubscribe(stream)

    def _process_stray(self, response: Acknowledgement, out: SessionOutput) -> None:
        if response.success or self._requests.has_sent(response):
            return
        if response.method == CONNECT:
            reason = f"{self._venue} does not take this connection: {response.error}"
            out.request_close(reason, CloseKind.NOT_AUTHORISED)
        else:
            out.events.append(response)  # an error that belongs to no request: the consumer's to see

    def _confirm(self, stream: Stream, now: Moment) -> None:
        if stream.state is not StreamState.LIVE:
            stream.go_live()
        stream.refusals, stream.confirmed_at = 0, now.seconds
        if stream.channel in PRIVATE:  # only the snapshot repeats what came since the last message
            stream.last_message = stream.last_message or now
            return
        stream.last_message = now
        if stream.channel not in self._settings.silence_timeouts:
            stream.unanswered = 0

    def _refuse(self, stream: Stream, error: str, now: float, out: SessionOutput) -> None:
        """Handle a refusal. What delivered before may do so again on a new connection: that is tried once."""
        stream.refusals += 1
        if stream.last_message is not None and stream.refusals == 1:
            out.request_close(f"{self._venue} no longer gives {stream}: {error}")
            return
        stream.state, stream.refused_at = StreamState.REFUSED, now
        out.events.append(SubscriptionRefused(stream.channel, stream.pair, error))
        wanted = [each for each in self._streams.values() if each.wanted]
        if all(each.state is StreamState.REFUSED for each in wanted):
            may_change = self._processor.in_maintenance or any(
                self._processor.listing_error(each.pair) for each in wanted
            )
            never = not may_change and all(each.last_message is None for each in wanted)
            reason = f"{self._venue} gives nothing of what was asked for; {stream}: {error}"
            out.request_close(reason, CloseKind.REFUSED if never else CloseKind.RETRY)

    def _handle_unanswered(self, request: SubscriptionRequest, out: SessionOutput) -> None:
        if request.unsubscribes:
            self._finish_unsubscribe(request.stream)
        elif request.stream.state is StreamState.REQUESTED:  # otherwise its messages were the response
            self._try_again(request.stream, "no answer", out)

    def _try_again(self, stream: Stream, missing: str, out: SessionOutput) -> None:
        stream.unanswered += 1
        if stream.unanswered >= self._settings.max_attempts:
            out.request_close(f"{missing} of {stream} after asking {stream.unanswered} times")
        else:
            self.resubscribe(stream)

    def _misses_snapshot(self, stream: Stream, now: float) -> bool:
        """Return whether a private subscription is confirmed and the snapshot, however empty, did not follow."""
        if stream.state is not StreamState.LIVE or not self._processor.awaits_snapshot(stream):
            return False
        return now - stream.confirmed_at > self._settings.response_timeout.total_seconds()

    def _is_silent(self, stream: Stream, now: float) -> bool:
        if stream.state is not StreamState.LIVE or stream.last_message is None:
            return False
        timeout = self._settings.silence_timeouts.get(stream.channel)
        if stream.channel is Channel.BOOK and not self._book(stream).is_valid:
            timeout = self._settings.response_timeout  # its snapshot should have come with the response
        return timeout is not None and now - stream.last_message.seconds > timeout.total_seconds()

    def _needs_renewal(self, stream: Stream, now: float) -> bool:
        """Return whether only a new subscription can tell if the stream is alive."""
        if (
            stream.channel not in RENEWED
            or stream.state is not StreamState.LIVE
            or stream.last_message is None
            or self._processor.awaits_snapshot(stream)
        ):
            return False
        return now - stream.last_message.seconds > self._settings.renewal_interval.total_seconds()

    def _refuse_unlisted(self, now: float, out: SessionOutput) -> None:
        """Refuse the books of pairs that were not among the listings."""
        if self._listings_are_complete(now):
            for stream in self._streams.values():
                if stream.state is StreamState.AWAITING_LISTING:
                    self._refuse(stream, self._unlisted_reason(stream), now, out)

    def _listings_are_complete(self, now: float) -> bool:
        listings = self._listings
        if listings is None or listings.last_message is None:
            return listings is not None and listings.state is StreamState.REFUSED
        elapsed = now - listings.last_message.seconds
        return (
            listings.state is StreamState.LIVE and elapsed > self._settings.response_timeout.total_seconds()
        )

    def _unlisted_reason(self, stream: Stream) -> str:
        if error := self._processor.listing_error(stream.pair):
            return f"{self._venue}'s listing of {stream.pair} cannot be read: {error}"
        return f"{self._venue} does not list {stream.pair}"

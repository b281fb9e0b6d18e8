"""The queue of subscription requests: what waits to be sent, what awaits a response, and whose a response is."""

from collections import deque
from dataclasses import dataclass

from streaming.events import Acknowledgement
from streaming.feeds import Feed
from streaming.session.streams import Stream, StreamState


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """A request that was sent to subscribe to one stream or, where it `unsubscribes`, to leave it."""

    request_id: int
    stream: Stream
    unsubscribes: bool
    sent_at: float  # seconds, as in `Moment`


class RequestQueue:
    """Requests for one channel of one pair each, under ids that are never used again.

    To subscribe again, a stream is unsubscribed first and the response to that is awaited: otherwise messages of the
    old subscription would be taken for those of the new one, or the venue would refuse to subscribe twice.
    """

    def __init__(self, feed: Feed, max_in_flight: int) -> None:
        self._feed = feed
        self._max_in_flight = max_in_flight
        self._newest_id = 0
        self._open: dict[int, SubscriptionRequest] = {}
        self._waiting: deque[Stream] = deque()

    def subscribe(self, stream: Stream) -> None:
        """Queue a subscription."""
        self._enqueue(stream, first=False)

    def resubscribe(self, stream: Stream) -> None:
        """Queue to unsubscribe, then subscribe. Responses to earlier requests of this stream no longer count."""
        self._open = {key: request for key, request in self._open.items() if request.stream is not stream}
        stream.unsubscribe_first = True
        self._enqueue(stream, first=False)

    def finish_unsubscribe(self, stream: Stream) -> None:
        """Subscribe next: the stream is unsubscribed, or as good as that."""
        stream.unsubscribe_first = False
        self._enqueue(stream, first=True)

    def take_frames(self, now: float) -> list[str]:
        """Return what may be sent now. InvalidValue for a subscription that the venue does not offer."""
        frames: list[str] = []
        while self._waiting and len(self._open) < self._max_in_flight:
            frames += self._send(self._waiting.popleft(), now)
        return frames

    def close_answered(self, response: Acknowledgement) -> SubscriptionRequest | None:
        """Close and return the request that is answered: by id, else by channel and pair. None for any other."""
        if response.request_id is not None:
            return self._open.pop(response.request_id, None)
        key = (response.channel, response.pair)
        request = next((each for each in self._open.values() if each.stream.key == key), None)
        return None if request is None else self._open.pop(request.request_id)

    def has_sent(self, response: Acknowledgement) -> bool:
        """Return whether it answers a request that was sent once, even if it is no longer open."""
        return response.request_id is not None and 0 < response.request_id <= self._newest_id

    def close_overdue(self, sent_before: float) -> list[SubscriptionRequest]:
        """Close and return the requests that had no response in time."""
        late = [request for request in self._open.values() if request.sent_at <= sent_before]
        for request in late:
            del self._open[request.request_id]
        return late

    def clear(self) -> None:
        """Drop all requests, sent or not."""
        self._open.clear()
        self._waiting.clear()

    def _enqueue(self, stream: Stream, first: bool) -> None:
        if stream.state is StreamState.QUEUED:
            return
        stream.state = StreamState.QUEUED
        if first:
            self._waiting.appendleft(stream)
        else:
            self._waiting.append(stream)

    def _send(self, stream: Stream, now: float) -> list[str]:
        self._newest_id += 1
        request = SubscriptionRequest(self._newest_id, stream, stream.unsubscribe_first, now)
        self._open[request.request_id] = request
        if request.unsubscribes:
            stream.state = StreamState.UNSUBSCRIBING
            return list(self._feed.unsubscribe(stream.subscription, request.request_id))
        stream.state = StreamState.REQUESTED
        return list(self._feed.subscribe(stream.subscription, request.request_id))

"""Asking a venue for streams: what waits to be sent, what waits for its answer, and which answer is whose."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from streaming.events import Acknowledged
from streaming.feeds import Feed
from streaming.session.streams import State, Stream


class Method(Enum):
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Request:
    request_id: int
    method: Method
    stream: Stream
    sent: float


class Requests:
    """Every request asks for one channel of one pair under its own id; ids are never used again.

    To subscribe again, a stream is unsubscribed first and the answer to that is waited for: otherwise messages of the
    old subscription would be taken for those of the new one, or the venue would refuse to subscribe twice.
    """

    def __init__(self, feed: Feed, in_flight: int) -> None:
        self._feed = feed
        self._in_flight = in_flight
        self._newest = 0
        self._open: dict[int, Request] = {}
        self._waiting: deque[Stream] = deque()

    def ask(self, stream: Stream) -> None:
        self._queue(stream, first=False)

    def ask_again(self, stream: Stream) -> None:
        """Unsubscribe, then subscribe. What was asked before of this stream is not waited for any more."""
        self._open = {key: request for key, request in self._open.items() if request.stream is not stream}
        stream.leave = True
        self._queue(stream, first=False)

    def left(self, stream: Stream) -> None:
        """It is unsubscribed, or as good as that: subscribe now."""
        stream.leave = False
        self._queue(stream, first=True)

    def frames(self, now: float) -> list[str]:
        """What may be sent now. InvalidValue for a subscription that the venue does not offer."""
        frames: list[str] = []
        while self._waiting and len(self._open) < self._in_flight:
            frames += self._send(self._waiting.popleft(), now)
        return frames

    def answered(self, answer: Acknowledged) -> Request | None:
        """The request, which is then no longer open: by id, else by channel and pair. None for any other."""
        if answer.request_id is not None:
            return self._open.pop(answer.request_id, None)
        named = (answer.channel, answer.pair)
        found = (request for request in self._open.values() if request.stream.key == named)
        request = next(found, None)
        return None if request is None else self._open.pop(request.request_id)

    def ours(self, answer: Acknowledged) -> bool:
        """Whether it answers something that was asked once, even if nobody waits for it any more."""
        return answer.request_id is not None and 0 < answer.request_id <= self._newest

    def overdue(self, sent_before: float) -> list[Request]:
        """Those without an answer, which are then no longer open."""
        late = [request for request in self._open.values() if request.sent <= sent_before]
        for request in late:
            del self._open[request.request_id]
        return late

    def clear(self) -> None:
        self._open.clear()
        self._waiting.clear()

    def _queue(self, stream: Stream, first: bool) -> None:
        if stream.state is State.QUEUED:
            return
        stream.state = State.QUEUED
        if first:
            self._waiting.appendleft(stream)
        else:
            self._waiting.append(stream)

    def _send(self, stream: Stream, now: float) -> list[str]:
        self._newest += 1
        method = Method.UNSUBSCRIBE if stream.leave else Method.SUBSCRIBE
        self._open[self._newest] = Request(self._newest, method, stream, now)
        if stream.leave:
            stream.state = State.LEAVING
            return list(self._feed.unsubscribe(stream.subscription, self._newest))
        stream.state = State.ASKED
        return list(self._feed.subscribe(stream.subscription, self._newest))

"""The lifetime of a stream without its socket and clock: many subscriptions, over many connections.

Everything that comes in and everything that is to be said or sent is a value, so that whatever can go wrong between
two messages is a test. What was not heard is told as `Unknown`, never filled in.
"""

from collections import deque
from collections.abc import Iterable

from streaming.events import Acknowledged, Channel, Subscription
from streaming.feeds import Feed
from streaming.order_book import Book
from streaming.session.event_processor import Hearing
from streaming.session.output import (
    Books,
    Close,
    End,
    Moment,
    Output,
    SessionSettings,
    SubscriptionRefused,
    Undecodable,
)
from streaming.session.requests import Method, Request, Requests
from streaming.session.streams import (
    RENEWED,
    State,
    Stream,
    concerned,
    confirmed_by_answer,
    single_streams,
    too_many,
)
from streaming.session.verified_book import KeptBook
from trading.errors import InvalidMessage
from trading.market import Pair

CONNECT = (
    "connect"  # the method that a feed names when the venue refuses the connection itself, not a request
)


class Session:
    """Every input has its time and gives its output; after an output with `close` the connection has to be closed.

    InvalidValue for a pair that is subscribed to twice, and from `connected` for what the venue does not offer.
    Executions and balances may be told twice around an interruption: their ids tell.
    """

    def __init__(
        self, feed: Feed, subscriptions: Iterable[Subscription], settings: SessionSettings | None = None
    ) -> None:
        self._feed = feed
        self._settings = settings or SessionSettings()
        self._streams = single_streams(subscriptions)
        books = [stream for stream in self._streams.values() if stream.channel is Channel.BOOK]
        listings = Stream(Subscription(Channel.INSTRUMENT), wanted=False)
        if books and self._settings.books is Books.LISTED:
            self._streams = {listings.key: listings} | self._streams
        self._listings = self._streams.get(listings.key)
        self._requests = Requests(feed, self._settings.in_flight)
        self._hearing = Hearing(self._streams, self._settings)
        self._undecoded: deque[float] = deque()
        self._connected = False
        self._last_frame = 0.0
        self._out = Output()

    @property
    def feed(self) -> Feed:
        return self._feed

    @property
    def maintenance(self) -> bool:
        """Whether the venue said last that it is not online."""
        return self._hearing.status not in ("", "online")

    @property
    def books(self) -> dict[Pair, Book]:
        """The books that are verified right now; they change with every frame."""
        return {pair: kept.book for pair, kept in self._hearing.books.items() if kept.book and kept.known}

    def connected(self, now: Moment) -> Output:
        out = self._begin(now)
        self._feed.restart()
        self._hearing.connected()
        self._connected, self._last_frame = True, now.seconds
        for stream in self._streams.values():
            if stream.channel is Channel.BOOK and not self._book(stream).listed:
                stream.state = State.UNLISTED
            else:
                self._requests.ask(stream)
        return self._finish(out, now)

    def receive(self, frame: str | bytes, now: Moment) -> Output:
        out = self._begin(now)
        self._last_frame = now.seconds
        try:
            heard = self._feed.decode(frame)
        except InvalidMessage as error:
            self._missed(frame, error, now)
            return self._finish(out, now)
        offline = self.maintenance
        self._hearing.hear(heard, now, out)
        if offline and not self.maintenance:
            self._ask_refused(now.seconds)
        for answer in self._hearing.answers():
            self._answered(answer, now)
        if (wrong := self._hearing.unrequested()) is not None:
            self._undecodable(frame, wrong.channel, wrong.reason, now)
        for stream, reason in self._hearing.broken():
            out.undecodable.append(Undecodable(frame, stream.channel.value, f"{stream}: {reason}"))
            self._broken(stream, reason, now)
        return self._finish(out, now)

    def tick(self, now: Moment) -> Output:
        """Has to be called a few times in each of the times that `SessionSettings` and the venue's rules name."""
        out = self._begin(now)
        if not self._connected:
            return out
        silence = self._feed.rules.silence.total_seconds()
        if now.seconds - self._last_frame > silence:
            self._close(f"no frame for {silence:g} seconds")
            return out
        for request in self._requests.overdue(now.seconds - self._settings.answer.total_seconds()):
            self._unanswered(request)
        for stream in self._streams.values():
            if self._silent(stream, now.seconds):
                self._hearing.interrupt(stream, "the channel fell silent", now, out)
                self._ask_again(stream, "no message")
            elif self._quiet(stream, now.seconds):
                self._requests.ask_again(stream)
        self._ask_refused(now.seconds - self._settings.refused.total_seconds())
        self._refuse_unlisted(now.seconds)
        self._hearing.release_trades(now, out)
        return self._finish(out, now)

    def disconnected(self, now: Moment, reason: str) -> Output:
        out = self._begin(now)
        self._connected = False
        self._requests.clear()
        for stream in self._streams.values():
            if stream.heard is not None:
                self._hearing.interrupt(stream, reason, now, out)
            stream.state, stream.leave, stream.unanswered = State.IDLE, False, 0
        return out

    def ended(self, now: Moment) -> Output:
        """Nothing more will come: what is held back and what is unknown until now."""
        out = self._begin(now)
        self._hearing.end(now, out)
        return out

    def _begin(self, now: Moment) -> Output:
        self._out = Output()
        return self._out

    def _finish(self, out: Output, now: Moment) -> Output:
        for stream in self._hearing.listed():
            self._requests.ask(stream)
        if self._connected and out.close is None:
            out.frames += self._requests.frames(now.seconds)
        return out

    def _close(self, reason: str, end: End = End.RETRY) -> None:
        if self._out.close is None:
            self._out.close = Close(reason, end)

    def _book(self, stream: Stream) -> KeptBook:
        return self._hearing.books[stream.subscription.pairs[0]]

    # --- answers ------------------------------------------------------------------------------------------------

    def _answered(self, answer: Acknowledged, now: Moment) -> None:
        request = self._requests.answered(answer)
        if request is None:
            self._stray(answer)
        elif request.method is Method.UNSUBSCRIBE:  # also when refused: there was nothing to leave
            self._left(request.stream)
        elif answer.success:
            self._confirmed(request.stream, now)
        else:
            self._refused(request.stream, answer.error, now.seconds)

    def _left(self, stream: Stream) -> None:
        self._hearing.begin_anew(stream)
        self._requests.left(stream)

    def _stray(self, answer: Acknowledged) -> None:
        if answer.success or self._requests.ours(answer):
            return
        if answer.method == CONNECT:
            self._close(
                f"{self._feed.venue} does not take this connection: {answer.error}", End.NOT_AUTHORISED
            )
        else:
            self._out.heard.append(answer)  # an error that belongs to no request: the consumer's to see

    def _confirmed(self, stream: Stream, now: Moment) -> None:
        stream.state, stream.refusals, stream.heard = State.LIVE, 0, now
        if stream.channel not in self._settings.silence:
            stream.unanswered = 0
        if confirmed_by_answer(stream.channel):
            self._hearing.restore(stream, now, self._out)

    def _refused(self, stream: Stream, error: str, now: float) -> None:
        """What was heard before may be given again to a new connection, with a new token: that is tried once."""
        stream.refusals += 1
        if stream.heard is not None and stream.refusals == 1:
            self._close(f"{self._feed.venue} no longer gives {stream}: {error}")
            return
        stream.state, stream.refused = State.REFUSED, now
        self._out.heard.append(SubscriptionRefused(stream.channel, stream.pair, error))
        wanted = [each for each in self._streams.values() if each.wanted]
        if all(each.state is State.REFUSED for each in wanted):
            may_change = self.maintenance or any(self._hearing.odd(each.pair) for each in wanted)
            never = not may_change and all(each.heard is None for each in wanted)
            reason = f"{self._feed.venue} gives nothing of what was asked for; {stream}: {error}"
            self._close(reason, End.REFUSED if never else End.RETRY)

    def _ask_refused(self, refused_until: float) -> None:
        """What may be given by now. For a book that was not listed the listings are asked for again."""
        for stream in self._streams.values():
            if stream.state is not State.REFUSED or stream.refused > refused_until:
                continue
            if stream.channel is not Channel.BOOK or self._book(stream).listed:
                self._requests.ask(stream)
                continue
            stream.state = State.UNLISTED
            if self._listings is not None and self._listings.state is State.LIVE:
                self._requests.ask_again(self._listings)

    def _unanswered(self, request: Request) -> None:
        stream = request.stream
        if request.method is Method.UNSUBSCRIBE:
            self._left(stream)
        elif stream.state is State.ASKED:  # otherwise its messages answered
            self._ask_again(stream, "no answer")

    # --- watchdogs ----------------------------------------------------------------------------------------------

    def _silent(self, stream: Stream, now: float) -> bool:
        if stream.state is not State.LIVE or stream.heard is None:
            return False
        allowed = self._settings.silence.get(stream.channel)
        if stream.channel is Channel.BOOK and not self._book(stream).known:
            allowed = self._settings.answer  # its snapshot should have come with the answer
        return allowed is not None and now - stream.heard.seconds > allowed.total_seconds()

    def _quiet(self, stream: Stream, now: float) -> bool:
        """Alive or dead: only a new subscription tells."""
        if stream.channel not in RENEWED or stream.state is not State.LIVE or stream.heard is None:
            return False
        return now - stream.heard.seconds > self._settings.renewal.total_seconds()

    def _ask_again(self, stream: Stream, missing: str) -> None:
        stream.unanswered += 1
        if stream.unanswered >= self._settings.asks:
            self._close(f"{missing} of {stream} after asking {stream.unanswered} times")
        else:
            self._requests.ask_again(stream)

    def _broken(self, stream: Stream, reason: str, now: Moment) -> None:
        period = self._settings.period.total_seconds()
        if too_many(stream.breaks, now.seconds, self._settings.breaks, period):
            self._close(f"{stream} broke {len(stream.breaks)} times in {period:g} seconds, last: {reason}")
        else:
            self._requests.ask_again(stream)

    def _missed(self, frame: str | bytes, error: InvalidMessage, now: Moment) -> None:
        self._undecodable(frame, error.channel, error.reason, now)
        streams = concerned(self._streams.values(), error.channel, frame)
        self._hearing.miss(streams, f"a message could not be read: {error.reason}", now, self._out)
        for stream, reason in self._hearing.broken():
            self._broken(stream, reason, now)

    def _undecodable(self, frame: str | bytes, channel: str, reason: str, now: Moment) -> None:
        self._out.undecodable.append(Undecodable(frame, channel, reason))
        period = self._settings.period.total_seconds()
        if too_many(self._undecoded, now.seconds, self._settings.undecodable, period):
            self._close(f"{len(self._undecoded)} unreadable messages in {period:g} seconds, last: {reason}")

    def _refuse_unlisted(self, now: float) -> None:
        """Books of pairs that were not among the listings."""
        listings, waits = self._listings, self._settings.answer.total_seconds()
        if listings is None or listings.heard is None:
            told = listings is not None and listings.state is State.REFUSED
        else:
            told = listings.state is State.LIVE and now - listings.heard.seconds > waits
        if told:
            for stream in self._streams.values():
                if stream.state is State.UNLISTED:
                    self._refused(stream, self._unlisted(stream.pair), now)

    def _unlisted(self, pair: Pair | None) -> str:
        if odd := self._hearing.odd(pair):
            return f"{self._feed.venue}'s listing of {pair} cannot be read: {odd}"
        return f"{self._feed.venue} does not list {pair}"

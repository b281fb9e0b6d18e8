"""The streaming process: sessions, recorder, commits and what people see of it, in one event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import structlog

from streaming.connection import run_session
from streaming.connection.backoff import Backoff
from streaming.connection.budget import ConnectionBudget
from streaming.connection.runner import FrameStore
from streaming.events import BookChange, Candle, Channel, InstrumentListing, Ticker, Trade
from streaming.order_book import OrderBook
from streaming.recorder.committer import Committer
from streaming.recorder.exit_codes import NotFlushed
from streaming.recorder.metrics import StreamMetrics
from streaming.recorder.recorder import Recorder
from streaming.recorder.venue_time import VenueTime
from streaming.session import Session
from streaming.session.output import (
    Interrupted,
    Reconnecting,
    Restored,
    SessionEvent,
    SubscriptionRefused,
    TopOfBook,
)
from trading.errors import MarketloomError
from trading.feed_gaps import FeedGap
from trading.market import Pair

TICK = 0.05  # seconds between two passes over all pairs
RETRY_TIME = 1.0  # seconds until the venue is asked for its time again after a failure
FLUSH_SECONDS = 10.0  # that the last commit may take at the end
MAX_SILENCE = 30.0  # seconds without a frame, after which the stream is not well
MANY = frozenset({Trade, Ticker, Candle, BookChange, TopOfBook, InstrumentListing})  # none of them is logged
LOG = structlog.get_logger("stream")
Worker = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Line:
    """One connection: its session and what it needs. One has the trade channel of all pairs, one their books."""

    session: Session
    quarantine: FrameStore
    budget: ConnectionBudget | None
    trades: bool
    books: bool


class _CountedFrames:
    """Keeps frames that cannot be read, counts them and says so."""

    def __init__(self, frames: FrameStore, metrics: StreamMetrics) -> None:
        self._frames = frames
        self._metrics = metrics

    def store(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        self._metrics.unreadable.labels(channel or "unknown").inc()
        LOG.warning("unreadable", channel=channel or None, why=reason)
        self._frames.store(frame, venue, channel, reason)


class StreamProcess:
    """Runs until it is told to stop, or until nothing can help: then it raises what happened."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        committer: Committer,
        clock: VenueTime,
        lines: Sequence[Line],
        metrics: StreamMetrics,
        measure_interval: float,
        observe: Callable[[SessionEvent], object] = lambda event: None,
    ) -> None:
        """`observe` sees every event once the recorder has it; it must return at once."""
        self._recorder = recorder
        self._committer = committer
        self._clock = clock
        self._lines = lines
        self._metrics = metrics
        self._measure_interval = measure_interval
        self._observe = observe
        self._trade_session = next(line.session for line in lines if line.trades)
        self._book_lines = [each for each in enumerate(lines) if each[1].books]
        self._newest_frame: dict[int, float] = {}  # of each line
        self._heard_at: dict[int, datetime] = {}  # the same by the venue's clock
        self._restoring: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self._began = time.monotonic()
        self.started_at = datetime.now(UTC)

    async def run(self, stop: asyncio.Event, workers: Sequence[Worker] = ()) -> None:
        """Stream until `stop`, then make durable what was received. `workers` run beside it until `stop`.

        LeaseLost, VenueRefused, NotAuthorised and others end it. NotFlushed when PostgreSQL stays away at the end.
        """
        self._recorder.begin()
        self._committer.wake()
        committing = asyncio.create_task(self._committer.run(), name="commits")
        try:
            await self._stream(stop, committing, workers)
        finally:
            self._recorder.stop()
            self._committer.stop()
            await self._flush(committing)

    def alert(self, kind: str, severity: str, text: str) -> None:
        """Publish an alert of the whole process, unless one of its kind was within the last minute."""
        self._recorder.alert(kind, severity, text)
        self._committer.wake()

    async def _stream(
        self, stop: asyncio.Event, committing: "asyncio.Task[None]", workers: Sequence[Worker]
    ) -> None:
        """Run everything but the commits until `stop`; the first error ends all of it."""
        parts = [
            *(self._listen(number, line, stop) for number, line in enumerate(self._lines)),
            self._measure(stop),
            self._tick(stop),
            *(work(stop) for work in workers),
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            tasks.append(asyncio.create_task(self._raise_failure()))
            stopped = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait([*tasks, committing, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop.set()
            self._failed.put_nowait(None)
            self._committer.release()
            await asyncio.gather(*tasks, *self._restoring, return_exceptions=True)

    async def _raise_failure(self) -> None:
        if (error := await self._failed.get()) is not None:
            raise error

    async def _flush(self, committing: "asyncio.Task[None]") -> None:
        if committing.done() and committing.exception() is not None:
            return  # it is what ended the process
        try:
            await asyncio.wait_for(committing, FLUSH_SECONDS)
        except TimeoutError:
            raise NotFlushed(
                f"PostgreSQL did not take what was received last within {FLUSH_SECONDS:.0f} s; the next start "
                "notes it as a gap and repairs it"
            ) from None

    def suspects(self) -> dict[Pair, list[datetime]]:
        """Return the open times of candles that seem to differ from the venue's own."""
        return self._recorder.suspects()

    def confirm(self, committed: Sequence[Candle]) -> None:
        """Hand the venue's committed candles to the recorder, in the order of time."""
        for each in committed:
            self._recorder.confirm(each)
        self._committer.wake()

    async def backfill(self, gap: FeedGap, trades: Sequence[Trade], until: datetime | None) -> None:
        """Take the venue's history of a gap, as soon as there is room for it."""
        await self._committer.make_room()
        self._recorder.backfill(gap, trades, until)
        self._committer.wake()

    async def _listen(self, number: int, line: Line, stop: asyncio.Event) -> None:
        session = line.session

        async def handle(event: SessionEvent) -> None:
            if type(event) not in MANY:
                _log_event(event)
            if not isinstance(event, Interrupted | Reconnecting):  # those are told without a frame
                self._newest_frame[number] = time.monotonic()
                self._heard_at[number] = self._recorder.now
            self._recorder.handle(event)
            self._observe(event)
            self._committer.wake()
            await self._committer.make_room()

        def caught_up(moment: float) -> None:
            """Heartbeats are frames, too: a quiet market is no silence, and its books are as the venue's."""
            self._newest_frame[number] = max(moment, self._newest_frame.get(number, moment))
            if (passed := self._clock.passed_at(moment)) is not None:
                self._heard_at[number] = max(passed, self._heard_at.get(number, passed))
            if line.trades:
                self._recorder.progress(session, moment)

        await run_session(
            session,
            handle,
            stop,
            quarantine=_CountedFrames(line.quarantine, self._metrics),
            backoff=Backoff(session.feed.rules, Random()),
            budget=line.budget,
            caught_up=caught_up,
        )

    async def _tick(self, stop: asyncio.Event) -> None:
        """Pass over all pairs again and again: close candles, sample books, follow subscriptions."""
        while not stop.is_set():
            began = time.monotonic()
            self._follow()
            self._recorder.advance()
            for number, line in self._book_lines:
                self._recorder.sample(line.session.books, self._heard_at.get(number))
            if self._recorder.waiting:
                self._committer.wake()
            await self._committer.make_room()
            self._metrics.cycle_seconds.observe(time.monotonic() - began)
            await _pause(stop, TICK)

    def _follow(self) -> None:
        for pair, number in self._recorder.follow(self._trade_session):
            task = asyncio.create_task(self._restore(pair, number))
            self._restoring.add(task)
            task.add_done_callback(self._note_restored)

    def _note_restored(self, task: "asyncio.Task[None]") -> None:
        self._restoring.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed.put_nowait(task.exception())  # a pair that is never live again must not go unnoticed

    async def _restore(self, pair: Pair, number: int) -> None:
        """Ask the venue for its time, now that it has confirmed the subscription, and let the pair go on from there."""
        try:
            at = await asyncio.to_thread(self._clock.ask_anew)
        except MarketloomError as error:
            LOG.warning("the venue does not tell its time; candles wait", pair=str(pair), why=str(error))
            await asyncio.sleep(RETRY_TIME)
            self._recorder.forget_request(pair)
            return
        self._recorder.restore(self._trade_session, pair, number, at)
        LOG.info("trades are live", pair=str(pair), since=at.isoformat())
        self._committer.wake()

    async def _measure(self, stop: asyncio.Event) -> None:
        """Ask the venue for its time now and then."""
        while not stop.is_set():
            pause = self._measure_interval
            try:
                await asyncio.to_thread(self._clock.measure)
            except MarketloomError as error:
                LOG.warning("the venue does not tell its time", why=str(error))
                pause = max(pause, RETRY_TIME)
            await _pause(stop, pause)

    # --- what people see

    def venue_now(self) -> datetime:
        """Return the venue's time as far as it is known."""
        return self._clock.now()

    def why_unseen(self, pair: Pair, max_silence: float) -> str:
        """Return why the book of a pair may not be the venue's right now; empty when it is.

        `venue`: it is not open. `book`: it is not verified. `feed`: its connection has said nothing for `max_silence`
        seconds, no heartbeat either. `silent`: the pair has traded beyond its book, which had not moved for so long.
        """
        if not self._recorder.is_open:
            return "venue"
        for number, line in self._book_lines:
            if (book := line.session.book(pair)) is not None:
                heard = self._newest_frame.get(number)
                if heard is None or time.monotonic() - heard > max_silence:
                    return "feed"
                return "silent" if self._is_overtaken(pair, book, max_silence) else ""
        return "book"

    def _is_overtaken(self, pair: Pair, book: OrderBook, max_silence: float) -> bool:
        view = self._recorder.views[pair]
        traded, moved = view.received.get(Channel.TRADE), view.received.get(Channel.BOOK)
        if traded is None or moved is None or traded - moved <= max_silence or view.last is None:
            return False
        bid, ask = book.best_bid, book.best_ask
        return bid is None or ask is None or not bid[0] <= view.last <= ask[0]

    def health(self) -> list[str]:
        """Return why the stream is not well; empty when it is."""
        now, reasons = time.monotonic(), []
        silent = now - min(self._newest_frame.get(number, self._began) for number in range(len(self._lines)))
        if silent > MAX_SILENCE:
            reasons.append(f"no frame of the venue for {silent:.0f} s")
        if (since := self._committer.failing_since) is not None:
            reasons.append(f"PostgreSQL has been away for {now - since:.0f} s")
        return reasons

    def facts(self) -> dict[str, Any]:
        """Return the state of pairs and connections as JSON values; ages in seconds."""
        now = time.monotonic()
        books = {pair for line in self._lines for pair in line.session.books}
        return {
            "started_at": self.started_at.isoformat(),
            "uptime_seconds": round(now - self._began, 1),
            "venue_status": self._recorder.status,
            "venue_time": self._clock.now().isoformat(),
            "health": self.health(),
            "queue": self._recorder.waiting,
            "pairs": {
                str(pair): {
                    **self._recorder.views.facts(pair),
                    "book": "verified" if pair in books else "not verified",
                    "trades": "live" if self._recorder.is_live(pair) else "not live",
                }
                for pair in self._recorder.pairs
            },
        }

    def set_ages(self) -> None:
        """Bring the figures up to date that change by themselves."""
        for pair in self._recorder.pairs:
            for channel, age in self._recorder.views.ages(pair).items():
                self._metrics.staleness.labels(channel.value, str(pair)).set(age)
        self._metrics.queue.set(self._recorder.waiting)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _log_event(event: SessionEvent) -> None:
    """Log what a person looks for later; not every trade."""
    match event:
        case Interrupted(channel, pair, _, reason):
            LOG.warning("interrupted", channel=channel.value, pair=_name(pair), why=reason)
        case Restored(channel, pair):
            LOG.info("restored", channel=channel.value, pair=_name(pair))
        case SubscriptionRefused(channel, pair, reason):
            LOG.error("refused", channel=channel.value, pair=_name(pair), why=reason)
        case Reconnecting(reason, pause):
            LOG.warning("no connection", why=reason, pause_seconds=round(pause, 2))


def _name(pair: Pair | None) -> str | None:
    return None if pair is None else str(pair)

"""Why a pair's book may not be the venue's right now: each reason, from what a session says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from streaming.events import Channel, Subscription, VenueStatus
from streaming.recorder import process as process_module
from streaming.recorder.committer import Committer
from streaming.recorder.process import Line, StreamProcess
from tests.streaming.recorder.recorder_setup import BTC, MemoryOutbox, Recording, trade
from tests.streaming.session.session_fakes import SessionHarness, VenueBook, listing

PATIENT = 3600.0  # seconds: everything on this machine was heard of since then
SILENCE = 60.0  # seconds without a change of the book, which pass by hand
Handler = Callable[[Any], Awaitable[None]]


class Heard:
    """A stream process, and a session whose frames the test gives it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.recording = Recording()
        self.harness = SessionHarness(Subscription(Channel.BOOK, (BTC,)))
        self.book = VenueBook(BTC)
        self.outbox = MemoryOutbox()
        self._patch = patch

    def why_unseen(self, max_silence: float, *frames: Callable[["Heard"], object]) -> str:
        """Return what is said once the session has handed over these frames."""
        return asyncio.run(self._run(max_silence, frames))

    async def _run(self, max_silence: float, frames: tuple[Callable[["Heard"], object], ...]) -> str:
        heard, stop = asyncio.Event(), asyncio.Event()

        async def run_session(session: object, handle: Handler, stop: asyncio.Event, **_: object) -> None:
            for frame in frames:
                frame(self)
                for event in self.harness.events:
                    await handle(event)
                self.harness.clear_events()
            heard.set()
            await stop.wait()

        self._patch.setattr(process_module, "run_session", run_session)
        process = self._process()
        running = asyncio.create_task(process.run(stop))
        waiting = asyncio.create_task(heard.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        found = process.why_unseen(BTC, max_silence)
        stop.set()
        await running
        return found

    def _process(self) -> StreamProcess:
        recorder, metrics = self.recording.recorder, self.recording.metrics
        frames: Any = None
        return StreamProcess(
            recorder=recorder,
            committer=Committer(self.outbox, recorder.cut, lambda: recorder.waiting, metrics),
            clock=self.recording.clock,
            lines=[Line(self.harness.session, frames, None, trades=True, books=True)],
            metrics=metrics,
            measure_interval=PATIENT,
        )


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


def connect(heard: Heard) -> None:
    heard.harness.connect()
    heard.harness.receive(listing(BTC))
    heard.harness.confirm_all()


def snapshot(heard: Heard) -> None:
    """Bid 99, ask 101."""
    heard.harness.receive(heard.book.snapshot())


def wrong_checksum(heard: Heard) -> None:
    change = heard.book.change(bids="98.0 1.00")
    heard.harness.receive(replace(change, checksum=1))


def status(word: str) -> Callable[[Heard], object]:
    return lambda heard: heard.harness.receive(VenueStatus(word, "1"))


def silence(heard: Heard) -> None:
    heard.recording.venue.passes(SILENCE + 1)


def traded_at(price: float) -> Callable[[Heard], object]:
    return lambda heard: heard.harness.events.append(trade(1, heard.recording.venue.now, price=price))


def test_a_verified_book_is_seen(heard: Heard) -> None:
    assert heard.why_unseen(PATIENT, connect, snapshot) == ""


def test_a_book_before_its_snapshot_is_not_verified(heard: Heard) -> None:
    assert heard.why_unseen(PATIENT, connect) == "book"


def test_a_book_with_a_wrong_checksum_is_not_verified(heard: Heard) -> None:
    assert heard.why_unseen(PATIENT, connect, snapshot, wrong_checksum) == "book"


def test_a_connection_that_has_been_silent_for_too_long_is_stale(heard: Heard) -> None:
    assert heard.why_unseen(0.0, connect, snapshot) == "feed"


def test_a_venue_that_is_not_open_is_not_seen_whatever_its_book(heard: Heard) -> None:
    assert heard.why_unseen(PATIENT, connect, snapshot, status("maintenance")) == "venue"


def test_a_venue_that_is_open_again_is_seen(heard: Heard) -> None:
    assert heard.why_unseen(PATIENT, connect, snapshot, status("maintenance"), status("online")) == ""


def test_a_book_that_stands_while_the_pair_trades_beyond_it_is_silent(heard: Heard) -> None:
    assert heard.why_unseen(SILENCE, connect, snapshot, silence, traded_at(103.0)) == "silent"


def test_a_book_that_stands_while_the_pair_trades_within_it_is_seen(heard: Heard) -> None:
    assert heard.why_unseen(SILENCE, connect, snapshot, silence, traded_at(100.0)) == ""

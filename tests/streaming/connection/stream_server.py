"""A stream server on loopback that follows a script, and a consumer that listens to it (tests only)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from streaming.connection import run_session
from streaming.connection.backoff import AttemptResult, Backoff
from streaming.connection.opening import ConnectionLimits
from streaming.events import Acknowledgement, Channel, Event, Heartbeat, Subscription
from streaming.session import Session
from streaming.session.output import SessionEvent
from streaming.session.settings import SessionSettings
from tests.streaming.session.session_fakes import BTC, RULES, XRP, FakeFeed, ticker
from trading.errors import InvalidMessage

QUICK = ConnectionLimits(open_timeout=5, close_timeout=0.5, send_timeout=5, tick_interval=0.02)
TEST_TIMEOUT = 30  # seconds: a test that takes so long hangs
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
Script = Callable[[ServerConnection], Awaitable[None]]


class TextFeed(FakeFeed):
    """Frames are `yes 3`, `no 3 reason`, `last 101.5 (anything)`, `other 0.5` and `alive`."""

    def __init__(self, url: str, silence_timeout: float = 60.0) -> None:
        super().__init__()
        self.url = url
        self.rules = replace(RULES, silence_timeout=timedelta(seconds=silence_timeout))

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        try:
            words = (frame if isinstance(frame, str) else frame.decode()).split(" ", 2)
        except UnicodeError as error:
            raise InvalidMessage("", str(error)) from error
        match words:
            case ["yes", number]:
                return [Acknowledgement(int(number), "subscribe", None, None, True, "")]
            case ["no", number, reason]:
                return [Acknowledgement(int(number), "subscribe", None, None, False, reason)]
            case ["last", price, *_]:
                return [ticker(float(price))]
            case ["other", price]:
                return [ticker(float(price), XRP)]
            case ["alive"]:
                return [Heartbeat()]
        raise InvalidMessage("", f"what is {frame[:20]!r}")


class NoBackoff(Backoff):
    """Remembers how attempts ended and hardly waits."""

    def __init__(self) -> None:
        super().__init__(RULES, Random(1))
        self.results: list[AttemptResult] = []

    def pause(self, result: AttemptResult) -> float:
        self.results.append(result)
        return 0.01


class MemoryFrameStore:
    """The rejected frames, in memory."""

    def __init__(self) -> None:
        self.frames: list[str | bytes] = []

    def store(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        self.frames.append(frame)


class Listener:
    """A consumer that stops the session once `is_enough` says so of all events."""

    def __init__(
        self,
        feed: TextFeed,
        is_enough: Callable[[list[Any]], bool],
        subscriptions: Sequence[Subscription] = (ONE_TICKER,),
        **settings: Any,
    ) -> None:
        self.feed = feed
        self.events: list[Any] = []
        self.stop = asyncio.Event()
        self.backoff = NoBackoff()
        self.budget: Any = None
        self.frame_store = MemoryFrameStore()
        self.limits = QUICK
        self.session = Session(feed, subscriptions, SessionSettings(**settings))
        self.before_event: Callable[[], Awaitable[Any]] | None = None  # what the consumer does first
        self._is_enough = is_enough

    async def listen(self) -> list[Any]:
        async with asyncio.timeout(TEST_TIMEOUT):
            await run_session(
                self.session,
                self._handle,
                self.stop,
                quarantine=self.frame_store,
                backoff=self.backoff,
                budget=self.budget,
                limits=self.limits,
            )
        return self.events

    async def _handle(self, event: SessionEvent) -> None:
        if self.before_event is not None:
            await self.before_event()
        self.events.append(event)
        if self._is_enough(self.events):
            self.stop.set()

    def events_of(self, kind: type) -> list[Any]:
        return [each for each in self.events if type(each) is kind]


@asynccontextmanager
async def stream_server(*scripts: Script, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """The address of a server that runs the first script for the first connection, and so on; the last one repeats."""
    remaining = list(scripts)

    async def serve_script(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection)

    server: Server = await serve(
        serve_script, "127.0.0.1", port, compression=None, close_timeout=0.2, **options
    )
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def confirm_subscription(connection: ServerConnection) -> None:
    """Confirm the first request."""
    request = await connection.recv()
    await connection.send(f"yes {str(request).partition('#')[2]}")


def sending(*frames: str | bytes, then_abort: bool = False) -> Script:
    """A script that sends frames after the confirmation, then waits until the other side goes."""

    async def send(connection: ServerConnection) -> None:
        await confirm_subscription(connection)
        for frame in frames:
            await connection.send(frame, text=isinstance(frame, str) or frame.startswith(b"text"))
        if then_abort:
            connection.transport.abort()
        await connection.wait_closed()

    return send

"""A venue's stream on loopback that does what a test tells it to, and somebody who listens to it (tests only)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from streaming.connection import run
from streaming.connection.attempts import Attempts, Ending
from streaming.connection.opening import Wire
from streaming.events import Acknowledged, Channel, Event, Heartbeat, Subscription
from streaming.session import Session
from streaming.session.output import Heard, SessionSettings
from tests.streaming.session.session_fakes import BTC, RULES, XRP, FakeFeed, ticker
from trading.errors import InvalidMessage

QUICK = Wire(open_timeout=5, close_timeout=0.5, send_timeout=5, tick=0.02)
BOUND = 30  # seconds: a test that takes so long hangs
ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
Talk = Callable[[ServerConnection], Awaitable[None]]


class WordFeed(FakeFeed):
    """Frames are `yes 3`, `no 3 reason`, `last 101.5 (anything)`, `other 0.5` and `alive`."""

    def __init__(self, url: str, silence: float = 60.0) -> None:
        super().__init__()
        self.url = url
        self.rules = replace(RULES, silence=timedelta(seconds=silence))

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        try:
            words = (frame if isinstance(frame, str) else frame.decode()).split(" ", 2)
        except UnicodeError as error:
            raise InvalidMessage("", str(error)) from error
        match words:
            case ["yes", number]:
                return [Acknowledged(int(number), "subscribe", None, None, True, "")]
            case ["no", number, reason]:
                return [Acknowledged(int(number), "subscribe", None, None, False, reason)]
            case ["last", price, *_]:
                return [ticker(float(price))]
            case ["other", price]:
                return [ticker(float(price), XRP)]
            case ["alive"]:
                return [Heartbeat()]
        raise InvalidMessage("", f"what is {frame[:20]!r}")


class Patient(Attempts):
    """Remembers how attempts ended and waits for none."""

    def __init__(self) -> None:
        super().__init__(RULES, Random(1))
        self.endings: list[Ending] = []

    def pause(self, ending: Ending) -> float:
        self.endings.append(ending)
        return 0.01


class Kept:
    def __init__(self) -> None:
        self.frames: list[str | bytes] = []

    def keep(self, frame: str | bytes, venue: str, channel: str, reason: str) -> None:
        self.frames.append(frame)


class Listener:
    """Listens until `enough` says so of everything that was heard."""

    def __init__(
        self,
        feed: WordFeed,
        enough: Callable[[list[Any]], bool],
        subscriptions: Sequence[Subscription] = (ONE_TICKER,),
        **settings: Any,
    ) -> None:
        self.feed = feed
        self.heard: list[Any] = []
        self.stop = asyncio.Event()
        self.attempts = Patient()
        self.kept = Kept()
        self.wire = QUICK
        self.session = Session(feed, subscriptions, SessionSettings(**settings))
        self.before: Callable[[], Awaitable[Any]] | None = None  # what the consumer does first
        self._enough = enough

    async def listen(self) -> list[Any]:
        async with asyncio.timeout(BOUND):
            await run(
                self.session,
                self.hear,
                self.stop,
                quarantine=self.kept,
                attempts=self.attempts,
                wire=self.wire,
            )
        return self.heard

    async def hear(self, heard: Heard) -> None:
        if self.before is not None:
            await self.before()
        self.heard.append(heard)
        if self._enough(self.heard):
            self.stop.set()

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.heard if type(each) is kind]


@asynccontextmanager
async def venue(*talks: Talk, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """The address of a server that has the first talk with the first who connects, and so on; the last one stays."""
    left = list(talks)

    async def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await (left.pop(0) if len(left) > 1 else left[0])(connection)

    server: Server = await serve(talk, "127.0.0.1", port, compression=None, close_timeout=0.2, **options)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def subscribed(connection: ServerConnection) -> None:
    """Answer the first request."""
    request = await connection.recv()
    await connection.send(f"yes {str(request).partition('#')[2]}")


def talk(*frames: str | bytes, then_close: bool = False) -> Talk:
    """Say this after the answer, then listen until the other side goes."""

    async def say(connection: ServerConnection) -> None:
        await subscribed(connection)
        for frame in frames:
            await connection.send(frame, text=isinstance(frame, str) or frame.startswith(b"text"))
        if then_close:
            connection.transport.abort()
        await connection.wait_closed()

    return say

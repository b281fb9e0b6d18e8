"""Kraken's recorded book through a session, over a real connection on which one frame is lost."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from streaming.connection import run_session
from streaming.events import BookChange, Channel, Level, Subscription, UnknownInterval
from streaming.feeds.kraken import KrakenFeed
from streaming.order_book import OrderBook
from streaming.session import Session
from streaming.session.output import Interrupted, Restored, SessionEvent, TopOfBook
from tests.streaming.connection.stream_server import (
    QUICK,
    TEST_TIMEOUT,
    MemoryFrameStore,
    NoBackoff,
    stream_server,
)
from tests.streaming.kraken_recordings import book_frame, frames, recorded
from tests.streaming.session.session_fakes import XRP

RECORDING = "kraken_v2_book_XRP-USD.jsonl"
DECIMALS = (5, 8)
LISTING = json.dumps(
    {
        "channel": "instrument",
        "type": "snapshot",
        "data": {
            "assets": [],
            "pairs": [
                {
                    "symbol": "XRP/USD",
                    "status": "online",
                    "price_increment": 0.00001,
                    "price_precision": 5,
                    "qty_increment": 0.00000001,
                    "qty_precision": 8,
                    "qty_min": 2,
                    "cost_min": 0.5,
                }
            ],
        },
    }
)


class RecordedVenue:
    """Plays the recording to whoever subscribes, without one frame, and gives a fresh snapshot when asked again."""

    def __init__(self) -> None:
        self.book = OrderBook(25, *DECIMALS)
        self.requests: list[tuple[str, str]] = []
        [self.snapshot, *self.updates] = [frame for frame in frames(RECORDING) if '"book","type"' in frame]
        checksums = [json.loads(frame)["data"][0]["checksum"] for frame in self.updates]
        middle = len(self.updates) // 2
        self.lost = next(n for n in range(middle, len(checksums)) if checksums[n] != checksums[n - 1])

    async def script(self, connection: ServerConnection) -> None:
        for channel in ("instrument", "book"):
            await self._confirm(connection, "subscribe", channel)
            await self._play(connection, LISTING if channel == "instrument" else self.snapshot)
        for number, frame in enumerate(self.updates[: self.lost + 5]):
            await self._play(connection, frame, lost=number == self.lost)
        await self._confirm(connection, "unsubscribe", "book")
        await self._confirm(connection, "subscribe", "book")
        await connection.send(
            book_frame(
                _rows(self.book.bids()), _rows(self.book.asks()), self.book.checksum(), symbol="XRP/USD"
            )
        )
        for frame in self.updates[self.lost + 5 :]:
            await self._play(connection, frame)
        await connection.wait_closed()

    async def _confirm(self, connection: ServerConnection, method: str, channel: str) -> None:
        request = json.loads(await connection.recv())
        self.requests.append((request["method"], request["params"]["channel"]))
        assert self.requests[-1] == (method, channel)
        result = (
            {"channel": channel} if channel == "instrument" else {"channel": channel, "symbol": "XRP/USD"}
        )
        answer = {"method": method, "result": result, "success": True, "req_id": request["req_id"]}
        await connection.send(json.dumps(answer))

    async def _play(self, connection: ServerConnection, frame: str, lost: bool = False) -> None:
        if '"book"' in frame:
            [change] = KrakenFeed().decode(frame)
            assert isinstance(change, BookChange)
            self.book.apply(change)
        if not lost:
            await connection.send(frame)


def _rows(levels: Sequence[Level]) -> str:
    return ", ".join(f"{price:f} {quantity:f}" for price, quantity in levels)


@recorded
@pytest.mark.anyio
async def test_a_lost_frame_of_the_recording_costs_one_subscription_and_one_unknown_interval() -> None:
    recording, events, stop = RecordedVenue(), list[Any](), asyncio.Event()
    last = KrakenFeed().decode(recording.updates[-1])[0]

    async def handle(event: SessionEvent) -> None:
        events.append(event)
        if event == last:
            assert session.books[XRP].bids() == recording.book.bids()
            assert session.books[XRP].asks() == recording.book.asks()
            stop.set()

    async with stream_server(recording.script) as address:
        session = Session(KrakenFeed(address), [Subscription(Channel.BOOK, (XRP,), depth=25)])
        async with asyncio.timeout(TEST_TIMEOUT):
            await run_session(
                session, handle, stop, quarantine=MemoryFrameStore(), backoff=NoBackoff(), limits=QUICK
            )
    assert recording.requests[2:] == [("unsubscribe", "book"), ("subscribe", "book")]
    signals = [type(each) for each in events if type(each) not in (BookChange, TopOfBook)]
    assert signals == [Interrupted, UnknownInterval, Restored]
    changes = [each for each in events if type(each) is BookChange]
    assert len(changes) == 1 + recording.lost + 1 + len(recording.updates) - recording.lost - 5

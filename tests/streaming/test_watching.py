"""Events as lines on the screen."""

import asyncio
from decimal import Decimal
from typing import Any, get_args

import pytest

from streaming.events import (
    Acknowledgement,
    Balance,
    BookChange,
    Candle,
    Channel,
    Heartbeat,
    UnknownInterval,
    UnreadableMessage,
    VenueStatus,
)
from streaming.session.output import (
    Interrupted,
    Reconnecting,
    Restored,
    SessionEvent,
    SubscriptionRefused,
    TopOfBook,
)
from streaming.watching import format_event, watch
from tests.streaming.connection.stream_server import (
    ONE_TICKER,
    QUICK,
    TEST_TIMEOUT,
    MemoryFrameStore,
    TextFeed,
    sending,
    stream_server,
)
from tests.streaming.kraken_recordings import levels
from tests.streaming.session.session_fakes import (
    BTC,
    START,
    at,
    empty_snapshot,
    execution,
    listing,
    ticker,
    trade,
)
from trading.market import Timeframe

[BID], [ASK] = levels("99.50 1.00"), levels("100.00 0.00000001")
LINES: list[tuple[Any, str]] = [
    (trade(7), "12:00:07.000  trade     BTC/USD     buy 1.0 @ 100.0  #7"),
    (
        Candle(BTC, Timeframe.M1, START, 1.0, 2.0, 1e-8, 1.5, 0.1, 3),
        "12:00:00.000  candle    BTC/USD     1m open high low close 1.0 2.0 0.00000001 1.5, volume 0.1",
    ),
    (ticker(), "              ticker    BTC/USD     bid 99.0 (1.0), ask 101.0 (1.0), last 100.0"),
    (
        TopOfBook(BTC, BID, ASK, START),
        "12:00:00.000  best      BTC/USD     bid 99.50 (1.00), ask 100.00 (0.00000001)",
    ),
    (
        TopOfBook(BTC, None, ASK, None),
        "              best      BTC/USD     bid none, ask 100.00 (0.00000001)",
    ),
    (
        BookChange(BTC, True, (BID,), (ASK,), 1, None, START),
        "12:00:00.000  book      BTC/USD     snapshot: 1 bids, 1 asks",
    ),
    (listing(), "              listed    BTC/USD     online, price by 0.1, quantity by 0.01"),
    (execution(1), "12:00:00.000  order     BTC/USD     O1 new"),
    (Balance(1, False, "BTC", Decimal("1E-8"), START), "12:00:00.000  balance               0.00000001 BTC"),
    (VenueStatus("cancel_only", ""), "              venue                 cancel_only"),
    (UnreadableMessage("ohlc", None, "no\ncandle", b"?"), "!!! UNREADABLE  ohlc  no\\ncandle"),
    (Heartbeat(), "              alive"),
    (empty_snapshot(), "              alive"),
    (Acknowledgement(None, "", None, None, False, "Exceeded msg rate"), "!!! venue: Exceeded msg rate"),
    (
        UnknownInterval(Channel.BOOK, BTC, at(1), at(2.5), "cut"),
        "!!! UNKNOWN  book BTC/USD  from 12:00:01.000 to 12:00:02.500: cut",
    ),
    (
        Interrupted(Channel.EXECUTIONS, None, at(1), "cut"),
        "!!! INTERRUPTED  executions  since 12:00:01.000: cut",
    ),
    (Restored(Channel.BOOK, BTC, at(2)), "12:00:02.000  restored  BTC/USD     book"),
    (SubscriptionRefused(Channel.BOOK, BTC, "no"), "!!! REFUSED  book BTC/USD  no"),
    (Reconnecting("cut", 1.25), "!!! NO CONNECTION  cut; next attempt in 1.2 s"),
]


@pytest.mark.parametrize(("event", "text"), LINES)
def test_every_event_is_one_readable_line(event: SessionEvent, text: str) -> None:
    assert format_event(event) == text


def test_every_kind_of_event_is_covered() -> None:
    assert {type(event) for event, _ in LINES} == set(get_args(SessionEvent))


@pytest.mark.anyio
async def test_events_and_rejected_frames_are_shown_until_the_stop() -> None:
    shown, stop, frame_store = list[SessionEvent](), asyncio.Event(), MemoryFrameStore()

    def show(event: SessionEvent) -> None:
        shown.append(event)
        if len(shown) == 2:
            stop.set()

    async with stream_server(sending("garbage", "last 101")) as address, asyncio.timeout(TEST_TIMEOUT):
        await watch(TextFeed(address), [ONE_TICKER], show, stop, quarantine=frame_store, limits=QUICK)
    assert shown == [UnreadableMessage("", None, "what is 'garbage'", "garbage"), ticker(101)]
    assert frame_store.frames == ["garbage"]

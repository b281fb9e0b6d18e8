"""What is heard as lines for a person."""

import asyncio
from decimal import Decimal
from typing import Any, get_args

import pytest

from streaming.events import (
    Acknowledged,
    Balance,
    BookChange,
    Candle,
    Channel,
    Heartbeat,
    Unknown,
    Unreadable,
    VenueStatus,
)
from streaming.session.output import (
    BestOffers,
    Heard,
    Interrupted,
    Reconnecting,
    Restored,
    SubscriptionRefused,
)
from streaming.watching import line, watch
from tests.streaming.connection.stream_server import BOUND, ONE_TICKER, QUICK, Kept, WordFeed, talk, venue
from tests.streaming.kraken_recordings import levels
from tests.streaming.session.session_fakes import BTC, START, at, execution, listed, ticker, trade
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
        BestOffers(BTC, BID, ASK, START),
        "12:00:00.000  best      BTC/USD     bid 99.50 (1.00), ask 100.00 (0.00000001)",
    ),
    (
        BestOffers(BTC, None, ASK, None),
        "              best      BTC/USD     bid none, ask 100.00 (0.00000001)",
    ),
    (
        BookChange(BTC, True, (BID,), (ASK,), 1, None, START),
        "12:00:00.000  book      BTC/USD     snapshot: 1 bids, 1 asks",
    ),
    (listed(), "              listed    BTC/USD     online, price by 0.1, quantity by 0.01"),
    (execution(1), "12:00:00.000  order     BTC/USD     O1 new"),
    (Balance(1, False, "BTC", Decimal("1E-8"), START), "12:00:00.000  balance               0.00000001 BTC"),
    (VenueStatus("cancel_only", ""), "              venue                 cancel_only"),
    (Unreadable("ohlc", None, "no\ncandle", b"?"), "!!! UNREADABLE  ohlc  no\\ncandle"),
    (Heartbeat(), "              alive"),
    (Acknowledged(None, "", None, None, False, "Exceeded msg rate"), "!!! venue: Exceeded msg rate"),
    (
        Unknown(Channel.BOOK, BTC, at(1), at(2.5), "cut"),
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


@pytest.mark.parametrize(("heard", "text"), LINES)
def test_everything_that_is_heard_is_one_readable_line(heard: Heard, text: str) -> None:
    assert line(heard) == text


def test_no_kind_of_event_was_forgotten() -> None:
    assert {type(heard) for heard, _ in LINES} == set(get_args(Heard))


def test_what_the_venue_says_is_shown_until_it_is_stopped() -> None:
    async def scene() -> None:
        shown, stop, kept = list[Heard](), asyncio.Event(), Kept()

        def show(heard: Heard) -> None:
            shown.append(heard)
            if len(shown) == 2:
                stop.set()

        async with venue(talk("garbage", "last 101")) as address, asyncio.timeout(BOUND):
            await watch(WordFeed(address), [ONE_TICKER], show, stop, quarantine=kept, wire=QUICK)
        assert shown == [Unreadable("", None, "what is 'garbage'", "garbage"), ticker(101)]
        assert kept.frames == ["garbage"]

    asyncio.run(scene())

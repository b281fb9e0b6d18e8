"""A session against the sandbox exchange while faults are armed there."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streaming.connection import run_session
from streaming.events import (
    Balance,
    BookChange,
    Channel,
    Execution,
    Subscription,
    Ticker,
    Trade,
    UnknownInterval,
)
from streaming.feeds.kraken import KrakenFeed
from streaming.session import Session
from streaming.session.output import Interrupted, Reconnecting, Restored, SessionEvent
from streaming.session.settings import SessionSettings
from tests.doubles.stores import MemoryKeyState
from tests.streaming.connection.stream_server import QUICK, TEST_TIMEOUT, MemoryFrameStore, NoBackoff
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, XRP
from trading.orders import Side
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.order_request import OrderRequest

PAIRS = (BTC, XRP)
MARKET_DATA = [
    Subscription(Channel.BOOK, PAIRS),
    Subscription(Channel.TRADE, PAIRS),
    Subscription(Channel.TICKER, PAIRS),
]
OPEN = RateLimit(10_000, 1000)
pytestmark = pytest.mark.anyio
ENOUGH = 25  # messages of each channel before the fault, and again after it has been overcome


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Five market minutes a second: some twenty trades of each pair."""
    with sandbox(tmp_path_factory.mktemp("sandbox"), speed=300.0) as running:
        yield running


@dataclass
class Record:
    """All events of a session and the frames that it rejected."""

    events: list[Any]
    rejected: list[str | bytes]

    def of(self, *kinds: type) -> list[Any]:
        return [each for each in self.events if type(each) in kinds]

    def signals(self) -> list[tuple[type, Channel]]:
        return [(type(each), each.channel) for each in self.of(Interrupted, UnknownInterval, Restored)]

    def trade_ids_are_complete(self) -> bool:
        ids = [each.trade_id for each in self.of(Trade) if each.pair == BTC]
        return bool(ids == list(range(ids[0], ids[0] + len(ids))))


def has_enough(events: list[Any], since: int) -> bool:
    kinds = [type(each) for each in events[since:]]
    return all(kinds.count(kind) >= ENOUGH for kind in (BookChange, Trade, Ticker))


async def record_fault(
    exchange: Sandbox,
    arm: Callable[[], object],
    has_recovered: Callable[[list[Any]], bool] = lambda events: True,
    had_no_effect: Callable[[list[Any]], bool] = lambda events: False,
    **settings: Any,
) -> Record:
    """Listen until there are enough events, arm a fault (again where it had no effect), listen until the session has
    recovered and there are enough events again.
    """
    events, frame_store, stop = list[Any](), MemoryFrameStore(), asyncio.Event()
    armed_at, recovered_at = -1, -1

    async def handle(event: SessionEvent) -> None:
        nonlocal armed_at, recovered_at
        events.append(event)
        if armed_at < 0 and has_enough(events, 0):
            armed_at = len(events)
            await asyncio.to_thread(arm)
        elif armed_at >= 0 and recovered_at < 0 and has_recovered(events[armed_at:]):
            recovered_at = len(events)
        elif armed_at >= 0 and recovered_at < 0 and had_no_effect(events[armed_at:]):
            armed_at = len(events)
            await asyncio.to_thread(arm)
        elif recovered_at >= 0 and has_enough(events, recovered_at):
            stop.set()

    session = Session(KrakenFeed(exchange.websocket), MARKET_DATA, SessionSettings(**settings))
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            await run_session(
                session, handle, stop, quarantine=frame_store, backoff=NoBackoff(), limits=QUICK
            )
    finally:
        exchange.disarm()
    return Record(events, frame_store.frames)


def restored(channel: Channel, times: int = 1) -> Callable[[list[Any]], bool]:
    return lambda events: sum(type(each) is Restored and each.channel is channel for each in events) >= times


def is_undamaged(events: list[Any]) -> bool:
    """Whether the fault had no effect: a message whose content the next one repeats is not missed."""
    kinds = [type(each) for each in events]
    return Interrupted not in kinds and kinds.count(BookChange) >= 4 * ENOUGH  # more than wait in buffers


@pytest.mark.parametrize("kind", ["checksum_break", "missed_message", "reordered_messages"])
async def test_only_a_book_that_broke_is_subscribed_to_again(exchange: Sandbox, kind: str) -> None:
    record = await record_fault(
        exchange,
        lambda: exchange.arm(kind, channel="book", symbol="BTC/USDT", count=1),
        restored(Channel.BOOK),
        is_undamaged,
    )
    assert record.signals() == [
        (kind_of, Channel.BOOK) for kind_of in (Interrupted, UnknownInterval, Restored)
    ]
    assert record.of(Reconnecting) == []


async def test_a_missed_trade_is_unknown_between_its_neighbours(exchange: Sandbox) -> None:
    record = await record_fault(
        exchange,
        lambda: exchange.arm("missed_message", channel="trade", symbol="BTC/USDT", count=1),
        lambda events: any(type(each) is UnknownInterval for each in events),
    )
    [unknown] = record.of(UnknownInterval)
    assert (unknown.channel, unknown.pair) == (Channel.TRADE, BTC)
    assert "missing" in unknown.reason
    assert not record.trade_ids_are_complete()


@pytest.mark.parametrize("kind", ["duplicated_message", "reordered_messages"])
async def test_repeated_and_reordered_trades_are_passed_on_once_and_in_order(
    exchange: Sandbox, kind: str
) -> None:
    record = await record_fault(
        exchange, lambda: exchange.arm(kind, channel="trade", symbol="BTC/USDT", count=3)
    )
    assert record.trade_ids_are_complete()
    assert record.signals() == []


async def test_garbage_is_rejected_and_everything_goes_on(exchange: Sandbox) -> None:
    """In turn: half a frame of trades, bytes that say nothing of their channel, and nonsense of a book."""
    record = await record_fault(
        exchange,
        lambda: exchange.arm("garbage_frame", channel="trade", count=3),
        lambda events: restored(Channel.TRADE, 2)(events) and restored(Channel.BOOK, 2)(events),
    )
    assert len(record.rejected) == 3
    assert {each.channel for each in record.of(Interrupted)} == {Channel.TRADE, Channel.BOOK}
    assert record.of(Reconnecting) == []


async def test_a_dropped_connection_recovers_without_a_lost_trade(exchange: Sandbox) -> None:
    record = await record_fault(
        exchange, lambda: exchange.arm("disconnect", channel="trade", count=1), restored(Channel.BOOK, 2)
    )
    assert len(record.of(Reconnecting)) == 1
    assert record.trade_ids_are_complete()
    unknown = [each.channel for each in record.of(UnknownInterval)]
    assert sorted(unknown) == [Channel.BOOK] * 2 + [Channel.TICKER] * 2


async def test_a_silent_channel_among_heartbeats_is_subscribed_to_again_and_its_gap_is_unknown(
    exchange: Sandbox,
) -> None:
    record = await record_fault(
        exchange,
        lambda: exchange.arm("silent_channel", channel="trade", symbol="XRP/USDT", lasts=3.5),
        lambda events: any(type(each) is UnknownInterval for each in events),
        silence_timeouts={Channel.TRADE: timedelta(seconds=2.5)},
    )
    assert record.signals() == [(kind, Channel.TRADE) for kind in (Interrupted, Restored, UnknownInterval)]
    assert {each.pair for each in record.of(Interrupted, Restored, UnknownInterval)} == {XRP}
    assert record.of(Reconnecting) == []


async def test_a_lost_response_is_not_needed_where_messages_come(exchange: Sandbox) -> None:
    exchange.arm("lost_ack", method="subscribe", count=3)
    record = await record_fault(exchange, lambda: None)
    assert record.signals() == []
    assert record.of(Reconnecting) == []


async def test_a_gap_in_the_messages_about_our_orders_is_reported_and_repaired(
    exchange: Sandbox, tmp_path: Path
) -> None:
    events, stop = list[Any](), asyncio.Event()

    def buy() -> None:
        client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.001")))

    def fills() -> list[Any]:
        return [each for each in events if type(each) is Execution and each.fill_id]

    async def handle(event: SessionEvent) -> None:
        events.append(event)
        if type(event) is Restored:
            await asyncio.to_thread(buy)
        elif fills() and type(event) is Execution and Restored in map(type, events):
            stop.set()
        elif type(event) is Balance and event.snapshot and not fills():
            exchange.arm("sequence_gap", channel="executions", count=1)
            await asyncio.to_thread(buy)

    credentials = Credentials(exchange.key, exchange.secret)
    with KrakenClient(
        tmp_path, credentials, exchange.url, Allowance(OPEN, OPEN), OPEN, keys=MemoryKeyState()
    ) as client:
        feed = KrakenFeed(exchange.websocket, token=lambda: client.websockets_token().token)
        session = Session(feed, [Subscription(Channel.EXECUTIONS), Subscription(Channel.BALANCES)])
        try:
            async with asyncio.timeout(TEST_TIMEOUT):
                await run_session(
                    session, handle, stop, quarantine=MemoryFrameStore(), backoff=NoBackoff(), limits=QUICK
                )
        finally:
            exchange.disarm()
    record = Record(events, [])
    assert record.signals() == [
        (kind, Channel.EXECUTIONS) for kind in (Interrupted, UnknownInterval, Restored)
    ]
    assert {each.fill_id for each in record.of(Execution) if each.fill_id}
    assert record.of(Reconnecting) == []

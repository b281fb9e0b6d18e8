"""A session against the sandbox exchange, whose faults strike while it listens."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streaming.connection import run
from streaming.events import Balance, BookChange, Channel, Execution, Subscription, Ticker, Trade, Unknown
from streaming.feeds.kraken import KrakenFeed
from streaming.session import Session
from streaming.session.output import Heard, Interrupted, Reconnecting, Restored, SessionSettings
from tests.streaming.connection.stream_server import BOUND, QUICK, Kept, Patient
from tests.streaming.sandbox.running import BTC, XRP, Sandbox, sandbox
from trading.orders import Side
from trading.venues.kraken import Allowance, Credentials, KrakenClient, Limit
from trading.venues.kraken.order_request import OrderRequest

PAIRS = (BTC, XRP)
MARKET_DATA = [
    Subscription(Channel.BOOK, PAIRS),
    Subscription(Channel.TRADE, PAIRS),
    Subscription(Channel.TICKER, PAIRS),
]
OPEN = Limit(10_000, 1000)
ENOUGH = 25  # messages of each channel before the fault, and again after it has been overcome


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Five market minutes a second: some twenty trades of each pair."""
    with sandbox(tmp_path_factory.mktemp("sandbox"), speed=300.0) as running:
        yield running


@dataclass
class Story:
    heard: list[Any]
    kept: list[str | bytes]

    def of(self, *kinds: type) -> list[Any]:
        return [each for each in self.heard if type(each) in kinds]

    def signals(self) -> list[tuple[type, Channel]]:
        return [(type(each), each.channel) for each in self.of(Interrupted, Unknown, Restored)]

    def ids_are_whole(self) -> bool:
        ids = [each.trade_id for each in self.of(Trade) if each.pair == BTC]
        return bool(ids == list(range(ids[0], ids[0] + len(ids))))


def enough(heard: list[Any], since: int) -> bool:
    kinds = [type(each) for each in heard[since:]]
    return all(kinds.count(kind) >= ENOUGH for kind in (BookChange, Trade, Ticker))


def told(
    exchange: Sandbox,
    strike: Callable[[], object],
    overcome: Callable[[list[Any]], bool] = lambda heard: True,
    missed: Callable[[list[Any]], bool] = lambda heard: False,
    **settings: Any,
) -> Story:
    """Listen until enough was heard, strike (again where it `missed`), and listen until it is overcome
    and enough was heard again.
    """

    async def scene() -> Story:
        heard, kept, stop = list[Any](), Kept(), asyncio.Event()
        struck, healed = -1, -1

        async def hear(each: Heard) -> None:
            nonlocal struck, healed
            heard.append(each)
            if struck < 0 and enough(heard, 0):
                struck = len(heard)
                await asyncio.to_thread(strike)
            elif struck >= 0 and healed < 0 and overcome(heard[struck:]):
                healed = len(heard)
            elif struck >= 0 and healed < 0 and missed(heard[struck:]):
                struck = len(heard)
                await asyncio.to_thread(strike)
            elif healed >= 0 and enough(heard, healed):
                stop.set()

        session = Session(KrakenFeed(exchange.websocket), MARKET_DATA, SessionSettings(**settings))
        async with asyncio.timeout(BOUND):
            await run(session, hear, stop, quarantine=kept, attempts=Patient(), wire=QUICK)
        return Story(heard, kept.frames)

    try:
        return asyncio.run(scene())
    finally:
        exchange.disarm()


def restored(channel: Channel, times: int = 1) -> Callable[[list[Any]], bool]:
    return lambda heard: sum(type(each) is Restored and each.channel is channel for each in heard) >= times


def unharmed(heard: list[Any]) -> bool:
    """Where a message only says again what the next one says, a book is as right without it."""
    kinds = [type(each) for each in heard]
    return Interrupted not in kinds and kinds.count(BookChange) >= ENOUGH


@pytest.mark.parametrize("kind", ["checksum_break", "missed_message", "reordered_messages"])
def test_a_book_that_went_wrong_is_asked_for_again_and_nothing_else(exchange: Sandbox, kind: str) -> None:
    story = told(
        exchange,
        lambda: exchange.arm(kind, channel="book", symbol="BTC/USDT", count=1),
        restored(Channel.BOOK),
        unharmed,
    )
    assert story.signals() == [(kind_of, Channel.BOOK) for kind_of in (Interrupted, Unknown, Restored)]
    assert story.of(Reconnecting) == []


def test_a_missed_trade_is_unknown_between_its_neighbours(exchange: Sandbox) -> None:
    story = told(
        exchange,
        lambda: exchange.arm("missed_message", channel="trade", symbol="BTC/USDT", count=1),
        lambda heard: any(type(each) is Unknown for each in heard),
    )
    [unknown] = story.of(Unknown)
    assert (unknown.channel, unknown.pair) == (Channel.TRADE, BTC)
    assert "missing" in unknown.reason
    assert not story.ids_are_whole()


@pytest.mark.parametrize("kind", ["duplicated_message", "reordered_messages"])
def test_trades_that_come_twice_or_in_another_order_are_told_once_and_in_order(
    exchange: Sandbox, kind: str
) -> None:
    story = told(exchange, lambda: exchange.arm(kind, channel="trade", symbol="BTC/USDT", count=3))
    assert story.ids_are_whole()
    assert story.signals() == []


def test_garbage_is_put_aside_and_everything_goes_on(exchange: Sandbox) -> None:
    """In turn: half a frame of trades, bytes that say nothing of their channel, and nonsense of a book."""
    story = told(
        exchange,
        lambda: exchange.arm("garbage_frame", channel="trade", count=3),
        lambda heard: restored(Channel.TRADE, 2)(heard) and restored(Channel.BOOK, 2)(heard),
    )
    assert len(story.kept) == 3
    assert {each.channel for each in story.of(Interrupted)} == {Channel.TRADE, Channel.BOOK}
    assert story.of(Reconnecting) == []


def test_a_cut_connection_is_whole_again_with_no_trade_lost(exchange: Sandbox) -> None:
    story = told(
        exchange, lambda: exchange.arm("disconnect", channel="trade", count=1), restored(Channel.BOOK, 2)
    )
    assert len(story.of(Reconnecting)) == 1
    assert story.ids_are_whole()
    unknown = [each.channel for each in story.of(Unknown)]
    assert sorted(unknown) == [Channel.BOOK] * 2 + [Channel.TICKER] * 2


def test_a_silent_channel_among_heartbeats_is_asked_for_again_and_what_it_did_not_say_is_unknown(
    exchange: Sandbox,
) -> None:
    story = told(
        exchange,
        lambda: exchange.arm("silent_channel", channel="trade", symbol="XRP/USDT", lasts=3.5),
        lambda heard: any(type(each) is Unknown for each in heard),
        silence={Channel.TRADE: timedelta(seconds=2.5)},
    )
    assert story.signals() == [(kind, Channel.TRADE) for kind in (Interrupted, Restored, Unknown)]
    assert {each.pair for each in story.of(Interrupted, Restored, Unknown)} == {XRP}
    assert story.of(Reconnecting) == []


def test_a_lost_answer_is_not_needed_where_messages_come(exchange: Sandbox) -> None:
    exchange.arm("lost_ack", method="subscribe", count=3)
    story = told(exchange, lambda: None)
    assert story.signals() == []
    assert story.of(Reconnecting) == []


def test_a_gap_in_the_messages_about_our_orders_is_told_and_healed(exchange: Sandbox, tmp_path: Path) -> None:
    async def scene() -> Story:
        heard, stop = list[Any](), asyncio.Event()

        def buy() -> None:
            client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.001")))

        async def hear(each: Heard) -> None:
            heard.append(each)
            if type(each) is Restored:
                await asyncio.to_thread(buy)
            elif fills() and type(heard[-1]) is Execution and Restored in map(type, heard):
                stop.set()
            elif type(each) is Balance and each.snapshot and not fills():
                exchange.arm("sequence_gap", channel="executions", count=1)
                await asyncio.to_thread(buy)

        def fills() -> list[Any]:
            return [each for each in heard if type(each) is Execution and each.fill_id]

        feed = KrakenFeed(exchange.websocket, token=lambda: client.websockets_token().token)
        session = Session(feed, [Subscription(Channel.EXECUTIONS), Subscription(Channel.BALANCES)])
        async with asyncio.timeout(BOUND):
            await run(session, hear, stop, quarantine=Kept(), attempts=Patient(), wire=QUICK)
        return Story(heard, [])

    credentials = Credentials(exchange.key, exchange.secret)
    with KrakenClient(tmp_path, credentials, exchange.url, Allowance(OPEN, OPEN), OPEN) as client:
        try:
            story = asyncio.run(scene())
        finally:
            exchange.disarm()
    assert story.signals() == [(kind, Channel.EXECUTIONS) for kind in (Interrupted, Unknown, Restored)]
    assert {each.fill_id for each in story.of(Execution) if each.fill_id}
    assert story.of(Reconnecting) == []

"""Our streaming client beside a sandbox whose market the test moves by hand (tests only)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from streaming.connection import run_session
from streaming.events import Balance, Candle, Channel, Execution, Subscription, Ticker, Trade, UnknownInterval
from streaming.feeds.kraken import KrakenFeed
from streaming.quarantine import Quarantine, QuarantinedMessage
from streaming.sandbox.model import BookLevel, Print
from streaming.session import Session
from streaming.session.output import Interrupted, Reconnecting, SessionEvent
from streaming.session.settings import SessionSettings
from tests.contracts.venues import kraken_client
from tests.streaming.connection.stream_server import QUICK, TEST_TIMEOUT, NoBackoff
from tests.streaming.sandbox.running import Sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, XRP
from trading.market import Pair
from trading.orders import Side
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest

PAIRS = (BTC, XRP)
DEPTHS = {BTC: 10, XRP: 25}
MARKET_DATA = [
    *(Subscription(Channel.BOOK, (pair,), depth=depth) for pair, depth in DEPTHS.items()),
    Subscription(Channel.TRADE, PAIRS),
    Subscription(Channel.CANDLE, PAIRS),
    Subscription(Channel.TICKER, PAIRS),
]
ACCOUNT_DATA = [Subscription(Channel.EXECUTIONS), Subscription(Channel.BALANCES)]
STANDSTILL = 0.5  # seconds; longer than a busy machine needs for what is under way
Event = TypeVar("Event")


@dataclass
class PrivateSubscription:
    """Two connections, as at the venue: one for the market, one for the account. Their events are in `events`."""

    exchange: Sandbox
    account: str
    folder: Path
    settings: SessionSettings
    events: list[SessionEvent] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = kraken_client(self.exchange, self.folder / "client")
        self.quarantine = Quarantine(self.folder / "quarantine")
        self.orders = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["PrivateSubscription"]:
        """Run both sessions until the end of the block; they must end without an error."""
        stop = asyncio.Event()
        feeds = (
            (KrakenFeed(self.exchange.websocket), MARKET_DATA),
            (KrakenFeed(self.exchange.websocket, lambda: self.client.websockets_token().token), ACCOUNT_DATA),
        )
        self.sessions = [Session(feed, subscriptions, self.settings) for feed, subscriptions in feeds]
        tasks = [
            asyncio.create_task(
                run_session(
                    each, self._handle, stop, quarantine=self.quarantine, backoff=NoBackoff(), limits=QUICK
                )
            )
            for each in self.sessions
        ]
        try:
            async with asyncio.timeout(TEST_TIMEOUT):
                yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            self.client.close()

    async def _handle(self, event: SessionEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [each for each in self.events if type(each) is kind]

    def quarantined(self) -> list[QuarantinedMessage]:
        return list(self.quarantine.messages())

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)

    # --- the market moves, and we trade

    async def play(self, minutes: float, step: float = 10.0) -> None:
        """Advance the market in small steps, so that every channel gets messages again and again."""
        for _ in range(round(minutes * 60 / step)):
            await asyncio.to_thread(self.exchange.advance, step)

    async def trade(self) -> None:
        """Place a market order that fills at once and a limit order that rests."""
        self.orders += 1
        last = await asyncio.to_thread(self.exchange.last, XRP)
        far = (last * Decimal("0.8")).quantize(Decimal("0.00001"))
        for order in (
            OrderRequest(BTC, Side.BUY, Decimal("0.001") * self.orders),
            OrderRequest(XRP, Side.BUY, Decimal(10), KrakenOrderType.LIMIT, price=far),
        ):
            await asyncio.to_thread(self.client.add_order, order)

    # --- what is true

    async def begin(self) -> None:
        """Trade, and wait until every channel has sent something."""
        await self.trade()
        await self.until(
            lambda: (
                set(self.sessions[0].books) == set(PAIRS)
                and {Trade, Candle, Ticker, Execution, Balance} <= {type(each) for each in self.events}
            )
        )

    async def becomes_level(self) -> bool:
        """Wait while the market stands still; False when something must happen before more can be noticed."""
        end = time.monotonic() + STANDSTILL
        while not (level := self.is_level()) and time.monotonic() < end:
            await asyncio.sleep(0.05)  # looking costs much: the exchange must get its turn
        return level

    def is_level(self) -> bool:
        """Compare books, trades, fills and balances with those of the exchange."""
        return (
            all(self.book(pair) == self.true_book(pair) for pair in PAIRS)
            and all(
                self.newest_trade(pair) == self.exchange.running.exchange.tape(pair).last_id for pair in PAIRS
            )
            and self.fills().keys() >= self.true_fills().keys()
            and self.balances() == self.exchange.running.exchange.balances(self.account)
        )

    def book(self, pair: Pair) -> Any:
        book = self.sessions[0].books.get(pair)
        return book and (book.bids(), book.asks())

    def true_book(self, pair: Pair) -> Any:
        view = self.exchange.running.exchange.book(pair, DEPTHS[pair])
        return _levels(view.bids), _levels(view.asks)

    def newest_trade(self, pair: Pair) -> int | None:
        return max((each.trade_id or 0 for each in self.of(Trade) if each.pair == pair), default=None)

    def prints(self, pair: Pair, first: int) -> dict[int, Print]:
        tape = self.exchange.running.exchange.tape(pair)
        return {each.trade_id: each for each in tape.newest(tape.last_id - first + 1)}

    def balances(self) -> dict[str, Decimal]:
        return {each.asset: each.amount for each in self.of(Balance)}

    def fills(self) -> dict[str, Execution]:
        return {each.fill_id: each for each in self.of(Execution) if each.fill_id}

    def true_fills(self) -> dict[str, Any]:
        fills, _ = self.exchange.running.exchange.fills(self.account, limit=1000)
        return {each.execution_id: each for each in fills}

    # --- what must hold, whatever happened

    def check_trades(self) -> None:
        for pair in PAIRS:
            received = [each for each in self.of(Trade) if each.pair == pair]
            ids = [each.trade_id or 0 for each in received]
            assert ids == sorted(set(ids)), f"{pair}: received twice or out of order"
            missing = self.prints(pair, ids[0])
            for trade in received:
                print_ = missing.pop(trade.trade_id or 0)
                assert (trade.price, trade.quantity) == (float(print_.price), float(print_.quantity))
                assert (trade.side, trade.at) == (print_.side, print_.at)
            for lost in missing.values():
                assert any(
                    each.channel is Channel.TRADE
                    and each.pair == pair
                    and each.since <= lost.at <= each.until
                    for each in self.of(UnknownInterval)
                ), f"{pair}: trade {lost.trade_id} was neither received nor unknown"

    def check_fills(self) -> None:
        ours, theirs = self.fills(), self.true_fills()
        assert ours.keys() == theirs.keys()
        for number, fill in ours.items():
            true = theirs[number]
            assert (fill.fill_price, fill.fill_quantity) == (true.price, true.quantity)
            assert fill.fees == ((true.pair.quote, true.fee),)
            assert (fill.order_id, fill.side) == (true.order_id, true.side)

    def check_complete(self) -> None:
        assert [
            each for each in self.events if isinstance(each, UnknownInterval | Interrupted | Reconnecting)
        ] == []
        assert self.quarantined() == []


def _levels(levels: tuple[BookLevel, ...]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((each.price, each.quantity) for each in levels)

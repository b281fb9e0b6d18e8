"""A fake exchange whose market and fills a test controls, and clients that only listen."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from streaming.sandbox.market.tape import TradeTape
from streaming.sandbox.model import (
    Amendment,
    BalanceChanged,
    BookChanged,
    BookLevel,
    BookView,
    DaySummary,
    ExchangeEvent,
    ExchangeFill,
    ExchangeOrder,
    ExecType,
    Listing,
    NewOrder,
    OrderChanged,
    OrderState,
    Refused,
    StatusChanged,
    TradesPrinted,
)
from streaming.sandbox.references import ALL_KINDS, Reference, ReferenceKind
from trading.fills import Costs
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side

BTC = Pair("BTC", "USDT")
XRP = Pair("XRP", "BTC")
NOON = datetime(2026, 9, 10, 12, 0, tzinfo=UTC)
ACCOUNT = "demo"
SERVER_START = 1_788_000_000.0  # 2026-08-29 10:40


def listing(pair: Pair, price: str, quantity: str = "0.00000001", leverage: int = 3) -> Listing:
    instrument = Instrument(
        pair=pair,
        price_increment=Decimal(price),
        quantity_increment=Decimal(quantity),
        minimum_quantity=Decimal("0.0001"),
        minimum_cost=Decimal("0.5000"),
        taker_fee=Decimal("0.004"),
        maker_fee=Decimal("0.0025"),
        maximum_leverage=Decimal(leverage),
    )
    return Listing(instrument, Costs(0.004, 0.0005, 0.0005), Decimal(10_000), 10)


LISTINGS = {BTC: listing(BTC, "0.1"), XRP: listing(XRP, "0.00000001", leverage=1)}


class FakeExchange:
    """Orders rest until `fill` is called; the market moves when a test moves it."""

    def __init__(self, listings: Mapping[Pair, Listing] | None = None) -> None:
        self.listings = listings or LISTINGS
        self.now = NOON
        self.system_status = PairStatus.ONLINE
        self.statuses = dict.fromkeys(self.listings, PairStatus.ONLINE)
        self.tapes = {pair: TradeTape(it.instrument) for pair, it in self.listings.items()}
        self.levels: dict[Pair, tuple[dict[Decimal, BookLevel], dict[Decimal, BookLevel]]] = {
            pair: ({}, {}) for pair in self.listings
        }
        self.known: dict[str, ExchangeOrder] = {}
        self.past_fills: list[ExchangeFill] = []
        self.money: dict[str, Decimal] = {"BTC": Decimal("1.5"), "USDT": Decimal("10000.25")}
        self.refusal = ""
        self._listeners: list[Callable[[ExchangeEvent], None]] = []

    # --- the methods that the APIs call ---

    def listen(self, listener: Callable[[ExchangeEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def market_now(self) -> datetime:
        return self.now

    def status(self, pair: Pair) -> PairStatus:
        return self.statuses[pair]

    def book(self, pair: Pair, depth: int) -> BookView:
        bids, asks = self.levels[pair]
        return BookView(
            tuple(bids[price] for price in sorted(bids, reverse=True)[:depth]),
            tuple(asks[price] for price in sorted(asks)[:depth]),
        )

    def tape(self, pair: Pair) -> TradeTape:
        return self.tapes[pair]

    def summary(self, pair: Pair) -> DaySummary:
        best = self.book(pair, 1)
        bid, ask = next(iter(best.bids), None), next(iter(best.asks), None)
        return self.tapes[pair].summary(self.now, bid, ask)

    def open_orders(self, account: str) -> list[ExchangeOrder]:
        return [it for it in self.known.values() if it.account == account and it.closed_at is None]

    def orders(self, account: str, ids: Sequence[str]) -> list[ExchangeOrder]:
        if not set(ids) <= set(self.known):
            raise Refused("EOrder:Unknown order")
        return [self.known[it] for it in ids]

    def fills(
        self,
        account: str,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[ExchangeFill], int]:
        mine = [fill for fill in reversed(self.past_fills) if fill.account == account]
        return mine[offset : offset + limit], len(mine)

    def balances(self, account: str) -> dict[str, Decimal]:
        return dict(self.money)

    # --- the methods that the gateway calls ---

    def add(self, account: str, order: NewOrder, validate: bool = False) -> ExchangeOrder:
        if self.refusal:
            raise Refused(self.refusal)
        order_id = f"O{len(self.known) + 1:05}-AAAAA-BBBBBB"
        limit = order.limit.value if order.limit else None
        trigger = order.trigger.value if order.trigger else None
        state = OrderState.PENDING if trigger else OrderState.OPEN
        new = ExchangeOrder(order_id, account, order, limit, trigger, state, "", False, self.now, None, 0.0)
        if not validate:
            self._set(new, ExecType.PENDING_NEW)
            self._set(new, ExecType.NEW)
        return new

    def amend(self, account: str, amendment: Amendment) -> ExchangeOrder:
        order = next(
            it
            for it in self.open_orders(account)
            if it.order_id == amendment.order_id
            or (amendment.client_order_id and it.request.client_order_id == amendment.client_order_id)
        )
        request = replace(order.request, quantity=amendment.quantity or order.request.quantity)
        limit = amendment.limit.value if amendment.limit else order.limit_price
        amended = replace(order, request=request, limit_price=limit)
        amended = replace(amended, amend_id="TAMEND-AAAAA-BBBBBB")
        self._set(amended, ExecType.AMENDED)
        return amended

    def edit(self, account: str, amendment: Amendment) -> ExchangeOrder:
        [old] = self.cancel(account, amendment.order_id)
        return self.add(account, replace(old.request, quantity=amendment.quantity or old.request.quantity))

    def cancel(
        self, account: str, reference: str, kinds: tuple[ReferenceKind, ...] = ALL_KINDS
    ) -> list[ExchangeOrder]:
        found = Reference(reference, kinds).among(self.open_orders(account))
        if not found:
            raise Refused("EOrder:Unknown order")
        ended = [
            replace(it, state=OrderState.CANCELED, reason="User requested", closed_at=self.now)
            for it in found
        ]
        for order in ended:
            self._set(order, ExecType.CANCELED)
        return ended

    def cancel_all(self, account: str) -> int:
        return len([self.cancel(account, order.order_id) for order in self.open_orders(account)])

    def cancel_all_after(self, account: str, seconds: float) -> float | None:
        return seconds or None

    # --- the methods that a test calls ---

    def publish(self, event: ExchangeEvent) -> None:
        for listener in list(self._listeners):
            listener(event)

    def trade(self, pair: Pair, *trades: tuple[str, str], at: datetime | None = None) -> None:
        """Trades of others, price and quantity each, as one market event."""
        self.now = at or self.now
        prints = tuple(
            self.tapes[pair].add(self.now, Decimal(price), Decimal(quantity), Side.BUY, "market")
            for price, quantity in trades
        )
        self.publish(TradesPrinted(pair, prints))

    def quote(self, pair: Pair, bids: Mapping[str, str], asks: Mapping[str, str]) -> None:
        """Quantities by price; 0 takes a level away."""
        changed = []
        for side, levels in zip(self.levels[pair], (bids, asks), strict=True):
            new = [BookLevel(Decimal(price), Decimal(qty), self.now) for price, qty in levels.items()]
            for level in new:
                side[level.price] = level
                if not level.quantity:
                    del side[level.price]
            changed.append(tuple(new))
        self.publish(BookChanged(pair, *changed))

    def set_status(self, pair: Pair | None, status: PairStatus) -> None:
        if pair is None:
            self.system_status = status
        else:
            self.statuses[pair] = status
        self.publish(StatusChanged(pair, status))

    def fill(self, order_id: str, quantity: str, price: str) -> None:
        order = self.known[order_id]
        amount, cost = Decimal(quantity), Decimal(quantity) * Decimal(price)
        filled = replace(order, filled=order.filled + amount, cost=order.cost + cost, fee=order.fee + 1)
        fill = ExchangeFill(
            execution_id=f"T{len(self.past_fills) + 1:05}-AAAAA-BBBBBB",
            trade_id=700 + len(self.past_fills),
            order_id=order_id,
            account=order.account,
            pair=order.request.pair,
            side=order.request.side,
            order_type=order.request.order_type,
            price=Decimal(price),
            quantity=amount,
            cost=cost,
            fee=Decimal(1),
            margin=Decimal(0),
            maker=True,
            at=self.now,
        )
        self.past_fills.append(fill)
        self._set(filled, ExecType.TRADE, fill)
        if not filled.remaining:
            self._set(replace(filled, state=OrderState.CLOSED, closed_at=self.now), ExecType.FILLED)

    def book_balance(self, asset: str, amount: str, kind: str = "trade", reference: str = "T1") -> None:
        self.money[asset] = self.money.get(asset, Decimal(0)) + Decimal(amount)
        self.publish(
            BalanceChanged(
                ACCOUNT,
                asset,
                Decimal(amount),
                self.money[asset],
                kind,
                reference,
                self.now,
                entry_id="LENTRY-AAAAA-BBBBBB",
            )
        )

    def _set(self, order: ExchangeOrder, change: ExecType, fill: ExchangeFill | None = None) -> None:
        self.known[order.order_id] = order
        self.publish(OrderChanged(order, change, fill))


class Tokens:
    """A store of one token, `good`."""

    def __init__(self) -> None:
        self.in_use = 0

    def account_of(self, token: str) -> str:
        if token != "good":
            raise Refused("ESession:Invalid session")
        return ACCOUNT

    def hold(self, token: str) -> None:
        self.in_use += 1

    def release(self, token: str) -> None:
        self.in_use -= 1


class Listener:
    """A writer that records every payload."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.wires: list[bytes] = []
        self.written_slowly: list[float] = []
        self.disconnected = ""

    def write(self, wire: bytes) -> None:
        self.wires.append(wire)
        self.payloads.append(unframed(wire))

    def write_slowly(self, payload: bytes, seconds: float) -> None:
        self.payloads.append(payload)
        self.written_slowly.append(seconds)

    def disconnect(self, reason: str) -> None:
        self.disconnected = reason

    @property
    def messages(self) -> list[Any]:
        """Return the decoded messages; numbers stay as they are spelled."""
        return [json.loads(payload, parse_float=str) for payload in self.payloads]

    def of(self, channel: str) -> list[Any]:
        return [message for message in self.messages if message.get("channel") == channel]

    def answers(self, method: str) -> list[Any]:
        return [message for message in self.messages if message.get("method") == method]

    def clear(self) -> None:
        self.payloads.clear()


def unframed(wire: bytes) -> bytes:
    """The payload of one whole, unmasked WebSocket frame."""
    first, length = wire[0], wire[1]
    assert first in (0x81, 0x82)
    start = {126: 4, 127: 10}.get(length, 2)
    size = int.from_bytes(wire[2:start], "big") if start > 2 else length
    assert len(wire) == start + size
    return wire[start:]


async def let_tasks_run() -> None:
    """Let everything run that is ready to run."""
    for _ in range(10):
        await asyncio.sleep(0)

"""Whatever traders and the market do: no money appears or vanishes, queues are fair, a restart is not noticed."""

import tempfile
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streaming.sandbox.exchange.export import export
from streaming.sandbox.model import (
    AT_ONCE,
    LIMITED,
    TRAILING,
    TRIGGERED,
    Amendment,
    BookChanged,
    CloseOrder,
    ExchangeFill,
    ExchangeOrder,
    NewOrder,
    OrderChanged,
    OrderState,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
    TimeInForce,
    TradesPrinted,
)
from tests.streaming.sandbox.exchange_setup import BTC, Bench, d, listing
from trading.orders import Side
from trading.portfolio.exact import exactly

SPOT = ("alice", "bob")
ACCOUNTS = (*SPOT, "carol")  # only carol borrows
OPENING = {"USD": "5000", "BTC": "5"}
PRICES = st.integers(1994, 2006).map(
    lambda halves: Decimal(halves) / 2
)  # few, so that orders meet at one price
QUANTITIES = st.integers(10, 20000).map(lambda each: Decimal(each) / 10000)
DISTANCES = st.integers(1, 60).map(lambda tenths: Decimal(tenths) / 10)


@st.composite
def requests(draw: st.DrawFn) -> NewOrder:
    kind, side = draw(st.sampled_from(list(OrderType))), draw(st.sampled_from(list(Side)))
    limit = PriceTerm(draw(PRICES)) if kind in LIMITED else None
    trigger = PriceTerm(draw(PRICES)) if kind in TRIGGERED else None
    if kind in TRAILING:
        trigger = PriceTerm(draw(DISTANCES), draw(st.sampled_from([PriceUnit.DISTANCE, PriceUnit.PERCENT])))
        limit = PriceTerm(draw(DISTANCES), PriceUnit.DISTANCE) if kind in LIMITED else None
    in_force = draw(st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]))
    close = CloseOrder(OrderType.STOP_LOSS, None, PriceTerm(Decimal(-side.sign), PriceUnit.PERCENT))
    return NewOrder(
        BTC,
        side,
        kind,
        draw(QUANTITIES),
        limit,
        trigger,
        in_force,
        post_only=kind is OrderType.LIMIT and in_force is TimeInForce.GTC and draw(st.booleans()),
        close=close if draw(st.booleans()) else None,
    )


class Trading(RuleBasedStateMachine):
    """One level a side: what rests here is mostly the clients'."""

    levels = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name) / "exchange.db", {BTC: listing(BTC, self.levels)})
        self.shown: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        self.events_seen = 0
        self.last_id = 0
        self.waiting: dict[str, tuple[Side, Decimal | None, int]] = {}

    def teardown(self) -> None:
        self.bench.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        for account in ACCOUNTS:
            self.bench.open(account, **OPENING)
        self.bench.tick("1000.0")

    @rule(
        account=st.sampled_from(ACCOUNTS),
        request=requests(),
        leverage=st.integers(1, 3),
        reduces=st.booleans(),
    )
    def order(self, account: str, request: NewOrder, leverage: int, reduces: bool) -> None:
        if account not in SPOT:
            request = replace(request, leverage=leverage, reduce_only=reduces and leverage > 1)
        with suppress(Refused):
            self.bench.exchange.add(account, request)

    @rule(
        price=PRICES,
        quantity=QUANTITIES,
        side=st.sampled_from(list(Side)),
        hours=st.sampled_from([0, 0, 0, 5]),
    )
    def trade(self, price: Decimal, quantity: Decimal, side: Side, hours: int) -> None:
        self.bench.tick(str(price), str(quantity), side, seconds=1 + 3600 * hours)

    @rule(factor=st.sampled_from(["0.5", "2"]))
    def crash(self, factor: str) -> None:
        self.bench.tick(str((d(1000) * d(factor)).quantize(d("0.1"))), "0.01")

    @precondition(lambda self: self.open_orders())
    @rule(data=st.data(), quantity=st.none() | QUANTITIES, limit=st.none() | PRICES, edits=st.booleans())
    def amend(
        self, data: st.DataObject, quantity: Decimal | None, limit: Decimal | None, edits: bool
    ) -> None:
        order = data.draw(st.sampled_from(self.open_orders()))
        change = self.bench.exchange.edit if edits else self.bench.exchange.amend
        term = None if limit is None or order.request.limit is None else PriceTerm(limit)
        with suppress(Refused):
            change(order.account, Amendment(order.order_id, quantity=quantity, limit=term))

    @precondition(lambda self: self.open_orders())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.open_orders()))
        self.bench.exchange.cancel(order.account, order.order_id)

    @rule(account=st.sampled_from(ACCOUNTS), passed=st.sampled_from([1.0, 100.0]))
    def switch(self, account: str, passed: float) -> None:
        self.bench.exchange.cancel_all_after(account, 50)
        self.bench.server += passed
        self.bench.exchange.elapse()

    @rule()
    def restart(self) -> None:
        before = self.everything()
        self.bench.restart()
        assert self.everything() == before

    @invariant()
    def money_neither_appears_nor_vanishes(self) -> None:
        told = export(self.bench.path)
        with exactly():
            for asset in ("USD", "BTC"):
                owned = [Decimal(row["amount"]) for row in told["balances"] if row["asset"] == asset]
                house = [row for row in told["house"] if row["asset"] == asset]
                owned += [Decimal(row[owner]) for row in house for owner in ("market_maker", "fees")]
                assert sum(owned) == len(self.bench.exchange.accounts()) * d(OPENING[asset])
                fees = sum((Decimal(row["fee"]) for row in told["fills"]), Decimal(0))
                spot_only = all(Decimal(row["margin"]) == 0 for row in told["fills"])
                if asset == "USD" and spot_only:
                    assert sum(Decimal(row["fees"]) for row in house) == fees

    @invariant()
    def balances_are_what_the_fills_say(self) -> None:
        for account in SPOT:
            if account not in self.bench.exchange.accounts():
                continue
            fills, _ = self.bench.exchange.fills(account, limit=100_000)
            with exactly():
                base = d(OPENING["BTC"]) + sum(fill.side.sign * fill.quantity for fill in fills)
                quote = d(OPENING["USD"]) - sum(fill.side.sign * fill.cost + fill.fee for fill in fills)
            assert self.bench.balance("BTC", account) == base
            assert self.bench.balance("USD", account) == quote

    @invariant()
    def nobody_on_spot_owes_anything_and_holds_are_covered(self) -> None:
        for account in self.bench.exchange.accounts():
            if account not in SPOT:
                continue
            balances, held = self.bench.exchange.balances(account), self.bench.exchange.reserved(account)
            assert all(amount >= 0 for amount in balances.values())
            assert all(0 < amount <= balances[asset] for asset, amount in held.items())
            if not self.bench.exchange.open_orders(account):
                assert held == {}

    @invariant()
    def orders_add_up_to_their_fills(self) -> None:
        for account in self.bench.exchange.accounts():
            closed, _ = self.bench.exchange.closed_orders(account, limit=100_000)
            for order in (*closed, *self.bench.exchange.open_orders(account)):
                fills = self.bench.exchange.fills_of_order(order.order_id)
                assert order.filled <= order.request.quantity
                assert (order.filled, order.cost, order.fee) == _sums(fills)
                assert (order.state is OrderState.CLOSED) == (not order.remaining)
                assert all(_is_of(order, fill) for fill in fills)

    @invariant()
    def fill_or_kill_is_whole_or_nothing_and_never_rests(self) -> None:
        for account in self.bench.exchange.accounts():
            closed, _ = self.bench.exchange.closed_orders(account, limit=100_000)
            for order in closed:
                if order.request.time_in_force is TimeInForce.FOK:
                    assert order.filled in (0, order.request.quantity)
            for order in self.bench.exchange.open_orders(account):
                assert order.request.time_in_force not in AT_ONCE or order.state is OrderState.PENDING

    @invariant()
    def no_reduce_only_order_stands_for_more_than_its_position(self) -> None:
        for account in self.bench.exchange._engine.state.accounts.values():
            for each in account.orders.values():
                if each.order.request.reduce_only:
                    carried = account.open_quantity(BTC, each.order.request.side)
                    assert carried > 0
                    assert not each.is_resting or each.order.remaining <= carried

    @invariant()
    def the_book_is_what_its_events_say_and_never_crossed(self) -> None:
        for event in self.bench.events[self.events_seen :]:
            if isinstance(event, BookChanged):
                for side, levels in zip(self.shown, (event.bids, event.asks), strict=True):
                    side.update({level.price: level.quantity for level in levels})
        book = self.bench.exchange.book(BTC, 1000)
        for side, levels in zip(self.shown, (book.bids, book.asks), strict=True):
            assert {price: q for price, q in side.items() if q} == {
                each.price: each.quantity for each in levels
            }
        if book.bids and book.asks:
            assert book.bids[0].price < book.asks[0].price

    @invariant()
    def the_book_shows_the_market_maker_and_every_order_that_rests(self) -> None:
        floor = self.bench.exchange._engine.state
        book, ladder = self.bench.exchange.book(BTC, 1000), floor.markets[BTC].ladder
        for side, levels in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
            expected = dict(ladder.levels(side))
            for each in floor.working.values():
                if each.is_resting and each.order.request.side is side:
                    assert each.order.limit_price is not None
                    offered = expected.get(each.order.limit_price, Decimal(0))
                    expected[each.order.limit_price] = offered + each.order.remaining
            assert {level.price: level.quantity for level in levels} == expected
            assert [level.price for level in levels] == sorted(expected, reverse=side is Side.BUY)

    @invariant()
    def the_store_keeps_what_traded_before_the_queues_and_no_others(self) -> None:
        queues = self.bench.exchange._engine.state.markets[BTC].queues
        live = {
            (side.value, level.price, level.traded_ahead) for side, queue in queues.items() for level in queue
        }
        rows = self.bench.store.rows("SELECT side, price, passed FROM levels")
        assert {(side, Decimal(price), Decimal(passed)) for side, price, passed in rows} == live

    @invariant()
    def who_waited_longer_is_filled_first(self) -> None:
        """Nobody who rested before and still does stood before an order that was filled as a maker meanwhile."""
        resting = {
            order_id: (each.order.request.side, each.order.limit_price, each.priority)
            for order_id, each in self.bench.exchange._engine.state.working.items()
            if each.is_resting
        }
        waited = {
            order_id: place for order_id, place in self.waiting.items() if resting.get(order_id) == place
        }
        for event in self.bench.events[self.events_seen :]:
            if not isinstance(event, OrderChanged) or event.fill is None or not event.fill.maker:
                continue
            if (filled := self.waiting.get(event.order.order_id)) is not None:
                assert not any(
                    place[:2] == filled[:2] and place[2] < filled[2]
                    for order_id, place in waited.items()
                    if order_id != event.order.order_id
                )
        self.waiting = resting

    @invariant()
    def trade_ids_have_no_gaps(self) -> None:
        for event in self.bench.events[self.events_seen :]:
            if isinstance(event, TradesPrinted):
                for each in event.prints:
                    assert each.trade_id == self.last_id + 1
                    self.last_id = each.trade_id
        self.events_seen = len(self.bench.events)

    def open_orders(self) -> list[ExchangeOrder]:
        return [
            order
            for account in self.bench.exchange.accounts()
            for order in self.bench.exchange.open_orders(account)
        ]

    def everything(self) -> Any:
        exchange = self.bench.exchange
        accounts = [
            (
                exchange.balances(each),
                exchange.reserved(each),
                exchange.positions(each),
                exchange.open_orders(each),
            )
            for each in exchange.accounts()
        ]
        floor = exchange._engine.state
        queues = [
            [
                (
                    level.price,
                    level.traded_ahead,
                    [(w.order.order_id, w.queue_position, w.priority) for w in level.orders.values()],
                )
                for level in queue
            ]
            for queue in floor.markets[BTC].queues.values()
        ]
        book = [
            [(each.price, each.quantity) for each in side]
            for side in (exchange.book(BTC, 50).bids, exchange.book(BTC, 50).asks)
        ]
        return (
            accounts,
            queues,
            book,
            floor.switches,
            floor.ids.counters,
            exchange.market_now(),
            exchange.tape(BTC).last_id,
        )


def _sums(fills: list[ExchangeFill]) -> tuple[Decimal, Decimal, Decimal]:
    with exactly():
        return (
            sum((fill.quantity for fill in fills), d(0)),
            sum((fill.price * fill.quantity for fill in fills), d(0)),
            sum((fill.fee for fill in fills), d(0)),
        )


def _is_of(order: ExchangeOrder, fill: ExchangeFill) -> bool:
    rate = d("0.0025") if fill.maker else d("0.004")
    return fill.order_id == order.order_id and fill.fee == fill.cost * rate


class DeepBook(Trading):
    """Orders walk up the market maker's quotes."""

    levels = 5


SEARCH = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTrading = Trading.TestCase
TestTrading.settings = SEARCH
TestDeepBook = DeepBook.TestCase
TestDeepBook.settings = SEARCH

"""The paper venue in a market that a test moves hour by hour; the ledger is told first, as by an executor."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import polars as pl

from tests.contracts.trade import HOUR, NOON, OPENING, receipt
from tests.contracts.venues import LISTED, PRICES, Clerk
from tests.streaming.sandbox.simulated_exchange import COSTS
from trading.candles import closed_by, complete, first_quote, opening_between
from trading.errors import NotStored, VenueRefused
from trading.fills import Liquidity
from trading.market import CANDLE_SCHEMA, Pair, PairStatus, Timeframe
from trading.orders import Order, OrderIntent, OrderKind, OrderStatus, WorkingOrder
from trading.ports import Journal, Lease, Quote, Venue
from trading.venues.paper import PaperVenue
from trading.venues.paper_market import PaperMarket

ACCOUNT = "paper"


class MovingMarket:
    """Hourly candles of every pair; the newest one is open, and only the venue sees its first price."""

    origin = "test"

    def __init__(self, volume: float) -> None:
        self.now = NOON
        self._volume = volume
        self._tables = {pair: self._candle(NOON - HOUR, price, price) for pair, price in PRICES.items()}
        self._prices = dict(PRICES)

    def price(self, pair: Pair) -> float:
        return self._prices[pair]

    def reach(self, pair: Pair, price: float) -> None:
        """An hour passes, in which the market goes straight to this price."""
        reached = {**self._prices, pair: price}
        for each, table in self._tables.items():
            candle = self._candle(self.now, self._prices[each], reached[each])
            self._tables[each] = pl.concat([table, candle])
        self._prices, self.now = reached, self.now + HOUR

    def span(self, pair: Pair) -> tuple[dt.datetime, dt.datetime]:
        return NOON - HOUR, self.now

    def candles(self, pair: Pair, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
        return closed_by(opening_between(self._tables[pair], start, end), self.now)

    def quote_after(self, pair: Pair, time: dt.datetime) -> Quote | None:
        known = first_quote(self._tables[pair], time)
        return known or (Quote(self._prices[pair], self.now) if time <= self.now else None)

    def _candle(self, opened: dt.datetime, first: float, last: float) -> pl.DataFrame:
        row = {
            "open_time": [opened], "open": [first], "high": [max(first, last)], "low": [min(first, last)],
            "close": [last], "volume": [self._volume],
        }  # fmt: skip
        return complete(pl.DataFrame(row), Timeframe.H1, "test").match_to_schema(CANDLE_SCHEMA)


class LedgerFirst(PaperVenue):
    """Its caller, too, as far as it writes down what it asks for before it asks."""

    def __init__(self, world: "PaperWorld") -> None:
        market = PaperMarket(world.market, Timeframe.H1, Liquidity(0.1))
        costs = dict.fromkeys(LISTED, COSTS)
        super().__init__(world.journal, ACCOUNT, market, world.instruments, costs, lambda: world.market.now)
        self._world = world

    def cancel(self, working: WorkingOrder) -> None:
        self._world.journal.request_cancel(working.intent.intent_id, "a test", self.now())
        super().cancel(working)

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        self._world.clerk.asked(working)
        self._world.journal.record_amend(working.intent.intent_id, self._world.lease(), trigger, self.now())
        super().amend(working, trigger)


class PaperClerk(Clerk):
    """Writes everything into the ledger, which is all that the paper venue knows."""

    def __init__(self, world: "PaperWorld") -> None:
        super().__init__(world.venue, lambda: world.market.now)
        self._world = world

    def sent(self, wanted: OrderIntent) -> WorkingOrder:
        world, venue = self._world, self._world.venue()
        world.commit(wanted)
        order = world.journal.mark_sent(
            wanted.intent_id, world.lease(), venue.now(), venue.now(), venue.void_after()
        )
        try:
            name = venue.submit(wanted, venue.void_after())
        except (VenueRefused, NotStored) as error:
            world.journal.record_order(replace(order, status=OrderStatus.REJECTED, reason=str(error)), [])
            raise
        taken = replace(order, status=OrderStatus.ACKNOWLEDGED, venue_order_id=name)
        return WorkingOrder(wanted, world.journal.record_order(taken, []))

    def asked(self, working: WorkingOrder) -> WorkingOrder:
        """One that the ledger does not know is a stop that came with an entry."""
        journal, intent = self._world.journal, working.intent
        if journal.order(intent.intent_id) is None:
            order = replace(working.order, attempt=1, working_since=working.order.updated_at)
            journal.add_order(replace(intent, decision_id=""), order, "placed with its entry")
        asked = super().asked(working)
        own = [each for each in self.fills.values() if each.intent_id == intent.intent_id]
        return WorkingOrder(intent, journal.record_order(replace(asked.order, attempt=1), own))


class PaperWorld:
    def __init__(
        self, journal: Journal, opening: Mapping[str, Decimal] = OPENING, volume: float = 1e9
    ) -> None:
        self.opening = dict(opening)
        self.journal = journal
        self.journal.open_account(ACCOUNT, opening, NOON)
        self.market = MovingMarket(volume)
        self.instruments = dict(LISTED)
        self.clerk: Clerk = PaperClerk(self)

    def venue(self) -> Venue:
        return LedgerFirst(self)

    def last(self, pair: Pair) -> Decimal:
        return Decimal(str(self.market.price(pair)))

    def reach(self, pair: Pair, price: Decimal) -> None:
        self.market.reach(pair, float(price))

    def restrict(self, pair: Pair, status: PairStatus) -> None:
        self.instruments[pair] = replace(self.instruments[pair], status=status)

    def orders(self, wanted: OrderIntent) -> int:
        order = self.journal.order(wanted.intent_id)
        return int(order is not None and order.status not in (OrderStatus.INTENDED, OrderStatus.REJECTED))

    def lease(self) -> Lease:
        lease = self.journal.acquire_lease(ACCOUNT, "test", 60)
        assert lease is not None
        return lease

    def commit(self, wanted: OrderIntent) -> None:
        """Write the order down: a decision's, or a stop, which no decision asks for."""
        if wanted.kind is OrderKind.STOP:
            order = Order(wanted.intent_id, OrderStatus.INTENDED, "", self.market.now, trigger=wanted.trigger)
            self.journal.add_order(replace(wanted, decision_id=""), order, "a test")
        else:
            self.journal.record_decision(receipt(wanted.decision_id), wanted)

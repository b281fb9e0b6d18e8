"""An account on paper over candles that a test writes down, driven as the executor drives a venue."""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl

from tests.contracts.trade import HOUR, NOON, receipt
from tests.doubles.stores import MemoryJournal
from trading.candles import closed_by, complete, first_quote, opening_between
from trading.errors import NotStored, VenueRefused
from trading.execution import ExecutionRules, OrderExecutor
from trading.fills import Costs, Liquidity
from trading.market import Instrument, Pair, PairStatus, Timeframe
from trading.orders import Order, OrderIntent, OrderStatus, Side, WorkingOrder, stop_id
from trading.ports import Journal, Lease, Quote, VenueReport
from trading.venues.paper import PaperVenue
from trading.venues.paper_market import PaperMarket

ACCOUNT = "paper"
COIN = Pair("BTC", "USDT")
LISTED = Instrument(
    COIN,
    price_increment=Decimal("0.01"),
    quantity_increment=Decimal("0.001"),
    minimum_quantity=Decimal("0.01"),
    minimum_cost=Decimal(1),
    taker_fee=Decimal("0.004"),
    maker_fee=Decimal("0.0025"),
)
FREE = Costs(taker_fee=0.0, half_spread=0.0, slippage=0.0)
UNPAID = replace(LISTED, taker_fee=Decimal(0), maker_fee=Decimal(0))
RULES = ExecutionRules(entry_age=2 * HOUR, real_time=False)
FUNDS = {"USDT": Decimal(10_000), "BTC": Decimal(5)}

Row = tuple[float, float, float, float]  # open, high, low, close
QUIET: Row = (100, 100, 100, 100)


def hour(number: float) -> dt.datetime:
    return NOON + number * HOUR


def table(rows: Sequence[Row], volumes: Sequence[float] | None = None) -> pl.DataFrame:
    """Hourly candles from noon on, each of volume 1,000 unless said otherwise."""
    opened, high, low, close = zip(*rows, strict=True)
    times = [hour(number) for number in range(len(rows))]
    frame = pl.DataFrame(
        {"open_time": times, "open": opened, "high": high, "low": low, "close": close,
         "volume": list(volumes or [1000.0] * len(rows))},
        schema_overrides=dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
    )  # fmt: skip
    return complete(frame, Timeframe.H1, "test")


class WrittenCandles:
    """A source that shows candles once they have closed by the account's clock; quotes lie beyond."""

    origin = "test"

    def __init__(self, candles: pl.DataFrame, clock: Callable[[], dt.datetime]) -> None:
        self.table = candles
        self._clock = clock

    def span(self, pair: Pair) -> tuple[dt.datetime, dt.datetime]:
        return self.table["open_time"][0], self.table["close_time"][-1]

    def candles(self, pair: Pair, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
        return closed_by(opening_between(self.table, start, end), self._clock())

    def quote_after(self, pair: Pair, time: dt.datetime) -> Quote | None:
        if pair != COIN:
            raise NotStored(f"no candles of {pair}")
        return first_quote(self.table, time)


class PaperAccount:
    """One account and its clock. Every call asks a new venue, as after a restart."""

    def __init__(
        self,
        rows: Sequence[Row],
        volumes: Sequence[float] | None = None,
        *,
        participation: float = 0.0,
        instrument: Instrument = UNPAID,
        costs: Costs = FREE,
        journal: Journal | None = None,
        funds: Mapping[str, Decimal] = FUNDS,
    ) -> None:
        self.journal: Journal = journal or MemoryJournal()
        self.journal.open_account(ACCOUNT, funds, hour(0))
        self.source = WrittenCandles(table(rows, volumes), lambda: self.clock)
        self.participation, self.instrument, self.costs = participation, instrument, costs
        self.clock = hour(0)
        self.others: dict[Pair, Instrument] = {}  # without candles
        self._decisions = 0

    def venue(self) -> PaperVenue:
        market = PaperMarket(self.source, Timeframe.H1, Liquidity(self.participation))
        instruments = {self.instrument.pair: self.instrument, **self.others}
        return PaperVenue(
            self.journal,
            ACCOUNT,
            market,
            instruments,
            dict.fromkeys(instruments, self.costs),
            lambda: self.clock,
        )

    def executor(self) -> OrderExecutor:
        """Another process's."""
        return OrderExecutor(self.journal, self.venue(), self.candles, RULES, holder=str(uuid.uuid4()))

    def candles(self, pair: Pair, since: dt.datetime, until: dt.datetime) -> pl.DataFrame:
        return self.source.table.filter(pl.col("close_time") > since, pl.col("close_time") <= until)

    def restrict(self, status: PairStatus) -> None:
        self.instrument = replace(self.instrument, status=status)

    def lease(self) -> Lease:
        lease = self.journal.acquire_lease(ACCOUNT, "test", 60)
        assert lease is not None
        return lease

    # --- what the executor does

    def decide(self, side: Side = Side.BUY, quantity: str = "1", **changes: Any) -> OrderIntent:
        """Commit an entry of now, or what `changes` make of it."""
        self._decisions += 1
        name = f"decision-{self._decisions}"
        values: dict[str, Any] = {
            "intent_id": f"intent-{self._decisions}", "decision_id": name, "account": ACCOUNT, "pair": COIN,
            "side": side, "quantity": Decimal(quantity), "reduces": False, "stop_loss": None,
            "take_profit": None, "created_at": self.clock, **changes,
        }  # fmt: skip
        wanted = OrderIntent(**values)
        self.journal.record_decision(receipt(name, decided_at=self.clock.isoformat()), wanted)
        return wanted

    def mark_sent(self, wanted: OrderIntent) -> Order:
        return self.journal.mark_sent(
            wanted.intent_id, self.lease(), self.clock, self.clock, self.venue().void_after()
        )

    def send(self, wanted: OrderIntent) -> Order:
        """Mark, submit, and book the answer."""
        order = self.mark_sent(wanted)
        try:
            name = self.venue().submit(wanted, self.clock)
        except VenueRefused as error:
            return self.journal.record_order(
                replace(order, status=OrderStatus.REJECTED, reason=str(error)), []
            )
        return self.journal.record_order(
            replace(order, status=OrderStatus.ACKNOWLEDGED, venue_order_id=name), []
        )

    def working(self, wanted: OrderIntent) -> WorkingOrder:
        found = self.journal.working_order(wanted.intent_id)
        assert found is not None
        return found

    def look(self, wanted: OrderIntent, until: dt.datetime | None = None) -> VenueReport:
        """Ask about one order, and book nothing."""
        return self.venue().reports([self.working(wanted)], until)[wanted.intent_id]

    def refresh(self, until: dt.datetime | None = None) -> None:
        """Ask about every working order, and book what happened."""
        working = self.journal.working_orders(ACCOUNT)
        reports = self.venue().reports(working, until)
        for each in working:
            if (found := reports.get(each.intent.intent_id)) is not None:
                self.book(each, found)

    def book(self, working: WorkingOrder, found: VenueReport) -> Order:
        order = replace(
            working.order,
            status=found.status,
            reason=found.reason,
            updated_at=found.at,
            venue_order_id=found.venue_order_id,
        )
        return self.journal.record_order(order, found.fills)

    def buy(self, quantity: str = "1", **changes: Any) -> OrderIntent:
        """Decide, send and fill at the price of now."""
        wanted = self.decide(quantity=quantity, **changes)
        self.send(wanted)
        self.refresh(self.clock)
        return wanted

    def adopt(self, entry: OrderIntent) -> list[OrderIntent]:
        """Enter the stops that came with the fills of the entry."""
        adopted = []
        for placed in self.venue().stops_of(self.working(entry)):
            identity = stop_id(entry.intent_id, placed.venue_order_id)
            stop = replace(
                entry, intent_id=identity, side=placed.side, quantity=placed.quantity, reduces=True,
                stop_loss=None, take_profit=None, entry_price=None, created_at=self.clock, trigger=placed.trigger,
            )  # fmt: skip
            order = Order(
                identity, OrderStatus.ACKNOWLEDGED, "", self.clock, attempt=1,
                venue_order_id=placed.venue_order_id, trigger=placed.trigger, working_since=placed.at,
            )  # fmt: skip
            self.journal.add_order(stop, order, "placed with its entry")
            adopted.append(stop)
        return adopted

    def amend(self, stop: OrderIntent, trigger: str | Decimal) -> None:
        order = self.journal.record_amend(stop.intent_id, self.lease(), Decimal(trigger), self.clock)
        self.venue().amend(WorkingOrder(stop, order), Decimal(trigger))

    def cancel(self, wanted: OrderIntent) -> None:
        self.journal.request_cancel(wanted.intent_id, "not wanted any more", self.clock)
        self.venue().cancel(self.working(wanted))

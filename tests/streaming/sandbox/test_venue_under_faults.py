"""Kraken's venue on an exchange that misbehaves: each error means what the port says, whatever the exchange did."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from tests.contracts.trade import NOON, OPENING, receipt
from tests.contracts.venues import Clerk, books_agree, closing, committed, kraken_client, kraken_venue, wanted
from tests.doubles.stores import MemoryJournal
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED, XRP
from trading.errors import (
    InvalidMessage,
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueUnreachable,
)
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, OrderStatus, WorkingOrder
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.venue import MIN_DEADLINE, KrakenVenue

QUANTITY = Decimal(500)  # XRP: then a fee has no more decimals than Kraken tells
TOTAL = 0.4  # seconds that the client waits for an answer
ROUNDS = 40  # at most, until nothing is undecided
AFTER_IT_WAS_TAKEN: dict[str, dict[str, Any]] = {
    "slow_ack": {"seconds": 0.8},
    "lost_ack": {},
    "accepted_then_5xx": {},
    "garbage_answer": {},
    "slow_loris": {"seconds": 0.05},
}
BEFORE_IT_IS_TAKEN: dict[str, dict[str, Any]] = {"disconnect": {}, "rate_limit": {}, "nonce_error": {}}
OF_REQUESTS = AFTER_IT_WAS_TAKEN | BEFORE_IT_IS_TAKEN
NOT_DONE = (VenueUnreachable, RateLimited, NotAuthorised)
IN_FORCE: list[tuple[str, float]] = [
    ("cancel_only", 0),
    ("post_only", 0),
    ("maintenance", 0),
    ("clock_skew", 30),
    ("clock_skew", 3600),
    ("clock_skew", -30),
    ("clock_skew", -3600),
]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as running:
        yield running


@dataclass
class Trader:
    """An account, and as many clients one after the other as the story needs."""

    exchange: Sandbox
    folder: Path
    account: str = field(default_factory=lambda: str(uuid4()))
    clients: list[KrakenClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = self.exchange.open_account(self.account, OPENING)
        self.clerk = Clerk(self.venue)

    def venue(self) -> KrakenVenue:
        """As of a new process."""
        self.clients.append(kraken_client(self.exchange, self.folder, TOTAL))
        return kraken_venue(self.clients[-1], deadline=MIN_DEADLINE, margin=timedelta(seconds=0.3))

    def sent(self, asked: OrderIntent) -> tuple[WorkingOrder, Exception | None]:
        """Send it once: as the ledger then has it, and what was raised."""
        venue = self.venue()
        void_after, sent_at = venue.void_after(), venue.now()
        working = committed(asked, sent_at=sent_at, void_after=void_after)
        try:
            order_id = venue.submit(asked, void_after)
        except MarketloomError as error:
            return working, error
        return replace(working, order=replace(working.order, venue_order_id=order_id)), None

    def resting(self) -> WorkingOrder:
        """A stop far from the market, over something that the account has."""
        self.clerk.placed(wanted(pair=XRP, quantity=QUANTITY, stop_loss=None))
        trigger = (self.exchange.last(XRP) / 2).quantize(Decimal("0.00001"))
        return self.clerk.placed(closing(pair=XRP, quantity=QUANTITY, trigger=trigger))

    def decided(self, working: WorkingOrder) -> WorkingOrder | None:
        """Look until the venue shows it (booked), or surely never took it (None), however often looking fails."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with suppress(*NOT_DONE):
                venue = self.venue()
                before, void_after = venue.now(), working.order.void_after
                reports = venue.reports([working])
                if reports:
                    return self.clerk.asked(working)
                assert void_after is not None
                if before > venue.never_taken_after(void_after):
                    return None
            time.sleep(0.1)
        raise AssertionError(working)

    def at_the_exchange(self, asked: OrderIntent) -> list[dict[str, Any]]:
        rows = self.exchange.export()["orders"]
        return [each for each in rows if each["client_order_id"] == asked.client_order_id]

    def close(self) -> None:
        while self.clients:
            self.clients.pop().close()


@pytest.fixture
def trader(exchange: Sandbox, tmp_path: Path) -> Iterator[Trader]:
    trader = Trader(exchange, tmp_path)
    yield trader
    exchange.disarm()
    trader.close()


def entry(**changes: Any) -> OrderIntent:
    return wanted(**{"pair": XRP, "quantity": QUANTITY, "stop_loss": None, **changes})


# --- submit


@pytest.mark.parametrize("kind", AFTER_IT_WAS_TAKEN)
def test_an_order_whose_answer_does_not_come_is_unknown_and_found(trader: Trader, kind: str) -> None:
    trader.exchange.arm(kind, method="AddOrder", **OF_REQUESTS[kind])
    asked = entry()
    working, error = trader.sent(asked)
    assert isinstance(error, OutcomeUnknown)
    trader.exchange.disarm()
    found = trader.decided(working)
    assert found is not None
    assert (found.order.status, found.order.filled) == (OrderStatus.FILLED, QUANTITY)
    assert [each["order_id"] for each in trader.at_the_exchange(asked)] == [found.order.venue_order_id]
    books_agree(trader.exchange, trader.account, trader.clerk, OPENING)


@pytest.mark.parametrize("kind", BEFORE_IT_IS_TAKEN)
def test_an_order_that_is_kept_out_is_not_at_the_exchange_whatever_the_error(
    trader: Trader, kind: str
) -> None:
    trader.exchange.arm(kind, method="AddOrder", **OF_REQUESTS[kind])
    asked = entry()
    working, error = trader.sent(asked)
    assert isinstance(error, OutcomeUnknown if kind == "disconnect" else NOT_DONE)
    assert trader.at_the_exchange(asked) == []
    trader.exchange.disarm()
    if kind == "disconnect":
        assert trader.decided(working) is None  # after its deadline it counts as never taken


@pytest.mark.parametrize(("kind", "seconds"), IN_FORCE)
def test_an_order_in_a_market_that_is_not_as_it_should_be_is_taken_or_surely_not(
    trader: Trader, kind: str, seconds: float
) -> None:
    trader.exchange.arm(kind, **({"seconds": seconds} if seconds else {}))
    asked = entry()
    try:
        working, error = trader.sent(asked)
    except NOT_DONE:  # not even the time is told
        assert trader.at_the_exchange(asked) == []
        return
    there = trader.at_the_exchange(asked)
    assert bool(there) == (error is None)
    assert error is None or isinstance(error, (*NOT_DONE, OutcomeUnknown))
    trader.exchange.disarm()
    assert (trader.clerk.asked(working).order.status is OrderStatus.FILLED) == bool(there)


def test_an_order_that_can_be_neither_answered_nor_looked_up_is_never_missing(trader: Trader) -> None:
    trader.exchange.arm("lost_ack", method="AddOrder")
    working, error = trader.sent(entry())
    assert isinstance(error, OutcomeUnknown)
    trader.exchange.arm("maintenance")
    with pytest.raises(VenueUnreachable):
        trader.clerk.asked(working)
    trader.exchange.disarm()
    assert trader.clerk.asked(working).order.status is OrderStatus.FILLED


def test_an_order_that_travels_longer_than_the_client_listens_is_found(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name, latency_ms=1000.0) as slow:
        trader = Trader(slow, tmp_path / "client")
        working, error = trader.sent(entry())
        assert isinstance(error, OutcomeUnknown)
        found = trader.decided(working)
        assert found is not None
        assert found.order.filled == QUANTITY
        trader.close()


def test_an_order_that_travels_longer_than_its_deadline_is_never_taken(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name, latency_ms=5000.0) as slow:
        trader, asked = Trader(slow, tmp_path / "client"), entry()
        working, error = trader.sent(asked)
        assert isinstance(error, OutcomeUnknown)
        assert trader.decided(working) is None
        time.sleep(1)  # it arrives, too late
        assert trader.at_the_exchange(asked) == []
        trader.close()


# --- cancel and amend


def change(trader: Trader, what: str, stop: WorkingOrder) -> Exception | None:
    venue = trader.venue()
    try:
        if what == "CancelOrder":
            venue.cancel(stop)
        else:
            venue.amend(stop, (stop.order.trigger or Decimal(0)) - Decimal("0.001"))
    except MarketloomError as error:
        return error
    return None


def is_changed(trader: Trader, what: str, stop: WorkingOrder) -> bool:
    now = trader.clerk.asked(stop).order
    cancelled, moved = now.status is OrderStatus.CANCELLED, now.trigger != stop.order.trigger
    assert (cancelled, moved) in ((False, False), (what == "CancelOrder", what == "AmendOrder"))
    return cancelled or moved


@pytest.mark.parametrize("what", ["CancelOrder", "AmendOrder"])
@pytest.mark.parametrize("kind", OF_REQUESTS)
def test_a_change_of_an_order_is_done_unknown_or_surely_not_done(
    trader: Trader, what: str, kind: str
) -> None:
    stop = trader.resting()
    trader.exchange.arm(kind, method=what, **OF_REQUESTS[kind])
    error = change(trader, what, stop)
    if kind in AFTER_IT_WAS_TAKEN or kind == "disconnect":
        assert isinstance(error, OutcomeUnknown)
    else:
        assert isinstance(error, NOT_DONE)
    trader.exchange.disarm()
    assert is_changed(trader, what, stop) == (kind in AFTER_IT_WAS_TAKEN)
    if not is_changed(trader, what, stop):
        assert change(trader, what, stop) is None
        assert is_changed(trader, what, stop)


def test_in_cancel_only_mode_a_stop_can_be_cancelled_and_not_moved(trader: Trader) -> None:
    stop = trader.resting()
    trader.exchange.arm("cancel_only")
    assert isinstance(change(trader, "AmendOrder", stop), VenueUnreachable)
    assert change(trader, "CancelOrder", stop) is None
    assert trader.clerk.asked(stop).order.status is OrderStatus.CANCELLED


# --- looking


@pytest.mark.parametrize("kind", OF_REQUESTS)
@pytest.mark.parametrize("method", ["OpenOrders", "ClosedOrders", "QueryOrders", "QueryTrades"])
def test_looking_either_fails_or_tells_the_truth(trader: Trader, kind: str, method: str) -> None:
    order = trader.clerk.sent(entry(stop_loss=Decimal("0.1")))
    truth = trader.venue().reports([order])
    nameless = replace(order, order=replace(order.order, venue_order_id=""))
    trader.exchange.arm(kind, method=method, every=2, **OF_REQUESTS[kind])
    looks: list[Callable[[KrakenVenue], object]] = [
        lambda venue: venue.reports([order]),
        lambda venue: venue.reports([nameless]),
        lambda venue: [each.parent_id for each in venue.stops_of(replace(order, order=replace(
            order.order, filled=QUANTITY)))],
    ]  # fmt: skip
    expected: list[object] = [truth, truth, [order.order.venue_order_id]]
    for look, told in zip(looks, expected, strict=True):
        for _ in range(2):
            with suppress(*NOT_DONE, InvalidMessage):
                assert look(trader.venue()) == told


# --- in the end


def no_candles(pair: Pair, since: object, until: object) -> pl.DataFrame:
    return CANDLE_SCHEMA.to_frame()


class Account:
    """What a trader decides goes through the ledger, and is carried out by one process after the other."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self.journal = MemoryJournal()
        self.journal.open_account("paper", OPENING, NOON)

    def decide(self, asked: OrderIntent) -> OrderIntent:
        self.journal.record_decision(receipt(asked.decision_id), asked)
        return asked

    def carry_out(self) -> None:
        rules = ExecutionRules(entry_age=timedelta.max, patience=timedelta(seconds=0.5), lease_seconds=5.0)
        executor = OrderExecutor(self.journal, self.trader.venue(), no_candles, rules, holder=str(uuid4()))
        executor.carry_out("paper", NOON)

    def settle(self) -> None:
        """Carry out until every order has an outcome."""
        for _ in range(ROUNDS):
            self.carry_out()
            if not self.journal.working_orders("paper"):
                return
            time.sleep(0.2)
        raise AssertionError(self.journal.working_orders("paper"))

    def is_filled_once(self, asked: OrderIntent) -> None:
        (order,) = self.trader.at_the_exchange(asked)
        assert (order["state"], Decimal(order["filled"])) == ("closed", asked.quantity)
        known = self.journal.order(asked.intent_id)
        assert known is not None
        assert (known.status, known.filled) == (OrderStatus.FILLED, asked.quantity)

    def books_agree(self) -> None:
        self.trader.clerk.fills = {fill.fill_id: fill for fill in self.journal.fills("paper")}
        books_agree(self.trader.exchange, self.trader.account, self.trader.clerk, OPENING)


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("kind", OF_REQUESTS)
def test_orders_among_requests_that_fail_again_and_again_are_each_filled_once(
    trader: Trader, kind: str, every: int
) -> None:
    how = {"seconds": TOTAL * 1.5} if kind == "slow_ack" else OF_REQUESTS[kind]
    trader.exchange.arm(kind, every=every, count=8, **how)
    account = Account(trader)
    orders = [account.decide(entry(quantity=Decimal(quantity))) for quantity in (500, 700, 300)]
    account.settle()
    for each in orders:
        account.is_filled_once(each)
    account.books_agree()


@pytest.mark.parametrize(("kind", "seconds"), [*IN_FORCE, ("clock_skew", 3), ("clock_skew", -3)])
def test_an_order_in_a_market_that_comes_to_order_again_is_filled_once(
    trader: Trader, kind: str, seconds: float
) -> None:
    trader.exchange.arm(kind, **({"seconds": seconds} if seconds else {}))
    account = Account(trader)
    asked = account.decide(entry())
    account.carry_out()
    assert len(trader.at_the_exchange(asked)) == len(account.journal.fills("paper"))
    trader.exchange.disarm()
    account.settle()
    account.is_filled_once(asked)
    account.books_agree()


def test_an_exchange_that_was_stopped_after_it_took_the_order_still_has_it(tmp_path: Path) -> None:
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name) as first:
        trader = Trader(first, tmp_path / "client")
        account = Account(trader)
        first.arm("lost_ack", method="AddOrder")
        bought = account.decide(entry())
        account.carry_out()
        before = trader.exchange.export()
        trader.close()
    with sandbox(tmp_path / "exchange", tier=UNHURRIED.name) as second:
        trader.exchange = replace(
            trader.exchange, url=second.url, running=second.running, portal=second.portal
        )
        assert trader.exchange.export() == before
        account.settle()
        account.is_filled_once(bought)
        sold = account.decide(closing(pair=XRP, quantity=QUANTITY))
        account.settle()
        account.is_filled_once(sold)
        assert account.journal.positions("paper") == []
        account.books_agree()
        trader.close()

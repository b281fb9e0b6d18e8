"""The reconciler against a whole exchange: what comes and goes there is booked with its cause, or halts the account."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.contracts.trade import intent, receipt
from tests.contracts.venues import Clerk, closing, kraken_client, kraken_venue
from tests.contracts.venues import wanted as order
from tests.doubles.stores import MemoryJournal
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, STARTS, UNHURRIED
from trading.errors import InvalidValue
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, OrderStatus, Side, WorkingOrder
from trading.ports import Journal, Venue, VenueBooks, VenueReport
from trading.reconciliation import DifferenceKind, Reconciler, Reconciliation
from trading.risk import HaltKind

OPENING = {"USDT": Decimal(20_000), "BTC": Decimal("0.5")}
PRICES = {"USDT": Decimal(1), "BTC": Decimal(60_000)}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as running:
        yield running


class Desk:
    """One account of the exchange, its ledger, and whoever carries its orders out."""

    def __init__(self, exchange: Sandbox, folder: Path, journal: Journal | None = None) -> None:
        self.name = str(uuid.uuid4())
        self.exchange = exchange.open_account(self.name, OPENING)
        self.venue: Venue = kraken_venue(kraken_client(self.exchange, folder))
        self.journal = journal or MemoryJournal()
        self.at = self.market_time()
        self.journal.open_account(self.name, OPENING, self.at)

    def market_time(self) -> datetime:
        return self.exchange.running.exchange.market_now()

    def enter(self, asset: str, amount: str, kind: str = "deposit") -> str:
        self.exchange.advance(1)
        return self.exchange.enter(self.name, asset, amount, kind)

    def reconcile(self, venue: Venue | None = None) -> Reconciliation:
        return self.reconciler(venue).reconcile(self.name, self.market_time())

    def reconciler(self, venue: Venue | None = None) -> Reconciler:
        return Reconciler(self.journal, venue or self.venue, worth, sleep=lambda seconds: None)

    def stranger(self, folder: Path) -> Clerk:
        """Another program with the same key, and books of its own."""
        venue = kraken_venue(kraken_client(self.exchange, folder))
        return Clerk(lambda: venue)

    def trade(self, **changes: object) -> OrderIntent:
        """Decide and carry out, as a decision run does."""
        identity = str(uuid.uuid4())
        now = self.venue.now()
        bought = intent(
            identity, intent_id=identity, account=self.name, created_at=now, entry_price=None, **changes
        )
        self.journal.record_decision(receipt(identity) | {"account": self.name}, bought)
        self.executor().carry_out(self.name, now)
        return bought

    def executor(self) -> OrderExecutor:
        rules = ExecutionRules(entry_age=timedelta(hours=1), patience=timedelta(seconds=2))
        return OrderExecutor(self.journal, self.venue, no_candles, rules, holder=str(uuid.uuid4()))

    def halts(self) -> list[HaltKind]:
        return [each.kind for each in self.journal.halts(self.name)]


def worth(asset: str, amount: Decimal, at: datetime) -> Decimal | None:
    return amount * PRICES[asset] if asset in PRICES else None


def no_candles(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
    return CANDLE_SCHEMA.to_frame()


@pytest.fixture
def desk(exchange: Sandbox, tmp_path: Path) -> Desk:
    return Desk(exchange, tmp_path / "desk")


def held(desk: Desk) -> dict[str, Decimal]:
    return {asset: each for asset, each in desk.venue.books(STARTS).balances.items() if each}


def trade_without_an_outcome(desk: Desk) -> None:
    """The answer is lost, and nobody can look the order up."""
    desk.exchange.arm("lost_ack", method="AddOrder")
    for look_up in ("QueryOrders", "OpenOrders", "ClosedOrders"):
        desk.exchange.arm("disconnect", method=look_up)
    try:
        desk.trade(stop_loss=Decimal(10_000))
    finally:
        desk.exchange.disarm()


# --- what explains itself


def test_the_opening_is_not_counted_twice_though_the_exchange_lists_its_deposit(desk: Desk) -> None:
    assert [each.kind for each in desk.venue.books(STARTS).entries] == ["deposit", "deposit"]
    result = desk.reconcile()
    assert (result.agrees, result.booked) == (True, ())
    assert desk.journal.reconciled_at(desk.name) == result.at


def test_deposits_withdrawals_and_rewards_are_booked_once_with_cause_and_value(desk: Desk) -> None:
    desk.reconcile()
    ids = [
        desk.enter("USDT", "250"),
        desk.enter("BTC", "-0.1", "withdrawal"),
        desk.enter("BTC.F", "0.0001", "staking"),
        desk.enter("ADA", "0.01"),
    ]
    result = desk.reconcile()
    assert result.agrees
    assert [(each.reference, each.asset, each.amount, each.cause, each.value) for each in result.booked] == [
        (ids[0], "USDT", Decimal(250), "deposit", Decimal(250)),
        (ids[1], "BTC", Decimal("-0.1"), "withdrawal", Decimal(-6000)),
        (ids[2], "BTC.F", Decimal("0.0001"), "staking", None),
        (ids[3], "ADA", Decimal("0.01"), "deposit", None),
    ]
    assert desk.journal.balances(desk.name) == held(desk)
    assert desk.reconcile().booked == ()
    assert desk.halts() == []


def test_a_withdrawal_moves_the_peak_that_drawdowns_count_from(desk: Desk) -> None:
    desk.journal.raise_peak(desk.name, Decimal(50_000))
    desk.enter("USDT", "-1000", "withdrawal")
    desk.reconcile()
    assert desk.journal.peak(desk.name) == Decimal(49_000)


def test_trades_of_ours_agree_to_the_last_digit(desk: Desk) -> None:
    desk.trade(stop_loss=Decimal(10_000))
    (position,) = desk.journal.positions(desk.name)
    assert desk.reconcile().agrees
    assert desk.journal.balances(desk.name) == held(desk)
    assert desk.journal.position(desk.name, BTC) == position


def test_a_fill_of_ours_that_was_not_booked_is_found_and_booked(desk: Desk) -> None:
    desk.trade(stop_loss=Decimal(10_000))
    (stop,) = desk.journal.working_orders(desk.name)
    desk.exchange.trade(BTC, Decimal(9_000))
    desk.exchange.advance(60)
    assert desk.journal.positions(desk.name) != []
    result = desk.reconcile()
    assert result.agrees
    assert desk.journal.positions(desk.name) == []
    found = desk.journal.order(stop.intent.intent_id)
    assert found is not None
    assert found.status is OrderStatus.FILLED
    assert desk.journal.order_changes(stop.intent.intent_id)[-1].cause == "found by the reconciliation"
    assert desk.journal.balances(desk.name) == held(desk)


# --- what nobody can explain


def test_another_program_with_the_same_key_is_noticed_by_its_open_order(desk: Desk, tmp_path: Path) -> None:
    """A second deployment: another home, another database, the same key."""
    desk.reconcile()
    left = desk.stranger(tmp_path / "other").placed(closing(trigger=Decimal(10_000)))
    (difference,) = desk.reconcile().differences
    assert (difference.kind, difference.subject) == ("foreign order", left.order.venue_order_id)
    assert desk.halts() == [HaltKind.RECONCILIATION]
    assert left.order.venue_order_id in desk.journal.halts(desk.name)[0].reason


def test_another_program_with_the_same_key_is_noticed_by_its_fills(desk: Desk, tmp_path: Path) -> None:
    desk.reconcile()
    desk.exchange.advance(1)
    desk.stranger(tmp_path / "other").placed(order(stop_loss=None))
    differences = desk.reconcile().differences
    assert {each.kind for each in differences} == {"foreign trade"}
    assert desk.halts() == [HaltKind.RECONCILIATION]
    assert desk.journal.reconciled_at(desk.name) != desk.market_time()


def test_two_deployments_with_one_key_notice_each_other(exchange: Sandbox, tmp_path: Path) -> None:
    first = Desk(exchange, tmp_path / "first")
    second = Desk.__new__(Desk)
    second.__dict__ |= first.__dict__ | {"journal": MemoryJournal()}
    second.venue = kraken_venue(kraken_client(first.exchange, tmp_path / "second"))
    second.journal.open_account(second.name, OPENING, second.at)
    exchange.advance(1)
    first.trade(stop_loss=Decimal(10_000))
    assert first.reconcile().agrees
    found = second.reconcile().differences
    assert {each.kind for each in found} == {"foreign trade", "foreign order"}
    assert (first.halts(), second.halts()) == ([], [HaltKind.RECONCILIATION])
    exchange.advance(1)
    second.trade()
    assert second.journal.fills(second.name) == []  # a halted account opens nothing


def test_an_entry_of_a_kind_that_may_mean_anything_halts(desk: Desk) -> None:
    desk.reconcile()
    entry = desk.enter("USDT", "-5", "settled")
    (difference,) = desk.reconcile().differences
    assert (difference.kind, difference.subject) == ("unknown entry", entry)


def test_a_balance_that_no_entry_explains_halts_and_is_named(desk: Desk) -> None:
    class Leaking:
        """The exchange, with money gone that no entry tells of."""

        def __getattr__(self, name: str) -> object:
            return getattr(desk.venue, name)

        def books(self, since: datetime) -> VenueBooks:
            books = desk.venue.books(since)
            less = books.balances["USDT"] - Decimal("12.5")
            return replace(books, balances={**books.balances, "USDT": less})

    (difference,) = desk.reconcile(Leaking()).differences  # type: ignore[arg-type]
    assert (difference.kind, difference.subject) == ("balance", "USDT")
    [halt] = desk.journal.halts(desk.name)
    assert "the venue has 19987.5 USDT, the ledger 20000" in halt.reason
    assert "marketloom reconcile" in halt.reason


def test_a_halt_stays_when_the_books_agree_again_until_a_person_resumes(desk: Desk, tmp_path: Path) -> None:
    stranger = desk.stranger(tmp_path / "other")
    left = stranger.placed(closing(trigger=Decimal(10_000)))
    desk.reconcile()
    desk.venue.cancel(left)
    assert desk.reconcile().agrees
    assert [each.needs_resume for each in desk.journal.halts(desk.name)] == [True]


# --- a person's choice


def test_adopting_takes_foreign_trades_over_and_then_the_books_agree(desk: Desk, tmp_path: Path) -> None:
    desk.exchange.advance(1)
    desk.stranger(tmp_path / "other").placed(order(stop_loss=None))
    assert not desk.reconcile().agrees
    booked = desk.reconciler().adopt(desk.name, desk.market_time(), "adopted by ada: by hand")
    assert {each.asset for each in booked} == {"USDT", "BTC"}
    assert {each.cause for each in booked} == {"adopted by ada: by hand"}
    assert all(each.value is not None for each in booked)
    assert desk.reconcile().agrees
    assert desk.journal.balances(desk.name) == held(desk)


def test_nothing_is_adopted_while_an_order_has_no_outcome(desk: Desk) -> None:
    trade_without_an_outcome(desk)
    states = [each.order.status for each in desk.journal.working_orders(desk.name)]
    assert OrderStatus.UNKNOWN in states
    with pytest.raises(InvalidValue, match="orders without an outcome"):
        desk.reconciler().adopt(desk.name, desk.market_time(), "why not")


# --- nothing is concluded too early


def test_nothing_is_concluded_while_orders_are_in_motion(desk: Desk) -> None:
    desk.exchange.advance(1)
    trade_without_an_outcome(desk)
    result = desk.reconcile()
    assert (result.agrees, result.differences) == (False, ())
    assert "orders without an outcome: buy BTC/USDT unknown" in result.undecided
    assert desk.halts() == []
    desk.executor().carry_out(desk.name, desk.venue.now())
    assert desk.reconcile().agrees


@pytest.mark.parametrize("side", list(Side))
def test_a_position_with_its_stop_is_no_difference(desk: Desk, side: Side) -> None:
    level = {Side.BUY: Decimal(10_000), Side.SELL: Decimal(300_000)}[side]
    desk.trade(side=side, stop_loss=level)
    assert [each.order.status for each in desk.journal.working_orders(desk.name)] == [
        OrderStatus.ACKNOWLEDGED
    ]
    assert desk.reconcile().agrees


class Forgetful:
    """The exchange, which does not show one order any more: purged after somebody cancelled it, or reset."""

    def __init__(self, venue: Venue, order_id: str) -> None:
        self._venue = venue
        self._order_id = order_id

    def __getattr__(self, name: str) -> object:
        return getattr(self._venue, name)

    def books(self, since: datetime) -> VenueBooks:
        books = self._venue.books(since)
        shown = tuple(each for each in books.open_orders if each.venue_order_id != self._order_id)
        return replace(books, open_orders=shown)

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        known = [each for each in working if each.order.venue_order_id != self._order_id]
        return self._venue.reports(known, until)


def test_an_order_of_ours_that_the_venue_does_not_know_halts_and_adopting_lets_a_new_stop_be_placed(
    desk: Desk,
) -> None:
    desk.trade(stop_loss=Decimal(10_000))
    [stop] = desk.journal.working_orders(desk.name)
    forgetful: Any = Forgetful(desk.venue, stop.order.venue_order_id)
    [difference] = desk.reconcile(forgetful).differences
    assert difference.kind is DifferenceKind.MISSING_ORDER
    assert "stop sell" in difference.note
    assert desk.halts() == [HaltKind.RECONCILIATION]
    desk.reconciler(forgetful).adopt(desk.name, desk.market_time(), "a person says so")
    assert desk.journal.working_orders(desk.name) == []
    assert desk.reconcile(forgetful).agrees


def test_an_order_that_ended_meanwhile_is_no_missing_order(desk: Desk) -> None:
    desk.trade(stop_loss=Decimal(10_000))
    [stop] = desk.journal.working_orders(desk.name)
    desk.venue.cancel(stop)
    assert desk.reconcile().differences == ()

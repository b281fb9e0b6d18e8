"""One account, whoever decides for it: limits hold, nothing is sold twice, and nothing that it owns stops it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.decision.clock import ClockReading
from ml.decision.explanation import explain
from tests.doubles.stores import MemoryJournal
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld, record_fill, record_intent
from tests.ml.decision.trading_day import FALLING, LIMITS, PAIR
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus
from trading.orders import OrderKind, OrderStatus, Side, WorkingOrder
from trading.ports import Journal, VenueBooks, VenueReport
from trading.risk import Halt, HaltKind
from trading.stores.postgres import PostgresJournal

PAIRS = (PAIR, Pair("XRP", "USDT"), Pair("ETH", "USDT"))
HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    return DecisionWorld(tmp_path)


class Unlisted:
    """A venue that takes every order and lists no fill of it: the engine waits, or its answers are late."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.listed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> Mapping[str, VenueReport]:
        found: Mapping[str, VenueReport] = self._inner.reports(working, until)
        if self.listed:
            return found
        waiting = {"status": OrderStatus.ACKNOWLEDGED, "fills": (), "reason": "the market waits"}
        return {
            each.intent.intent_id: replace(found[each.intent.intent_id], **waiting)
            if each.intent.kind is not OrderKind.STOP
            else found[each.intent.intent_id]
            for each in working
            if each.intent.intent_id in found
        }


# --- one writer


class AtOnce:
    """A journal at which all deciders have gathered what they need before the first one commits."""

    def __init__(self, inner: Journal, gathered: threading.Barrier) -> None:
        self._inner, self._gathered = inner, gathered
        self._local = threading.local()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name != "exclusive":
            return method

        def call(account: str) -> Any:
            self._local.calls = getattr(self._local, "calls", 0) + 1
            if self._local.calls == 2:  # the first is for halts
                self._gathered.wait(60)
            return method(account)

        return call


@pytest.fixture(params=["memory", "postgres"])
def journal(request: pytest.FixtureRequest) -> Journal:
    if request.param == "memory":
        return MemoryJournal()
    return PostgresJournal(request.getfixturevalue("dsn"))


def test_three_pairs_that_decide_at_once_outside_any_pool_open_no_more_than_the_limits_allow(
    tmp_path: Path, journal: Journal
) -> None:
    world = DecisionWorld(tmp_path, journal=journal)
    world.with_pairs(*PAIRS)
    rich = replace(ACCOUNT, total=Decimal(21_000), fixed={"USDT": Decimal(10_000)})
    world.reader = replace(world.reader, account=replace(world.reader.account, account=rich))
    world.deciding_journal = AtOnce(journal, threading.Barrier(len(PAIRS)))
    outcomes: dict[Pair, str] = {}

    def run(pair: Pair) -> None:
        executor = world.executor_over(world.all_candles)  # each in a process of its own
        outcomes[pair] = world.execute(pair=pair, executor=executor).receipt["outcome"]

    world.reader.account.ensure_open(world.newest)
    threads = [threading.Thread(target=run, args=(pair,)) for pair in PAIRS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == len(PAIRS)
    opened = journal.positions(ACCOUNT.name)
    assert len(opened) == LIMITS.correlated_positions
    [refused] = [words for words in outcomes.values() if "refused" in words]
    assert "correlated positions" in refused


def test_a_decision_that_another_process_made_meanwhile_is_not_made_again(world: DecisionWorld) -> None:
    class Meanwhile(AtOnce):
        def __getattr__(self, name: str) -> Any:
            if name == "exclusive":
                world.deciding_journal = world.journal
                world.execute()
            return getattr(self._inner, name)

    world.deciding_journal = Meanwhile(world.journal, threading.Barrier(1))
    done = world.execute()
    assert done.repeated
    assert len(world.journal.decisions(ACCOUNT.name)) == 1
    assert len(world.journal.fills(ACCOUNT.name)) == 1


# --- orders without an outcome


def test_an_exit_whose_fills_are_not_listed_is_sold_once_over_many_candles(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path, drift=FALLING)
    start = world.newest - 3 * HOUR
    world.reader.account.ensure_open(start - HOUR)
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=start - HOUR, stop="1"
    )
    venue = Unlisted(world.paper_venue(world.all_candles))
    executor = world.executor_over(world.all_candles, venue)
    first = world.execute(start, executor)
    assert first.receipt["action"] == "CLOSE"
    for hours in (1, 2):
        again = world.execute(start + hours * HOUR, executor)
        assert again.receipt["action"] == "HOLD"
        assert "an exit is under way" in again.receipt["why"]
    venue.listed = True
    world.execute(start + 3 * HOUR, executor)
    intents = {
        fill: world.journal.working_order(fill.intent_id) for fill in world.journal.fills(ACCOUNT.name)
    }
    sold = [fill.quantity for fill, each in intents.items() if each and each.intent.kind is OrderKind.EXIT]
    assert sold == [Decimal("0.001")]


def test_a_waiting_entry_is_cancelled_when_the_market_turns_and_nothing_is_committed_beside_it(
    tmp_path: Path,
) -> None:
    world = DecisionWorld(tmp_path, drift=FALLING)
    world.reader.account.ensure_open(world.newest - HOUR)
    record_intent(
        world.journal, "long", PAIR, Side.BUY, quantity="0.002", at=world.newest - HOUR / 2, stop="30000"
    )
    executor = world.executor_over(world.all_candles, Unlisted(world.paper_venue(world.all_candles)))
    done = world.execute(executor=executor)
    assert done.order is None
    assert done.receipt["cancels"] == {"long": "the consensus wants SHORT now"}
    entry = world.journal.working_order("long")
    assert entry is not None
    assert entry.order.cancel_reason or entry.order.status is OrderStatus.CANCELLED
    assert [each.intent.side for each in world.journal.working_orders(ACCOUNT.name)] in ([], [Side.BUY])


def test_a_paused_account_opens_nothing_also_not_what_waited(world: DecisionWorld) -> None:
    before = world.newest - HOUR
    world.reader.account.ensure_open(before)
    record_intent(world.journal, "long", PAIR, Side.BUY, quantity="0.002", at=before, stop="30000")
    world.journal.begin_halts(ACCOUNT.name, [Halt(HaltKind.DRAWDOWN, before, None, "a tenth")])
    done = world.execute()
    assert world.journal.positions(ACCOUNT.name) == []
    assert world.journal.order("long").status is OrderStatus.CANCELLED
    assert done.order is None


def test_a_drawdown_that_is_found_now_keeps_the_waiting_entry_from_being_sent(world: DecisionWorld) -> None:
    before = world.newest - HOUR
    world.reader.account.ensure_open(before)
    record_intent(world.journal, "long", PAIR, Side.BUY, quantity="0.002", at=before, stop="30000")
    world.journal.raise_peak(ACCOUNT.name, Decimal(99_999))
    world.execute()
    assert [halt.kind for halt in world.journal.halts(ACCOUNT.name)] == [HaltKind.DRAWDOWN]
    assert world.journal.fills(ACCOUNT.name) == []
    assert world.journal.order("long").status is OrderStatus.CANCELLED


# --- one strategy


def elsewhere(world: DecisionWorld) -> None:
    """Let another dataset trade the account."""
    market = world.reader.market
    changed = replace(market, universe=replace(market.universe, origin="elsewhere"))
    world.reader = replace(world.reader, account=replace(world.reader.account, market=changed))


def test_candles_of_another_dataset_do_not_decide_on_an_account_that_is_traded(
    world: DecisionWorld,
) -> None:
    world.execute(world.newest - HOUR)
    elsewhere(world)
    with pytest.raises(
        InvalidValue, match="one strategy at a time: stop the decisions of test-1h"
    ) as refused:
        world.execute()
    assert f"from {world.newest + HOUR:%Y-%m-%d %H:%M} UTC on" in str(refused.value)
    assert len(world.journal.decisions(ACCOUNT.name)) == 1


def test_another_strategy_takes_over_the_account_with_its_positions_once_the_first_has_stopped(
    world: DecisionWorld,
) -> None:
    world.execute(world.newest - 2 * HOUR)
    held = world.journal.positions(ACCOUNT.name)
    elsewhere(world)
    done = world.execute()
    assert done.receipt["dataset"] == "elsewhere-1h"
    assert held
    assert done.receipt["inputs"]["position"]["quantity"] == str(held[0].quantity)


# --- what the account owns stops nobody


def test_a_held_pair_that_is_not_traded_any_more_stops_nobody_and_counts_at_its_last_price(
    world: DecisionWorld,
) -> None:
    gone = PAIRS[1]
    world.with_pairs(PAIR, gone)
    bought = world.newest - 2 * HOUR
    world.reader.account.ensure_open(bought)
    record_fill(world.journal, "x", gone, Side.BUY, quantity="0.005", price="60000", at=bought, stop="1")
    both = world.reader.inputs(world.reader.market_inputs(PAIR, world.reader.read_clock()))
    only = replace(world.reader.market.universe, pairs=(PAIR,))
    market = replace(world.reader.market, universe=only)
    world.reader = replace(world.reader, account=replace(world.reader.account, market=market))
    done = world.execute()
    account = done.receipt["inputs"]["account"]
    assert done.order is not None
    assert account["equity"] == pytest.approx(both.state.equity)
    assert account["exposure_value"] == pytest.approx(both.state.exposure_value)
    [note] = done.receipt["inputs"]["notes"]
    assert note.startswith("XRP/USDT is held and not in [market] pairs: counted at its last known price")
    assert note in explain(done.receipt, done.order)
    assert world.reader.account.notes(world.newest) == [note]
    [stop] = [each for each in world.journal.working_orders(ACCOUNT.name) if each.intent.pair == gone]
    assert stop.intent.kind is OrderKind.STOP
    world.executor.flatten(ACCOUNT.name, world.newest, "a person", [gone])
    assert [each.pair for each in world.journal.positions(ACCOUNT.name)] == [PAIR]


def test_a_held_pair_without_any_candle_counts_at_what_was_paid(world: DecisionWorld) -> None:
    gone, at = Pair("DOGE", "USDT"), world.newest - HOUR
    world.reader.account.ensure_open(at)
    record_fill(world.journal, "x", gone, Side.BUY, quantity="100", price="0.6", at=at, stop="0.1")
    receipt = world.execute().receipt
    assert receipt["inputs"]["account"]["equity"] == pytest.approx(2100, abs=10)
    assert receipt["inputs"]["notes"] == [
        "DOGE/USDT is held and not in [market] pairs: counted at what was paid, 0.6: no price of it is known"
    ]


def test_assets_that_no_pair_prices_are_left_out_of_equity_and_named(world: DecisionWorld) -> None:
    venue = {"USDT": "1000", "BTC": "0.02", "BTC.F": "0.0001", "EUR": "0.01"}
    opening = {asset: Decimal(amount) for asset, amount in venue.items()}
    books = VenueBooks(opening, (), (), world.newest)
    world.reader = replace(
        world.reader, account=replace(world.reader.account, venue_books=lambda since: books)
    )
    for hours in (1, 0):
        done = world.execute(world.newest - hours * HOUR)
        assert done.receipt["inputs"]["left_out"] == {"BTC.F": "0.0001", "EUR": "0.01"}
    assert "left out   0.0001 BTC.F, 0.01 EUR" in explain(done.receipt, done.order)
    assert world.reader.account.notes(world.newest) == [
        "0.0001 BTC.F is left out of the equity: no pair prices it",
        "0.01 EUR is left out of the equity: no pair prices it",
    ]
    assert done.snapshot is not None
    assert done.snapshot["left_out"] == {"BTC.F": "0.0001", "EUR": "0.01"}
    price = world.reader.market.price(PAIR, world.newest)
    first = world.journal.decisions(ACCOUNT.name)[-1]["inputs"]["account"]["equity"]
    assert first == pytest.approx(1000 + 0.02 * float(price), rel=0.01)


# --- time


def test_a_machine_that_is_five_hours_slow_opens_nothing_and_says_why(world: DecisionWorld) -> None:
    slow = ClockReading(world.newest - 5 * HOUR, "this machine")
    world.reader = replace(world.reader, clock=lambda: slow)
    done = world.execute()
    assert done.order is None
    assert "clock skew: clocks are 18000.0 s apart" in done.receipt["outcome"]
    assert done.receipt["clock"]["source"] == "this machine"


def test_nothing_that_became_known_after_the_clock_is_seen(world: DecisionWorld) -> None:
    """The newest candle arrived a minute after it closed."""
    month = world.table.months(PAIR)[-1]
    stored = world.table.read(PAIR, month)
    late = stored["close_time"].to_list()
    late[-1] += timedelta(minutes=1)
    world.table.write(PAIR, month, stored.with_columns(known_at=stored["known_at"].scatter(-1, late[-1])))
    newest = late[-1] - timedelta(minutes=1)
    reader = world.reader
    assert reader.market.last_close_time(PAIR, newest) == newest - HOUR
    assert reader.market.last_close_time(PAIR, newest + timedelta(minutes=1)) == newest
    assert reader.now() == newest + timedelta(minutes=1)


def test_instruments_are_asked_for_at_every_decision(world: DecisionWorld) -> None:
    listed = world.reader.instrument(PAIR)
    world.reader = replace(world.reader, instrument=lambda _: replace(listed, status=PairStatus.CANCEL_ONLY))
    done = world.execute()
    assert done.order is None
    assert done.receipt["outcome"].startswith("no order: skipped, risk refuses every entry: status")

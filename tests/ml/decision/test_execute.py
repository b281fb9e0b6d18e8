"""The live executor over memory stores: one decision, one order, whatever is repeated or interrupted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.decision.clock import ClockReading
from ml.decision.execute import execute_decision
from ml.decision.explanation import explain
from ml.decision.steps import Stopwatch
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryNews, MemoryPromotions, MemoryTable
from tests.ml.decision.decision_world import (
    ACCOUNT,
    DecisionWorld,
    record_fill,
    with_market,
    with_pairs,
    write_by_month,
)
from tests.ml.decision.trading_day import PAIR, RISING, RULES, candles
from trading.account import equity_change
from trading.errors import InvalidValue, NotStored
from trading.execution import Execution
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import Order, OrderIntent, OrderStatus, Side
from trading.risk import HaltKind, Resume


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    return DecisionWorld(tmp_path)


def test_a_decision_is_recorded_ordered_and_filled_at_the_next_open_with_costs(world: DecisionWorld) -> None:
    done = world.execute()
    [fill] = world.journal.fills(ACCOUNT.name)
    next_open = world.all_candles["open"][-1]
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert float(fill.price) == pytest.approx(next_open * 1.0003, abs=0.1)
    assert float(fill.price) > next_open
    assert fill.fee == pytest.approx(fill.price * fill.quantity * Decimal("0.0026"), abs=Decimal("1e-6"))


def test_materialising_twice_for_the_same_candle_makes_one_decision_and_one_order(
    world: DecisionWorld,
) -> None:
    first, second = world.execute(), world.execute()
    assert (first.repeated, second.repeated) == (False, True)
    assert first.receipt == second.receipt
    assert len(world.journal.decisions(ACCOUNT.name)) == 1
    assert len(world.journal.fills(ACCOUNT.name)) == 1


def test_the_clock_on_history_is_the_close_of_the_newest_candle(world: DecisionWorld) -> None:
    assert world.execute().receipt["decided_at"] == world.newest.isoformat()


def test_a_wall_clock_that_is_too_late_for_the_newest_candle_is_refused_by_risk(world: DecisionWorld) -> None:
    late = ClockReading(world.newest + timedelta(hours=5), "a test")
    world.reader = replace(world.reader, clock=lambda: late)
    done = world.execute()
    assert done.order is None
    assert "candle age" in done.receipt["outcome"]


def test_a_decision_in_the_past_sees_nothing_later(world: DecisionWorld) -> None:
    before = world.newest - timedelta(hours=30)
    receipt = world.execute(before).receipt
    assert receipt["inputs"]["candles"]["last_close_time"] == before.isoformat()
    assert all(fill.filled_at >= before for fill in world.journal.fills(ACCOUNT.name))


def test_an_account_does_not_decide_on_a_candle_before_its_newest_decision(world: DecisionWorld) -> None:
    world.execute()
    with pytest.raises(InvalidValue, match="cannot decide as of"):
        world.execute(world.newest - timedelta(hours=1))


def test_a_clock_that_was_hours_fast_once_stops_no_later_decision(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path, hidden=2)
    world.reader.account.ensure_open(world.newest)
    fast = ClockReading(world.newest + timedelta(hours=5), "this machine", skew_seconds=None)
    before = execute_decision(PAIR, fast, world.reader, RULES, world.journal, world.executor)
    assert before.order is None
    write_by_month(world.table, PAIR, world.all_candles.head(world.all_candles.height - 1))
    after = execute_decision(
        PAIR, ClockReading(world.newest, "the venue"), world.reader, RULES, world.journal, world.executor
    )
    assert after.order is not None


def test_an_order_decided_on_the_last_candle_there_is_waits_and_fills_once_the_next_comes(
    tmp_path: Path,
) -> None:
    world = DecisionWorld(tmp_path, hidden=0)
    done = world.execute()
    assert done.order is not None
    assert done.order.status is OrderStatus.ACKNOWLEDGED
    assert world.journal.fills(ACCOUNT.name) == []
    later = world.executor_over(candles(RISING, rows=1004))
    for _ in range(2):
        later.carry_out(ACCOUNT.name, world.newest)
    assert len(world.journal.fills(ACCOUNT.name)) == 1


class KilledExecutor:
    """An executor whose process is killed once it has settled, at the moment the order would leave."""

    def __init__(self) -> None:
        self.calls = 0

    def carry_out(self, account: str, at: datetime) -> Execution:
        self.calls += 1
        if self.calls > 1:
            raise KeyboardInterrupt
        return Execution()


def test_killed_between_intent_and_order_the_next_run_sends_that_very_intent_once(
    world: DecisionWorld,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.execute(executor=KilledExecutor())
    [waiting] = world.journal.working_orders(ACCOUNT.name)
    assert waiting.order.status is OrderStatus.INTENDED
    done = world.execute()
    [fill] = world.journal.fills(ACCOUNT.name)
    assert done.repeated
    assert fill.intent_id == waiting.intent.intent_id


def test_the_account_opens_with_its_total_in_value(world: DecisionWorld) -> None:
    receipt = world.execute().receipt
    assert receipt["inputs"]["account"]["equity"] == pytest.approx(2100, abs=0.01)


def test_the_receipt_has_the_time_of_each_stage(world: DecisionWorld) -> None:
    assert set(world.execute().receipt["timings_ms"]) == {
        "value",
        "halts",
        "settle",
        "hear",
        "gather",
        "record",
        "decide",
    }


def test_without_a_candle_by_then_the_error_names_what_to_materialise(world: DecisionWorld) -> None:
    with pytest.raises(NotStored, match="ohlcv"):
        world.execute(datetime(2020, 1, 1, tzinfo=UTC))


def test_the_stopwatch_measures_from_lap_to_lap() -> None:
    ticks = iter([0.0, 0.5, 0.75])
    watch = Stopwatch(lambda: next(ticks))
    watch.lap("first")
    watch.lap("second")
    assert watch.milliseconds == {"first": 500.0, "second": 250.0}


def test_a_champion_promoted_on_later_evidence_has_no_vote_in_an_earlier_decision(
    world: DecisionWorld,
) -> None:
    promotions = MemoryPromotions()
    promotions.record(PAIR, "unwritten", True, {}, at=world.newest + timedelta(hours=1))
    world.reader = replace(world.reader, policies=PolicyRegistry(world.folder, promotions))
    votes = {opinion["agent"]: opinion["action"] for opinion in world.execute().receipt["opinions"]}
    assert votes["quant"] is None


def test_a_champion_whose_bundle_is_lost_stops_the_decision_instead_of_being_left_out(
    world: DecisionWorld,
) -> None:
    promotions = MemoryPromotions()
    promotions.record(PAIR, "lost", True, {}, at=world.newest)
    world.reader = replace(world.reader, policies=PolicyRegistry(world.folder, promotions))
    with pytest.raises(NotStored, match="no bundle of policy lost"):
        world.execute()


def execute_paused(world: DecisionWorld) -> Any:
    """A decision of an account that was worth far more once."""
    world.reader.account.ensure_open(world.newest - timedelta(hours=9))
    world.journal.raise_peak(ACCOUNT.name, Decimal(2500))
    return world.execute(world.newest - timedelta(hours=1))


def test_a_drawdown_pauses_the_account_and_the_receipt_says_so(world: DecisionWorld) -> None:
    assert "drawdown: halted since" in execute_paused(world).receipt["outcome"]
    [halt] = world.journal.halts(ACCOUNT.name)
    assert (halt.kind, halt.until) == (HaltKind.DRAWDOWN, None)
    assert world.journal.fills(ACCOUNT.name) == []


def test_the_pause_outlives_the_process_and_a_recovery(world: DecisionWorld, tmp_path: Path) -> None:
    execute_paused(world)
    restarted = DecisionWorld(tmp_path, journal=world.journal)
    assert "drawdown: halted since" in restarted.execute().receipt["outcome"]
    assert len(world.journal.halts(ACCOUNT.name)) == 1


def test_after_a_resume_trading_goes_on_although_the_old_peak_is_far_away(world: DecisionWorld) -> None:
    execute_paused(world)
    world.journal.resume(ACCOUNT.name, Resume(datetime.now(UTC), "ada", "checked by hand"), Decimal(2100))
    done = world.execute()
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert world.journal.peak(ACCOUNT.name) == pytest.approx(Decimal(2100), abs=50)


def test_a_daily_loss_halts_until_the_next_day_although_equity_recovers(world: DecisionWorld) -> None:
    at = world.newest - timedelta(hours=1)
    world.reader.account.ensure_open(at)
    yesterday = at - timedelta(days=1)
    rich = {"equity": Decimal(2300), "opening_equity": Decimal(2300), "peak_equity": Decimal(2300)}
    world.journal.save_snapshot(ACCOUNT.name, yesterday, {**rich, "balances": {}})
    assert "daily loss: halted since" in world.execute(at).receipt["outcome"]
    recovered = {name: Decimal(2100) for name in rich}
    world.journal.save_snapshot(ACCOUNT.name, at, {**recovered, "balances": {}})
    assert "daily loss: halted since" in world.execute().receipt["outcome"]


def test_a_halt_recorded_just_before_the_process_was_killed_is_there_afterwards(world: DecisionWorld) -> None:
    world.reader.account.ensure_open(world.newest - timedelta(hours=9))
    world.journal.raise_peak(ACCOUNT.name, Decimal(2500))

    class Killed(MemoryNews):
        def sentiment(self, *arguments: Any) -> pl.DataFrame:
            raise KeyboardInterrupt

    healthy = world.reader
    world.reader = with_market(healthy, news=Killed())
    with pytest.raises(KeyboardInterrupt):
        world.execute()
    assert [halt.kind for halt in world.journal.halts(ACCOUNT.name)] == [HaltKind.DRAWDOWN]
    world.reader = healthy
    assert "drawdown" in world.execute().receipt["outcome"]
    assert len(world.journal.halts(ACCOUNT.name)) == 1


def test_losses_in_a_row_cool_the_account_down(world: DecisionWorld) -> None:
    at = world.newest
    world.reader.account.ensure_open(at - timedelta(hours=9))
    for number in range(5):
        round_trip(world, number, at - timedelta(minutes=20 - number))
    assert "losing streak: halted since" in world.execute().receipt["outcome"]
    [halt] = world.journal.halts(ACCOUNT.name)
    assert halt.until == at + 3 * timedelta(hours=1)  # the decisions at `at` and at the two closes after it


def test_losses_an_hour_apart_on_hourly_candles_refuse_the_next_decisions(world: DecisionWorld) -> None:
    """The shipped half hour is over before the next candle closes: the candles of the cool-down are what stops."""
    at = world.newest
    world.reader.account.ensure_open(at - timedelta(hours=9))
    for number in range(6):
        round_trip(world, number, at - timedelta(hours=6 - number))
    assert "losing streak: halted since" in world.execute().receipt["outcome"]


def round_trip(world: DecisionWorld, number: int, at: datetime) -> None:
    """Bought and sold again within a second, one dollar lower."""
    bought = at - timedelta(seconds=1)
    record_fill(world.journal, f"{number}-buy", PAIR, Side.BUY, quantity="0.001", price="60000", at=bought)
    record_fill(
        world.journal, f"{number}-sell", PAIR, Side.SELL, quantity="0.001", price="59999", at=at, reduces=True
    )


CROSS = Pair("XRP", "BTC")  # another pair of the same account


class Unreadable:
    """Any store: `fails` says which calls of it raise."""

    def __init__(self, inner: Any, fails: Any) -> None:
        self._inner, self._fails = inner, fails

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self._fails(name, arguments):
                raise OSError(f"{name} cannot be read")
            return method(*arguments, **named)

        return call


def open_position(world: DecisionWorld, target: str = "2") -> datetime:
    """A position opened two candles ago whose target has been touched since, unless `target` says otherwise."""
    opened = world.newest - timedelta(hours=2)
    world.reader.account.ensure_open(opened)
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=opened, stop="1", target=target
    )  # fmt: skip
    return world.newest


class Idle:
    """Carries nothing out: the venue is down."""

    def carry_out(self, account: str, at: datetime) -> Execution:
        return Execution(problems=("down",))


def test_a_stop_that_never_came_to_the_venue_protects_nothing(world: DecisionWorld) -> None:
    opened = world.newest - timedelta(hours=2)
    world.reader.account.ensure_open(opened)
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=opened, stop="999999"
    )
    stop = OrderIntent(
        "stop", "held", ACCOUNT.name, PAIR, Side.SELL, Decimal("0.001"), True, None, None, opened,
        trigger=Decimal(999999),
    )  # fmt: skip
    waiting = Order("stop", OrderStatus.INTENDED, "", opened, trigger=stop.trigger)
    world.journal.add_order(stop, waiting, "protects the position")
    receipt = world.execute(executor=Idle()).receipt
    assert (receipt["action"], receipt["why"].partition(" ")[0]) == ("CLOSE", "stop-loss")


def lost_champion(world: DecisionWorld) -> None:
    promotions = MemoryPromotions()
    promotions.record(PAIR, "lost", True, {}, at=world.newest)
    world.reader = replace(world.reader, policies=PolicyRegistry(world.folder, promotions))


def news_store_down(world: DecisionWorld) -> None:
    news: Any = Unreadable(MemoryNews(), lambda name, given: True)
    world.reader = with_market(world.reader, news=news)


def with_cross(world: DecisionWorld, fails: Any) -> None:
    """The account trades two more pairs, with the same candles; calls about CROSS fail where `fails` says so."""
    pairs = (PAIR, CROSS, Pair("XRP", "USDT"))
    for pair in pairs[1:]:
        for month in world.table.months(PAIR):
            world.table.write(pair, month, world.table.read(PAIR, month))
    unreadable = Unreadable(world.table, lambda name, given: given[0] == CROSS and fails(name, given))
    world.reader = with_pairs(world.reader, *pairs, candles=unreadable)


def companion_unreadable(world: DecisionWorld) -> None:
    with_cross(world, lambda name, given: name == "tail" and given[2] > 200)


def price_of_another_pair_unreadable(world: DecisionWorld) -> None:
    with_cross(world, lambda name, given: name == "tail")


def other_pair_unreadable(world: DecisionWorld) -> None:
    with_cross(world, lambda name, given: True)


def own_window_for_features_unreadable(world: DecisionWorld) -> None:
    unreadable: Any = Unreadable(world.table, lambda name, given: name == "tail" and given[2] > 200)
    world.reader = with_market(world.reader, candles=unreadable)


def halts_unwritable(world: DecisionWorld) -> None:
    world.deciding_journal = Unreadable(world.journal, lambda name, given: name == "raise_peak")


def inputs_cannot_be_recorded(world: DecisionWorld) -> None:
    world.deciding_journal = Unreadable(world.journal, lambda name, given: name == "store_inputs")


def orders_cannot_be_settled(world: DecisionWorld) -> None:
    world.executor = Unreadable(world.executor, FirstCall())


class FirstCall:
    """Says that the first call of a method fails."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, name: str, given: Any) -> bool:
        self.seen += 1
        return self.seen == 1


BROKEN = [
    lost_champion,
    news_store_down,
    companion_unreadable,
    price_of_another_pair_unreadable,
    other_pair_unreadable,
    own_window_for_features_unreadable,
    halts_unwritable,
    inputs_cannot_be_recorded,
    orders_cannot_be_settled,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_hit_target_closes_whatever_else_is_broken(world: DecisionWorld, broken: Any) -> None:
    at = open_position(world)
    broken(world)
    done = world.execute(at)
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert world.journal.positions(ACCOUNT.name) == []
    assert world.execute(at).repeated


@pytest.mark.parametrize("broken", BROKEN)
def test_the_same_breakage_stops_a_decision_where_nothing_was_hit(world: DecisionWorld, broken: Any) -> None:
    at = open_position(world, target="999999")
    broken(world)
    with pytest.raises((OSError, NotStored)):
        world.execute(at)
    assert len(world.journal.decisions(ACCOUNT.name)) == 1
    assert len(world.journal.positions(ACCOUNT.name)) == 1


def test_the_clock_goes_on_where_another_pair_cannot_be_read(world: DecisionWorld) -> None:
    at = open_position(world)
    other_pair_unreadable(world)
    done = world.execute()
    assert done.receipt["decided_at"] == at.isoformat()
    assert world.journal.positions(ACCOUNT.name) == []


def test_the_receipt_of_such_an_exit_has_no_votes_and_names_what_failed(world: DecisionWorld) -> None:
    at = open_position(world)
    price_of_another_pair_unreadable(world)
    done = world.execute(at)
    assert (done.receipt["opinions"], done.receipt["action"]) == ([], "CLOSE")
    assert done.receipt["why"].startswith("take-profit")
    unread = "OSError: tail cannot be read"
    assert done.receipt["unfinished"] == [f"halts: {unread}", f"gather: {unread}"]
    text = explain(done.receipt, done.order)
    assert "nobody was asked" in text
    assert "could not be done first: halts" in text


def test_every_decision_leaves_a_snapshot_with_its_results(world: DecisionWorld) -> None:
    first = world.newest
    world.execute(first - timedelta(hours=1))
    done = world.execute(first)
    stored = world.journal.snapshots_since(ACCOUNT.name, first - timedelta(hours=1))
    assert [row["at"] for row in stored] == [first - timedelta(hours=1), first]
    assert done.snapshot is not None
    assert stored[-1]["equity"] == done.snapshot["equity"]
    change = equity_change(stored[0], stored[1])
    assert change is not None
    assert (
        change.equity
        == change.realised + change.unrealised + change.revaluation + change.transfers + change.fees
    )


@pytest.mark.parametrize("broken", ["save_snapshot", "fills", "opened_at"])
def test_a_snapshot_that_cannot_be_taken_breaks_no_decision(
    world: DecisionWorld, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise InvalidValue("a broken store")

    class ThenBreak(KilledExecutor):
        def carry_out(self, account: str, at: datetime) -> Execution:
            self.calls += 1
            done = world.executor.carry_out(account, at)
            if self.calls > 1:
                monkeypatch.setattr(world.journal, broken, fail)
            return done  # type: ignore[no-any-return]

    done = world.execute(executor=ThenBreak())
    assert done.order is not None
    assert (done.repeated, done.snapshot) == (False, None)
    assert done.snapshot_problem == "InvalidValue: a broken store"
    assert world.journal.decision(done.receipt["decision_id"]) == done.receipt


def test_what_the_account_opened_with_keeps_its_value_when_candles_are_corrected(
    world: DecisionWorld,
) -> None:
    world.execute(world.newest - timedelta(hours=1))
    corrected = MemoryTable(CANDLE_SCHEMA)
    write_by_month(corrected, PAIR, world.all_candles.with_columns(pl.col("close") * 1.5))
    results, _ = with_market(world.reader, candles=corrected).account.results(world.newest)
    assert results["opened_with"] == world.journal.snapshots(ACCOUNT.name)[0]["opened_with"]
    assert results["opened_with"] == pytest.approx(Decimal(2100), abs=Decimal("0.001"))
    assert results["revaluation"] > 500

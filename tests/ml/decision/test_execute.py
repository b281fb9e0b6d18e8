"""The live executor over memory stores: one decision, one order, whatever is repeated or interrupted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.decision.execute import Stopwatch, execute
from ml.decision.explanation import explain
from ml.decision.reader import Knowledge
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryJournal, MemoryNews, MemoryPromotions, MemoryTable
from tests.ml.decision.trading_day import INSTRUMENT, PAIR, RISING, RULES, candles
from trading.account import Account
from trading.errors import InvalidValue, NotStored
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_of, months_between
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.ports import Quote
from trading.risk import HaltKind, Resume
from trading.venues.paper import PaperVenue

ACCOUNT = Account("paper-test", "USDT", Decimal(2100), {"USDT": Decimal(1000)}, "BTC")
COSTS = Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002)


class Tape:
    """A candle source whose next price is known, or not yet."""

    origin = "test"

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table

    def span(self, pair: object) -> tuple[datetime, datetime]:
        return self.table["open_time"][0], self.table["close_time"][-1]

    def candles(self, pair: object, start: datetime, end: datetime) -> pl.DataFrame:
        return self.table.filter(pl.col("open_time") >= start, pl.col("open_time") < end)

    def quote_after(self, pair: object, time: datetime) -> Quote | None:
        later = self.table.filter(pl.col("open_time") >= time)
        return Quote(later["open"][0], later["open_time"][0]) if later.height else None


class Desk:
    """Everything one executor needs; `hidden` candles are known to the exchange alone."""

    def __init__(self, folder: Path, hidden: int = 1, journal: MemoryJournal | None = None) -> None:
        self.folder = folder
        self.halting_journal: Any = None
        self.tape = candles(RISING, rows=1003)
        known = self.tape.head(self.tape.height - hidden)
        self.table = MemoryTable(CANDLE_SCHEMA)
        for month in months_between(month_of(known["open_time"][0]), month_of(known["open_time"][-1])):
            rows = known.filter(pl.col("open_time").dt.truncate("1mo").dt.date() == month)
            self.table.write(PAIR, month, rows)
        self.journal = journal or MemoryJournal()
        self.venue = PaperVenue(self.journal, Tape(self.tape), {PAIR: INSTRUMENT}, {PAIR: COSTS})
        self.knowledge = Knowledge(
            universe=Universe((PAIR,), "USDT", Timeframe.H1, "test"),
            account=ACCOUNT,
            candles=self.table,
            news=MemoryNews(),
            policies=PolicyRegistry(folder, MemoryPromotions()),
            journal=self.journal,
            instruments={PAIR: INSTRUMENT},
            costs={PAIR: COSTS},
            sentiment_half_life_hours=24.0,
        )

    def execute(self, as_of: datetime | None = None, venue: Any = None) -> Any:
        return execute(PAIR, as_of, self.knowledge, RULES, self.journal, venue or self.venue)

    @property
    def newest(self) -> datetime:
        return self.knowledge.newest_close(PAIR)


def test_a_decision_is_recorded_ordered_and_filled_at_the_next_open_with_costs(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    done = desk.execute()
    [fill] = desk.journal.fills(ACCOUNT.name)
    next_open = desk.tape["open"][-1]
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert float(fill.price) == pytest.approx(next_open * 1.0003, abs=0.1)
    assert float(fill.price) > next_open
    assert fill.fee == pytest.approx(fill.price * fill.quantity * Decimal("0.0026"), abs=Decimal("1e-6"))


def test_materialising_twice_for_the_same_candle_makes_one_decision_and_one_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    first, second = desk.execute(), desk.execute()
    assert (first.repeated, second.repeated) == (False, True)
    assert first.receipt == second.receipt
    assert len(desk.journal.decisions(ACCOUNT.name)) == 1
    assert len(desk.journal.fills(ACCOUNT.name)) == 1


def test_the_clock_on_history_is_the_close_of_the_newest_candle(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.execute().receipt["decided_at"] == desk.newest.isoformat()


def test_a_wall_clock_that_is_too_late_for_the_newest_candle_is_refused_by_risk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.knowledge = replace(desk.knowledge, clock=lambda: desk.newest + timedelta(hours=5))
    done = desk.execute()
    assert done.order is None
    assert "candle age" in done.receipt["outcome"]


def test_a_decision_in_the_past_sees_nothing_later(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before = desk.newest - timedelta(hours=30)
    receipt = desk.execute(before).receipt
    assert receipt["inputs"]["candles"]["last_close_time"] == before.isoformat()
    assert all(fill.filled_at >= before for fill in desk.journal.fills(ACCOUNT.name))


def test_an_account_does_not_decide_on_a_candle_before_its_newest_decision(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.execute()
    with pytest.raises(InvalidValue, match="cannot decide as of"):
        desk.execute(desk.newest - timedelta(hours=1))


def test_an_order_decided_on_the_last_candle_there_is_waits_and_fills_once_the_next_comes(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, hidden=0)
    done = desk.execute()
    assert done.order is not None
    assert done.order.status is OrderStatus.ACCEPTED
    assert desk.journal.fills(ACCOUNT.name) == []
    later = PaperVenue(desk.journal, Tape(candles(RISING, rows=1004)), {PAIR: INSTRUMENT}, {PAIR: COSTS})
    later.settle(ACCOUNT.name)
    later.settle(ACCOUNT.name)
    assert len(desk.journal.fills(ACCOUNT.name)) == 1


class Dying:
    """A venue whose process is killed at the moment the order would leave."""

    def place(self, intent: OrderIntent) -> None:
        raise KeyboardInterrupt

    def settle(self, account: str) -> list[Any]:
        return []


def test_killed_between_intent_and_order_the_next_run_places_that_very_intent_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        desk.execute(venue=Dying())
    [intent] = desk.journal.unsettled(ACCOUNT.name)
    done = desk.execute()
    [fill] = desk.journal.fills(ACCOUNT.name)
    assert done.repeated
    assert fill.intent_id == intent.intent_id


def test_the_account_opens_with_its_total_in_value(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    receipt = desk.execute().receipt
    assert receipt["inputs"]["account"]["equity"] == pytest.approx(2100, abs=0.01)


def test_the_receipt_says_how_long_each_stage_took(tmp_path: Path) -> None:
    assert set(Desk(tmp_path).execute().receipt["timings_ms"]) == {"settle", "halts", "gather", "decide"}


def test_no_candle_by_then_names_what_to_materialise(tmp_path: Path) -> None:
    with pytest.raises(NotStored, match="ohlcv"):
        Desk(tmp_path).execute(datetime(2020, 1, 1, tzinfo=UTC))


def test_the_stopwatch_measures_from_lap_to_lap() -> None:
    ticks = iter([0.0, 0.5, 0.75])
    watch = Stopwatch(lambda: next(ticks))
    watch.lap("first")
    watch.lap("second")
    assert watch.milliseconds == {"first": 500.0, "second": 250.0}


def test_a_champion_promoted_on_later_evidence_has_no_say_in_an_earlier_decision(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    promotions = MemoryPromotions()
    promotions.record(PAIR, "unwritten", True, {}, desk.newest + timedelta(hours=1))
    desk.knowledge = replace(desk.knowledge, policies=PolicyRegistry(tmp_path, promotions))
    votes = {opinion["agent"]: opinion["action"] for opinion in desk.execute().receipt["opinions"]}
    assert votes["quant"] is None


def test_a_champion_whose_bundle_is_lost_stops_the_decision_instead_of_being_left_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    promotions = MemoryPromotions()
    promotions.record(PAIR, "lost", True, {}, desk.newest)
    desk.knowledge = replace(desk.knowledge, policies=PolicyRegistry(tmp_path, promotions))
    with pytest.raises(NotStored, match="no bundle of policy lost"):
        desk.execute()


def paused(desk: Desk) -> Any:
    """A decision of an account that was worth far more once."""
    desk.knowledge.ensure_account(desk.newest - timedelta(hours=9))
    desk.journal.raise_peak(ACCOUNT.name, Decimal(2500))
    return desk.execute(desk.newest - timedelta(hours=1))


def test_a_drawdown_pauses_the_account_and_the_receipt_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert "drawdown: halted since" in paused(desk).receipt["outcome"]
    [halt] = desk.journal.halts(ACCOUNT.name)
    assert (halt.kind, halt.until) == (HaltKind.DRAWDOWN, None)
    assert desk.journal.fills(ACCOUNT.name) == []


def test_the_pause_outlives_the_process_and_a_recovery(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    paused(desk)
    restarted = Desk(tmp_path, journal=desk.journal)
    restarted.journal._peaks.clear()  # as if the equity had come back
    assert "drawdown: halted since" in restarted.execute().receipt["outcome"]
    assert len(desk.journal.halts(ACCOUNT.name)) == 1


def test_after_a_resume_trading_goes_on_although_the_old_peak_is_far_away(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    paused(desk)
    desk.journal.resume(ACCOUNT.name, Resume(datetime.now(UTC), "ada", "checked by hand"), Decimal(2100))
    done = desk.execute()
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert desk.journal.peak(ACCOUNT.name) == pytest.approx(Decimal(2100), abs=50)


def test_a_lost_day_is_kept_until_the_next_although_equity_recovers(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = desk.newest - timedelta(hours=1)
    desk.knowledge.ensure_account(at)
    yesterday = at.date() - timedelta(days=1)
    rich = {"equity": Decimal(2300), "opening_equity": Decimal(2300), "peak_equity": Decimal(2300)}
    desk.journal.save_snapshot(ACCOUNT.name, yesterday, {**rich, "balances": {}})
    assert "daily loss: halted since" in desk.execute(at).receipt["outcome"]
    recovered = {name: Decimal(2100) for name in rich}
    desk.journal.save_snapshot(ACCOUNT.name, at.date(), {**recovered, "balances": {}})
    assert "daily loss: halted since" in desk.execute().receipt["outcome"]


def test_killed_right_after_the_halt_was_found_it_is_there_when_the_process_is_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.knowledge.ensure_account(desk.newest - timedelta(hours=9))
    desk.journal.raise_peak(ACCOUNT.name, Decimal(2500))

    class Killed(MemoryNews):
        def sentiment(self, *arguments: Any) -> pl.DataFrame:
            raise KeyboardInterrupt

    healthy = desk.knowledge
    desk.knowledge = replace(healthy, news=Killed())
    with pytest.raises(KeyboardInterrupt):
        desk.execute()
    assert [halt.kind for halt in desk.journal.halts(ACCOUNT.name)] == [HaltKind.DRAWDOWN]
    desk.knowledge = healthy
    assert "drawdown" in desk.execute().receipt["outcome"]
    assert len(desk.journal.halts(ACCOUNT.name)) == 1


def test_losses_in_a_row_cool_the_account_down(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = desk.newest
    desk.knowledge.ensure_account(at - timedelta(hours=9))
    for number in range(5):
        round_trip(desk, number, at - timedelta(minutes=20 - number))
    assert "losing streak: halted since" in desk.execute().receipt["outcome"]
    [halt] = desk.journal.halts(ACCOUNT.name)
    assert halt.until == at - timedelta(minutes=16) + timedelta(minutes=30)


def round_trip(desk: Desk, number: int, at: datetime) -> None:
    """Bought and sold again within a second, one dollar lower."""
    for side, price, when in ((Side.BUY, 60000, at - timedelta(seconds=1)), (Side.SELL, 59999, at)):
        name = f"{number}-{side}"
        intent = OrderIntent(
            name, name, ACCOUNT.name, PAIR, side, Decimal("0.001"), side is Side.SELL, None, None, when
        )
        receipt = {
            "decision_id": name, "account": ACCOUNT.name, "pair": str(PAIR), "decided_at": when.isoformat(),
            "action": "LONG", "confidence": 1.0, "opinions": [],
        }  # fmt: skip
        desk.journal.record_decision(receipt, intent)
        fill = Fill(
            name, name, ACCOUNT.name, PAIR, side, Decimal(price), Decimal("0.001"), Decimal(0), "USDT", when
        )
        desk.journal.record_order(Order(name, OrderStatus.FILLED, "", when), [fill])


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


def stopped(desk: Desk, stop: str = "999999") -> datetime:
    """A position opened two candles ago whose stop has been touched since, or `stop` says otherwise."""
    opened = desk.newest - timedelta(hours=2)
    desk.knowledge.ensure_account(opened)
    intent = OrderIntent(
        "held", "held", ACCOUNT.name, PAIR, Side.BUY, Decimal("0.001"), False, Decimal(stop), None, opened
    )
    receipt = {
        "decision_id": "held", "account": ACCOUNT.name, "pair": str(PAIR), "decided_at": opened.isoformat(),
        "action": "LONG", "confidence": 1.0, "opinions": [],
    }  # fmt: skip
    desk.journal.record_decision(receipt, intent)
    fill = Fill(
        "held",
        "held",
        ACCOUNT.name,
        PAIR,
        Side.BUY,
        Decimal(60000),
        Decimal("0.001"),
        Decimal(0),
        "USDT",
        opened,
    )
    desk.journal.record_order(Order("held", OrderStatus.FILLED, "", opened), [fill])
    return desk.newest


def lost_champion(desk: Desk) -> None:
    promotions = MemoryPromotions()
    promotions.record(PAIR, "lost", True, {}, desk.newest)
    desk.knowledge = replace(desk.knowledge, policies=PolicyRegistry(desk.folder, promotions))


def news_store_down(desk: Desk) -> None:
    news: Any = Unreadable(MemoryNews(), lambda name, given: True)
    desk.knowledge = replace(desk.knowledge, news=news)


def with_cross(desk: Desk, fails: Any) -> None:
    """The account trades two more pairs, with the same candles; calls about CROSS fail as told."""
    pairs = (PAIR, CROSS, Pair("XRP", "USDT"))
    for pair in pairs[1:]:
        for month in desk.table.months(PAIR):
            desk.table.write(pair, month, desk.table.read(PAIR, month))
    candles: Any = Unreadable(desk.table, lambda name, given: given[0] == CROSS and fails(name, given))
    desk.knowledge = replace(
        desk.knowledge,
        universe=Universe(pairs, "USDT", Timeframe.H1, "test"),
        candles=candles,
        instruments={pair: replace(INSTRUMENT, pair=pair) for pair in pairs},
        costs=dict.fromkeys(pairs, COSTS),
    )


def companion_unreadable(desk: Desk) -> None:
    with_cross(desk, lambda name, given: name == "tail" and given[2] > 200)


def price_of_another_pair_unreadable(desk: Desk) -> None:
    with_cross(desk, lambda name, given: name == "tail")


def other_pair_unreadable(desk: Desk) -> None:
    with_cross(desk, lambda name, given: True)


def own_window_for_features_unreadable(desk: Desk) -> None:
    candles: Any = Unreadable(desk.table, lambda name, given: name == "tail" and given[2] > 200)
    desk.knowledge = replace(desk.knowledge, candles=candles)


def halts_unwritable(desk: Desk) -> None:
    journal: Any = Unreadable(desk.journal, lambda name, given: name == "begin_halts")
    desk.halting_journal = journal


def venue_cannot_settle(desk: Desk) -> None:
    venue: Any = Unreadable(desk.venue, lambda name, given: name == "settle")
    desk.venue = venue


BROKEN = [
    lost_champion,
    news_store_down,
    companion_unreadable,
    price_of_another_pair_unreadable,
    other_pair_unreadable,
    own_window_for_features_unreadable,
    halts_unwritable,
    venue_cannot_settle,
]


def carry_out(desk: Desk, at: datetime) -> Any:
    journal = desk.halting_journal or desk.journal
    return execute(PAIR, at, desk.knowledge, RULES, journal, desk.venue)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_hit_stop_closes_whatever_else_is_broken(tmp_path: Path, broken: Any) -> None:
    desk = Desk(tmp_path)
    at = stopped(desk)
    broken(desk)
    done = carry_out(desk, at)
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    assert desk.journal.positions(ACCOUNT.name) == []
    assert carry_out(desk, at).repeated


@pytest.mark.parametrize("broken", BROKEN)
def test_the_same_breakage_stops_a_decision_where_nothing_was_hit(tmp_path: Path, broken: Any) -> None:
    desk = Desk(tmp_path)
    at = stopped(desk, stop="1")
    broken(desk)
    with pytest.raises((OSError, NotStored)):
        carry_out(desk, at)
    assert len(desk.journal.decisions(ACCOUNT.name)) == 1
    assert len(desk.journal.positions(ACCOUNT.name)) == 1


def test_the_clock_goes_on_where_another_pair_cannot_be_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = stopped(desk)
    other_pair_unreadable(desk)
    done = execute(PAIR, None, desk.knowledge, RULES, desk.journal, desk.venue)
    assert done.receipt["decided_at"] == at.isoformat()
    assert desk.journal.positions(ACCOUNT.name) == []


def test_the_receipt_of_such_an_exit_says_that_nobody_was_asked_and_what_failed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = stopped(desk)
    price_of_another_pair_unreadable(desk)
    done = carry_out(desk, at)
    assert (done.receipt["opinions"], done.receipt["action"]) == ([], "CLOSE")
    assert done.receipt["why"].startswith("stop-loss")
    assert done.receipt["unfinished"] == ["halts: OSError: tail cannot be read"]
    text = explain(done.receipt, done.order)
    assert "nobody was asked" in text
    assert "could not be done first: halts" in text


def test_an_exit_that_waits_for_its_outcome_is_not_sent_twice_while_the_venue_cannot_be_asked(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    at = stopped(desk)
    waiting = OrderIntent(
        "out",
        "out",
        ACCOUNT.name,
        PAIR,
        Side.SELL,
        Decimal("0.001"),
        True,
        None,
        None,
        at - timedelta(hours=1),
    )
    receipt = {
        "decision_id": "out", "account": ACCOUNT.name, "pair": str(PAIR),
        "decided_at": waiting.created_at.isoformat(), "action": "CLOSE", "confidence": 0.0, "opinions": [],
    }  # fmt: skip
    desk.journal.record_decision(receipt, waiting)
    venue_cannot_settle(desk)
    with pytest.raises(OSError, match="settle"):
        carry_out(desk, at)
    assert [intent.intent_id for intent in desk.journal.unsettled(ACCOUNT.name)] == ["out"]

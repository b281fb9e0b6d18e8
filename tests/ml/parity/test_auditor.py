"""A day on paper against its back-test: undisturbed nothing is unexplained, and each disturbance is its kind's part."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from ml.agents.opinions import Action
from ml.agents.technical import MODEL
from ml.agents.vote_weights import WeightVersions
from ml.decision.approved_order import ApprovedOrder, ProposedOrder
from ml.decision.clock import chosen_time
from ml.decision.proposed_order import ProposedOrders
from tests.doubles.stores import MemoryNews, MemoryWeights
from tests.ml.agents.records import record, weights
from tests.ml.decision.decision_world import COSTS, with_market
from tests.ml.decision.trading_day import INSTRUMENT, PAIR, RULES
from tests.ml.parity.audited_days import DAYS, ENTRY, FIRST, HOUR, SINCE, AuditedDays, simulated, told
from trading.errors import InvalidValue, NotStored
from trading.execution import Execution
from trading.execution.exits import FORCED
from trading.market import month_of
from trading.parity import Kind
from trading.ports import SENTIMENT_SCHEMA, Adjustment
from trading.risk import Halt, HaltKind

MARKET = simulated()
USUAL = {Kind.RISK, Kind.GUARD, Kind.FILL_PRICE}  # sizes, targets that close at the next open, rounded prices
MIDNIGHT = ENTRY + 16 * HOUR


@pytest.fixture
def world(tmp_path: Path) -> AuditedDays:
    return AuditedDays(tmp_path, MARKET)


def causes(report: Any, kind: Kind) -> list[str]:
    return [cause.words for _, cause in report.causes if cause.kind is kind]


class Idle:
    """An executor that comes to nothing: what the venue does stays unknown."""

    def carry_out(self, account: str, at: Any) -> Execution:
        return Execution()


# --- undisturbed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> AuditedDays:
    world = AuditedDays(tmp_path_factory.mktemp("world"), MARKET)
    world.run(world.newest, since=SINCE - 30 * HOUR)
    return world


@pytest.mark.parametrize("day", range(DAYS))
def test_on_an_undisturbed_day_nothing_is_unexplained(undisturbed: AuditedDays, day: int) -> None:
    report = undisturbed.audit(day)
    assert report.unexplained == 0
    assert set(told(report)) <= USUAL


def test_the_undisturbed_days_have_entries_targets_stops_and_a_night_in_between(
    undisturbed: AuditedDays,
) -> None:
    reports = [undisturbed.audit(day) for day in range(DAYS)]
    assert [bool(report.live) for report in reports] == [False, True, True, True]
    exits = [fill for fill in undisturbed.journal.fills("paper-test") if fill.filled_at.minute]
    assert {fill.filled_at.date() for fill in exits} >= {FIRST + timedelta(days=1), FIRST + timedelta(days=3)}
    held = [report.pairs[0].decisions for report in reports]
    assert held == [report.pairs[0].candles for report in reports]
    # The candle that closes at midnight is the next day's; in one hour nothing was traded.
    assert held == [24, 24, 23, 24]


def test_the_day_on_which_the_account_opened_begins_with_its_opening(undisturbed: AuditedDays) -> None:
    report = undisturbed.audit(-1)
    assert report.unexplained == 0
    assert report.opening_equity == pytest.approx(Decimal(2100), rel=Decimal("1e-6"))


def test_audited_again_a_day_says_the_same(undisturbed: AuditedDays) -> None:
    assert undisturbed.audit(2) == undisturbed.audit(2)


def test_the_headline_names_the_largest_part_first(undisturbed: AuditedDays) -> None:
    assert "guard +3.4" in undisturbed.audit(1).headline


@pytest.mark.parametrize(
    ("day", "error"), [(DAYS, InvalidValue), (-2, NotStored)], ids=["not closed", "before the account"]
)
def test_a_day_that_cannot_be_audited_says_why(
    undisturbed: AuditedDays, day: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"has not closed|had not opened"):
        undisturbed.audit(day)


# --- each kind, planted


def test_weights_that_are_others_now_are_another_signal(world: AuditedDays) -> None:
    world.versions.record(weights(record("technical", 0.0, MODEL), known_at=SINCE - HOUR))
    world.run(MIDNIGHT)
    assert set(told(world.audit())) <= USUAL
    world.versions = WeightVersions(MemoryWeights())
    report = world.audit()
    assert report.unexplained == 0
    assert told(report)[Kind.SIGNAL]
    assert all("weights of votes" in words for words in causes(report, Kind.SIGNAL))


def test_candles_that_nobody_decided_on_are_missed(world: AuditedDays) -> None:
    world.run(MIDNIGHT, skip={ENTRY, ENTRY + HOUR})
    report = world.audit()
    assert told(report)[Kind.MISSED]
    assert report.unexplained == 0
    assert causes(report, Kind.MISSED) == ["nothing was decided on 2 candles, 08:00 to 09:00"]


def test_an_order_that_expired_before_it_was_sent_is_missed(world: AuditedDays) -> None:
    waiting = [ENTRY, ENTRY + HOUR, ENTRY + 2 * HOUR]
    sleeping = {close: lambda close=close: world.decide(close, executor=Idle()) for close in waiting}
    world.run(MIDNIGHT, skip=waiting, before=sleeping)
    report = world.audit()
    assert told(report)[Kind.MISSED]
    assert report.unexplained == 0
    assert any("never filled: expired" in words for words in causes(report, Kind.MISSED))


def test_a_candle_that_was_restated_after_the_decision_is_restated_data(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    row = world.all_candles.filter(pl.col("close_time") == ENTRY).row(0, named=True)
    month = month_of(row["open_time"])
    higher = pl.when(pl.col("close_time") == ENTRY).then(pl.lit(row["open"] * 1.05))
    restated = {name: higher.otherwise(name).alias(name) for name in ("high", "close")}
    world.table.write(PAIR, month, world.table.read(PAIR, month).with_columns(**restated))
    world.store_features()
    report = world.audit()
    assert told(report)[Kind.RESTATED]
    assert report.unexplained == 0
    assert causes(report, Kind.RESTATED)[0].startswith("candle of BTC/USDT 2024-02-13T07:00:00+00:00, high:")


def test_settings_that_were_edited_since_are_another_signal(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    report = world.audit(rules=replace(RULES, signals=replace(RULES.signals, trend_threshold=0.98)))
    assert told(report)[Kind.SIGNAL]
    assert report.unexplained == 0
    assert causes(report, Kind.SIGNAL)[0].startswith(
        "settings.signals.trend_threshold: 0.3 recorded, 0.98 now"
    )


def test_levels_that_were_edited_since_are_another_signal(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    report = world.audit(rules=replace(RULES, signals=replace(RULES.signals, stop_atr=1.0)))
    assert told(report)[Kind.SIGNAL]
    assert report.unexplained == 0


def edit(world: AuditedDays, close: Any, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stored receipt of a candle, as no program of ours does."""
    decisions = world.journal._state.decisions
    for identity, text in decisions.items():
        receipt = orjson.loads(text)
        if receipt["candle_close_time"] == close.isoformat():
            change(receipt)
            decisions[identity] = (
                type(text)(orjson.dumps(receipt), "utf-8") if isinstance(text, str) else orjson.dumps(receipt)
            )
            return
    raise AssertionError(f"no decision on the candle of {close}")


def test_a_vote_that_the_recorded_data_do_not_lead_to_is_another_signal(world: AuditedDays) -> None:
    """As if another code had voted: the receipt is whole, the votes are others."""
    world.run(MIDNIGHT)

    def neutral(receipt: dict[str, Any]) -> None:
        receipt["opinions"] = [{**receipt["opinions"][0], "action": "HOLD", "confidence": 0.9}]
        receipt |= {"consensus": {**receipt["consensus"], "action": "HOLD"}, "intent": None, "proposal": None}
        receipt |= {"risk": None, "code_version": "of before"}

    edit(world, ENTRY, neutral)
    report = world.audit()
    assert told(report)[Kind.SIGNAL]
    assert any("code: of before recorded" in words for words in causes(report, Kind.SIGNAL))


def test_news_that_outvote_the_signal_are_the_language_models(world: AuditedDays) -> None:
    news = MemoryNews()
    known = ENTRY - HOUR / 2
    news.put_sentiment(
        pl.DataFrame([("a1", "BTC", known, 0.9, 0.9, "llm", "", 0.0)], SENTIMENT_SCHEMA, orient="row")
    )
    world.reader = with_market(world.reader, news=news)
    world.run(MIDNIGHT)
    report = world.audit()
    assert told(report)[Kind.LLM]
    assert report.unexplained == 0
    assert causes(report, Kind.LLM)[0].startswith("analyst LONG 0.9")


def test_what_a_halt_refused_is_risks(world: AuditedDays) -> None:
    halt = Halt(HaltKind.KILL_SWITCH, ENTRY, None, "a person")
    world.run(MIDNIGHT, before={ENTRY: lambda: world.journal.begin_halts("paper-test", [halt])})
    report = world.audit()
    assert abs(told(report)[Kind.RISK]) > 1
    assert report.live == 0
    assert report.unexplained == 0
    assert any("kill switch" in words for words in causes(report, Kind.RISK))


def test_a_refusal_that_the_recorded_inputs_do_not_lead_to_is_unexplained(world: AuditedDays) -> None:
    world.run(MIDNIGHT)

    def refuse(receipt: dict[str, Any]) -> None:
        risk = {"approved": False, "rejection_reason": "kill switch: never pulled", "verdicts": []}
        receipt |= {
            "intent": None,
            "proposal": None,
            "risk": risk,
            "why": "skipped, risk refuses every entry",
        }

    edit(world, ENTRY, refuse)
    assert any(
        "not refused as its receipt says" in words for words in causes(world.audit(), Kind.UNEXPLAINED)
    )


@pytest.mark.parametrize("cause", FORCED)
def test_what_a_person_or_a_lack_of_protection_closed_is_risks(world: AuditedDays, cause: str) -> None:
    at = ENTRY + 3 * HOUR + HOUR / 2
    world.run(ENTRY + 3 * HOUR)
    world.executor.flatten("paper-test", at, f"{cause} one thing")
    world.run(MIDNIGHT, since=ENTRY + 4 * HOUR)
    report = world.audit()
    assert report.unexplained == 0
    assert any(f"{cause} one thing" in words for words in causes(report, Kind.RISK))


def test_a_decision_that_came_so_late_that_the_next_candle_had_passed_is_late(tmp_path: Path) -> None:
    """The next candle became known almost an hour after its close, and the decision waited until then."""
    slow = pl.when(pl.col("close_time") == ENTRY + HOUR).then(pl.col("close_time") + HOUR * 0.9)
    world = AuditedDays(tmp_path, MARKET.with_columns(known_at=slow.otherwise("known_at")))

    def catch_up() -> None:
        for hours in (1.8, 1.95):
            world.decide(ENTRY, clock=chosen_time(ENTRY + HOUR * hours))

    world.run(MIDNIGHT, skip={ENTRY, ENTRY + HOUR}, before={ENTRY + 2 * HOUR: catch_up})
    report = world.audit()
    assert abs(told(report)[Kind.LATE]) > Decimal("0.001")
    assert report.unexplained == 0
    assert Kind.MISSED not in told(report)
    assert any("was filled in a later one than the next" in words for words in causes(report, Kind.LATE))


def test_stops_that_became_known_after_the_next_decision_are_late(tmp_path: Path) -> None:
    """They were filled just before their candle closed: the decision on it still held what had been sold."""
    market, since = simulated(seed=11), SINCE - 30 * HOUR
    aware = AuditedDays(tmp_path / "aware", market)
    aware.run(aware.newest, since)
    fills = aware.journal.fills("paper-test")
    stopped = {
        fill.filled_at.replace(minute=0, second=0, microsecond=0) + HOUR
        for fill in fills
        if fill.filled_at.minute
    }
    world = AuditedDays(tmp_path / "unaware", market)
    late = {close + HOUR: lambda close=close: world.decide(close, executor=Idle()) for close in stopped}
    world.run(world.newest, since, skip=stopped, before=late)
    reports = [world.audit(day) for day in range(DAYS)]
    assert [report.unexplained for report in reports] == [0] * DAYS
    assert told(reports[3])[Kind.LATE] == pytest.approx(Decimal("-7.54"), abs=Decimal("0.01"))
    assert causes(reports[3], Kind.LATE) == [
        "nothing was entered at 04:00: it was not known yet that the position was closed"
    ]


def other_venue(world: AuditedDays, **changes: Any) -> None:
    """Let the paper venue charge other costs or fees than the settings say."""
    known = world.paper_venue(world.all_candles)
    values = {"instrument": INSTRUMENT, "costs": COSTS, **changes}
    known._instruments, known._costs = {PAIR: values["instrument"]}, {PAIR: values["costs"]}
    world.executor = world.executor_over(world.all_candles, venue=known)


def test_another_spread_is_the_fill_prices(world: AuditedDays) -> None:
    other_venue(world, costs=replace(COSTS, half_spread=0.002))
    world.run(MIDNIGHT)
    report = world.audit()
    assert told(report)[Kind.FILL_PRICE] < Decimal("-1")
    assert report.unexplained == 0
    assert Kind.FEE not in told(report)


def test_another_fee_tier_is_the_fees(world: AuditedDays) -> None:
    other_venue(world, instrument=replace(INSTRUMENT, taker_fee=Decimal("0.004")))
    world.run(MIDNIGHT)
    report = world.audit()
    assert told(report)[Kind.FEE] < Decimal("-1")
    assert report.unexplained == 0


# --- what is no difference


def test_money_that_is_paid_in_is_no_difference(world: AuditedDays) -> None:
    deposit = Adjustment("paper-test", "d1", "USDT", Decimal(500), "deposit", ENTRY + HOUR / 2, Decimal(500))
    world.run(ENTRY)
    world.journal.record_adjustment(deposit)
    world.run(MIDNIGHT, since=ENTRY + HOUR)
    report = world.audit()
    assert (report.transfers, report.unexplained) == (500, 0)


def test_money_that_is_paid_in_at_midnight_is_the_new_days(world: AuditedDays) -> None:
    midnight = MIDNIGHT - 24 * HOUR
    deposit = Adjustment("paper-test", "d1", "USDT", Decimal(500), "deposit", midnight, Decimal(500))
    world.run(midnight - HOUR)
    world.journal.record_adjustment(deposit)
    world.run(MIDNIGHT, since=midnight)
    report = world.audit()
    assert (report.transfers, report.unexplained) == (500, 0)


# --- what nobody can explain


def test_a_balance_that_moved_without_a_fill_is_unexplained(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    world.journal._state.ledger["paper-test"] += ((ENTRY, "USDT", Decimal("-12.5")),)
    report = world.audit()
    assert report.unexplained == Decimal("-12.5")
    assert not report.is_explained


def test_a_table_of_features_that_its_candles_do_not_lead_to_is_unexplained(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    month = month_of(ENTRY)
    wrong = pl.when(pl.col("close_time") == ENTRY).then(None).otherwise("adx_14").alias("adx_14")
    world.features.write(PAIR, month, world.features.read(PAIR, month).with_columns(wrong))
    report = world.audit()
    assert told(report)[Kind.UNEXPLAINED]
    assert any("materialise `features`" in words for words in causes(report, Kind.UNEXPLAINED))


def test_a_decision_whose_inputs_were_edited_is_unexplained(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    edit(world, ENTRY, lambda receipt: receipt["inputs"].update(half_life_hours=1, policy_age_days=3))
    report = world.audit(rules=replace(RULES, signals=replace(RULES.signals, trend_threshold=0.98)))
    assert told(report)[Kind.UNEXPLAINED]
    assert any("was edited" in words for words in causes(report, Kind.UNEXPLAINED))


def test_a_consensus_that_its_votes_do_not_lead_to_is_unexplained(world: AuditedDays) -> None:
    world.run(MIDNIGHT)
    edit(world, ENTRY, lambda receipt: receipt["consensus"].update(action="HOLD"))
    assert told(world.audit())[Kind.UNEXPLAINED]


# --- what a person has approved


def carry_out(world: AuditedDays, order: ProposedOrder, at: Any) -> None:
    orders = ProposedOrders(world.reader, RULES, world.journal, world.executor)
    approved = ApprovedOrder(order, f"plan of {at}", "proposed by ada, approved by grace", {})
    done = orders.carry_out(approved, world.reader.read_clock(at))
    assert done.order is not None
    assert done.order.filled


@pytest.mark.parametrize("side", [Action.LONG, Action.SHORT])
@pytest.mark.parametrize("hours", [4, 7])
def test_an_order_that_a_person_approved_is_the_persons(world: AuditedDays, side: Action, hours: int) -> None:
    at = ENTRY - hours * HOUR
    world.run(at)
    carry_out(world, ProposedOrder(PAIR, side), at)
    world.run(MIDNIGHT, since=at + HOUR)
    report = world.audit()
    assert report.unexplained == 0
    assert report.is_explained
    assert abs(told(report)[Kind.PERSON]) > Decimal("0.01")
    [words] = causes(report, Kind.PERSON)
    assert words.startswith("a person approved")
    assert "approved by grace" in words


def test_a_position_that_a_person_closed_is_the_persons(world: AuditedDays) -> None:
    at = ENTRY + 3 * HOUR
    world.run(at)
    carry_out(world, ProposedOrder(PAIR, Action.CLOSE), at)
    world.run(MIDNIGHT, since=at + HOUR)
    report = world.audit()
    assert report.unexplained == 0
    assert told(report)[Kind.PERSON]


def test_what_a_person_opened_in_the_evening_is_explained_on_the_next_day_too(tmp_path: Path) -> None:
    world = AuditedDays(tmp_path, MARKET)
    at = MIDNIGHT - 2 * HOUR
    world.run(at)
    carry_out(world, ProposedOrder(PAIR, Action.CLOSE), at)
    carry_out(world, ProposedOrder(PAIR, Action.LONG), at + HOUR)
    assert [each.quantity > 0 for each in world.journal.positions("paper-test")] == [True]
    world.run(world.newest, since=MIDNIGHT)
    assert [world.audit(day).unexplained for day in (1, 2)] == [0, 0]
    assert Kind.PERSON in told(world.audit(1))
    assert Kind.PERSON not in told(world.audit(2))

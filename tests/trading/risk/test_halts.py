from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.backtest.backtest_markets import rules
from tests.trading.risk.risk_case import CLOSE, LIMITS, STATE, decide, refused_by
from trading.backtest import Bars, Plan, run
from trading.market import Pair
from trading.portfolio import ClosedTrade
from trading.risk import RULES, Halt, HaltKind, Limits, Resume
from trading.risk.halts import EquityLevels, active_halts, due_halts

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
EVEN = EquityLevels(Decimal(1000), Decimal(1000), Decimal(1000))
RESUMED = Resume(NOON, "ada", "the feed was wrong")


def trades(*gains: str, until: datetime = NOON) -> list[ClosedTrade]:
    """One closed each minute, the last of them at `until`."""
    return [
        trade(gain, until - (len(gains) - 1 - place) * MINUTE, number=place)
        for place, gain in enumerate(gains)
    ]


def trade(gain: str, closed_at: datetime, number: int = 0) -> ClosedTrade:
    opened_at = closed_at - timedelta(hours=1) + number * timedelta(seconds=1)
    prices = {"entry_price": Decimal(100), "exit_price": Decimal(99)}
    money = {"quantity": Decimal(1), "fees": Decimal(0), "pnl": Decimal(gain)}
    return ClosedTrade(Pair("BTC", "USDT"), opened_at, closed_at, **prices, **money)


def due(
    standing: EquityLevels = EVEN, closed: list[ClosedTrade] | None = None,
    existing: list[Halt] | None = None, now: datetime = NOON, limits: Limits = LIMITS,
    candle: timedelta = MINUTE,
) -> list[Halt]:  # fmt: skip
    return due_halts(standing, closed or [], existing or [], limits, now, candle)


def kinds(halts: list[Halt]) -> list[HaltKind]:
    return [halt.kind for halt in halts]


def test_no_halt_begins_while_nothing_is_lost() -> None:
    assert due() == []
    assert due(EquityLevels(Decimal(1200), Decimal(1000), Decimal(1000))) == []


@pytest.mark.parametrize(("equity", "paused"), [("900.01", False), ("900", True), ("1", True), ("-5", True)])
def test_a_drawdown_of_the_limit_pauses_until_a_person_resumes(equity: str, paused: bool) -> None:
    halts = due(EquityLevels(Decimal(equity), Decimal(1000), Decimal(equity)))
    assert kinds(halts) == ([HaltKind.DRAWDOWN] if paused else [])
    assert all((halt.since, halt.until) == (NOON, None) for halt in halts)


def test_the_reason_names_what_was_measured_and_the_limit() -> None:
    [halt] = due(EquityLevels(Decimal(880), Decimal(1000), Decimal(880)))
    assert halt.reason == "equity 880 is 12.00% (limit 10.00%) below 1000, the equity peak"


@pytest.mark.parametrize(("equity", "closed"), [("970.01", False), ("970", True)])
def test_a_lost_day_closes_until_the_next_utc_midnight(equity: str, closed: bool) -> None:
    halts = due(EquityLevels(Decimal(equity), Decimal(1000), Decimal(1000)))
    assert kinds(halts) == ([HaltKind.DAILY_LOSS] if closed else [])
    assert all(halt.until == datetime(2024, 5, 7, tzinfo=UTC) for halt in halts)


def test_a_lost_day_is_over_at_midnight_and_not_a_moment_before() -> None:
    [halt] = due(EquityLevels(Decimal(970), Decimal(1000), Decimal(1000)))
    midnight = datetime(2024, 5, 7, tzinfo=UTC)
    assert halt.active(midnight - timedelta(microseconds=1))
    assert not halt.active(midnight)


def test_a_time_of_another_zone_ends_with_the_utc_day() -> None:
    tokyo = datetime.fromisoformat("2024-05-07T02:00:00+09:00")  # still the 6th in UTC
    [halt] = due(EquityLevels(Decimal(970), Decimal(1000), Decimal(1000)), now=tokyo)
    assert halt.until == datetime(2024, 5, 7, tzinfo=UTC)


def test_an_active_halt_does_not_begin_again() -> None:
    lost = EquityLevels(Decimal(800), Decimal(1000), Decimal(1000))
    first = due(lost)
    assert kinds(first) == [HaltKind.DRAWDOWN, HaltKind.DAILY_LOSS]
    assert due(lost, existing=first, now=NOON + MINUTE) == []


def test_the_next_day_can_be_lost_again() -> None:
    lost = EquityLevels(Decimal(970), Decimal(1000), Decimal(1000))
    tomorrow = NOON + timedelta(days=1)
    [again] = due(lost, existing=due(lost), now=tomorrow)
    assert again.since == tomorrow


def test_after_a_resume_the_account_can_be_paused_again() -> None:
    lost = EquityLevels(Decimal(800), Decimal(1000), Decimal(800))
    [paused] = due(lost)
    ended = replace(paused, resume=RESUMED)
    assert not ended.active(NOON)
    assert kinds(due(lost, existing=[ended])) == [HaltKind.DRAWDOWN]


def test_five_losses_in_a_row_cool_down_for_half_an_hour_from_the_last() -> None:
    [halt] = due(closed=trades(*["-1"] * 5), now=NOON + 10 * MINUTE)
    assert (halt.kind, halt.since, halt.until) == (HaltKind.LOSING_STREAK, NOON, NOON + 30 * MINUTE)
    assert "5 losses in a row" in halt.reason


@pytest.mark.parametrize(
    "gains", [["-1"] * 4, ["-1"] * 4 + ["0"], ["-1", "-1", "1", "-1", "-1", "-1"], ["1"] * 9]
)
def test_four_losses_or_a_win_between_cause_no_cool_down(gains: list[str]) -> None:
    assert due(closed=trades(*gains)) == []


def test_a_cool_down_that_is_over_when_it_is_noticed_does_not_begin() -> None:
    losses = trades(*["-1"] * 5)
    assert due(closed=losses, now=NOON + 30 * MINUTE) == []
    assert len(due(closed=losses, now=NOON + 30 * MINUTE - timedelta(microseconds=1))) == 1


@pytest.mark.parametrize("candles", [1, 3])
@pytest.mark.parametrize(
    "closed_at", [NOON, NOON + timedelta(seconds=5), NOON + HOUR - timedelta(microseconds=1)]
)
def test_a_cool_down_shorter_than_a_candle_refuses_the_next_decisions_all_the_same(
    candles: int, closed_at: datetime
) -> None:
    limits = replace(LIMITS, cool_down_candles=candles)
    losses = trades(*["-1"] * 5, until=closed_at)

    def cools_down(now: datetime) -> bool:
        return kinds(due(closed=losses, now=now, limits=limits, candle=HOUR)) == [HaltKind.LOSING_STREAK]

    late = timedelta(seconds=3)  # a decision is made a little after its candle has closed
    for close in range(1, candles + 1):
        assert cools_down(NOON + close * HOUR)
        assert cools_down(NOON + close * HOUR + late)
    assert not cools_down(NOON + (candles + 1) * HOUR)


def test_a_cool_down_longer_than_its_candles_lasts_its_minutes() -> None:
    [halt] = due(closed=trades(*["-1"] * 5), limits=replace(LIMITS, cool_down_minutes=600.0), candle=HOUR)
    assert halt.until == NOON + 10 * HOUR


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["-1", "1"]), min_size=5, max_size=30),
    st.integers(1, 5),
    st.floats(1.0, 600.0),
    st.integers(1, 4),
)
def test_the_back_test_refuses_the_decisions_that_the_halts_of_the_journal_refuse(
    gains: list[str], streak: int, minutes: float, candles: int
) -> None:
    limits = replace(LIMITS, losing_streak=streak, cool_down_minutes=minutes, cool_down_candles=candles)
    assert back_tested_entries(gains, limits) == live_entries(gains, limits)


def live_entries(gains: list[str], limits: Limits) -> list[int]:
    """Want in at every second close, out an hour later; the hours at which no halt of the journal was in the way."""
    closed: list[ClosedTrade] = []
    halts: list[Halt] = []
    entries = []
    for number, gain in enumerate(gains):
        hour = 2 * number + 1
        now = NOON + hour * HOUR
        halts += due(closed=closed, existing=halts, now=now, limits=limits, candle=HOUR)
        if active_halts(halts, now):
            continue
        entries.append(hour)
        closed.append(replace(trade(gain, now + HOUR), opened_at=now))
    return entries


def back_tested_entries(gains: list[str], limits: Limits) -> list[int]:
    """The same decisions on candles that move as the gains say; a decision is carried out as its candle closes."""
    moves = [step for gain in gains for step in (0.0, float(gain) / 100)]
    close = 100 * np.cumprod(1 + np.append(moves, 0.0))
    opened = np.append(100.0, close[:-1])
    hours = (NOON - datetime(1970, 1, 1, tzinfo=UTC)) // HOUR + np.arange(close.size)
    candles = Bars(hours * 3_600_000_000, opened, np.maximum(opened, close), np.minimum(opened, close), close)
    plan = Plan(np.arange(close.size) % 2 == 0)
    account = rules(
        losing_streak=limits.losing_streak,
        cool_down=timedelta(minutes=limits.cool_down_minutes),
        cool_down_candles=limits.cool_down_candles,
    )
    fills = run(candles, plan, account).fill_records
    return [int(fill["candle"]) for fill in fills if fill["quantity"] > 0]


def test_losses_that_led_to_a_cool_down_are_not_counted_again() -> None:
    losses = trades(*["-1"] * 5)
    existing = due(closed=losses)
    later = NOON + timedelta(hours=2)
    for more, expected in ((4, 0), (5, 1)):
        closed = losses + trades(*["-1"] * more, until=later)
        assert len(due(closed=closed, existing=existing, now=later)) == expected


def test_a_trade_closed_later_is_not_known_yet() -> None:
    assert due(closed=trades(*["-1"] * 5), now=NOON - MINUTE) == []
    win = trades("5", until=NOON + MINUTE)
    assert len(due(closed=trades(*["-1"] * 5) + win)) == 1


def test_a_position_closed_in_parts_is_one_loss() -> None:
    parts = [replace(trade("-1", NOON), closed_at=NOON + n * MINUTE) for n in range(5)]
    assert due(closed=parts, now=NOON + 10 * MINUTE) == []


def test_a_loss_of_one_part_and_a_larger_gain_of_the_other_is_a_win() -> None:
    losses = trades(*["-1"] * 4)
    mixed = [
        trade("-1", NOON + MINUTE, 99),
        replace(trade("3", NOON + MINUTE, 99), closed_at=NOON + 2 * MINUTE),
    ]
    assert due(closed=losses + mixed, now=NOON + 3 * MINUTE) == []


def test_a_halt_of_later_is_not_active_now() -> None:
    later = Halt(HaltKind.DRAWDOWN, NOON, None, "x")
    assert active_halts([later], NOON - MINUTE) == ()
    assert active_halts([later], NOON) == (later,)


amounts = st.decimals(1, 10**6, places=4)


@given(amounts, amounts, amounts)
def test_equity_below_a_limit_always_halts_and_above_it_never(
    equity: Decimal, peak: Decimal, opening: Decimal
) -> None:
    found = kinds(due(EquityLevels(equity, peak, opening)))
    assert (HaltKind.DRAWDOWN in found) is (equity * 10 <= peak * 9)
    assert (HaltKind.DAILY_LOSS in found) is (equity * 100 <= opening * 97)


@pytest.mark.parametrize(
    ("equity", "approved"), [(9_000.01, True), (9_000.0, False), (8_000.0, False), (12_000.0, True)]
)
def test_trading_pauses_once_the_drawdown_is_reached(equity: float, approved: bool) -> None:
    assessment = decide(state=replace(STATE, equity=equity, day_opening_equity=equity))
    assert assessment.approved or refused_by(assessment, "drawdown")
    assert assessment.approved is approved


@pytest.mark.parametrize(("equity", "approved"), [(9_700.01, True), (9_700.0, False)])
def test_the_day_ends_for_entries_once_its_loss_is_reached(equity: float, approved: bool) -> None:
    assessment = decide(state=replace(STATE, equity=equity))
    assert assessment.approved or refused_by(assessment, "daily loss")
    assert assessment.approved is approved


@pytest.mark.parametrize(
    ("kind", "until", "expected"),
    [
        (HaltKind.DRAWDOWN, None, "until a person resumes"),
        (HaltKind.DAILY_LOSS, NOON + timedelta(hours=12), "until 2024-05-07 00:00 UTC"),
        (HaltKind.LOSING_STREAK, NOON + timedelta(minutes=30), "until 2024-05-06 12:30 UTC"),
    ],
)
def test_a_halt_closes_its_rule_although_equity_has_recovered(
    kind: HaltKind, until: datetime | None, expected: str
) -> None:
    halted = replace(STATE, halts=(Halt(kind, NOON, until, "as it was"),))
    assessment = decide(state=halted)
    assert refused_by(assessment, kind.value)
    assert expected in assessment.rejection_reason
    assert "as it was" in assessment.rejection_reason
    assert decide(CLOSE, halted).approved


def test_every_halt_has_a_rule_of_its_name() -> None:
    assert {kind.value for kind in HaltKind} <= set(RULES)

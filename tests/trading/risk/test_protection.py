from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.risk.risk_case import (
    IMPOSSIBLE,
    INSTRUMENT,
    LIMITS,
    LONG,
    SHORT,
    decide,
    refused_by,
    verdict,
)
from trading.market import TIME, Pair
from trading.portfolio import Position
from trading.risk import Proposal
from trading.risk.protection import advance

OPENED = datetime(2024, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Prices = tuple[float, float, float]  # low, high, close


def position(
    quantity: int = 1, stop: str | None = "98", target: str | None = "110", gain: str | None = "3"
) -> Position:
    """Opened at 100. The stop trails from a gain of `gain` on, 2 behind the best price."""
    sign = 1 if quantity > 0 else -1
    return Position(
        "paper", Pair("ETH", "USDT"), Decimal(quantity), Decimal(100),
        None if stop is None else Decimal(stop), None if target is None else Decimal(target), OPENED,
        trailing_after=None if gain is None else 100 + sign * Decimal(gain),
        trailing_distance=None if gain is None else Decimal(2),
    )  # fmt: skip


def candles(*prices: Prices, start: datetime = OPENED) -> pl.DataFrame:
    return pl.DataFrame(
        [(start + n * HOUR, start + (n + 1) * HOUR, *each) for n, each in enumerate(prices)],
        schema={"open_time": TIME, "close_time": TIME}
        | dict.fromkeys(("low", "high", "close"), pl.Float64()),
        orient="row",
    )


def mirrored(*prices: Prices) -> pl.DataFrame:
    """The same story for a short position opened at 100."""
    return candles(*((200 - high, 200 - low, 200 - close) for low, high, close in prices))


def touched(position: Position, candles: pl.DataFrame) -> str:
    """Why a position must be closed whose stop rests nowhere."""
    return advance(position, candles, resting=False).exit_reason


def hit(*prices: Prices, target: str | None = "110") -> str:
    """What protects a long; a short lives through the same story upside down and must agree."""
    long = touched(position(target=target), candles(*prices))
    other = None if target is None else str(200 - int(target))
    short = touched(position(-1, "102", other), mirrored(*prices))
    assert long.partition(" 1")[0].split()[:1] == short.split()[:1]
    return long


def test_a_price_between_the_levels_touches_nothing() -> None:
    assert hit((99, 101, 100), (98.5, 102, 100)) == ""


def test_no_candle_since_the_opening_touches_nothing() -> None:
    assert hit() == ""


def test_the_stop_is_touched_by_a_low() -> None:
    assert hit((98, 101, 100)) == "stop-loss 98 was touched (at 98.0)"


def test_the_target_is_touched_by_a_high() -> None:
    assert hit((103, 110, 104)).startswith("take-profit 110")


def test_when_one_candle_touches_both_the_stop_counts() -> None:
    assert hit((97, 111, 100)).startswith("stop-loss")


def test_candles_before_the_opening_touch_nothing() -> None:
    assert touched(position(), candles((1, 999, 5), start=OPENED - HOUR)) == ""


def test_the_candle_that_holds_the_fill_counts() -> None:
    late = replace(position(), opened_at=OPENED + timedelta(seconds=5))
    assert touched(late, candles((97, 100, 99))).startswith("stop-loss 98")


def test_a_stop_that_rests_at_the_venue_is_the_venue_s_to_fill() -> None:
    assert advance(position(), candles((90, 100, 99))).exit_reason == ""
    assert advance(position(), candles((90, 111, 99))).exit_reason.startswith("take-profit 110")


def test_below_a_gain_of_one_and_a_half_times_the_risk_the_stop_stays() -> None:
    assert hit((100, 102.9, 102), (98.5, 102, 99)) == ""


def test_from_that_gain_on_the_stop_trails_the_best_price_at_the_distance_risked() -> None:
    assert hit((100, 103, 102), (100.5, 102, 101), target=None).startswith("trailing stop 101.0 was touched")
    assert hit((100, 103, 102), (101.01, 102, 101.5), target=None) == ""


def test_the_trailing_stop_follows_every_new_best_price_and_never_goes_back() -> None:
    story = [(100.0, 103.0, 102.0), (101.5, 106.0, 105.0), (104.5, 105.0, 104.8), (103.9, 105.0, 104.5)]
    assert hit(*story[:3]) == ""
    assert hit(*story).startswith("trailing stop 104.0 was touched (at 103.9)")


def test_a_candle_does_not_fall_through_the_stop_that_its_own_high_has_moved() -> None:
    assert hit((99, 106, 105), target=None) == ""


def test_a_candle_that_closes_beyond_the_stop_that_its_own_high_has_moved_has_hit_it() -> None:
    assert hit((99, 106, 104), target=None).startswith("trailing stop 104.0 was touched (at 104.0)")


def test_a_position_without_a_stop_does_not_trail() -> None:
    assert touched(position(stop=None), candles((50, 109, 60))) == ""


def test_a_position_without_a_distance_does_not_trail() -> None:
    assert advance(position(gain=None), candles((100, 109, 108))).stop_loss == 98


def test_a_position_filled_beyond_its_stop_is_closed_at_once() -> None:
    assert touched(position(stop="101"), candles((99.5, 100.5, 100))).startswith("stop-loss")


def test_a_reason_to_close_stays_whatever_comes_after() -> None:
    gone = advance(position(), candles((97, 100, 99)), resting=False)
    assert gone.checked_until == OPENED + HOUR
    assert advance(gone, candles((99, 100, 99.5), start=OPENED + HOUR), resting=False) is gone


@given(story=st.lists(st.tuples(*[st.floats(96, 115)] * 3), max_size=12), cut=st.integers(0, 12))
def test_candles_in_two_portions_lead_to_the_same_as_all_at_once(
    story: list[tuple[float, ...]], cut: int
) -> None:
    rows = candles(*((min(each), max(each), sorted(each)[1]) for each in story))
    for resting in (True, False):
        begun = advance(position(target=None), rows.head(cut), resting=resting)
        assert advance(begun, rows, resting=resting) == advance(position(target=None), rows, resting=resting)


def test_a_step_reads_only_candles_that_it_has_not_seen() -> None:
    seen = advance(position(target=None), candles((100, 106, 105.5)))
    assert (seen.stop_loss, seen.best_price, seen.checked_until) == (104, 106, OPENED + HOUR)
    assert advance(seen, candles((100, 115, 114))) == seen


@pytest.mark.parametrize("gain", ["1", "3", "8"])
@given(story=st.lists(st.tuples(*[st.floats(96, 115)] * 3), max_size=12))
def test_a_position_that_stays_open_never_passed_any_level_it_had(
    gain: str, story: list[tuple[float, ...]]
) -> None:
    rows = [(min(each), max(each), sorted(each)[1]) for each in story]
    if touched(position(target=None, gain=gain), candles(*rows)):
        return
    best, stop = 100.0, 98.0
    for low, high, close in rows:
        assert low > stop
        best = max(best, high)
        if best >= 100 + float(gain):
            stop = max(stop, best - 2)
        assert close > stop - 1e-9


def test_a_missing_stop_or_take_profit_is_refused() -> None:
    assert refused_by(decide(replace(LONG, stop=None)), "stop-loss")
    assert refused_by(decide(replace(LONG, take_profit=None)), "take-profit")


@pytest.mark.parametrize(
    "proposal", [replace(LONG, stop=101.0), replace(LONG, stop=100.0), replace(SHORT, stop=99.0)]
)
def test_a_stop_on_the_wrong_side_is_refused(proposal: Proposal) -> None:
    assert refused_by(decide(proposal), "stop-loss")


@pytest.mark.parametrize(
    "proposal",
    [replace(LONG, take_profit=99.0), replace(SHORT, take_profit=101.0), replace(SHORT, take_profit=-5.0)],
)
def test_a_take_profit_on_the_wrong_side_is_refused(proposal: Proposal) -> None:
    assert refused_by(decide(proposal), "take-profit")


def test_a_stop_too_far_away_is_refused() -> None:
    assert refused_by(decide(replace(LONG, stop=97.9, take_profit=110.0)), "stop-loss")


def test_a_reward_too_small_for_the_risk_is_refused() -> None:
    assert refused_by(decide(replace(LONG, take_profit=102.9)), "take-profit")
    assert decide(replace(LONG, take_profit=103.0)).approved


def test_rounding_moves_the_stop_towards_the_entry_and_the_target_away_from_it() -> None:
    long = decide(replace(LONG, stop=98.04, take_profit=104.01))
    short = decide(replace(SHORT, stop=101.96, take_profit=95.99))
    assert (long.stop_loss_price, long.take_profit_price) == (Decimal("98.1"), Decimal("104.1"))
    assert (short.stop_loss_price, short.take_profit_price) == (Decimal("101.9"), Decimal("95.9"))


def test_a_stop_that_only_rounding_pushed_over_the_limit_is_still_good() -> None:
    assert decide(replace(LONG, stop=97.99999999999999)).stop_loss_price == Decimal("98.0")


def test_a_stop_that_rounding_takes_to_the_entry_is_refused() -> None:
    coarse = replace(INSTRUMENT, price_increment=Decimal("5"))
    assert refused_by(decide(instrument=coarse), "stop-loss")


@pytest.mark.parametrize("wrong", [*IMPOSSIBLE, 0.0])
def test_an_impossible_stop_is_refused(wrong: float) -> None:
    assert refused_by(decide(replace(LONG, stop=wrong)), "stop-loss")


@pytest.mark.parametrize("proposal", [LONG, SHORT])
def test_the_stop_trails_after_a_gain_of_one_and_a_half_times_the_risk(proposal: Proposal) -> None:
    assessment = decide(proposal)
    assert assessment.trailing_after_price == 100 + proposal.side.sign * 3
    assert assessment.trailing_distance == 2
    assert "behind the best price" in verdict(assessment, "trailing stop").note


def test_a_gain_that_would_take_the_price_below_zero_can_never_start_the_trailing_stop() -> None:
    late = replace(LIMITS, trailing_after=60.0)
    assert refused_by(decide(SHORT, limits=late), "trailing stop")

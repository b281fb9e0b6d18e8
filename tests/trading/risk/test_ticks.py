"""Ticks and the candle that they make lead to the same levels: one rule, seen sooner."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.risk.test_protection import HOUR, OPENED, candles, position
from trading.portfolio import Position
from trading.risk.protection import advance, after_ticks

Ticks = list[float]
PRICES = st.lists(st.integers(950, 1120).map(lambda tenths: tenths / 10), min_size=1, max_size=12)
SIDES = st.sampled_from([1, -1])


def held(side: int) -> Position:
    """Opened at 100, stop 98, target 110, trails from 103 on 2 behind; a short upside down."""
    return position(side, *(("98", "110") if side > 0 else ("102", "90")))


def seen(side: int, ticks: Ticks) -> Ticks:
    return ticks if side > 0 else [200 - each for each in ticks]


def by_ticks(start: Position, ticks: Ticks, *, portions: int = 1, resting: bool) -> Position:
    """Walk the ticks, `portions` of them together: what one look of the guard finds."""
    now = start
    for number in range(0, len(ticks), portions):
        few, at = ticks[number : number + portions], OPENED + timedelta(seconds=number + 1)
        now = after_ticks(now, min(few), max(few), last=few[-1], at=at, resting=resting)
        if now.exit_reason:
            break
    return now


def by_candle(start: Position, ticks: Ticks, *, resting: bool) -> Position:
    return advance(start, candles((min(ticks), max(ticks), ticks[-1])), resting=resting)


def nearer(side: int, now: Position, than: Position) -> bool:
    assert now.stop_loss is not None
    assert than.stop_loss is not None
    return side * now.stop_loss >= side * than.stop_loss


@given(side=SIDES, ticks=PRICES, portions=st.integers(1, 4))
def test_what_a_candle_touches_its_ticks_touch_too(side: int, ticks: Ticks, portions: int) -> None:
    prices = seen(side, ticks)
    candle = by_candle(held(side), prices, resting=False)
    now = by_ticks(held(side), prices, portions=portions, resting=False)
    if candle.exit_reason:
        assert now.exit_reason
    if not now.exit_reason:
        assert (now.stop_loss, now.best_price) == (candle.stop_loss, candle.best_price)


@given(side=SIDES, ticks=PRICES, portions=st.integers(1, 4))
def test_what_ticks_alone_touch_is_a_stop_that_they_have_trailed(
    side: int, ticks: Ticks, portions: int
) -> None:
    prices = seen(side, ticks)
    now = by_ticks(held(side), prices, portions=portions, resting=False)
    if now.exit_reason and not by_candle(held(side), prices, resting=False).exit_reason:
        assert now.exit_reason.startswith("trailing stop")
        assert nearer(side, now, than=held(side))
        assert now.stop_loss != held(side).stop_loss


@given(side=SIDES, ticks=PRICES, portions=st.integers(1, 4))
def test_beside_a_resting_stop_both_find_the_same(side: int, ticks: Ticks, portions: int) -> None:
    prices = seen(side, ticks)
    candle = by_candle(held(side), prices, resting=True)
    now = by_ticks(held(side), prices, portions=portions, resting=True)
    assert bool(now.exit_reason) == bool(candle.exit_reason)
    if not now.exit_reason:
        assert (now.stop_loss, now.best_price) == (candle.stop_loss, candle.best_price)
        assert now.checked_until is None  # the candle's walk leaves nothing of it out


@given(side=SIDES, ticks=PRICES, more=PRICES, resting=st.booleans())
def test_the_candle_s_walk_after_its_ticks_never_loosens_and_invents_no_touch(
    side: int, ticks: Ticks, more: Ticks, resting: bool
) -> None:
    prices, unseen = seen(side, ticks), seen(side, more)
    now = by_ticks(held(side), prices, resting=resting)
    if now.exit_reason:
        return
    alone = by_candle(now, prices, resting=resting)
    assert (alone.exit_reason, alone.stop_loss, alone.best_price) == ("", now.stop_loss, now.best_price)
    walked = by_candle(now, prices + unseen, resting=resting)  # nobody looked at the rest of the candle
    assert nearer(side, walked, than=now)
    plain = by_candle(held(side), prices + unseen, resting=True)
    assert bool(walked.exit_reason) >= bool(plain.exit_reason)  # a target is a target


def test_a_price_from_before_the_stop_moved_up_does_not_touch_it() -> None:
    start = held(1)
    now = by_ticks(start, [98.5, 104.0, 103.5], resting=False)
    assert now.stop_loss == 102
    assert now.stop_since == OPENED + timedelta(seconds=2)
    assert by_candle(now, [98.5, 104.0, 103.5], resting=False).exit_reason == ""
    unaware = replace(now, stop_since=None)
    assert by_candle(unaware, [98.5, 104.0, 103.5], resting=False).exit_reason.startswith("trailing stop")
    later = candles((101.9, 103, 102.5), start=OPENED + HOUR)
    assert advance(now, later, resting=False).exit_reason.startswith("trailing stop 102")


@pytest.mark.parametrize("side", [1, -1])
def test_one_look_that_holds_both_a_target_and_a_stop_is_a_stop(side: int) -> None:
    prices = seen(side, [111.0, 97.0, 105.0])
    now = by_ticks(held(side), prices, portions=3, resting=False)
    assert now.exit_reason.startswith("stop-loss")

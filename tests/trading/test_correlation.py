import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.indicators.candle_walks import Array, recorded_closes
from trading.correlation import correlation, rolling_correlation
from trading.errors import InvalidValue


def walk(count: int, seed: int, scale: float = 0.01) -> Array:
    return np.asarray(100 * np.exp(np.random.default_rng(seed).normal(0, scale, count).cumsum()))


def pair(count: int, share: float, seed: int = 0) -> tuple[Array, Array]:
    """Two markets whose log returns share this part of their movement."""
    own, alone = np.log(walk(count, seed)), np.log(walk(count, seed + 1000))
    return np.exp(own), np.exp(share * own + (1 - share) * alone)


@pytest.mark.parametrize("length", [2, 3, 24, 300])
def test_each_entry_is_the_textbook_correlation_of_the_last_log_returns(length: int) -> None:
    own, other = pair(1000, 0.6)
    result = rolling_correlation(own, other, length)
    x, y = np.diff(np.log(own)), np.diff(np.log(other))
    for end in (length, length + 1, 600, 999):
        expected = np.corrcoef(x[end - length : end], y[end - length : end])[0, 1]
        assert result[end] == pytest.approx(expected, abs=1e-12)


def test_the_first_known_entry_is_the_one_with_enough_returns() -> None:
    result = rolling_correlation(*pair(60, 0.5), 24)
    assert np.isnan(result).tolist() == [True] * 24 + [False] * 36


@pytest.mark.parametrize("count", [0, 1, 2, 24])
def test_too_short_a_history_is_unknown_throughout(count: int) -> None:
    result = rolling_correlation(walk(count, 1), walk(count, 2), 24)
    assert result.shape == (count,)
    assert np.isnan(result).all()


def test_a_market_moves_exactly_with_itself_and_against_its_inverse() -> None:
    own = walk(200, 3)
    assert rolling_correlation(own, own**2, 24)[24:] == pytest.approx(1)
    assert rolling_correlation(own, 1 / own, 24)[24:] == pytest.approx(-1)


def test_one_window_gives_the_same_to_the_last_digit_as_its_entry_in_the_table() -> None:
    own, other = pair(1200, 0.7)
    table = rolling_correlation(own, other, 72)
    assert [
        correlation(own[end - 72 : end + 1], other[end - 72 : end + 1]) for end in range(72, 1200)
    ] == list(table[72:])


def test_recorded_markets_give_the_same_one_window_at_a_time_and_move_together() -> None:
    names = ("binance_XRP-USDT_1h_2018-2020", "binance_BTC-USDT_1h_2017-2020")
    own, other = (closes[:4000] for closes in recorded_closes(*names))
    table = rolling_correlation(own, other, 168)
    for end in range(168, own.size, 37):
        assert correlation(own[end - 168 : end + 1], other[end - 168 : end + 1]) == table[end]
    assert 0.5 < np.nanmean(table) < 0.95


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(1e-8, 1e8), min_size=30, max_size=60),
    st.lists(st.floats(1e-8, 1e8), min_size=60, max_size=60),
    st.integers(2, 12),
)
def test_an_entry_depends_on_its_own_window_alone_and_keeps_to_its_scale(
    own: list[float], other: list[float], length: int
) -> None:
    x, y = np.array(own), np.array(other[: len(own)])
    table = rolling_correlation(x, y, length)
    later = rolling_correlation(x[11:], y[11:], length)
    assert np.array_equal(table[11 + length :], later[length:])
    assert np.array_equal(table[:-5], rolling_correlation(x[:-5], y[:-5], length), equal_nan=True)
    assert (np.abs(table[length:]) <= 1).all()


def test_a_giant_leaves_no_trace_once_it_has_left_the_window() -> None:
    own, other = pair(500, 0.5)
    shocked = own.copy()
    shocked[100] = 1e300
    before, after = (rolling_correlation(closes, other, 24) for closes in (own, shocked))
    assert np.array_equal(before[125:], after[125:])
    assert not np.array_equal(before[100:125], after[100:125])


def test_an_unknown_close_makes_exactly_the_windows_that_hold_it_unknown() -> None:
    own, other = pair(200, 0.5)
    other[100] = math.nan
    assert np.flatnonzero(np.isnan(rolling_correlation(own, other, 24)[24:])).tolist() == list(range(76, 101))
    assert math.isnan(correlation(own[90:115], other[90:115]))


@pytest.mark.parametrize("still", [np.full(200, 2e-8), 100 * 1.0001 ** np.arange(200)])
def test_a_market_that_stands_still_or_moves_evenly_is_correlated_with_nothing(still: Array) -> None:
    assert (rolling_correlation(walk(200, 4), still, 24)[24:] == 0).all()
    assert (rolling_correlation(still, walk(200, 4), 24)[24:] == 0).all()
    assert correlation(walk(25, 4), still[:25]) == 0


def test_prices_of_any_size_give_the_same() -> None:
    own, other = pair(300, 0.5)
    usual = rolling_correlation(own, other, 24)[24:]
    assert rolling_correlation(own * 2e-10, other * 1e12, 24)[24:] == pytest.approx(usual, abs=1e-9)


def test_fewer_than_two_returns_say_nothing() -> None:
    assert math.isnan(correlation(walk(2, 1), walk(2, 2)))
    assert math.isnan(correlation(walk(0, 1), walk(0, 2)))


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf])
def test_a_close_that_no_market_has_is_refused_by_place(wrong: float) -> None:
    own, other = pair(50, 0.5)
    other[7] = wrong
    with pytest.raises(InvalidValue, match=f"other close 7 is {wrong}"):
        rolling_correlation(own, other, 24)
    with pytest.raises(InvalidValue, match="own close 7"):
        correlation(other, own)


def test_two_lengths_of_closes_are_refused() -> None:
    with pytest.raises(InvalidValue, match="50 closes against 49"):
        rolling_correlation(walk(50, 1), walk(49, 1), 24)


def test_a_window_of_one_return_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at least 2 returns"):
        rolling_correlation(walk(50, 1), walk(50, 2), 1)


def test_the_newest_window_alone_needs_no_compiler() -> None:
    code = (
        "import sys, numpy; from trading.correlation import correlation;"
        "correlation(numpy.arange(1.0, 9), numpy.arange(2.0, 10)); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0

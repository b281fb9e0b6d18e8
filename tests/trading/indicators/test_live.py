"""One row from a trailing window is the row of the whole table, for every feature."""

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import (
    H1,
    M1,
    Array,
    assert_same_row,
    candles,
    holed,
    market,
    newest,
    recorded,
    values,
)
from trading.errors import NotStored
from trading.indicators import FEATURE_NAMES, feature_table, formulas, live_row, lookback
from trading.indicators.formulas import all_values, newest_values
from trading.indicators.price_arrays import price_arrays
from trading.market import Timeframe

LOOKBACK = lookback(H1)
ENDS = 30  # candles that are tested of a recorded table


def window(frame: pl.DataFrame, end: int, timeframe: Timeframe) -> Array:
    """The live row of the candle before `end`, from no more candles than it needs."""
    needed = frame[max(end - lookback(timeframe) - 1, 0) : end]
    row = live_row(needed, timeframe)
    return np.array([np.nan if row[name] is None else row[name] for name in FEATURE_NAMES], dtype=float)


def assert_same_newest_row(
    frame: pl.DataFrame, features: pl.DataFrame, end: int, timeframe: Timeframe = H1
) -> None:
    whole = values(features)
    assert_same_row(window(frame, end, timeframe), whole[end - 1], whole)


@pytest.mark.parametrize(("tick", "still"), [(0.0, 0.0), (0.01, 0.0), (1.0, 0.6)])
def test_a_window_of_the_look_back_gives_the_same_newest_row_as_all_history(
    tick: float, still: float
) -> None:
    frame = candles(3000, 11, tick, still)
    features = feature_table(frame, H1)
    for end in range(LOOKBACK + 1, 3001, 333):
        assert_same_newest_row(frame, features, end)


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15, Timeframe.H4, Timeframe.D1])
def test_on_every_timeframe_the_look_back_is_long_enough_despite_gaps(timeframe: Timeframe) -> None:
    frame = holed(candles(5000, 19, timeframe=timeframe), 19)
    features = feature_table(frame, timeframe)
    for end in range(lookback(timeframe) + 1, frame.height, 211):
        assert_same_newest_row(frame, features, end, timeframe)


def test_a_single_absurd_candle_leaves_no_trace_beyond_the_look_back() -> None:
    frame = candles(1500, 12)
    spiked = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 300).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in (("low", 1e-3), ("close", 0.5), ("volume", 1e9))
    )
    assert_same_newest_row(spiked, feature_table(spiked, H1), 1500)


def test_a_price_of_a_million_times_its_neighbours_leaves_no_trace_beyond_the_look_back() -> None:
    frame = candles(1700, 13)
    spiked = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 300).then(pl.col(name) * 1e6).otherwise(pl.col(name)).alias(name)
        for name in ("high", "close")
    )
    assert_same_newest_row(spiked, feature_table(spiked, H1), 1700)


RECORDINGS = {
    "binance_XRP-BTC_1h_2017-2020": H1, "kraken_BTC-USD_1h_2013-2019": H1,
    "binance_BTC-USDT_15m_2021": Timeframe.M15, "binance_XRP-USDT_5m_2021": Timeframe.M5,
    "binance_BTC-USDT_1m_2021": M1, "binance_XRP-BTC_1m_2021": M1, "binance_XRP-USDT_1m_2021": M1,
}  # fmt: skip


@pytest.mark.parametrize(("name", "timeframe"), RECORDINGS.items())
def test_on_recorded_candles_the_live_row_is_the_table_s_row(name: str, timeframe: Timeframe) -> None:
    frame = recorded(name, timeframe)
    features = feature_table(frame, timeframe)
    first = lookback(timeframe) + 1
    for end in {*np.linspace(first, frame.height, ENDS).astype(int).tolist(), *after_gaps(frame, first)}:
        assert_same_newest_row(frame, features, end, timeframe)


def after_gaps(frame: pl.DataFrame, first: int) -> list[int]:
    """The first candles after the longest gaps, and those around the lowest low."""
    apart = frame["open_time"].diff().fill_null(strategy="zero")
    gaps = apart.arg_sort(descending=True)[:3].to_list()
    lowest = frame["low"].arg_min() or 0
    ends = [row + later for row in (*gaps, lowest) for later in (1, 2, 6, 30)]
    return [end for end in ends if first <= end <= frame.height]


def test_an_xrp_low_of_two_hundred_millionths_of_a_bitcoin_is_among_the_recorded_candles() -> None:
    assert recorded("binance_XRP-BTC_1h_2017-2020", H1)["low"].min() == 2e-8


def test_the_live_row_is_the_table_s_newest_row_as_plain_floats() -> None:
    row = live_row(market(), H1)
    assert row == newest(market()[-LOOKBACK - 1 :])
    assert {type(value) for value in row.values()} == {float}


def test_a_process_that_keeps_its_window_as_arrays_gets_the_live_row() -> None:
    frame = market()[-LOOKBACK - 1 :]
    assert newest_values(price_arrays(frame, H1)) == live_row(frame, H1)


@pytest.mark.parametrize("count", [0, 1, 263])
def test_the_live_row_names_the_feature_that_still_warms_up(count: int) -> None:
    with pytest.raises(NotStored, match=f"higher_trend_2 needs 264 candles and there are {count}"):
        live_row(market()[:count], H1)


def test_the_live_row_is_there_as_soon_as_every_feature_is() -> None:
    assert live_row(market()[:264], H1) == newest(market()[:264])


def test_a_long_table_made_in_pieces_by_two_threads_is_the_one_made_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prices = price_arrays(holed(candles(40_000, 23, timeframe=M1), 23), M1)
    pieces = all_values(prices)
    monkeypatch.setattr(formulas, "_CHUNK", prices.size)
    monkeypatch.setattr(formulas, "_WORTH_THREADS", prices.size + 1)
    np.testing.assert_array_equal(pieces, all_values(prices))

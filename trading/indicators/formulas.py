"""All formulas over arrays, for every candle or for the newest alone: the same functions, shorter windows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from trading.indicators import momentum, other_pairs, patterns, timeframes, trend, volatility, volume
from trading.indicators.arithmetic import Array
from trading.indicators.companions import NO_COMPANIONS, Companions
from trading.indicators.price_arrays import PriceArrays
from trading.indicators.registry import FEATURE_NAMES, FEATURES, MEMORY, WINDOW
from trading.regime import regime_columns, regime_numbers

_THREADS = 2
_WORTH_THREADS = 20_000  # candles; below, starting a thread takes longer than it saves
# Freeing one such piece makes glibc keep what is freed after it, up to twice as much, for the next array. Else every
# temporary array of a long table goes back to the system and comes again page by page, an eighth of the time.
_KEPT_MEMORY = 32_000_000  # bytes; above 32 MiB it learns nothing
_CHUNK = 32_768  # rows: a few columns fit the second cache, and starting a piece is a small part of it

Formula = Callable[[], dict[str, Array]]
# The last is no feature: others need it.
ROW = {name: row for row, name in enumerate((*FEATURE_NAMES, "keltner_channel"))}


def newest_values(prices: PriceArrays, companions: Companions = NO_COMPANIONS) -> dict[str, float | None]:
    """Return the newest candle's features, None where a companion is unknown.

    For callers that keep the window as arrays: `lookback` + 1 candles or more, or all there are.
    """
    recent, few = prices.last(MEMORY + 1), prices.last(WINDOW)
    newest: dict[str, Array] = {}
    for formula in _list_recursive(recent):
        newest |= formula()
    for formula in _list_windowed(few, newest["keltner_channel"][-few.size :]):
        newest |= formula()
    newest |= timeframes.newest_trends_of_timeframes(prices)
    newest |= other_pairs.compare_pairs(prices.last(other_pairs.CORRELATION + 1), companions)
    newest |= volume.vwap_distance(prices.last(volume.day_warm_up(prices.timeframe) + 1))
    row = {name: values.item(-1) for name, values in newest.items()}
    row |= regime_numbers(row)
    return {name: value if (value := row[name]) == value else None for name in FEATURE_NAMES}


def all_values(prices: PriceArrays, companions: Companions = NO_COMPANIONS) -> Array:
    """Return (features, n) in the order of FEATURES, NaN inside the warm-up and where a companion is unknown."""
    # One large piece of memory is had far cheaper than many small ones.
    values = np.empty((len(ROW), prices.size))
    whole = [partial(_fill, values, prices, formula) for formula in _list_whole_history(prices, companions)]
    pieces = [partial(_fill_piece, values, prices, start) for start in range(0, prices.size, _CHUNK)]
    if prices.size >= _WORTH_THREADS:
        np.empty(_KEPT_MEMORY // 8)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(_call, whole))
            list(threads.map(_call, pieces))
    elif prices.size:
        for task in whole + pieces:
            task()
    return values[: len(FEATURES)]


def _call(task: Callable[[], None]) -> None:
    task()


def _fill(values: Array, prices: PriceArrays, formula: Formula) -> None:
    for name, column in formula().items():
        warm_up = _warm_up(name, prices)
        values[ROW[name], :warm_up] = np.nan
        values[ROW[name], warm_up:] = column[warm_up:]


def _fill_piece(values: Array, prices: PriceArrays, start: int) -> None:
    """Fill a chunk of rows of all that reaches no further back than WINDOW: its arrays stay in the cache.

    Regimes read the other features of their row, so they come last.
    """
    first, end = max(start - WINDOW + 1, 0), min(start + _CHUNK, prices.size)
    rows = values[:, start:end]
    for formula in _list_windowed(prices.between(first, end), values[ROW["keltner_channel"], first:end]):
        for name, column in formula().items():
            rows[ROW[name]] = column[start - first :]
            rows[ROW[name], : max(_warm_up(name, prices) - start, 0)] = np.nan
    for name, column in regime_columns({name: rows[row] for name, row in ROW.items()}).items():
        rows[ROW[name]] = column


def _warm_up(name: str, prices: PriceArrays) -> int:
    row = ROW[name]
    return FEATURES[row].warm_up_for(prices.timeframe) if row < len(FEATURES) else 0


def _list_whole_history(prices: PriceArrays, companions: Companions) -> list[Formula]:
    """List what goes through the candles from first to last, the longest first: two threads then end together."""
    return [
        partial(timeframes.trends_of_timeframes, prices),
        *_list_recursive(prices),
        partial(other_pairs.compare_pairs, prices, companions),
        partial(volume.vwap_distance, prices),
    ]


def _list_recursive(prices: PriceArrays) -> list[Formula]:
    """List what remembers all of history, ever less of it."""
    return [
        partial(trend.directional_movement, prices),
        partial(trend.recursive_trend, prices),
        partial(volatility.recursive_volatility, prices),
        partial(volume.recursive_volume, prices),
        partial(momentum.recursive_momentum, prices),
    ]


def _list_windowed(prices: PriceArrays, keltner_channel: Array) -> list[Formula]:
    """List what depends on WINDOW candles at most, once the average true range is known."""
    return [
        partial(volatility.bollinger_bands, prices, keltner_channel),
        partial(trend.windowed_trend, prices),
        partial(momentum.windowed_momentum, prices),
        partial(volatility.windowed_volatility, prices),
        partial(volume.windowed_volume, prices),
        partial(patterns.swing_distances, prices),
    ]

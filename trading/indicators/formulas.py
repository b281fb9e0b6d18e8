"""All formulas over arrays, for every candle or for the newest alone: the same functions, shorter windows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from trading.indicators import (
    momentum,
    other_pairs,
    patterns,
    regimes,
    timeframes,
    trend,
    volatility,
    volume,
)
from trading.indicators.arithmetic import Array
from trading.indicators.companions import ALONE, Companions
from trading.indicators.price_arrays import Bars
from trading.indicators.registry import FEATURE_NAMES, FEATURES, MEMORY, WINDOW

_THREADS = 2
_WORTH_THREADS = 20_000  # candles; below, starting a thread takes longer than it saves
# Freeing one such piece makes glibc keep what is freed after it, up to twice as much, for the next array. Else every
# temporary array of a long table goes back to the system and comes again page by page, an eighth of the time.
_KEPT_MEMORY = 32_000_000  # bytes; above 32 MiB it learns nothing
_CHUNK = 32_768  # rows: a few columns fit the second cache, and starting a piece is a small part of it

Formula = Callable[[], dict[str, Array]]
ROW = {
    name: row for row, name in enumerate((*FEATURE_NAMES, "keltner_channel"))
}  # the last is no feature: others need it


def newest_values(bars: Bars, companions: Companions = ALONE) -> dict[str, float | None]:
    """The newest candle's features, None where a companion is unknown.

    For whoever keeps the window as arrays: `bars` of at least `lookback` + 1 candles, or of all there are.
    """
    recent, few = bars.last(MEMORY + 1), bars.last(WINDOW)
    newest: dict[str, Array] = {}
    for formula in _following(recent):
        newest |= formula()
    for formula in _windows(few, newest["keltner_channel"][-few.size :]):
        newest |= formula()
    newest |= timeframes.newest(bars)
    newest |= other_pairs.compute(bars.last(other_pairs.CORRELATION + 1), companions)
    newest |= volume.day(bars.last(volume.whole_day(bars.timeframe) + 1))
    row = {name: values.item(-1) for name, values in newest.items()}
    row |= regimes.newest(row)
    return {name: value if (value := row[name]) == value else None for name in FEATURE_NAMES}


def all_values(bars: Bars, companions: Companions = ALONE) -> Array:
    """(features, n) in the order of FEATURES, NaN inside the warm-up and where a companion is unknown."""
    # One large piece of memory is had far cheaper than many small ones.
    values = np.empty((len(ROW), bars.size))
    whole = [partial(_fill, values, bars, formula) for formula in _whole(bars, companions)]
    pieces = [partial(_fill_piece, values, bars, start) for start in range(0, bars.size, _CHUNK)]
    if bars.size >= _WORTH_THREADS:
        np.empty(_KEPT_MEMORY // 8)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(_call, whole))
            list(threads.map(_call, pieces))
    elif bars.size:
        for task in whole + pieces:
            task()
    return values[: len(FEATURES)]


def _call(task: Callable[[], None]) -> None:
    task()


def _fill(values: Array, bars: Bars, formula: Formula) -> None:
    for name, column in formula().items():
        warm_up = _warm_up(name, bars)
        values[ROW[name], :warm_up] = np.nan
        values[ROW[name], warm_up:] = column[warm_up:]


def _fill_piece(values: Array, bars: Bars, start: int) -> None:
    """A chunk of rows of all that reaches no further back than WINDOW: its arrays stay in the cache.

    Regimes read the other features of their row, so they come last.
    """
    first, end = max(start - WINDOW + 1, 0), min(start + _CHUNK, bars.size)
    rows = values[:, start:end]
    for formula in _windows(bars.between(first, end), values[ROW["keltner_channel"], first:end]):
        for name, column in formula().items():
            rows[ROW[name]] = column[start - first :]
            rows[ROW[name], : max(_warm_up(name, bars) - start, 0)] = np.nan
    for name, column in regimes.compute({name: rows[row] for name, row in ROW.items()}).items():
        rows[ROW[name]] = column


def _warm_up(name: str, bars: Bars) -> int:
    row = ROW[name]
    return FEATURES[row].warm_up_for(bars.timeframe) if row < len(FEATURES) else 0


def _whole(bars: Bars, companions: Companions) -> list[Formula]:
    """What goes through the candles from first to last. The longest first: two threads then end together."""
    return [
        partial(timeframes.compute, bars),
        *_following(bars),
        partial(other_pairs.compute, bars, companions),
        partial(volume.day, bars),
    ]


def _following(bars: Bars) -> list[Formula]:
    """What remembers all of history, ever less of it."""
    return [
        partial(trend.directional_movement, bars),
        partial(trend.averages, bars),
        partial(volatility.averages, bars),
        partial(volume.averages, bars),
        partial(momentum.averages, bars),
    ]


def _windows(bars: Bars, keltner_channel: Array) -> list[Formula]:
    """What depends on WINDOW candles at most, once the average true range is known."""
    modules = (trend, momentum, volatility, volume, patterns)
    return [
        partial(volatility.bands, bars, keltner_channel),
        *(partial(module.windows, bars) for module in modules),
    ]

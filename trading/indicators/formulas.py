"""All formulas over arrays, for every candle or for the newest alone: the same functions, shorter windows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from trading.indicators import (
    momentum,
    neighbours,
    patterns,
    regimes,
    timeframes,
    trend,
    volatility,
    volume,
)
from trading.indicators.arithmetic import Array
from trading.indicators.bars import Bars
from trading.indicators.companions import ALONE, Companions
from trading.indicators.registry import FEATURE_NAMES, FEATURES, MEMORY, WINDOW

_THREADS = 2
_WORTH_THREADS = 20_000  # candles; below, starting a thread takes longer than it saves
# Freeing one such piece makes glibc keep what is freed after it, up to twice as much, for the next array. Else every
# temporary array of a long table goes back to the system and comes again page by page, an eighth of the time.
_KEPT_MEMORY = 32_000_000  # bytes; above 32 MiB it learns nothing
_CHUNK = 16_384  # rows whose columns stay in the second cache

Formula = Callable[[], dict[str, Array]]
ROW = {name: row for row, name in enumerate(FEATURE_NAMES)}


def newest_values(bars: Bars, companions: Companions = ALONE) -> dict[str, float | None]:
    """The newest candle's features, None where a companion is unknown.

    For whoever keeps the window as arrays: `bars` of at least `lookback` + 1 candles, or of all there are.
    """
    newest: dict[str, Array] = {}
    for formula in _newest(bars, companions):
        newest.update({name: values[-1:] for name, values in formula().items()})
    newest.update(regimes.compute(newest))
    row = {name: newest[name].item() for name in FEATURE_NAMES}
    return {name: value if value == value else None for name, value in row.items()}


def all_values(bars: Bars, companions: Companions = ALONE) -> Array:
    """(features, n) in the order of FEATURES, NaN inside the warm-up and where a companion is unknown."""
    # One large piece of memory is had far cheaper than many small ones.
    values = np.empty((len(FEATURES), bars.size))
    starts = range(0, bars.size, _CHUNK)
    whole = [partial(_fill, values, bars, formula) for formula in _whole(bars, companions)]
    pieces = [partial(_fill_piece, values, bars, start) for start in starts]
    judgements = [partial(_judge, values, start) for start in starts]
    if bars.size >= _WORTH_THREADS:
        np.empty(_KEPT_MEMORY // 8)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(_call, whole + pieces))
            list(threads.map(_call, judgements))
    elif bars.size:
        for task in whole + pieces + judgements:
            task()
    return values


def _call(task: Callable[[], None]) -> None:
    task()


def _fill(values: Array, bars: Bars, formula: Formula) -> None:
    for name, column in formula().items():
        warm_up = FEATURES[ROW[name]].warm_up_for(bars.timeframe)
        values[ROW[name], :warm_up] = np.nan
        values[ROW[name], warm_up:] = column[warm_up:]


def _fill_piece(values: Array, bars: Bars, start: int) -> None:
    """A chunk of rows of all windows, which reach no further back than WINDOW: its arrays stay in the cache."""
    first, end = max(start - WINDOW + 1, 0), min(start + _CHUNK, bars.size)
    for formula in _windows(bars.between(first, end)):
        for name, column in formula().items():
            warm_up = FEATURES[ROW[name]].warm_up_for(bars.timeframe)
            values[ROW[name], start:end] = column[start - first :]
            values[ROW[name], start : max(warm_up, start)] = np.nan


def _judge(values: Array, start: int) -> None:
    """Regimes of a chunk of rows, which read the other features of their row."""
    rows = values[:, start : start + _CHUNK]
    for name, column in regimes.compute({name: rows[row] for name, row in ROW.items()}).items():
        rows[ROW[name]] = column


def _whole(bars: Bars, companions: Companions) -> list[Formula]:
    """What follows the candles from first to last."""
    return [
        *_averages(bars),
        partial(timeframes.compute, bars),
        partial(neighbours.compute, bars, companions),
        partial(volume.day, bars),
    ]


def _newest(bars: Bars, companions: Companions) -> list[Formula]:
    """Each with no more candles than the newest row depends on."""
    return [
        *_averages(bars.last(MEMORY + 1)),
        *_windows(bars.last(WINDOW)),
        partial(timeframes.newest, bars),
        partial(neighbours.compute, bars.last(neighbours.CORRELATION + 1), companions),
        partial(volume.day, bars.last(volume.whole_day(bars.timeframe) + 1)),
    ]


def _averages(bars: Bars) -> list[Formula]:
    """What remembers all of history, ever less of it."""
    return [
        partial(trend.directional_movement, bars),
        partial(volatility.averages, bars),
        partial(trend.averages, bars),
        partial(volume.averages, bars),
        partial(momentum.averages, bars),
    ]


def _windows(bars: Bars) -> list[Formula]:
    """What depends on WINDOW candles at most."""
    return [partial(module.windows, bars) for module in (trend, momentum, volatility, volume, patterns)]

"""Timeframes: the trend of closed higher candles beside that of the base, known only once they have closed."""

from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from trading.indicators.arithmetic import Array, changes, ratio
from trading.indicators.bars import Bars, length_of
from trading.indicators.feature import Family, Feature, GapRule, WarmUp
from trading.market import Timeframe

LADDER = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
CHANGES = 10  # between the closed candles of a timeframe

_MEASURE = "(newest close - close 10 candles before) / sum of the sizes of the 10 changes, 0 when still, "
_SOURCE = "efficiency ratio of Kaufman 1995, with its sign"


@cache
def _higher(timeframe: Timeframe) -> tuple[Timeframe, ...]:
    """The rungs of the ladder above a timeframe."""
    return tuple(rung for rung in LADDER if rung.duration > timeframe.duration)


def _rung(timeframe: Timeframe, above: int) -> Timeframe:
    """So many rungs above a timeframe; the highest where the ladder ends."""
    return (timeframe, *_higher(timeframe))[: above + 1][-1]


@cache
def _needed(rung: Timeframe, timeframe: Timeframe) -> int:
    """Candles of `timeframe` that hold the ends of 11 closed ones of `rung`, however the first lies in its own."""
    return (CHANGES + 1) * (rung.duration // timeframe.duration)


def _closed(above: int) -> WarmUp:
    return lambda timeframe: _needed(_rung(timeframe, above), timeframe) - 1


_trend = partial(Feature, family=Family.TREND, unit="-1..1", source=_SOURCE, gaps=GapRule.HIGHER_TIMEFRAME)

FEATURES = (
    _trend(
        "higher_trend_1",
        warm_up=_closed(1),
        formula=_MEASURE + "of the next timeframe above in 1m, 5m, 15m, 1h, 4h, 1d; of 1d itself there",
    ),
    _trend(
        "higher_trend_2",
        warm_up=_closed(2),
        formula=_MEASURE + "of the timeframe after the next in 1m, 5m, 15m, 1h, 4h, 1d; of 1d where they end",
    ),
    _trend(
        "timeframe_alignment",
        warm_up=_closed(len(LADDER)),
        formula="mean of that measure over the candles' own timeframe and all above it in 5m, 15m, 1h, 4h, 1d",
    ),
)


def compute(bars: Bars) -> dict[str, Array]:
    own = _own_trend(bars)
    total = own.copy()
    shown = _higher_trends(bars, _higher(bars.timeframe), total)
    return _columns(own, list(shown), total, bars.timeframe)


def newest(bars: Bars) -> dict[str, Array]:
    """The last row alone: each timeframe reads no more candles than its value depends on."""
    own = _own_trend(bars.last(CHANGES + 1))[-1:]
    total = own.copy()
    shown = []
    for rung in _higher(bars.timeframe):
        window = bars.last(_needed(rung, bars.timeframe))
        shown.append(_higher_trends(window, (rung,), np.zeros(window.size))[0, -1:])
        total += shown[-1]
    return _columns(own, shown[:2], total, bars.timeframe)


def _columns(own: Array, shown: Sequence[Array], total: Array, timeframe: Timeframe) -> dict[str, Array]:
    """`shown` holds the trends of two higher timeframes, or of as many as the ladder has left."""
    return {
        "higher_trend_1": shown[0] if len(shown) else own,
        "higher_trend_2": shown[-1] if len(shown) else own,
        "timeframe_alignment": total / (1 + len(_higher(timeframe))),
    }


def _own_trend(bars: Bars) -> Array:
    """Every candle has just closed."""
    from trading.indicators.compiled_windows import mean  # compiled: only who computes waits for it

    path = CHANGES * mean(np.abs(changes(bars.close)), CHANGES)
    return ratio(changes(bars.close, CHANGES), path, path != 0, otherwise=0.0)


def _higher_trends(bars: Bars, rungs: tuple[Timeframe, ...], total: Array) -> Array:
    from trading.indicators.compiled_clock import trends_of_closed

    periods = np.array([length_of(rung) for rung in rungs], dtype=np.int64)
    return trends_of_closed(bars.open_time, bars.close_time, bars.close, periods, CHANGES, total)

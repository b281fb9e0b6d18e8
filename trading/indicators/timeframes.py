"""Timeframes: the trend of closed higher candles beside that of the base, known only once they have closed."""

from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from trading.indicators.arithmetic import Array, Times
from trading.indicators.feature import Family, Feature, GapRule, WarmUp
from trading.indicators.higher_trends import efficiency_ratio, higher_trends, newest_higher_trends
from trading.indicators.price_arrays import PriceArrays, candle_length
from trading.market import Timeframe

LADDER = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
CHANGES = 10  # between the closed candles of a timeframe

_MEASURE = "(newest close - close 10 candles before) / sum of the sizes of the 10 changes, 0 when still, "
_SOURCE = "efficiency ratio of Kaufman 1995, with its sign"


@cache
def _higher(timeframe: Timeframe) -> tuple[Timeframe, ...]:
    """Return the rungs of the ladder above a timeframe."""
    return tuple(rung for rung in LADDER if rung.duration > timeframe.duration)


def _rung(timeframe: Timeframe, above: int) -> Timeframe:
    """Return the rung `above` steps above a timeframe; the highest where the ladder ends."""
    return (timeframe, *_higher(timeframe))[: above + 1][-1]


@cache
def _candles_needed(rung: Timeframe, timeframe: Timeframe) -> int:
    """Return how many candles hold the ends of 11 closed ones of `rung`, however the first lies in its own."""
    return (CHANGES + 1) * (rung.duration // timeframe.duration)


def _closed_warm_up(above: int) -> WarmUp:
    return lambda timeframe: _candles_needed(_rung(timeframe, above), timeframe) - 1


_trend = partial(Feature, family=Family.TREND, unit="-1..1", source=_SOURCE, gaps=GapRule.HIGHER_TIMEFRAME)

FEATURES = (
    _trend(
        "higher_trend_1",
        warm_up=_closed_warm_up(1),
        formula=_MEASURE + "of the next timeframe above in 1m, 5m, 15m, 1h, 4h, 1d; of 1d itself there",
    ),
    _trend(
        "higher_trend_2",
        warm_up=_closed_warm_up(2),
        formula=_MEASURE + "of the timeframe after the next in 1m, 5m, 15m, 1h, 4h, 1d; of 1d where they end",
    ),
    _trend(
        "timeframe_alignment",
        warm_up=_closed_warm_up(len(LADDER)),
        formula="mean of that measure over the candles' own timeframe and all above it in 5m, 15m, 1h, 4h, 1d",
    ),
)


def trends_of_timeframes(prices: PriceArrays) -> dict[str, Array]:
    """Return the features of every row."""
    own = efficiency_ratio(prices.close, CHANGES)
    total = own.copy()
    shown = higher_trends(
        prices.open_time, prices.close_time, prices.close, _periods(prices.timeframe), CHANGES, total
    )
    return _columns(own, list(shown), total, prices.timeframe)


def newest_trends_of_timeframes(prices: PriceArrays) -> dict[str, Array]:
    """Return the last row alone."""
    own = efficiency_ratio(prices.close[-CHANGES - 1 :], CHANGES)[-1:]
    shown = newest_higher_trends(
        prices.open_time, prices.close_time, prices.close, _periods(prices.timeframe), CHANGES
    )
    total = own.copy()
    for trend in shown:
        total += trend
    return _columns(own, [shown[:1], shown[1:2]][: shown.size], total, prices.timeframe)


def _columns(own: Array, shown: Sequence[Array], total: Array, timeframe: Timeframe) -> dict[str, Array]:
    """`shown` holds the trends of two higher timeframes, or of as many as the ladder has left."""
    return {
        "higher_trend_1": shown[0] if len(shown) else own,
        "higher_trend_2": shown[-1] if len(shown) else own,
        "timeframe_alignment": total / (1 + len(_higher(timeframe))),
    }


@cache
def _periods(timeframe: Timeframe) -> Times:
    """Return the lengths of the higher timeframes in microseconds."""
    return np.array([candle_length(rung) for rung in _higher(timeframe)], dtype=np.int64)

"""Exponential averages and their crossings, compiled. Leaf module: importing it imports Numba.

A crossing is written where it happens: an array with one number per candle would be another 4 MB for a year of
minutes, written once and read once. An average waits for its own last value at every candle, so a processor that
works on one pair of averages is idle most of the time; four pairs at once take little longer than one.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from trading.backtest import compiling
from trading.backtest.compiling import cached_by, fingerprint, inlined

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Counts = tuple[int, int, int, int]

LANES = 4


@inlined
def _next(average: float, price: float, weight: float) -> float:
    """In this form, as TA-Lib computes it: a constant price leaves the average exactly where it is."""
    return (price - average) * weight + average


@inlined
def _average_at(close: Numbers, period: int, end: int) -> float:
    """The average at candle `end`; TA-Lib starts it with the plain one of its first candles."""
    average, weight = 0.0, 2.0 / (period + 1)
    for value in close[:period]:
        average += value
    average /= period
    for value in close[period : end + 1]:
        average = _next(average, value, weight)
    return average


@inlined
def _cross(close: Numbers, fast: int, slow: int, begin: int, end: int, rows: Integers, count: int) -> int:
    """Crossings from candle `begin` to `end` into `rows`, which has `count`; returns how many it has then.

    Each candle is written down and counted only if it crosses: a store costs less than a wrong guess.
    """
    quick, steady = _average_at(close, fast, begin - 1), _average_at(close, slow, begin - 1)
    quick_weight, steady_weight = 2.0 / (fast + 1), 2.0 / (slow + 1)
    above = quick > steady
    prices = close[begin:end]
    for step in range(prices.size):
        price = prices[step]
        quick, steady = _next(quick, price, quick_weight), _next(steady, price, steady_weight)
        now = quick > steady
        rows[count] = begin + step
        count += now != above
        above = now
    return count


@inlined
def _cross_four(
    close: Numbers, fast: Integers, slow: Integers, begin: int, rows: Integers, counts: Counts
) -> Counts:
    """The same for four pairs at once, from candle `begin` to the last."""
    a, b, c, d = counts
    rows_a, rows_b, rows_c, rows_d = rows[0], rows[1], rows[2], rows[3]
    quick_a, quick_b = _average_at(close, fast[0], begin - 1), _average_at(close, fast[1], begin - 1)
    quick_c, quick_d = _average_at(close, fast[2], begin - 1), _average_at(close, fast[3], begin - 1)
    steady_a, steady_b = _average_at(close, slow[0], begin - 1), _average_at(close, slow[1], begin - 1)
    steady_c, steady_d = _average_at(close, slow[2], begin - 1), _average_at(close, slow[3], begin - 1)
    above_a, above_b, above_c, above_d = (
        quick_a > steady_a,
        quick_b > steady_b,
        quick_c > steady_c,
        quick_d > steady_d,
    )
    quick, steady = 2.0 / (fast + 1), 2.0 / (slow + 1)
    prices = close[begin:]
    for step in range(prices.size):
        price = prices[step]
        quick_a, steady_a = _next(quick_a, price, quick[0]), _next(steady_a, price, steady[0])
        quick_b, steady_b = _next(quick_b, price, quick[1]), _next(steady_b, price, steady[1])
        quick_c, steady_c = _next(quick_c, price, quick[2]), _next(steady_c, price, steady[2])
        quick_d, steady_d = _next(quick_d, price, quick[3]), _next(steady_d, price, steady[3])
        now_a, now_b, now_c, now_d = (
            quick_a > steady_a,
            quick_b > steady_b,
            quick_c > steady_c,
            quick_d > steady_d,
        )
        rows_a[a] = rows_b[b] = rows_c[c] = rows_d[d] = begin + step
        a, b, c, d = (
            a + (now_a != above_a),
            b + (now_b != above_b),
            c + (now_c != above_c),
            d + (now_d != above_d),
        )
        above_a, above_b, above_c, above_d = now_a, now_b, now_c, now_d
    return a, b, c, d


def _entry(sources: int) -> Callable[..., Any]:
    def crosses(close: Numbers, fast: Integers, slow: Integers, rows: Integers, above: Integers) -> Integers:
        """Crossings of each pair of periods (k,) into `rows` (k, n + 1); returns how many.

        `above[i]` becomes 1 where the fast average of pair i is the higher one at its first known close.
        """
        sources  # noqa: B018  part of the cache's key, see trading.backtest.compiling
        counts = np.zeros(fast.size, np.int64)
        together = fast.size == LANES
        begin = close.size
        if together:
            begin = min(slow.max(), close.size)
        for pair in range(fast.size):
            if slow[pair] <= close.size:
                first = slow[pair] - 1
                above[pair] = _average_at(close, fast[pair], first) > _average_at(close, slow[pair], first)
                counts[pair] = _cross(close, fast[pair], slow[pair], slow[pair], begin, rows[pair], 0)
        if begin < close.size:
            four = (counts[0], counts[1], counts[2], counts[3])
            counts[0], counts[1], counts[2], counts[3] = _cross_four(close, fast, slow, begin, rows, four)
        return counts

    return crosses


SOURCES = (compiling, sys.modules[__name__])
_numbers = types.Array(types.float64, 1, "C", readonly=True)
_integers = types.int64[::1]
crosses = cached_by(
    _entry(fingerprint(*SOURCES)),
    _integers(_numbers, _integers, _integers, types.int64[:, ::1], _integers),
)

"""Crossing averages as plans: in when the fast one comes above the slow one, out when it falls back."""

from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
from numba import njit

from trading.backtest import Decisions, Plan

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def ema_crossings(close: Array, fast: int, slow: int) -> Decisions:
    """Return 1 at the close at which EMA(fast) has come above EMA(slow), 0 where it has fallen to it or below.

    The averages are TA-Lib's to the bit; the first close that can decide is number `slow`, where both are known
    and were known before.
    """
    rows = np.empty(close.size + 1, np.int64)
    count, above = _find_crossings(close, fast, slow, rows)
    row, target = rows[:count].copy(), np.empty(count)
    target[0::2], target[1::2] = 1 - above, above
    return Decisions(row, row, target, close.size)


@njit(nogil=True)
def _average(close: Array, period: int, end: int) -> float:
    """Return the average before candle `end`; it begins with the plain average of its first candles."""
    average = 0.0
    for price in close[:period]:
        average += price
    average /= period
    for price in close[period:end]:
        average = _next(average, price, 2.0 / (period + 1))
    return average


@njit(nogil=True)
def _next(average: float, price: float, weight: float) -> float:
    """Compute it as TA-Lib does: a constant price leaves the average exactly where it is."""
    return (price - average) * weight + average


@njit(nogil=True)
def _find_crossings(close: Array, fast: int, slow: int, rows: Rows) -> tuple[int, bool]:
    """Write the candles of all crossings to `rows`; returns how many, and whether the fast average began above."""
    if close.size < slow:
        return 0, False
    quick, steady = _average(close, fast, slow), _average(close, slow, slow)
    began = above = quick > steady
    count = 0
    for candle in range(slow, close.size):
        quick = _next(quick, close[candle], 2.0 / (fast + 1))
        steady = _next(steady, close[candle], 2.0 / (slow + 1))
        rows[count] = candle  # written each time and counted if it crosses: cheaper than a branch
        count += (quick > steady) != above
        above = quick > steady
    return count, began


def signals(decisions: Decisions) -> tuple[Flags, Flags]:
    """Return crossings as one entry flag and one exit flag per candle, both (n,)."""
    entries, exits = np.zeros((2, decisions.candles), np.bool_)
    entries[decisions.row] = decisions.target == 1.0
    exits[decisions.row] = decisions.target == 0.0
    return entries, exits


class CrossingPlans(Sequence[Plan]):
    """A plan for each (fast, slow) pair over the same closes, made when it is asked for."""

    def __init__(self, close: Array, pairs: Sequence[tuple[int, int]], stop: float = np.nan) -> None:
        self._close, self._pairs, self._stop = close, pairs, stop

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, number: int) -> Plan: ...
    @overload
    def __getitem__(self, number: slice) -> list[Plan]: ...
    def __getitem__(self, number: int | slice) -> Plan | list[Plan]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        return Plan(ema_crossings(self._close, *self._pairs[number]), stop=self._stop)

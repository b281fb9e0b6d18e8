"""Crossing averages as decisions: in when the fast one comes above the slow one, out when it falls back."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

import numpy as np
import numpy.typing as npt

from trading.backtest.decisions import Decisions
from trading.backtest.plan import Plan
from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
LANES = 4  # pairs of averages in one pass: see cross_kernel


def ema_crosses(close: Array, fast: int, slow: int) -> Decisions:
    """1 at the close at which EMA(fast) has come above EMA(slow), 0 where it has fallen to it or below.

    The averages are TA-Lib's to the bit, seeds included; the first close that can decide is number `slow`,
    where both are known and were known before. Raises InvalidValue unless 2 <= fast < slow and every close is a
    finite number.
    """
    return _crosses(_checked(close), [(fast, slow)])[0]


class CrossPlans(Sequence[Plan]):
    """A plan for each (fast, slow) pair over the same closes, made when it is asked for, a few at once.

    Made for `sweep`: only the last groups are kept, whatever the number of pairs.
    """

    def __init__(self, close: Array, pairs: Sequence[tuple[int, int]], stop: float = np.nan) -> None:
        self._close = _checked(close)
        self._pairs = list(pairs)
        self._stop = stop
        self._group = lru_cache(maxsize=2 * LANES)(self._make_group)
        for pair in self._pairs:
            _check_pair(*pair)

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, number: int) -> Plan: ...
    @overload
    def __getitem__(self, number: slice) -> "CrossPlans": ...
    def __getitem__(self, number: int | slice) -> "Plan | CrossPlans":
        if isinstance(number, slice):
            return CrossPlans(self._close, self._pairs[number], self._stop)
        number = range(len(self))[number]
        return Plan(self._group(number // LANES)[number % LANES], stop=self._stop)

    def __iter__(self) -> Iterator[Plan]:
        return (self[number] for number in range(len(self)))

    def _make_group(self, group: int) -> list[Decisions]:
        return _crosses(self._close, self._pairs[group * LANES : (group + 1) * LANES])


def _crosses(close: Array, pairs: Sequence[tuple[int, int]]) -> list[Decisions]:
    """Up to LANES at once."""
    from trading.backtest.cross_kernel import crosses

    for pair in pairs:
        _check_pair(*pair)
    periods = np.array(pairs, np.int64)
    rows, above = np.empty((len(pairs), close.size + 1), np.int64), np.zeros(len(pairs), np.int64)
    counts = crosses(close, periods[:, 0].copy(), periods[:, 1].copy(), rows, above)
    return [
        _alternating(row[:count].copy(), int(first), close.size)
        for row, count, first in zip(rows, counts, above, strict=True)
    ]


def _alternating(rows: Rows, above: int, candles: int) -> Decisions:
    """Out at the first crossing if the fast average began above, then in and out in turn."""
    targets = np.empty(rows.size)
    targets[0::2], targets[1::2] = 1 - above, above
    return Decisions(rows, rows, targets, candles)


def _checked(close: Array) -> Array:
    if close.ndim != 1 or not math.isfinite(close.sum()):  # one number that is not finite makes the sum so
        raise InvalidValue("closes must be one finite number per candle: an average never forgets another")
    return np.ascontiguousarray(close, np.float64)


def _check_pair(fast: int, slow: int) -> None:
    if not 2 <= fast < slow:
        raise InvalidValue(f"averages over {fast} and {slow} candles: allowed is 2 <= fast < slow")

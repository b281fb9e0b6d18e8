"""The rows that protection is checked along: finer candles where they are known, else the candles themselves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.backtest.bars import Bars, utc
from trading.errors import InvalidCandles

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PathRows:
    """The rows that protection is checked along, each (r,). Rows of candle i are first[i] to first[i + 1]."""

    time: Times
    open: Array
    high: Array
    low: Array
    first: Times  # (n + 1,); empty: the candles themselves, one row each
    length: int  # microseconds that one row lasts at least
    followed: int  # candles whose inside is known

    @classmethod
    def of(cls, bars: Bars, path: Bars | None) -> "PathRows":
        """Follow `path` wherever it covers the whole candle, from low to high, and the candle itself elsewhere.

        A path that does not reach a candle's high or low lacks something, so that candle is taken as it is, in
        the pessimistic order. Rows before the first candle and after the last are left out. Raises
        InvalidCandles for a path that goes beyond a candle's high or low, or that has rows where no candle is:
        it belongs to another market.
        """
        if path is None or len(bars) == 1:
            return cls(bars.open_time, bars.open, bars.high, bars.low, NO_ROWS, bars.length, 0)
        begin, end = np.searchsorted(path.open_time, (bars.open_time[0], bars.open_time[-1] + bars.length))
        inside = slice(int(begin), int(end))
        candle = np.searchsorted(bars.open_time, path.open_time[inside], side="right") - 1
        _check_gaps(bars, path.open_time[inside], candle)
        known = _find_covered(bars, path, inside, candle)
        rows, alone = known[candle], ~known
        columns = {
            name: np.concatenate([getattr(path, name)[inside][rows], getattr(bars, name)[alone]])
            for name in ("open_time", "open", "high", "low")
        }
        order = np.argsort(columns["open_time"], kind="stable")
        time, opened, high, low = (column[order] for column in columns.values())
        counts = np.bincount(candle[rows], minlength=len(bars)) + alone
        first = np.concatenate([[0], np.cumsum(counts)])
        return cls(time, opened, high, low, first, path.length, int(known.sum()))


def _check_gaps(bars: Bars, times: Times, candle: Times) -> None:
    lost = times >= bars.open_time[candle] + bars.length
    if lost.any():
        raise InvalidCandles(
            f"the path has a row at {utc(times[int(lost.argmax())])}, where no candle is: "
            "take both from the same market and the same time"
        )


def _find_covered(bars: Bars, path: Bars, inside: slice, candle: Times) -> Mask:
    """Return which candles (n,) the path follows from low to high."""
    known = np.zeros(len(bars), bool)
    if not candle.size:
        return known
    begins = np.flatnonzero(np.append(True, np.diff(candle) != 0))
    followed = candle[begins]
    high = np.maximum.reduceat(path.high[inside], begins)
    low = np.minimum.reduceat(path.low[inside], begins)
    beyond = (high > bars.high[followed]) | (low < bars.low[followed])
    if beyond.any():
        row = int(beyond.argmax())
        at = followed[row]
        raise InvalidCandles(
            f"the path goes from {low[row]} to {high[row]} inside the candle at {utc(bars.open_time[at])}, which has "
            f"low {bars.low[at]} and high {bars.high[at]}: take both from the same market"
        )
    known[followed] = (high == bars.high[followed]) & (low == bars.low[followed])
    return known

"""The score behind the technical signal, for one row or for a whole table: the same arithmetic, digit by digit.

-1 (short) to 1 (long), every part continuous:

    trend    = (0.40 alignment + 0.30 adx x sign of alignment + 0.15 direction + 0.15 momentum) x exhaustion
    breakout = excess x volume x (0.6 + 0.4 release)
    score    = trend + (1 - abs(trend)) breakout
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Array)

USED = (
    "ema_9_ratio",
    "ema_21_ratio",
    "ema_50_ratio",
    "adx_14",
    "plus_di_14",
    "minus_di_14",
    "macd_histogram",
    "rsi_14",
    "atr_14_share",
    "bollinger_percent_b",
    "squeeze_ratio",
    "squeeze_lowest",
    "volume_ratio",
)

MAX_INDICATOR = 1e6  # no indicator is anywhere near a million
MIN_ATR_SHARE = 1e-9  # an ATR below this share of the price is finer than any venue's prices


@dataclass(frozen=True, slots=True)
class SignalScore(Generic[Number]):
    """-1..1 each: floats for one row, (n,) for a table."""

    alignment: Number
    trend: Number
    breakout: Number
    total: Number


def is_usable(values: Mapping[str, Array], closes: Array) -> npt.NDArray[np.bool_]:
    """Return True where every USED value and the close make a judgement possible."""
    possible = (closes > 0) & (closes < np.inf) & (values["atr_14_share"] >= MIN_ATR_SHARE)
    for name in USED:
        possible &= np.abs(values[name]) < MAX_INDICATOR
    return np.asarray(possible)


def score(values: Mapping[str, Number], breakout_volume_ratio: float) -> SignalScore[Number]:
    """Compute the score of one row, or of every row of a table; all of them are usable."""
    alignment = _alignment(values)
    trend = _trend(values, alignment)
    breakout = _breakout(values, breakout_volume_ratio)
    return SignalScore(alignment, trend, breakout, _clip(trend + (1.0 - abs(trend)) * breakout))


def _trend(values: Mapping[str, Number], alignment: Number) -> Number:
    momentum = values["macd_histogram"] / (0.25 * values["atr_14_share"])
    score = (
        0.40 * alignment
        + 0.30 * _adx_strength(values) * alignment
        + 0.15 * _direction(values)
        + 0.15 * _clip(momentum)
    )
    return score * _exhaustion(values["rsi_14"], score)


def _alignment(values: Mapping[str, Number]) -> Number:
    """1 when EMA 9 > 21 > 50 by an ATR or more each, -1 the other way round, 0 when they contradict."""
    fast = _clip((values["ema_21_ratio"] - values["ema_9_ratio"]) / values["atr_14_share"])
    slow = _clip((values["ema_50_ratio"] - values["ema_21_ratio"]) / values["atr_14_share"])
    nearer = _choose(abs(fast) < abs(slow), fast, slow)
    return _choose(fast * slow > 0, nearer, 0.0)


def _direction(values: Mapping[str, Number]) -> Number:
    plus, minus = values["plus_di_14"], values["minus_di_14"]
    movement = plus + minus
    moves = movement > 0
    return _clip(_choose(moves, plus - minus, 0.0) / _choose(moves, movement, 1.0))


def _adx_strength(values: Mapping[str, Number]) -> Number:
    """Wilder reads below 0.2 as no trend; above 0.4 nobody doubts it."""
    return _share((values["adx_14"] - 0.15) / 0.25)


def _exhaustion(rsi: Number, score: Number) -> Number:
    """1 up to an RSI of 0.8 in the trend's direction, falling to 0.75 where no candle moved against it."""
    onward = _choose(score > 0, rsi, 1.0 - rsi)
    return 1.0 - 0.25 * _share((onward - 0.8) / 0.2)


def _breakout(values: Mapping[str, Number], volume_ratio: float) -> Number:
    """Score a close outside its Bollinger band on volume, more so out of a squeeze (Bollinger inside Keltner)."""
    outside = 2.0 * values["bollinger_percent_b"] - 1.0  # -1 and 1 are the bands
    excess = _share((abs(outside) - 1.0) / 0.3)
    volume = _share(2.0 * values["volume_ratio"] / volume_ratio - 1.0)
    squeezed = _share((1.0 - values["squeeze_lowest"]) / 0.1)
    widened = _share((values["squeeze_ratio"] - values["squeeze_lowest"]) / 0.25)
    confirmed = excess * volume * (0.6 + 0.4 * squeezed * widened)
    return _choose(outside > 0, confirmed, -confirmed) + 0.0


def _clip(values: Number) -> Number:
    return _between(values, -1.0, 1.0)


def _share(values: Number) -> Number:
    return _between(values, 0.0, 1.0)


def _between(values: Number, lowest: float, highest: float) -> Number:
    if isinstance(values, float):
        return max(lowest, min(highest, values))
    return np.minimum(np.maximum(values, lowest), highest)


def _choose(condition: bool | npt.NDArray[np.bool_], yes: Number, no: Number | float) -> Number:
    if isinstance(yes, float) and isinstance(no, float):
        return yes if condition else no
    return np.where(condition, yes, no)

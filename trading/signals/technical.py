"""The technical agent: trend-following momentum, backed by volatility breakouts, with its reasons in words.

One definition serves the newest candle (`technical_signal`) and a whole history (`signal_table`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl

from trading.errors import InvalidValue
from trading.signals.score import MAX_INDICATOR, MIN_ATR_SHARE, USED, Array, is_usable, score

__all__ = [
    "USED",
    "Direction",
    "SignalRules",
    "TechnicalSignal",
    "protective_distances",
    "protective_levels",
    "signal_table",
    "technical_signal",
]


class Direction(StrEnum):
    """The way the technical agent expects the price to go."""

    LONG = "LONG"
    SHORT = "SHORT"
    NEUTRAL = "NEUTRAL"

    @property
    def sign(self) -> int:
        return {"LONG": 1, "SHORT": -1, "NEUTRAL": 0}[self.value]


@dataclass(frozen=True, slots=True)
class SignalRules:
    """Thresholds of the signal, and how its stop and take profit are placed."""

    trend_threshold: float  # strength from which on there is a direction
    breakout_volume_ratio: float  # volume over its mean that confirms a breakout in full
    stop_atr: float  # stop distance in average true ranges ...
    stop_maximum: float  # ... but never more than this share of the price
    reward_risk: float  # take-profit distance over stop distance

    def __post_init__(self) -> None:
        for name, highest in (
            ("trend_threshold", 1.0),
            ("breakout_volume_ratio", 20.0),  # no candle exceeds 20 times a mean of 20 that it is part of
            ("stop_atr", 20.0),
            ("stop_maximum", 0.1),
            ("reward_risk", 9.0),  # with the widest stop, a short's take profit stays above zero
        ):
            if not 0 < getattr(self, name) <= highest:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is above 0, up to {highest:g}")


@dataclass(frozen=True, slots=True)
class TechnicalSignal:
    """A direction with its prices and reasons.

    `strength` (0..1) is the size of the score, also without a direction; the three prices are None then.

    `indicators` holds the finite values that were used.
    """

    direction: Direction
    strength: float
    entry_price: float | None
    stop_loss: float | None
    take_profit: float | None
    indicators: dict[str, float]
    reasons: tuple[str, ...]


def technical_signal(row: Mapping[str, float | None], close: float, rules: SignalRules) -> TechnicalSignal:
    """Judge one feature row; NEUTRAL with strength 0 when an input is missing or impossible."""
    values = {name: _number(row, name) for name in USED}
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    if faults := _faults(values, close):
        return TechnicalSignal(Direction.NEUTRAL, 0.0, None, None, None, known, faults)
    parts = score(values, rules.breakout_volume_ratio)
    total = parts.total
    reasons = (
        _trend_reason(values, parts.trend, parts.alignment),
        _breakout_reason(values, parts.breakout, rules),
    )
    direction = _direction(total, rules)
    stop, target = protective_levels(direction, close, row, rules)
    if stop is None or target is None:
        verdict = f"strength {abs(total):.2f} gives no direction: {_explain_neutral(direction, rules)}"
        return TechnicalSignal(Direction.NEUTRAL, abs(total), None, None, None, known, (*reasons, verdict))
    verdict = f"strength {abs(total):.2f} is {direction}: stop {stop:.8g}, take profit {target:.8g}"
    return TechnicalSignal(direction, abs(total), close, stop, target, known, (*reasons, verdict))


def signal_table(features: pl.DataFrame, closes: Array, rules: SignalRules) -> pl.DataFrame:
    """Compute `technical_signal` of every row of `features` at once; `closes` (n,) are their candles' closes.

    Columns open_time, direction (Int8: -1, 0, 1), strength (0..1) and, null while the direction is 0,
    stop_distance and target_distance, both above zero as shares of the entry: entry (1 - direction x
    stop_distance) is the stop. InvalidValue names columns that are missing or closes that are too few or many.
    """
    _refuse_mismatch(features, closes)
    values = {name: features[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for name in USED}
    possible = is_usable(values, closes)
    safe = {name: np.where(possible, column, 1.0) for name, column in values.items()}
    with np.errstate(over="ignore"):  # absurd rows: infinite parts are cut to -1 or 1
        total = np.where(possible, score(safe, rules.breakout_volume_ratio).total, 0.0)
    sign = np.where(np.abs(total) < rules.trend_threshold, 0.0, np.sign(total))
    levels = _levels(sign, np.where(possible, closes, 1.0), safe["atr_14_share"], rules)
    table = pl.DataFrame(
        {
            "open_time": features["open_time"],
            "direction": np.where(np.isnan(levels.stop), 0.0, sign),
            "strength": np.abs(total),
            "stop_distance": levels.stop_distance,
            "target_distance": levels.target_distance,
        }
    )
    return table.with_columns(
        pl.col("direction").cast(pl.Int8), pl.col("stop_distance", "target_distance").fill_nan(None)
    )


def protective_levels(
    direction: Direction, close: float, row: Mapping[str, float | None], rules: SignalRules
) -> tuple[float, float] | tuple[None, None]:
    """Return stop and take profit of an entry at `close`; (None, None) without a direction or a usable ATR.

    The stop lies min(stop_atr x ATR, stop_maximum x close) from the entry.
    """
    sign, closes, atr = (np.array([value]) for value in (direction.sign, close, _number(row, "atr_14_share")))
    levels = _levels(sign, closes, atr, rules)
    stop, target = float(levels.stop[0]), float(levels.target[0])
    return (None, None) if math.isnan(stop) else (stop, target)


def protective_distances(
    direction: Array, closes: Array, features: pl.DataFrame, rules: SignalRules
) -> tuple[Array, Array]:
    """Return what `protective_levels` gives entries at `closes` in `direction` (1 or -1), as shares of the entry.

    (n,) each, stop and take profit, both above zero; NaN for direction 0 and where no level is possible.
    """
    atr = features["atr_14_share"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    levels = _levels(direction, closes, atr, rules)
    return levels.stop_distance, levels.target_distance


@dataclass(frozen=True, slots=True)
class _Levels:
    """(n,) each, NaN where an entry has no direction or no room; distances are shares of the entry."""

    stop: Array
    target: Array
    stop_distance: Array
    target_distance: Array


def _levels(sign: Array, closes: Array, atr: Array, rules: SignalRules) -> _Levels:
    distance = np.minimum(rules.stop_atr * np.where(np.isfinite(atr), atr, np.nan), rules.stop_maximum)
    reward = distance * rules.reward_risk
    with np.errstate(over="ignore", invalid="ignore"):  # absurd closes: their levels are not usable
        stop, target = closes * (1 - sign * distance), closes * (1 + sign * reward)
        apart = (sign * stop < sign * closes) & (sign * closes < sign * target)
    usable = apart & np.isfinite(stop) & np.isfinite(target) & (closes > 0)
    levels = (stop, target, distance, reward)
    return _Levels(*(np.where(usable, values, np.nan) for values in levels))


def _refuse_mismatch(features: pl.DataFrame, closes: Array) -> None:
    if missing := [name for name in ("open_time", *USED) if name not in features.columns]:
        raise InvalidValue(f"the features lack {', '.join(missing)}: signals need them")
    if closes.shape != (features.height,):
        raise InvalidValue(f"{closes.size} closes for {features.height} rows of features: give one of each")


def _explain_neutral(direction: Direction, rules: SignalRules) -> str:
    weak = direction is Direction.NEUTRAL
    return f"it takes {rules.trend_threshold:g}" if weak else "the price leaves no room for a stop"


def _number(row: Mapping[str, float | None], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _direction(total: float, rules: SignalRules) -> Direction:
    if abs(total) < rules.trend_threshold:
        return Direction.NEUTRAL
    return Direction.LONG if total > 0 else Direction.SHORT


def _faults(values: Mapping[str, float], close: float) -> tuple[str, ...]:
    """Describe every input that makes a judgement impossible; `is_usable` is the same for a table."""
    wrong = [f"{name} is {value}" for name, value in values.items() if not _is_possible(value)]
    if not 0 < close < math.inf:
        wrong.append(f"close is {close}")
    if values["atr_14_share"] < MIN_ATR_SHARE:
        wrong.append(f"atr_14_share is {values['atr_14_share']:.2g}: nothing moves")
    return tuple(f"no signal: {fault}" for fault in wrong)


def _is_possible(indicator: float) -> bool:
    """NaN and infinity are not."""
    return abs(indicator) < MAX_INDICATOR


def _trend_reason(values: Mapping[str, float], trend: float, alignment: float) -> str:
    percent = {name: 100 * value for name, value in values.items()}
    return (
        f"trend {trend:+.2f}: EMA 9/21/50 alignment {alignment:+.2f}, ADX {percent['adx_14']:.0f}, "
        f"+DI {percent['plus_di_14']:.0f} against -DI {percent['minus_di_14']:.0f}, "
        f"MACD histogram {percent['macd_histogram']:+.3f} % of the price, RSI {percent['rsi_14']:.0f}"
    )


def _breakout_reason(values: Mapping[str, float], breakout: float, rules: SignalRules) -> str:
    return (
        f"breakout {breakout:+.2f}: %B {values['bollinger_percent_b']:.2f}, "
        f"volume {values['volume_ratio']:.1f} x its mean (confirmed from {rules.breakout_volume_ratio:g}), "
        f"bands / Keltner {values['squeeze_ratio']:.2f}, lowest {values['squeeze_lowest']:.2f} (< 1: squeeze)"
    )

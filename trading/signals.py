"""The technical agent: trend-following momentum, backed by volatility breakouts, with its reasons in words.

Score, -1 (short) to 1 (long), every part continuous:

    trend    = (0.40 alignment + 0.30 adx x sign of alignment + 0.15 direction + 0.15 momentum) x exhaustion
    breakout = excess x volume x (0.6 + 0.4 release)
    score    = trend + (1 - abs(trend)) breakout
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trading.errors import InvalidValue

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


class Direction(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    NEUTRAL = "NEUTRAL"

    @property
    def sign(self) -> int:
        return {"LONG": 1, "SHORT": -1, "NEUTRAL": 0}[self.value]


@dataclass(frozen=True, slots=True)
class SignalRules:
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
    """`strength` (0..1) is the size of the score, also without a direction; the three prices are None then.

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
    """The signal of one feature row; NEUTRAL with strength 0 when an input is missing or impossible."""
    values = {name: _number(row, name) for name in USED}
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    if faults := _faults(values, close):
        return TechnicalSignal(Direction.NEUTRAL, 0.0, None, None, None, known, faults)
    trend, breakout = _trend(values), _breakout(values, rules)
    score = _clip(trend + (1.0 - abs(trend)) * breakout)
    reasons = (_trend_reason(values, trend), _breakout_reason(values, breakout, rules))
    direction = _direction(score, rules)
    stop, target = protective_levels(direction, close, row, rules)
    if stop is None or target is None:
        verdict = f"strength {abs(score):.2f} gives no direction: {_lack(direction, rules)}"
        return TechnicalSignal(Direction.NEUTRAL, abs(score), None, None, None, known, (*reasons, verdict))
    verdict = f"strength {abs(score):.2f} is {direction}: stop {stop:.8g}, take profit {target:.8g}"
    return TechnicalSignal(direction, abs(score), close, stop, target, known, (*reasons, verdict))


def protective_levels(
    direction: Direction, close: float, row: Mapping[str, float | None], rules: SignalRules
) -> tuple[float, float] | tuple[None, None]:
    """Stop and take profit of an entry at `close`; (None, None) without a direction or a usable ATR.

    The stop lies min(stop_atr x ATR, stop_maximum x close) from the entry.
    """
    sign = direction.sign
    atr = _number(row, "atr_14_share")
    distance = min(rules.stop_atr * atr, rules.stop_maximum) if math.isfinite(atr) else math.nan
    stop, target = (close * (1 - sign * distance), close * (1 + sign * distance * rules.reward_risk))
    usable = math.isfinite(stop) and math.isfinite(target) and close > 0
    return (stop, target) if usable and sign * stop < sign * close < sign * target else (None, None)


def _lack(direction: Direction, rules: SignalRules) -> str:
    weak = direction is Direction.NEUTRAL
    return f"it takes {rules.trend_threshold:g}" if weak else "the price leaves no room for a stop"


def _number(row: Mapping[str, float | None], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _direction(score: float, rules: SignalRules) -> Direction:
    if abs(score) < rules.trend_threshold:
        return Direction.NEUTRAL
    return Direction.LONG if score > 0 else Direction.SHORT


def _faults(values: Mapping[str, float], close: float) -> tuple[str, ...]:
    """Every input that makes a judgement impossible. No indicator is anywhere near a million."""
    wrong = [f"{name} is {value}" for name, value in values.items() if not abs(value) < 1e6]
    if not 0 < close < math.inf:
        wrong.append(f"close is {close}")
    if values["atr_14_share"] < 1e-9:  # finer than any venue's prices
        wrong.append(f"atr_14_share is {values['atr_14_share']:.2g}: nothing moves")
    return tuple(f"no signal: {fault}" for fault in wrong)


def _trend(values: Mapping[str, float]) -> float:
    alignment = _alignment(values)
    movement = values["plus_di_14"] + values["minus_di_14"]
    direction = (values["plus_di_14"] - values["minus_di_14"]) / movement if movement > 0 else 0.0
    momentum = values["macd_histogram"] / (0.25 * values["atr_14_share"])
    score = (
        0.40 * alignment
        + 0.30 * _adx_strength(values) * alignment
        + 0.15 * _clip(direction)
        + 0.15 * _clip(momentum)
    )
    return score * _freshness(values["rsi_14"], score)


def _alignment(values: Mapping[str, float]) -> float:
    """1 when EMA 9 > 21 > 50 by an ATR or more each, -1 the other way round, 0 when they contradict."""
    fast = _clip((values["ema_21_ratio"] - values["ema_9_ratio"]) / values["atr_14_share"])
    slow = _clip((values["ema_50_ratio"] - values["ema_21_ratio"]) / values["atr_14_share"])
    return math.copysign(min(abs(fast), abs(slow)), fast) if fast * slow > 0 else 0.0


def _adx_strength(values: Mapping[str, float]) -> float:
    """Wilder reads below 0.2 as no trend; above 0.4 nobody doubts it."""
    return max(_clip((values["adx_14"] - 0.15) / 0.25), 0.0)


def _freshness(rsi: float, score: float) -> float:
    """1 up to an RSI of 0.8 in the trend's direction, falling to 0.75 where no candle moved against it."""
    onward = rsi if score > 0 else 1.0 - rsi
    return 1.0 - 0.25 * max(_clip((onward - 0.8) / 0.2), 0.0)


def _breakout(values: Mapping[str, float], rules: SignalRules) -> float:
    """The close outside its Bollinger band on volume, more so out of a squeeze (Bollinger inside Keltner)."""
    outside = 2.0 * values["bollinger_percent_b"] - 1.0  # -1 and 1 are the bands
    excess = max(_clip((abs(outside) - 1.0) / 0.3), 0.0)
    volume = max(_clip(2.0 * values["volume_ratio"] / rules.breakout_volume_ratio - 1.0), 0.0)
    squeezed = max(_clip((1.0 - values["squeeze_lowest"]) / 0.1), 0.0)
    widened = max(_clip((values["squeeze_ratio"] - values["squeeze_lowest"]) / 0.25), 0.0)
    return (1.0 if outside > 0 else -1.0) * excess * volume * (0.6 + 0.4 * squeezed * widened) + 0.0


def _clip(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _trend_reason(values: Mapping[str, float], trend: float) -> str:
    percent = {name: 100 * value for name, value in values.items()}
    return (
        f"trend {trend:+.2f}: EMA 9/21/50 alignment {_alignment(values):+.2f}, ADX {percent['adx_14']:.0f}, "
        f"+DI {percent['plus_di_14']:.0f} against -DI {percent['minus_di_14']:.0f}, "
        f"MACD histogram {percent['macd_histogram']:+.3f} % of the price, RSI {percent['rsi_14']:.0f}"
    )


def _breakout_reason(values: Mapping[str, float], breakout: float, rules: SignalRules) -> str:
    return (
        f"breakout {breakout:+.2f}: %B {values['bollinger_percent_b']:.2f}, "
        f"volume {values['volume_ratio']:.1f} x its mean (confirmed from {rules.breakout_volume_ratio:g}), "
        f"bands / Keltner {values['squeeze_ratio']:.2f}, lowest {values['squeeze_lowest']:.2f} (< 1: squeeze)"
    )

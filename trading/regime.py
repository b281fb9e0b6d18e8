"""What kind of market it is: trend strength, volatility percentile and correlation, weighed against each other.

Every part is continuous, and each row is judged by itself, so nothing later can enter. With the ramp
R(x, a, b) = (x - a) / (b - a), cut to 0..1:

    side       = 0.5 cut((+DI - -DI) / max(+DI + -DI, 0.05) / 0.3) + 0.5 cut(alignment / 0.65)     to -1..1
    trend      = R(ADX, 0.10, 0.30) x side                     -1..1
    shared     = 0.75 + 0.25 max(correlation with BTC, 0)      1 while that is unknown
    turbulence = R(volatility percentile, 0.60, 0.95) x shared
    calm       = R(volatility percentile, 0.40, 0.05)
    score      = trend x (1 - turbulence / 2)                  -1..1

and the five weights, which sum to 1:

    trending up = max(score, 0)          trending down = max(-score, 0)          rest = 1 - abs(score)
    volatile = rest x turbulence         quiet = rest x calm         ranging = rest x (1 - turbulence - calm)

Volatility that a pair shares with BTC counts in full: correlations rise when the whole market is under stress
(Longin and Solnik 2001, "Extreme Correlation of International Equity Markets"), a lone pair's settles sooner.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]

# What a judgement needs, with the range that each keeps to.
NEEDED = {
    "adx_14": (0.0, 1.0),
    "plus_di_14": (0.0, 1.0),
    "minus_di_14": (0.0, 1.0),
    "timeframe_alignment": (-1.0, 1.0),
    "volatility_percentile": (0.0, 1.0),
}
CORRELATION = "btc_correlation"  # -1..1; NaN or absent: unknown, and the weights are formed without it

_SLACK = 1e-9  # rounding may carry a share this far over its edge


class RegimeKind(StrEnum):
    TRENDING_UP = "trending up"
    TRENDING_DOWN = "trending down"
    RANGING = "ranging"
    VOLATILE = "volatile"
    QUIET = "quiet"

    @property
    def column(self) -> str:
        return f"regime_{self.value.replace(' ', '_')}"


REGIME_COLUMNS = ("regime_score", *(kind.column for kind in RegimeKind))


@dataclass(frozen=True, slots=True)
class Regime:
    """`kind` has the largest weight, the first of RegimeKind among equals.

    When an input is missing or impossible, kind and score are None and there are no weights.
    """

    kind: RegimeKind | None
    score: float | None  # -1 (trending down) .. 1 (trending up)
    weights: dict[RegimeKind, float]  # 0..1 each, together 1
    reasons: tuple[str, ...]


def regime_columns(values: Mapping[str, Array]) -> dict[str, Array]:
    """REGIME_COLUMNS, (n,) each, from (n,) arrays of every NEEDED name and, where known, of CORRELATION.

    NaN throughout a row whose inputs are missing or impossible. InvalidValue names an input that is not there.
    """
    if absent := [name for name in NEEDED if name not in values]:
        raise InvalidValue(f"a regime takes {', '.join(NEEDED)}: {', '.join(absent)} is missing")
    known = {name: np.asarray(values[name], dtype=np.float64) for name in NEEDED}
    correlation = values.get(CORRELATION)
    both = (
        np.full_like(known["adx_14"], np.nan) if correlation is None else np.asarray(correlation, np.float64)
    )
    usable = np.isnan(both) | _within(both, -1.0, 1.0)
    for name, (lowest, highest) in NEEDED.items():
        usable &= _within(known[name], lowest, highest)
    columns = _columns({name: np.where(usable, array, np.nan) for name, array in known.items()}, both)
    return {name: np.where(usable, column, np.nan) for name, column in columns.items()}


def regime(row: Mapping[str, float | None]) -> Regime:
    """The regime of one feature row, by the formulas of `regime_columns`; extra names are ignored."""
    values = {name: _number(row, name) for name in (*NEEDED, CORRELATION)}
    if faults := _faults(values):
        return Regime(None, None, {}, faults)
    columns = regime_columns({name: np.array([value]) for name, value in values.items()})
    weights = {kind: float(columns[kind.column][0]) for kind in RegimeKind}
    kind = max(weights, key=lambda each: weights[each])
    score = float(columns["regime_score"][0])
    return Regime(kind, score, weights, (*_reasons(values, score), _verdict(kind, weights)))


def _columns(values: Mapping[str, Array], correlation: Array) -> dict[str, Array]:
    percentile = values["volatility_percentile"]
    shared = np.where(np.isnan(correlation), 1.0, 0.75 + 0.25 * np.clip(correlation, 0.0, 1.0))
    turbulence = _ramp(percentile, 0.60, 0.95) * shared
    calm = _ramp(percentile, 0.40, 0.05)
    score = _ramp(values["adx_14"], 0.10, 0.30) * _side(values) * (1.0 - turbulence / 2)
    rest = 1.0 - np.abs(score)
    return {
        "regime_score": score + 0.0,  # no minus zero
        RegimeKind.TRENDING_UP.column: np.maximum(score, 0.0),
        RegimeKind.TRENDING_DOWN.column: np.maximum(-score, 0.0) + 0.0,
        RegimeKind.RANGING.column: rest * (1.0 - turbulence - calm),
        RegimeKind.VOLATILE.column: rest * turbulence,
        RegimeKind.QUIET.column: rest * calm,
    }


def _side(values: Mapping[str, Array]) -> Array:
    """-1..1. Directional movement below a twentieth of the range is none, so that it fades rather than jumps."""
    plus, minus = values["plus_di_14"], values["minus_di_14"]
    direction = (plus - minus) / np.maximum(plus + minus, 0.05) / 0.3
    alignment = values["timeframe_alignment"] / 0.65  # a mean over timeframes: all of them rarely go one way
    return np.asarray(0.5 * np.clip(direction, -1.0, 1.0) + 0.5 * np.clip(alignment, -1.0, 1.0))


def _ramp(values: Array, nothing: float, full: float) -> Array:
    return np.clip((values - nothing) / (full - nothing), 0.0, 1.0)


def _within(values: Array, lowest: float, highest: float) -> npt.NDArray[np.bool_]:
    return (values >= lowest - _SLACK) & (values <= highest + _SLACK)


def _number(row: Mapping[str, float | None], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _faults(values: Mapping[str, float]) -> tuple[str, ...]:
    ranges = dict(NEEDED)
    if not math.isnan(values[CORRELATION]):
        ranges[CORRELATION] = (-1.0, 1.0)
    return tuple(
        f"no regime: {name} is {values[name]}, allowed is {lowest:g} to {highest:g}"
        for name, (lowest, highest) in ranges.items()
        if not lowest - _SLACK <= values[name] <= highest + _SLACK
    )


def _reasons(values: Mapping[str, float], score: float) -> tuple[str, ...]:
    correlation = values[CORRELATION]
    known = "is unknown" if math.isnan(correlation) else f"{correlation:+.2f}"
    return (
        f"score {score:+.2f}: ADX {100 * values['adx_14']:.0f}, +DI {100 * values['plus_di_14']:.0f} against "
        f"-DI {100 * values['minus_di_14']:.0f}, timeframe alignment {values['timeframe_alignment']:+.2f}",
        f"volatility percentile {100 * values['volatility_percentile']:.0f}",
        f"correlation with BTC {known}",
    )


def _verdict(kind: RegimeKind, weights: Mapping[RegimeKind, float]) -> str:
    others = ", ".join(f"{other} {weight:.2f}" for other, weight in weights.items() if other is not kind)
    return f"{kind} {weights[kind]:.2f}: {others}"

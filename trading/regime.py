"""The regime of a market: trend strength, volatility percentile and correlation, weighed against each other.

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
from trading.regime_weights import weigh, weigh_rows

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
_RANGES = NEEDED | {CORRELATION: (-1.0, 1.0)}
_WITHIN = {name: (lowest - _SLACK, highest + _SLACK) for name, (lowest, highest) in _RANGES.items()}
_UNKNOWN = (math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
_LOWEST, _HIGHEST = np.array(list(_WITHIN.values())).T.copy()


class RegimeKind(StrEnum):
    """A kind of market."""

    TRENDING_UP = "trending up"
    TRENDING_DOWN = "trending down"
    RANGING = "ranging"
    VOLATILE = "volatile"
    QUIET = "quiet"

    @property
    def column(self) -> str:
        """Return the name of its weight in the feature table."""
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
    """Return REGIME_COLUMNS, (n,) each, from (n,) arrays of every NEEDED name and, where known, of CORRELATION.

    NaN throughout a row whose inputs are missing or impossible. InvalidValue names an input that is not there.
    """
    if absent := [name for name in NEEDED if name not in values]:
        raise InvalidValue(f"a regime takes {', '.join(NEEDED)}: {', '.join(absent)} is missing")
    inputs = [np.asarray(values[name], dtype=np.float64) for name in NEEDED]
    correlation = values.get(CORRELATION)
    inputs.append(
        np.full_like(inputs[0], np.nan) if correlation is None else np.asarray(correlation, np.float64)
    )
    return dict(zip(REGIME_COLUMNS, weigh_rows(tuple(inputs), _LOWEST, _HIGHEST), strict=True))


def regime_numbers(row: Mapping[str, float | None]) -> dict[str, float]:
    """Return REGIME_COLUMNS of one row, the same to the last digit as in `regime_columns`."""
    values = {name: _number(row, name) for name in _RANGES}
    impossible = any(_is_impossible(name, value) for name, value in values.items())
    weights = _UNKNOWN if impossible else weigh(*values.values())
    return dict(zip(REGIME_COLUMNS, weights, strict=True))


def regime(row: Mapping[str, float | None]) -> Regime:
    """Judge one feature row, by the formulas of `regime_columns`; extra names are ignored."""
    values = {name: _number(row, name) for name in _RANGES}
    if faults := _faults(values):
        return Regime(None, None, {}, faults)
    score, *rest = weigh(*values.values())
    weights = dict(zip(RegimeKind, rest, strict=True))
    kind = max(weights, key=lambda each: weights[each])
    return Regime(kind, score, weights, (*_reasons(values, score), _describe(kind, weights)))


def _number(row: Mapping[str, float | None], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _faults(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(
        "no regime: {} is {}, allowed is {:g} to {:g}".format(name, value, *_RANGES[name])
        for name, value in values.items()
        if _is_impossible(name, value)
    )


def _is_impossible(name: str, value: float) -> bool:
    """NaN is impossible; as a correlation it is unknown and stays out of the weights."""
    lowest, highest = _WITHIN[name]
    return not lowest <= value <= highest and not (name == CORRELATION and value != value)


def _reasons(values: Mapping[str, float], score: float) -> tuple[str, ...]:
    correlation = values[CORRELATION]
    known = "is unknown" if math.isnan(correlation) else f"{correlation:+.2f}"
    return (
        f"score {score:+.2f}: ADX {100 * values['adx_14']:.0f}, +DI {100 * values['plus_di_14']:.0f} against "
        f"-DI {100 * values['minus_di_14']:.0f}, timeframe alignment {values['timeframe_alignment']:+.2f}",
        f"volatility percentile {100 * values['volatility_percentile']:.0f}",
        f"correlation with BTC {known}",
    )


def _describe(kind: RegimeKind, weights: Mapping[RegimeKind, float]) -> str:
    others = ", ".join(f"{other} {weight:.2f}" for other, weight in weights.items() if other is not kind)
    return f"{kind} {weights[kind]:.2f}: {others}"

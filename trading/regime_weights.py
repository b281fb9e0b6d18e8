"""The arithmetic of a regime: the weights of one row, and of every row of a table by the same lines, compiled."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled

Array = npt.NDArray[np.float64]
Weights: TypeAlias = tuple[float, float, float, float, float, float]


def weigh(
    adx: float, plus: float, minus: float, alignment: float, percentile: float, correlation: float
) -> Weights:
    """Return the score, then the weights of the five regimes in the order of RegimeKind, as `trading.regime` states.

    Every number is finite and in its range, but for a correlation that is NaN: unknown.
    """
    # Directional movement below a twentieth of the range is none, so that it fades rather than jumps.
    direction = (plus - minus) / max(plus + minus, 0.05) / 0.3
    aligned = alignment / 0.65  # a mean over timeframes: all of them rarely go one way
    side = 0.5 * min(max(direction, -1.0), 1.0) + 0.5 * min(max(aligned, -1.0), 1.0)

    trend = min(max((adx - 0.10) / (0.30 - 0.10), 0.0), 1.0) * side
    shared = 0.75 + 0.25 * min(max(correlation, 0.0), 1.0) if correlation == correlation else 1.0
    turbulence = min(max((percentile - 0.60) / (0.95 - 0.60), 0.0), 1.0) * shared
    calm = min(max((percentile - 0.40) / (0.05 - 0.40), 0.0), 1.0)

    score = trend * (1.0 - turbulence / 2) + 0.0  # no minus zero
    rest = 1.0 - abs(score)
    up, down = max(score, 0.0), max(-score, 0.0) + 0.0
    return score, up, down, rest * (1.0 - turbulence - calm), rest * turbulence, rest * calm


_weigh = compiled(weigh)


@compiled
def weigh_rows(inputs: tuple[Array, ...], lowest: Array, highest: Array) -> Array:
    """Return (6, n) `weigh` of each row; NaN where an input is outside `lowest` to `highest`, (6,) each."""
    adx, plus, minus, alignment, percentile, correlation = inputs
    result = np.empty((6, adx.size))
    score, up, down, ranging, volatile, quiet = result
    for row in range(adx.size):
        # Ands, not conditions: the rows follow no pattern that a branch could be guessed by. NaN fails all.
        usable = (
            ((adx[row] >= lowest[0]) & (adx[row] <= highest[0]))
            & ((plus[row] >= lowest[1]) & (plus[row] <= highest[1]))
            & ((minus[row] >= lowest[2]) & (minus[row] <= highest[2]))
            & ((alignment[row] >= lowest[3]) & (alignment[row] <= highest[3]))
            & ((percentile[row] >= lowest[4]) & (percentile[row] <= highest[4]))
            & (
                ((correlation[row] >= lowest[5]) & (correlation[row] <= highest[5]))
                | (correlation[row] != correlation[row])
            )
        )
        weights = _weigh(adx[row], plus[row], minus[row], alignment[row], percentile[row], correlation[row])
        score[row] = weights[0] if usable else np.nan
        up[row] = weights[1] if usable else np.nan
        down[row] = weights[2] if usable else np.nan
        ranging[row] = weights[3] if usable else np.nan
        volatile[row] = weights[4] if usable else np.nan
        quiet[row] = weights[5] if usable else np.nan
    return result

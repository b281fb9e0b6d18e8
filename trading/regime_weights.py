"""The arithmetic of a regime, on the numbers of one row. The compiled walk over a table compiles these same lines.

Builtins only, and nothing of another module: so it can be compiled as it stands.
"""

from typing import TypeAlias

Weights: TypeAlias = tuple[float, float, float, float, float, float]


def weigh(
    adx: float, plus: float, minus: float, alignment: float, percentile: float, correlation: float
) -> Weights:
    """Score, then the weights of the five regimes in the order of RegimeKind, as `trading.regime` states them.

    Every number finite and in its range, but for a correlation that is NaN: unknown.
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

"""The compiled functions of this room under one roof, none of them loaded before one is asked for.

Numba takes longer to import than all else: only who computes waits for it, and an import inside each formula would
take as long as an average of a thousand candles.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading.indicators.compiled_balance import balance_score
    from trading.indicators.compiled_channels import (
        bands,
        channel_index,
        distance_in_channels,
        release,
        williams,
    )
    from trading.indicators.compiled_choice import largest_row
    from trading.indicators.compiled_ratios import excess, quotient
    from trading.indicators.compiled_steps import (
        accumulation,
        directional_moves,
        directional_shares,
        money_flows,
        signed_volume,
        strength,
    )
    from trading.indicators.higher_trends import efficiency_of_rows, newest_of_closed, trends_of_closed
    from trading.indicators.parabolic_sar import distance_of_period, parabolic_sar
    from trading.indicators.percentile_rank import rank
    from trading.indicators.rolling import deviation, mean, mean_distance, slope
    from trading.indicators.swing_levels import levels

__all__ = [
    "accumulation",
    "balance_score",
    "bands",
    "channel_index",
    "deviation",
    "directional_moves",
    "directional_shares",
    "distance_in_channels",
    "distance_of_period",
    "efficiency_of_rows",
    "excess",
    "largest_row",
    "levels",
    "mean",
    "mean_distance",
    "money_flows",
    "newest_of_closed",
    "parabolic_sar",
    "quotient",
    "rank",
    "release",
    "signed_volume",
    "slope",
    "strength",
    "trends_of_closed",
    "williams",
]

_MODULES = (
    "compiled_balance",
    "compiled_channels",
    "compiled_choice",
    "parabolic_sar",
    "swing_levels",
    "percentile_rank",
    "compiled_ratios",
    "compiled_steps",
    "higher_trends",
    "rolling",
)


def __getattr__(name: str) -> object:
    """Asked once for each name, which is an ordinary one from then on."""
    if name in __all__:
        for module in _MODULES:
            found = vars(import_module(f"trading.indicators.{module}"))
            if name in found:
                return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

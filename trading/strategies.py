"""Plans from decisions: how much a strategy takes, where it protects itself, when it leaves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.backtest.plan import Leaves, Plan
from trading.errors import InvalidValue
from trading.risk.limits import Limits

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What is entered after each candle while the account is flat, (n,) each; distances are shares of the entry."""

    direction: Array  # 1, -1 or 0
    stop: Array  # NaN where there is none
    take_profit: Array
    refused: Flags  # by a risk rule that looks at the market alone


def vote_plan(
    entries: Entries, leaves: Leaves, limits: Limits, *, btc_correlation: Array | None = None
) -> Plan:
    """Plan what was decided candle by candle, sized by the risk rules; `leaves` as `Plan` has it.

    Each entry asks for the exposure at which its stop loses `risk_per_trade`, within the caps on one position, and
    for `correlated_size` of that where `btc_correlation` (n,) is too high or NaN; None for BTC itself. One whose stop
    is further away, or whose reward is smaller, than the limits allow asks for nothing, as risk would refuse it.
    Stops trail at their first distance.
    """
    stop, target = entries.stop, entries.take_profit
    allowed = (stop <= limits.stop_distance) & (target >= limits.reward_risk * stop) & ~entries.refused
    size = exposure(stop, limits) * _correlated_share(btc_correlation, limits)
    return Plan(
        target=np.where(allowed & (entries.direction != 0), entries.direction * size, np.nan),
        stop=stop,
        take_profit=target,
        trailing=stop,
        leaves=leaves,
    )


def exposure(stop: Array, limits: Limits) -> Array:
    """Return the share of equity at which this stop loses `risk_per_trade`, within the caps on one position."""
    with np.errstate(divide="ignore", invalid="ignore"):
        by_risk = limits.risk_per_trade / stop
    return np.minimum(by_risk, min(limits.position_cap, limits.asset_cap, limits.total_exposure))


def _correlated_share(correlation: Array | None, limits: Limits) -> Array | float:
    """Return the share of the usual size; as in the risk rules, an unknown correlation counts as high."""
    if correlation is None:
        return 1.0
    return np.where(np.abs(correlation) <= limits.correlated_above, 1.0, limits.correlated_size)


def hold_plan(candles: int) -> Plan:
    """Plan to buy everything at the first chance and keep it."""
    if candles < 1:
        raise InvalidValue("no candles: nothing can be held")
    target = np.full(candles, np.nan)
    target[0] = 1.0
    return Plan(target)


def exposure_plan(exposures: Array) -> Plan:
    """Follow exposures decided candle by candle, as a policy gives them: flat or fully invested, no protection."""
    return Plan(exposures)

"""Plans from signals: how much a strategy takes, where it protects itself, when it leaves."""

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.backtest.plan import Plan
from trading.errors import InvalidValue
from trading.risk.limits import Limits

Array = npt.NDArray[np.float64]


def technical_plan(
    signals: pl.DataFrame, limits: Limits, *, shorts: bool, btc_correlation: Array | None = None
) -> Plan:
    """Plan the technical agent alone, sized by the risk rules, from `trading.signals.signal_table`.

    Each signal asks for the exposure at which its stop loses `risk_per_trade`, within the caps on one position,
    and for `correlated_size` of that where `btc_correlation` (n,) is too high or NaN; None for BTC itself. A signal
    for an open position changes nothing, nor does no signal; a short signal closes a position unless `shorts`.
    A signal whose stop is further away, or whose reward is smaller, than the limits allow asks for nothing, as
    risk would refuse it. Stops trail at their first distance.
    """
    direction = signals["direction"].to_numpy().astype(np.float64)
    stop = _column(signals, "stop_distance")
    target = _column(signals, "target_distance")
    size = exposure(stop, limits) * _correlated_share(btc_correlation, limits)
    allowed = (stop <= limits.stop_distance) & (target >= limits.reward_risk * stop)
    wanted = np.where(direction > 0, size, -size if shorts else 0.0)
    opens = (direction > 0) | ((direction < 0) & shorts)
    decided = np.where(direction == 0, np.nan, wanted)
    return Plan(
        target=np.where(opens & ~allowed, np.nan, decided),
        stop=stop,
        take_profit=target,
        trailing=stop,
        by_side=True,
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


def _column(signals: pl.DataFrame, name: str) -> Array:
    return signals[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()

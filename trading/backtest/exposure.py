"""Target exposures through a market, all candles at once: learning steps through them and is evaluated by them.

A decision after the close of candle i executes at the open of candle i + 1, the next one that exists, and
holds until the open of candle i + 2; the last one is marked at the last close. Exposure is the share of
equity that is in the base currency, from 0 (flat) to 1 (all of it).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue
from trading.fills import Costs, cost_share, price_factor, traded_value

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HoldingPeriod:
    """The effect of one holding period, each (n,); `traded` and `fee` are shares of the equity before it."""

    growth: Array  # equity after it / equity before it
    held: Array  # exposure at its end, moved by the price
    traded: Array  # value that changed hands, at the reference price
    fee: Array  # the taker fee alone, without the price concession


@dataclass(frozen=True, slots=True, eq=False)
class ExposureResult:
    """The result of following exposures. Equity is in units of the opening equity, at each close; `fees` likewise.

    `turnover` is the traded value in multiples of the equity at the time. A trade is a position from flat to flat,
    as in `run`; one that is open at the end counts.
    """

    equity: Array  # (n,), starts at 1.0
    growth: Array  # (n - 1,), equity[i + 1] / equity[i] before rounding
    orders: int
    trades: int
    turnover: float
    fees: float


def step(held: Array, target: Array, price: Array, next_price: Array, costs: Costs) -> HoldingPeriod:
    """Trade from `held` to `target` at `price`, then hold until `next_price`; all of shape (n,), unchecked.

    The target is reached after costs: a purchase pays them from the cash that is left, so 0 to 1 spends all
    of it. A target between 0 and 1 is restored at every step.
    """
    sign = np.sign(target - held)
    paid = price_factor(sign, costs.half_spread, costs.slippage)
    lost = cost_share(sign, paid, costs.taker_fee)
    traded = traded_value(1.0, held, target, sign, lost)
    asset = target * (next_price / price)
    moved = (1.0 - target) + asset  # in this order: exactly the price ratio for 1, exactly 1 for 0
    return HoldingPeriod(
        (1.0 - traded * lost) * moved, asset / moved, traded, traded * paid * costs.taker_fee
    )


def holding_prices(opens: Array, closes: Array) -> tuple[Array, Array]:
    """Return the price at start and end of the holding period of each decision but the last, both (n - 1,)."""
    _check_prices(opens, closes)
    marks = np.append(opens, closes[-1])
    return marks[1:-1], marks[2:]


def run_exposures(exposures: Array, opens: Array, closes: Array, costs: Costs) -> ExposureResult:
    """Follow `exposures` (n,), decided at each candle's close, from flat; the last one is never executed.

    Raises InvalidValue for an exposure outside 0..1 or a price that is not a positive number.
    """
    _check_exposures(exposures, opens)
    price, next_price = holding_prices(opens, closes)
    targets = exposures[:-1]
    # A step's closing exposure does not depend on its opening one, so no step has to wait for the one before.
    closing = step(targets, targets, price, next_price, costs).held
    steps = step(np.append(0.0, closing)[:-1], targets, price, next_price, costs)
    equity = np.cumprod(np.append(1.0, steps.growth))
    return ExposureResult(
        equity=equity,
        growth=steps.growth,
        orders=int(np.count_nonzero(steps.traded)),
        trades=int(np.count_nonzero((targets > 0) & (np.append(0.0, targets)[:-1] == 0))),
        turnover=float(steps.traded.sum()),
        fees=float((equity[:-1] * steps.fee).sum()),
    )


def _check_prices(opens: Array, closes: Array) -> None:
    if opens.ndim != 1 or opens.shape != closes.shape or not opens.size:
        raise InvalidValue(
            f"opens {opens.shape} and closes {closes.shape} must have one row per candle, at least one"
        )
    for name, prices in (("open", opens), ("close", closes)):
        impossible = ~(np.isfinite(prices) & (prices > 0))
        if impossible.any():
            row = int(impossible.argmax())
            raise InvalidValue(
                f"{name} of candle {row} is {prices[row]}: allowed are finite prices above zero"
            )


def _check_exposures(exposures: Array, opens: Array) -> None:
    if exposures.shape != opens.shape:
        raise InvalidValue(f"exposures {exposures.shape} must have one entry per candle {opens.shape}")
    impossible = ~((exposures >= 0) & (exposures <= 1))
    if impossible.any():
        row = int(impossible.argmax())
        raise InvalidValue(
            f"exposure after candle {row} is {exposures[row]}: allowed is 0 (flat) to 1 (long)"
        )

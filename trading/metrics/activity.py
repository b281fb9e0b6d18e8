"""Metrics of closed trades, turnover and exposure. None where there is nothing to divide by.

`pnls` (n,) is what each closed trade gained or lost after costs, all in one unit: shares of the opening
equity or one currency.
"""

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue
from trading.metrics import formulas
from trading.metrics.checks import Array, checked_equity, checked_numbers
from trading.metrics.formulas import finite_or_none


def hit_rate(pnls: npt.ArrayLike) -> float | None:
    """Return the share of trades that gained; one that came out even is no hit. None without trades.

    TradeStation's performance report, percent profitable.
    """
    return finite_or_none(formulas.hit_rate(_pnls(pnls)))


def profit_factor(pnls: npt.ArrayLike) -> float | None:
    """Return the sum of all gains over the sum of all losses. None when no trade lost.

    TradeStation's performance report, gross profit over gross loss.
    """
    return finite_or_none(formulas.profit_factor(_pnls(pnls)))


def expectancy(pnls: npt.ArrayLike) -> float | None:
    """Return the mean of all trades, in the unit of `pnls`. None without trades.

    Tharp (2006), Trade Your Way to Financial Freedom, where it is divided by the mean risk as well.
    """
    return finite_or_none(formulas.mean(_pnls(pnls)))


def average_win(pnls: npt.ArrayLike) -> float | None:
    """Return the mean of the trades that gained, in the unit of `pnls`; None when there is none. A plain mean."""
    return finite_or_none(formulas.average_win(_pnls(pnls)))


def average_loss(pnls: npt.ArrayLike) -> float | None:
    """Return the mean size, above zero, of the trades that lost, in the unit of `pnls`; None when there is none."""
    return finite_or_none(formulas.average_loss(_pnls(pnls)))


def turnover(traded: npt.ArrayLike, equity: npt.ArrayLike) -> float:
    """Return the value traded on both sides, in multiples of the equity at the time, over the whole curve.

    Not per year. `traded` (n,) is the value that changed hands in each candle, `equity` (n,) the account's value
    then, in the same unit. Grinold and Kahn (1999), Active Portfolio Management, count one side: half of this.
    Raises InvalidValue for a trade of a ruined account.
    """
    values, worth = checked_numbers("traded", traded), checked_equity(equity)
    if values.shape != worth.shape:
        raise InvalidValue(f"traded {values.shape} and equity {worth.shape} must have one row per candle")
    impossible = (values < 0) | ((values > 0) & (worth == 0))
    if impossible.any():
        row = int(impossible.argmax())
        raise InvalidValue(
            f"traded of row {row} is {values[row]} of an equity of {worth[row]}: allowed is 0 or more"
        )
    return float(np.divide(values, worth, out=np.zeros_like(values), where=worth > 0).sum())


def exposure(exposures: npt.ArrayLike) -> float | None:
    """Return the mean size of the position, long or short, as a share of equity (1 = all of it). None without candles.

    Gross exposure of CFA Institute, GIPS (2020), averaged over candles.
    """
    return finite_or_none(formulas.mean(np.abs(checked_numbers("exposures", exposures))))


def _pnls(pnls: npt.ArrayLike) -> Array:
    return checked_numbers("pnls", pnls)

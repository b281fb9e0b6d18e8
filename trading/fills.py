"""Price, costs and size of what is filled. One definition for environment, back-test and paper venue.

The functions are plain arithmetic, on floats and on arrays alike; the back-test kernel compiles these same lines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Amount = TypeVar("Amount", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of trading, as shares of the price (0.004 = 0.40 %)."""

    taker_fee: float
    half_spread: float
    slippage: float

    def __post_init__(self) -> None:
        for name in ("taker_fee", "half_spread", "slippage"):
            if not 0 <= getattr(self, name) < 0.1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is a share from 0 to 0.1")

    def times(self, multiple: float) -> "Costs":
        """Return every cost so many times as large."""
        return Costs(multiple * self.taker_fee, multiple * self.half_spread, multiple * self.slippage)

    @property
    def per_side(self) -> float:
        """Share of the traded value that one fill costs, fee, half spread and slippage together."""
        return self.taker_fee + self.half_spread + self.slippage


@dataclass(frozen=True, slots=True)
class Liquidity:
    """How much of an order one candle fills: at most a share of what the candle before it has traded.

    That volume is known when the candle opens, its own is not. After a candle without volume nothing is filled.
    """

    participation: float  # 0.1 = 10 %; 0: no limit

    def __post_init__(self) -> None:
        if not 0 <= self.participation <= 1:
            raise InvalidValue(
                f"participation is {self.participation}: allowed is a share from 0 (no limit) to 1"
            )

    @property
    def is_limited(self) -> bool:
        return self.participation > 0

    def capacity(self, volume: float) -> float:
        """Return what may be filled, in base currency, after a candle of that volume."""
        return self.participation * volume if self.is_limited else math.inf


@dataclass(frozen=True, slots=True)
class VenueFees:
    """What a venue charges from 00:00 UTC of a day on, as shares of the traded value."""

    valid_from: date
    taker: Decimal
    maker: Decimal


def fees_at(table: Sequence[VenueFees], time: datetime) -> VenueFees:
    """Return the fees in force; `table` rises by day, and its first row holds for all the time before too."""
    begun = [row for row in table if row.valid_from <= time.astimezone(UTC).date()]
    return begun[-1] if begun else table[0]


def execution_price(reference: Amount, sign: Amount, costs: Costs) -> Amount:
    """Price what is paid (sign +1) or received (sign -1) at the venue's price `reference`: always the worse side."""
    return reference * price_factor(sign, costs.half_spread, costs.slippage)


def price_factor(sign: Amount, half_spread: float, slippage: float) -> Amount:
    """Return the execution price per unit of the venue's price."""
    return 1.0 + sign * (half_spread + slippage)


def cost_share(sign: Amount, factor: Amount, taker_fee: float) -> Amount:
    """Return what a fill at this `price_factor` loses per unit of value at the venue's price, fee included."""
    return sign * (factor * (1.0 + sign * taker_fee) - 1.0)


def traded_value(equity: float, position_value: Amount, target: Amount, sign: Amount, lost: Amount) -> Amount:
    """Return the value to trade at the reference price so that `target` of equity is in the position *after* costs.

    `position_value` is that before the order, `sign` the side of the order, `lost` its `cost_share`. A purchase
    pays its costs from the cash that is left, so going from 0 to 1 spends all of it.
    """
    return abs(target * equity - position_value) / (1.0 + sign * target * lost)

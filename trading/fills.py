"""What a market order pays. One definition for environment, back-test and paper venue."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Amount = TypeVar("Amount", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Costs:
    """Shares of the price (0.0026 = 0.26 %)."""

    taker_fee: float
    half_spread: float
    slippage: float

    def __post_init__(self) -> None:
        for name in ("taker_fee", "half_spread", "slippage"):
            if not 0 <= getattr(self, name) < 0.1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is a share from 0 to 0.1")

    @property
    def per_side(self) -> float:
        """Share of the traded value that one fill costs, fee and price concession together."""
        return self.taker_fee + self.half_spread + self.slippage


def execution_price(reference: Amount, sign: Amount, costs: Costs) -> Amount:
    """Price paid (sign +1) or received (sign -1) when the venue's price is `reference`: always the worse side."""
    return reference * (1.0 + sign * (costs.half_spread + costs.slippage))

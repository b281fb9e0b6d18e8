"""Log returns of a fold, day by day: what the promotion gate tests for skill."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DailyReturns:
    """Log returns per UTC day. A day without a candle is no row: its return is part of the next day's."""

    days: tuple[date, ...]
    policy: tuple[float, ...]  # after costs
    market: tuple[float, ...]  # of the price over exactly the same time, without costs

    def __post_init__(self) -> None:
        if not len(self.days) == len(self.policy) == len(self.market):
            raise InvalidValue(
                f"{len(self.days)} days, {len(self.policy)} returns of the policy and {len(self.market)} of the "
                "market: one of each per day is needed"
            )

    @classmethod
    def of(cls, open_times: pl.Series, policy: Array, market: Array) -> "DailyReturns":
        """Compute them from two equity curves that start at 1.0 and have one value per candle, oldest first."""
        days = open_times.to_numpy().astype("datetime64[D]")
        last_candles = np.append(np.flatnonzero(days[1:] != days[:-1]), len(days) - 1)
        returns = [np.diff(np.log(curve[last_candles]), prepend=0.0).tolist() for curve in (policy, market)]
        return cls(tuple(days[last_candles].tolist()), tuple(returns[0]), tuple(returns[1]))

    def as_json(self) -> dict[str, Any]:
        return {
            "days": [day.isoformat() for day in self.days],
            "policy": list(self.policy),
            "market": list(self.market),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DailyReturns":
        days = tuple(date.fromisoformat(day) for day in values["days"])
        return cls(days, tuple(values["policy"]), tuple(values["market"]))

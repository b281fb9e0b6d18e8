"""The rows that a policy is trained on: the months before its test month, less an embargo between the two."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from trading.errors import InvalidValue, NotStored
from trading.market import Timeframe, month_start, next_month


@dataclass(frozen=True, slots=True)
class Fold:
    """Training rows open at `start` or later and close at `end` or before; testing is the whole test month.

    The embargo is the time between `end` and the test month: neither trained on nor tested on.
    """

    test_month: date
    training_months: tuple[date, ...]
    start: datetime
    end: datetime

    def training_rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Select the training rows of a table with open_time and close_time, oldest first."""
        inside = (pl.col("open_time") >= self.start) & (pl.col("close_time") <= self.end)
        return table.filter(inside).sort("open_time")

    def test_rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Select the rows that open in the test month, oldest first."""
        return rows_of_month(table, self.test_month)

    def as_json(self) -> dict[str, Any]:
        return {
            "test_month": self.test_month.isoformat(),
            "training_months": [month.isoformat() for month in self.training_months],
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Fold":
        return cls(
            date.fromisoformat(values["test_month"]),
            tuple(date.fromisoformat(month) for month in values["training_months"]),
            datetime.fromisoformat(values["start"]),
            datetime.fromisoformat(values["end"]),
        )


def rows_of_month(table: pl.DataFrame, month: date) -> pl.DataFrame:
    """Select the rows of a table with open_time that open in the UTC month, oldest first."""
    start, end = month_start(month), month_start(next_month(month))
    return table.filter((pl.col("open_time") >= start) & (pl.col("open_time") < end)).sort("open_time")


def build_fold(
    test_month: date, months: Collection[date], train_months: int, embargo_candles: int, timeframe: Timeframe
) -> Fold:
    """Build the fold that tests on `test_month` out of the stored `months`.

    Raises NotStored when one of the `train_months` before it is not stored, InvalidValue when the embargo
    leaves nothing of them.
    """
    training = _months_before(test_month, train_months)
    if missing := [month for month in training if month not in months]:
        raise NotStored(
            f"testing on {test_month:%Y-%m} needs the {train_months} months before it; missing: "
            + ", ".join(f"{month:%Y-%m}" for month in missing)
        )
    start, end = month_start(training[0]), month_start(test_month) - embargo_candles * timeframe.duration
    if end <= start:
        raise InvalidValue(
            f"embargo_candles is {embargo_candles}: that leaves nothing of {train_months} months"
        )
    return Fold(test_month.replace(day=1), tuple(training), start, end)


def testable_months(months: Collection[date], train_months: int) -> list[date]:
    """List the stored months whose training months are all stored too, ascending."""
    stored = set(months)
    return [month for month in sorted(stored) if stored.issuperset(_months_before(month, train_months))]


def _months_before(month: date, count: int) -> list[date]:
    """List the `count` months before `month`, ascending."""
    before: list[date] = []
    first = month.replace(day=1)
    for _ in range(count):
        first = (first - timedelta(days=1)).replace(day=1)
        before.append(first)
    return before[::-1]

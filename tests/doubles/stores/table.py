"""A table of months in memory."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading.errors import NotStored
from trading.market import Pair
from trading.stores.partitions import check_month, check_partition, concat_months


class MemoryTable:
    """`schema` None: any columns beside open_time and close_time, the same in all months."""

    def __init__(self, schema: pl.Schema | None) -> None:
        self._schema = schema
        self._months: dict[tuple[Pair, date], pl.DataFrame] = {}

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        check_partition(pair, month, table, self._schema)
        self._months[pair, month] = table.clone()

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        check_month(month)
        try:
            return self._months[pair, month].clone()
        except KeyError:
            raise NotStored(f"{pair} {month:%Y-%m} is not stored: write that month first") from None

    def months(self, pair: Pair) -> list[date]:
        return sorted(month for each, month in self._months if each == pair)

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        rows = self._all(pair).filter(pl.col("open_time") >= start, pl.col("open_time") < end)
        return rows if columns is None else rows.select(columns)

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        return self._all(pair).filter(pl.col("close_time") <= until).tail(rows)

    def _all(self, pair: Pair) -> pl.DataFrame:
        months = [self._months[pair, month] for month in self.months(pair)]
        if not months:
            raise NotStored(f"no months of {pair} are stored: write one first")
        return concat_months(months, pair)

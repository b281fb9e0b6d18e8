"""The protocol of stored tables. Times are UTC; months are their first day."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

import polars as pl

from trading.market import Pair


class TableStore(Protocol):
    """One table of rows with `open_time` and `close_time`, cut into pair x month partitions.

    `write` replaces a partition as a whole and is atomic: a reader or a killed writer never leaves half of one.
    """

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        """Replace one month. Every open_time lies in that month and is above the one before (InvalidCandles)."""

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        """Read one month, sorted by open_time. NotStored when it was never written (an empty month was)."""

    def months(self, pair: Pair) -> list[date]:
        """List the months that were written, ascending; empty when none."""

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Read rows with start <= open_time < end, sorted. NotStored when no month of the pair was written.

        `columns`: those that are wanted, all without; an unknown one is no good version of the table.
        """

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        """Read at most `rows` rows, the newest with close_time <= until, sorted. NotStored as above."""

"""A table store that reads the newest candles of a pair once: for one decision, whose time stands still."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading.market import Pair
from trading.ports import TableStore


class RememberedCandles:
    """Remembers what `tail` has read of each pair and time; it is never used for longer than a decision.

    The first reading for the time `at` takes `rows`, so that the windows that follow are parts of it.
    """

    def __init__(self, store: TableStore, at: datetime, rows: int) -> None:
        self._store = store
        self._at = at
        self._rows = rows
        self._tails: dict[tuple[Pair, datetime], tuple[int, pl.DataFrame]] = {}

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        wanted, found = self._tails.get((pair, until), (0, None))
        if found is None or wanted < rows:
            wanted = max(rows, self._rows if until == self._at else 0)
            wanted, found = self._tails[pair, until] = self._read(pair, until, wanted, rows)
        return found.tail(rows)

    def _read(self, pair: Pair, until: datetime, wanted: int, needed: int) -> tuple[int, pl.DataFrame]:
        """Read `wanted` rows, or those that are needed: older ones that are unreadable stop whoever needs them."""
        try:
            return wanted, self._store.tail(pair, until, wanted)
        except Exception:
            if wanted == needed:
                raise
            return needed, self._store.tail(pair, until, needed)

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        self._tails.clear()
        self._store.write(pair, month, table)

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        return self._store.read(pair, month)

    def months(self, pair: Pair) -> list[date]:
        return self._store.months(pair)

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        return self._store.between(pair, start, end, columns)

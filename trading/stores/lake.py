"""Parquet lake: one file per pair and month, written whole or not at all, readable by anything that reads Parquet.

`ohlcv/pair=BTC-USDT/month=2019-01-01/part.parquet`: DuckDB and Polars read pair and month from the folder names
(in Polars scan `ohlcv/**/*.parquet`: a draft may lie beside a part while it is being written).
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from trading.atomic_files import replace_file
from trading.errors import NotStored, UnreadableFile, UnusableHome
from trading.market import EPOCH, Pair, month_of
from trading.polars_errors import panics_as_errors
from trading.sealed_parquet import scan_sealed, sealed_parquet
from trading.stores.partitions import check_month, check_partition, concat_months

PART, MONTH = "part.parquet", "month="
REMEMBERED_PARTS = 12  # months that were read last by `tail`: those of a few pairs
SECOND_NS = 1_000_000_000
SETTLED_NS = SECOND_NS // 20  # above a file system's tick
MICROSECOND = timedelta(microseconds=1)


def place_of(part: Path) -> str:
    """Name the table, pair and month of a part: its seal holds for them, wherever the lake itself is moved to."""
    return "/".join(part.parts[-4:-1])


class LakeTable:
    """A table below `root`. `schema` None: any columns beside open_time and close_time, the same in all months."""

    def __init__(self, root: Path, schema: pl.Schema | None) -> None:
        self._root = root
        self._schema = schema
        self._remembered: dict[Path, tuple[tuple[int, ...], pl.DataFrame]] = {}

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        check_partition(pair, month, table, self._schema)
        part = self._part(pair, month)
        replace_file(part, sealed_parquet(table, place_of(part)))

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        check_month(month)
        return self._rows(pair, month)

    def months(self, pair: Pair) -> list[date]:
        folder = str(self._root / f"pair={pair.key}")
        try:
            names = [each for each in os.listdir(folder) if each.startswith(MONTH)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        stored = (each for each in names if os.path.exists(os.path.join(folder, each, PART)))
        return sorted(date.fromisoformat(each.removeprefix(MONTH)) for each in stored)

    def between(
        self, pair: Pair, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        months = self._stored_months(pair)
        needed = [month for month in months if month_of(start) <= month <= month_of(end)]
        inside = (pl.col("open_time") >= start) & (pl.col("open_time") < end)
        # Digests and decoding release the interpreter's lock.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            pieces = list(threads.map(lambda month: self._rows(pair, month, inside, columns), needed))
        return concat_months(pieces, pair) if pieces else self._rows(pair, months[-1], pl.lit(False), columns)

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        months = self._stored_months(pair)
        pieces: list[pl.DataFrame] = []
        missing = rows
        for month in reversed([month for month in months if month <= month_of(until)]):
            found = self._remembered_rows(pair, month)
            pieces.insert(0, found.head(_closed_by(found, until)).tail(missing))
            missing -= pieces[0].height
            if missing <= 0:
                break
        return concat_months(pieces, pair) if pieces else self._rows(pair, months[-1], pl.lit(False))

    def _part(self, pair: Pair, month: date) -> Path:
        return self._root / f"pair={pair.key}" / f"{MONTH}{month.isoformat()}" / PART

    def _stored_months(self, pair: Pair) -> list[date]:
        if months := self.months(pair):
            return months
        raise NotStored(f"no months of {pair} in {self._root}: materialise `{self._root.name}` first")

    def _remembered_rows(self, pair: Pair, month: date) -> pl.DataFrame:
        """Read a whole month, once for as long as its file stays what it is.

        A file that was written a moment ago is read again: its times could not tell another write.
        """
        part = self._part(pair, month)
        try:
            found = part.stat()
        except OSError:
            return self._rows(pair, month)
        identity = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        known = self._remembered.pop(part, None)
        rows = known[1] if known and known[0] == identity else self._rows(pair, month)
        counts_seconds = found.st_ctime_ns % SECOND_NS == 0
        if time.time_ns() - found.st_ctime_ns > (2 * SECOND_NS if counts_seconds else SETTLED_NS):
            self._remembered[part] = identity, rows  # last: the one used longest ago goes first
            if len(self._remembered) > REMEMBERED_PARTS:
                self._remembered.pop(next(iter(self._remembered)), None)
        return rows

    def _rows(
        self,
        pair: Pair,
        month: date,
        only: pl.Expr | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        part = self._part(pair, month)
        try:
            with panics_as_errors():
                scan = scan_sealed(part.read_bytes(), place_of(part))
                rows = scan if only is None else scan.filter(only)
                table = (rows if columns is None else rows.select(columns)).collect()
        except FileNotFoundError:
            raise NotStored(
                f"{pair} {month:%Y-%m} is not in {self._root}: materialise `{self._root.name}` for that month"
            ) from None
        except PermissionError as error:
            raise UnusableHome(f"{part}: cannot read: {error.strerror}; mend the permissions") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._unreadable_error(part, pair, month, str(error)) from None
        if self._schema is not None and columns is None and table.schema != self._schema:
            raise self._unreadable_error(part, pair, month, "its columns are those of another version")
        return table

    def _unreadable_error(self, part: Path, pair: Pair, month: date, why: str) -> UnreadableFile:
        return UnreadableFile(
            f"{part}: {why}; materialise `{self._root.name}` again for {pair.key} {month:%Y-%m}"
        )


def _closed_by(rows: pl.DataFrame, until: datetime) -> int:
    """Return how many of the rows, which lie in time, had closed by then."""
    closes = rows["close_time"].to_physical().to_numpy()  # microseconds; no copy
    return int(np.searchsorted(closes, (until - EPOCH) // MICROSECOND, side="right"))

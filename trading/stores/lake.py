"""Parquet lake: one file per pair and month, written whole or not at all, readable by anything that reads Parquet.

`ohlcv/pair=BTC-USDT/month=2019-01-01/part.parquet`: DuckDB and Polars read pair and month from the folder names
(in Polars scan `ohlcv/**/*.parquet`: a draft may lie beside a part while it is being written).
"""

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import polars as pl

from trading.errors import NotStored, UnreadableFile, UnusableHome
from trading.market import Pair, month_of
from trading.stores.partitions import check_month, check_partition, concat_months

PART = "part.parquet"
DRAFT = "part.partial"


class LakeTable:
    """A table below `root`. `schema` None: any columns beside open_time and close_time, the same in all months."""

    def __init__(self, root: Path, schema: pl.Schema | None) -> None:
        self._root = root
        self._schema = schema

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        check_partition(pair, month, table, self._schema)
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd")
        part = self._part(pair, month)
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with _lock_folder(part.parent) as folder:
                _replace_part(part, buffer.getbuffer())
                os.fsync(folder)
        except OSError as error:
            raise UnusableHome(
                f"{part.parent}: cannot write: {error.strerror}; the month before is unchanged. Free disk space, "
                "mend the permissions, or choose another folder with MARKETLOOM_HOME"
            ) from error

    def read(self, pair: Pair, month: date) -> pl.DataFrame:
        check_month(month)
        return self._rows(pair, month)

    def months(self, pair: Pair) -> list[date]:
        parts = (self._root / f"pair={pair.key}").glob(f"month=*/{PART}")
        return sorted(date.fromisoformat(part.parent.name.removeprefix("month=")) for part in parts)

    def between(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        months = self._stored_months(pair)
        needed = [month for month in months if month_of(start) <= month <= month_of(end)]
        inside = (pl.col("open_time") >= start) & (pl.col("open_time") < end)
        pieces = [self._rows(pair, month, inside) for month in needed]
        return concat_months(pieces, pair) if pieces else self._rows(pair, months[-1], pl.lit(False))

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        months = self._stored_months(pair)
        closed = pl.col("close_time") <= until
        pieces: list[pl.DataFrame] = []
        missing = rows
        for month in reversed([month for month in months if month <= month_of(until)]):
            pieces.insert(0, self._rows(pair, month, closed).tail(missing))
            missing -= pieces[0].height
            if missing <= 0:
                break
        return concat_months(pieces, pair) if pieces else self._rows(pair, months[-1], pl.lit(False))

    def _part(self, pair: Pair, month: date) -> Path:
        return self._root / f"pair={pair.key}" / f"month={month.isoformat()}" / PART

    def _stored_months(self, pair: Pair) -> list[date]:
        if months := self.months(pair):
            return months
        raise NotStored(f"no months of {pair} in {self._root}: materialise `{self._root.name}` first")

    def _rows(self, pair: Pair, month: date, only: pl.Expr | None = None) -> pl.DataFrame:
        part = self._part(pair, month)
        scan = pl.scan_parquet(part, hive_partitioning=False, glob=False)
        try:
            table = (scan if only is None else scan.filter(only)).collect()
        except FileNotFoundError:
            raise NotStored(
                f"{pair} {month:%Y-%m} is not in {self._root}: materialise `{self._root.name}` for that month"
            ) from None
        except PermissionError as error:
            raise UnusableHome(f"{part}: cannot read: {error.strerror}; mend the permissions") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._unreadable_error(part, pair, month, str(error)) from None
        if self._schema is not None and table.schema != self._schema:
            raise self._unreadable_error(part, pair, month, "its columns are those of another version")
        return table

    def _unreadable_error(self, part: Path, pair: Pair, month: date, why: str) -> UnreadableFile:
        return UnreadableFile(
            f"{part}: {why}; materialise `{self._root.name}` again for {pair.key} {month:%Y-%m}"
        )


@contextmanager
def _lock_folder(folder: Path) -> Iterator[int]:
    """Writers of one month wait for each other. The lock ends with its process, so a killed writer blocks nobody."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _replace_part(part: Path, content: memoryview) -> None:
    """Write a draft under a fixed name: the draft of a killed writer is overwritten and never left behind."""
    draft = part.with_name(DRAFT)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, part)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise

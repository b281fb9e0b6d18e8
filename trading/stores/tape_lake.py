"""The tape as Parquet files: `trades/pair=BTC-USDT/day=2026-01-31/<batch>.parquet`.

A batch is one file for each pair and day in it. Many small ones become one file now and then, and all those of a
finished day one `day.parquet`. Until the small ones are removed their rows lie in two files: readers take each row
once.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from trading.atomic_files import DRAFT, lock_folder, replace_files, unusable_when_refused, write_and_rename
from trading.errors import InvalidValue, MarketloomError, UnreadableFile, UnusableHome
from trading.market import Pair, midnight
from trading.polars_errors import panics_as_errors
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_SCHEMAS
from trading.sealed_parquet import scan_sealed, sealed_parquet
from trading.stores.tape_rows import check_rows, each_once, inside, time_column

DAY = timedelta(days=1)
SUFFIX = ".parquet"
WHOLE_DAY, MERGED = "day", "merged-"
# Batches of a day that lie as files of their own: a reader opens no more than these and few merged ones.
MAX_BATCHES = 64
_ATTEMPTS = 20  # of a reader whose files are merged away before it has opened them
_BATCH = re.compile(r"[A-Za-z0-9_-]{1,100}")


class LakeTape:
    """The tape below `root`; any number of readers, a writer for each bus record."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, table: TapeTable, rows: pl.DataFrame, batch: str) -> None:
        check_rows(table, rows)
        if not _BATCH.fullmatch(batch) or batch == WHOLE_DAY or batch.startswith(MERGED):
            raise InvalidValue(
                f"{batch!r} cannot name a batch: use letters, digits, - and _, and neither `{WHOLE_DAY}` nor `{MERGED}`"
            )
        day = pl.col(time_column(table)).dt.date().alias("day")
        parts = {
            self._folder(table, pair, of_day) / f"{batch}{SUFFIX}": part.drop("day")
            for (pair, of_day), part in rows.with_columns(day)
            .partition_by("pair", "day", as_dict=True)
            .items()
        }
        replace_files(
            {
                path: sealed_parquet(self._with_stored(table, path, part), place_of(path))
                for path, part in parts.items()
            }
        )
        for path in parts:
            if len(_batches(path.parent)) >= MAX_BATCHES:
                self._merge(table, path.parent, whole=False)

    def read(self, table: TapeTable, origin: str, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        wanted = [
            folder
            for day, folder in self._days(table, pair.key)
            if start < midnight(day) + DAY and midnight(day) < end
        ]
        only = inside(table, origin, start, end)
        # Reading releases the interpreter's lock.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            pieces = list(threads.map(lambda folder: self._rows(table, folder, only), wanted))
        return each_once(table, pl.concat([TAPE_SCHEMAS[table].to_frame(), *pieces]))

    def rows(self, table: TapeTable, origin: str) -> int:
        own = pl.col("origin") == origin
        counts = (
            scan.filter(own).select(pl.len()).collect().item()
            for folder in self._root.glob(f"{table.value}/pair=*/day=*")
            for scan in [self._scan_unchecked(folder)]
            if scan is not None
        )
        return sum(counts)

    def newest(self, table: TapeTable, origin: str, pair: Pair) -> datetime | None:
        own = pl.col("origin") == origin
        for _, folder in reversed(self._days(table, pair.key)):
            newest = self._rows(table, folder, own)[time_column(table)].max()
            if isinstance(newest, datetime):
                return newest
        return None

    def compact(self, before: datetime) -> None:
        """Compact every folder that can be; the error of the first that cannot is raised then."""
        errors = []
        for table in TapeTable:
            for folder in sorted(self._root.glob(f"{table.value}/pair=*/day=*")):
                finished = midnight(_day_of(folder)) <= before - DAY
                if finished and {path.stem for path in _files(folder)} - {WHOLE_DAY}:
                    try:
                        self._merge(table, folder, whole=True)
                    except MarketloomError as error:
                        errors.append(error)
        if errors:
            raise errors[0]

    def _with_stored(self, table: TapeTable, path: Path, rows: pl.DataFrame) -> pl.DataFrame:
        """Add what a batch of that name brought before: should it come again shorter, none of it is lost meanwhile."""
        try:
            before = _read_part(table, path)
        except (FileNotFoundError, UnreadableFile):  # a damaged one is mended by the batch that comes again
            return rows
        return each_once(table, pl.concat([before, rows]))

    def _merge(self, table: TapeTable, folder: Path, *, whole: bool) -> None:
        """Make one file of the batches, or of everything. Writers of the folder wait; killed anywhere, no row is lost.

        First the new file is there, then the old ones go.
        """
        with unusable_when_refused(folder), lock_folder(folder) as descriptor:
            old = _files(folder) if whole else _batches(folder)
            if not old:
                return
            stem = WHOLE_DAY if whole else f"{MERGED}{old[0].stem}"
            target = folder / f"{stem}{SUFFIX}"
            sources = list(dict.fromkeys([*old, *([target] if target.exists() else [])]))
            rows = pl.concat([_read_part(table, path) for path in sources])
            write_and_rename(target, sealed_parquet(each_once(table, rows), place_of(target)))
            os.fsync(descriptor)
            for path in sources:
                if path != target:
                    path.unlink()
            if whole:  # of writers that were killed before their batch came again under another name
                for draft in folder.glob(f"*{DRAFT}"):
                    draft.unlink()
            os.fsync(descriptor)

    def _folder(self, table: TapeTable, pair: str, day: date) -> Path:
        return self._root / table.value / f"pair={pair}" / f"day={day.isoformat()}"

    def _days(self, table: TapeTable, pair: str) -> list[tuple[date, Path]]:
        found = (self._root / table.value / f"pair={pair}").glob("day=*")
        return sorted((_day_of(folder), folder) for folder in found)

    def _rows(self, table: TapeTable, folder: Path, only: pl.Expr) -> pl.DataFrame:
        """Read the folder's rows, some of them perhaps twice, as it was at one moment."""
        for _ in range(_ATTEMPTS):
            try:
                pieces = [_read_part(table, path, only) for path in _files(folder)]
            except FileNotFoundError:
                continue  # merged into another file meanwhile
            return pl.concat([TAPE_SCHEMAS[table].to_frame(), *pieces])
        raise UnreadableFile(f"{folder}: its files are replaced faster than they can be read; try again")

    def _scan_unchecked(self, folder: Path) -> pl.LazyFrame | None:
        return pl.scan_parquet(files) if (files := _files(folder)) else None


def place_of(path: Path) -> str:
    """Name table, pair, day and batch of a file: its seal holds for them."""
    return "/".join((*path.parts[-4:-1], path.stem))


def _read_part(table: TapeTable, path: Path, only: pl.Expr | None = None) -> pl.DataFrame:
    try:
        with panics_as_errors():
            scan = scan_sealed(path.read_bytes(), place_of(path))
            rows = (scan if only is None else scan.filter(only)).collect()
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise UnusableHome(f"{path}: cannot read: {error.strerror}; mend the permissions") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnreadableFile(
            f"{path}: {error}; restore it from a copy, or delete it: the rest of the tape can be read then, and the "
            "venue's history still has the candles"
        ) from None
    if rows.schema != TAPE_SCHEMAS[table]:
        raise UnreadableFile(f"{path}: its columns are those of another version; move it out of the tape")
    return rows


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _batches(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if path.stem != WHOLE_DAY and not path.stem.startswith(MERGED)]


def _day_of(folder: Path) -> date:
    return date.fromisoformat(folder.name.removeprefix("day="))

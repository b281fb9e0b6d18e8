"""The landing area of imported candles: one series, a Parquet file, per venue, timeframe, pair and file format.

Vendors that publish the same venue rarely agree to the last digit, so formats are stored apart. A pair is read from
its longest series, extended by every series that agrees with it wherever both have a candle; one that does not is left
out.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import polars as pl

from trading.candles import NUMBERS, closed_by, first_quote, opening_between
from trading.errors import InvalidCandles, InvalidValue, NotStored, UnreadableFile
from trading.importers.import_report import ImportedFile
from trading.importers.row_checks import row_text
from trading.market import Pair, Timeframe
from trading.ports import Quote

SUFFIX = ".parquet"
REJECTED = "rejected"  # below the pair: rows that were put aside, as they were, each with its reason


class LandingArea:
    """Files under root/venue/timeframe/pair; adding replaces one series as a whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, imported: ImportedFile) -> None:
        """Merge into the series of the file's format; repeating changes nothing.

        InvalidCandles, changing nothing, for a refused file or an overlap that disagrees with that series.
        """
        report = imported.report
        if report.refused_reason or report.venue is None or report.pair is None or report.timeframe is None:
            raise InvalidCandles(f"{report.path} was refused: {report.refused_reason}")
        folder = _folder(self._root, report.venue, report.timeframe) / report.pair.key
        folder.mkdir(parents=True, exist_ok=True)
        series = folder / f"{_file_name(report.format)}{SUFFIX}"
        with _lock(folder):
            new = imported.candles
            _write(series, _merge(_read(series), new, report.path) if series.exists() else new)
            if imported.rejected.height:
                (folder / REJECTED).mkdir(exist_ok=True)
                _write(folder / REJECTED / f"{report.path.stem}{SUFFIX}", imported.rejected)

    def source(self, venue: str, timeframe: Timeframe, until: datetime | None = None) -> "ImportedCandles":
        """Open what is stored of one venue; candles that close after `until` are hidden."""
        return ImportedCandles(_folder(self._root, venue, timeframe), venue, until)


class ImportedCandles:
    """A CandleSource over imported files. Reads each pair once: later imports need a new source."""

    def __init__(self, folder: Path, venue: str, until: datetime | None) -> None:
        self._folder = folder
        self._venue = venue
        self._until = until
        self._tables: dict[Pair, pl.DataFrame] = {}
        self._disagreeing: dict[Pair, tuple[str, ...]] = {}

    @property
    def origin(self) -> str:
        return self._venue

    def pairs(self) -> tuple[Pair, ...]:
        """List the pairs with a file, in alphabetical order."""
        return tuple(sorted({Pair.parse(file.parent.name) for file in self._folder.glob(f"*/*{SUFFIX}")}))

    def disagreeing_series(self, pair: Pair) -> tuple[str, ...]:
        """Name the series (formats) that disagree with the longest one of the pair and are therefore not read."""
        self._table(pair)
        return self._disagreeing[pair]

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        closed = closed_by(self._table(pair), self._until)
        if closed.is_empty():
            raise NotStored(f"no candle of {pair} on {self._venue} had closed by {self._until}")
        return closed["open_time"][0], closed["close_time"][-1]

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        return closed_by(opening_between(self._table(pair), start, end), self._until)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """Return the first open at or after `time`, also beyond `until`."""
        return first_quote(self._table(pair), time)

    def _table(self, pair: Pair) -> pl.DataFrame:
        if pair not in self._tables:
            all_series = [
                (path.stem, _read(path)) for path in sorted((self._folder / pair.key).glob(f"*{SUFFIX}"))
            ]
            if not all_series:
                raise NotStored(f"no candles of {pair} under {self._folder}: import a file of them first")
            self._tables[pair], self._disagreeing[pair] = _combine(all_series)
        return self._tables[pair]


def _folder(root: Path, venue: str, timeframe: Timeframe) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", venue):
        raise InvalidValue(f"venue {venue!r}: allowed are lower-case letters, digits, - and _")
    return root / venue / timeframe.value


def _file_name(file_format: str | None) -> str:
    return re.sub(r"[^a-z0-9]+", "-", (file_format or "unknown").lower())


def _combine(all_series: Sequence[tuple[str, pl.DataFrame]]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Join the longest series with all that agree with it; return also the names of those that do not."""
    [(_, table), *others] = sorted(all_series, key=lambda series: series[1].height, reverse=True)
    disagreeing_series = []
    for name, other in others:
        if _disagreements(table, other).is_empty():
            table = _append_new(table, other)
        else:
            disagreeing_series.append(name)
    return table, tuple(disagreeing_series)


def _read(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file)
    except pl.exceptions.PolarsError as error:
        raise UnreadableFile(f"{file} is damaged: {error}; remove it and import its sources again") from error


def _merge(stored: pl.DataFrame, new: pl.DataFrame, path: Path) -> pl.DataFrame:
    for row in _disagreements(stored, new).head(1).iter_rows(named=True):
        offered = {name: row[f"{name}_new"] for name in NUMBERS}
        raise InvalidCandles(
            f"{path} disagrees with stored candles, first at {row['open_time']:%Y-%m-%d %H:%M:%S}: "
            f"stored {row_text(row)}, file {row_text(offered)}; remove one of the two sources"
        )
    return _append_new(stored, new)


def _disagreements(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Rows of both with the same open time and different numbers, sorted; the new numbers end in `_new`."""
    both = stored.join(new, on="open_time", suffix="_new").sort("open_time")
    return both.filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_new") for name in NUMBERS))


def _append_new(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([stored, new.join(stored, on="open_time", how="anti")]).sort("open_time")


def _write(file: Path, candles: pl.DataFrame) -> None:
    temporary = file.with_suffix(".writing")
    with temporary.open("wb") as stream:
        candles.write_parquet(stream, compression="zstd")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One writer at a time: two imports that merge at once would lose one of them."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

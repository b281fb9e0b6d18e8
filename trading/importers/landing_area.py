"""The landing area of imported candles: one series, a Parquet file, per venue, timeframe, pair and file format.

Vendors that publish the same venue rarely agree to the last digit, so formats are stored apart. A pair is read from
its longest series, extended by every series that agrees with it wherever both have a candle; one that does not is left
out.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from trading.atomic_files import lock_folder, unusable_when_refused
from trading.candles import NUMBERS, closed_by, first_quote, opening_between
from trading.errors import InvalidCandles, InvalidValue, NotStored, UnreadableFile
from trading.importers.import_report import ImportedFile
from trading.importers.price_level import check_price_level
from trading.importers.row_checks import row_text
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.polars_errors import panics_as_errors
from trading.ports import Quote
from trading.sealed_parquet import scan_sealed, sealed_parquet

SUFFIX = ".parquet"
REJECTED = "rejected"  # below the pair: rows that were put aside, as they were, each with its reason


class LandingArea:
    """Files under root/venue/timeframe/pair; adding replaces one series as a whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, imported: ImportedFile) -> None:
        """Merge into the series of the file's format; repeating changes nothing.

        InvalidCandles, changing nothing, for a refused file, an overlap that disagrees with that series, or a price
        level that contradicts what is stored. UnusableHome, changing nothing, when it cannot be written.
        """
        report = imported.report
        if report.refused_reason or report.venue is None or report.pair is None or report.timeframe is None:
            raise InvalidCandles(f"{report.path} was refused: {report.refused_reason}")
        stored = self.source(report.venue, report.timeframe)
        check_price_level(imported, stored, stored.pairs())
        folder = _folder(self._root, report.venue, report.timeframe) / report.pair.key
        series = folder / f"{_file_name(report.format)}{SUFFIX}"
        with unusable_when_refused(folder), lock_folder(folder):
            new = imported.candles
            files = {series: _merge(_read(series), new, report.path) if series.exists() else new}
            if imported.rejected.height:
                files[folder / REJECTED / f"{report.path.stem}{SUFFIX}"] = imported.rejected
            _replace_all(files)

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
        names = {file.parent.name for file in self._folder.glob(f"*/*{SUFFIX}")}
        # Versions before 2026-12 kept Kraken's XBT as a market of its own: such a folder has to be imported again.
        return tuple(sorted(pair for name in names if (pair := Pair.parse(name)).key == name))

    def disagreeing_series(self, pair: Pair) -> tuple[str, ...]:
        """Name the series (formats) that disagree with the longest one of the pair and are therefore not read."""
        self._table(pair)
        return self._disagreeing[pair]

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        closed = closed_by(self._table(pair), self._until)
        if closed.is_empty():
            raise NotStored(f"no candle of {pair} on {self._venue} had closed by {self._until}")
        return closed["open_time"][0], closed["close_time"][-1]

    def extent(self, pairs: Sequence[Pair]) -> tuple[datetime, datetime]:
        """Return first open time and last close time of all series of the pairs, whether hidden or not; reads no rows.

        NotStored without any series.
        """
        files = [file for pair in pairs for file in (self._folder / pair.key).glob(f"*{SUFFIX}")]
        if not files:
            raise NotStored(f"no candles of these pairs under {self._folder}: import files of them first")
        opens, closes = zip(*map(_span, files), strict=True)
        return min(opens), max(closes)

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


def _place(file: Path) -> str:
    """Name venue, timeframe, pair and format, for which alone the file's seal holds; a draft has its file's place."""
    return "/".join(file.with_suffix("").parts[-4:])


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
        with panics_as_errors():
            return scan_sealed(file.read_bytes(), _place(file)).select(CANDLE_SCHEMA.names()).collect()
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise UnreadableFile(f"{file} is damaged: {error}; remove it and import its sources again") from error


def _span(file: Path) -> tuple[datetime, datetime]:
    """Read the first open time and the last close time of a series, and nothing else of it."""
    times = pl.scan_parquet(file, glob=False).select(pl.col("open_time").min(), pl.col("close_time").max())
    try:
        with panics_as_errors():
            opens, closes = times.collect().row(0)
    except pl.exceptions.PolarsError as error:
        raise UnreadableFile(f"{file} is damaged: {error}; remove it and import its sources again") from error
    return opens, closes


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


def _replace_all(files: Mapping[Path, pl.DataFrame]) -> None:
    """Write every table beside its file, then replace all files: a full disk changes none of them."""
    drafts = {file: file.with_suffix(".writing") for file in files}
    try:
        for file, table in files.items():
            _write(drafts[file], table)
        for file, draft in drafts.items():
            os.replace(draft, file)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _write(file: Path, table: pl.DataFrame) -> None:
    content = sealed_parquet(table, _place(file))  # Polars' own writer would panic on a full disk
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())

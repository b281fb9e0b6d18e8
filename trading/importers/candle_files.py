"""Reads candle files: finds the format, checks the rows, and reports what became of them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import polars as pl

from trading.candles import complete, quality
from trading.errors import InvalidCandles, UnreadableFile
from trading.importers import (
    binance_klines,
    cryptodatadownload,
    freqtrade_feather,
    freqtrade_json,
    kraken_ohlcvt,
    parquet_table,
)
from trading.importers.delimited import is_number
from trading.importers.file_identity import FileIdentity, identify
from trading.importers.file_names import PartialIdentity
from trading.importers.file_start import COMPRESSED, FileStart
from trading.importers.import_report import ImportedFile, ImportReport
from trading.importers.raw_candles import FileFormat, RawCandles
from trading.importers.row_checks import CheckedRows, check_rows
from trading.market import Pair, Timeframe
from trading.polars_errors import panics_as_errors

FORMATS: tuple[FileFormat, ...] = (
    parquet_table,
    freqtrade_feather,
    freqtrade_json,
    binance_klines,
    cryptodatadownload,
    kraken_ohlcvt,
)


def import_path(
    path: Path,
    *,
    venue: str | None = None,
    pair: Pair | None = None,
    timeframe: Timeframe | None = None,
    now: datetime | None = None,
) -> Iterator[ImportedFile]:
    """Yield one ImportedFile per file, those of a folder by path; an unreadable file becomes a refused report.

    Candles that have not closed by `now` (None: the clock) are left out. UnreadableFile when the path does not exist
    or the folder holds no file.
    """
    for file in _list_files(path):
        try:
            yield read_candle_file(file, venue=venue, pair=pair, timeframe=timeframe, now=now)
        except UnreadableFile as error:
            yield ImportedFile.of_refused_file(ImportReport.of_refused_file(file, None, 0, str(error)))


def read_candle_file(
    path: Path,
    *,
    venue: str | None = None,
    pair: Pair | None = None,
    timeframe: Timeframe | None = None,
    now: datetime | None = None,
) -> ImportedFile:
    """Read one file. UnreadableFile when it is no candle file; a refused one is returned with its reason."""
    file_format = _detect_format(FileStart.read(path))
    raw = _read_rows(file_format, path)
    try:
        identity = identify(path, file_format, raw, PartialIdentity(venue, pair, timeframe))
    except InvalidCandles as error:
        return ImportedFile.of_refused_file(
            ImportReport.of_refused_file(path, file_format.NAME, raw.numbers.height, str(error))
        )
    written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    checked = check_rows(raw, identity.timeframe, written_at, now or datetime.now(UTC))
    return _to_imported_file(path, file_format, identity, checked)


def _list_files(path: Path) -> list[Path]:
    if not path.exists():
        raise UnreadableFile(f"{path} does not exist")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise UnreadableFile(f"{path} holds no file to import")
    return files


def _read_rows(file_format: FileFormat, path: Path) -> RawCandles:
    import pyarrow as pa

    try:
        with panics_as_errors():
            return file_format.read(path)
    except (
        pl.exceptions.PolarsError,
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        RecursionError,
    ) as error:
        raise UnreadableFile(f"{path} is damaged {file_format.NAME}: {error}; fetch it again") from error


def _to_imported_file(
    path: Path, file_format: FileFormat, identity: FileIdentity, checked: CheckedRows
) -> ImportedFile:
    refusal = checked.refusal
    stored = checked.rows if refusal is None else checked.rows.clear()
    candles = complete(stored, identity.timeframe, identity.venue)
    counts = quality(candles, identity.timeframe, identity.venue)
    report = ImportReport(
        path=path,
        format=file_format.NAME,
        venue=identity.venue,
        pair=identity.pair,
        timeframe=identity.timeframe,
        rows_read=checked.rows_read,
        rows_stored=counts.rows,
        duplicates_dropped=checked.duplicates,
        conflicts=len(checked.conflicts),
        misaligned=checked.misaligned,
        impossible=checked.impossible,
        unfinished=checked.unfinished,
        missing=counts.missing,
        gaps=counts.gaps,
        zero_volume=counts.zero_volume,
        unchanged=counts.unchanged,
        first=cast(datetime | None, candles["open_time"].first()),
        last=cast(datetime | None, candles["open_time"].last()),
        refused_reason=refusal,
    )
    return ImportedFile(report, candles, checked.rejected)


def _detect_format(start: FileStart) -> FileFormat:
    for file_format in FORMATS:
        if file_format.recognises(start):
            return file_format
    known = ", ".join(file_format.NAME for file_format in FORMATS)
    raise UnreadableFile(
        f"{start.path} holds no candles that can be read: {_describe(start)}. Known formats: {known}"
    )


def _describe(start: FileStart) -> str:
    """Describe an unknown file for a person."""
    if start.container in COMPRESSED:
        return f"it is compressed ({start.container}), unpack it first"
    if start.columns:
        return f"{start.container} with columns {', '.join(start.columns[:12])}"
    if start.container == "binary":
        return "it is binary, of no known kind"
    fields = start.fields(0)
    if len(fields) == 3 and all(map(is_number, fields)):
        return "Kraken time-and-sales (time, price, volume), which are trades, not candles"
    if len(fields) > 3 and all(map(is_number, fields)):
        return (
            f"{len(fields)} numbers a line without a header, and neither Kraken's OHLCVT (unix seconds first, a whole "
            "count of trades last) nor Binance's klines: store it as Parquet with the columns timestamp, open, high, "
            "low, close, volume and say whose it is with --venue"
        )
    if start.lines[0].lstrip().startswith(("[", "{")):
        return "JSON of another shape than [[milliseconds, open, high, low, close, volume], ...]"
    return f"text whose first line is {start.lines[0][:80]!r}"

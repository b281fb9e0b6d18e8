"""From a path to candles and a report."""

from collections.abc import Iterator
from datetime import datetime
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
from trading.importers.file_identity import Identity, identify
from trading.importers.file_names import Claims
from trading.importers.file_start import COMPRESSED, Head
from trading.importers.import_report import ImportedFile, ImportReport
from trading.importers.raw_candles import Format, RawCandles
from trading.importers.row_checks import Sifted, sift
from trading.market import Pair, Timeframe

FORMATS: tuple[Format, ...] = (
    parquet_table,
    freqtrade_feather,
    freqtrade_json,
    binance_klines,
    cryptodatadownload,
    kraken_ohlcvt,
)


def import_path(
    path: Path, *, venue: str | None = None, pair: Pair | None = None, timeframe: Timeframe | None = None
) -> Iterator[ImportedFile]:
    """One ImportedFile per file, those of a folder by path; an unreadable file becomes a refused report.

    UnreadableFile when the path does not exist or the folder holds no file.
    """
    for file in _files(path):
        try:
            yield read_candle_file(file, venue=venue, pair=pair, timeframe=timeframe)
        except UnreadableFile as error:
            yield ImportedFile.refused(ImportReport.refused(file, None, 0, str(error)))


def read_candle_file(
    path: Path, *, venue: str | None = None, pair: Pair | None = None, timeframe: Timeframe | None = None
) -> ImportedFile:
    """Read one file. UnreadableFile when it is no candle file; a refused one is returned with its reason."""
    form = _format_of(Head.of(path))
    raw = _read(form, path)
    try:
        identity = identify(path, form, raw, Claims(venue, pair, timeframe))
    except InvalidCandles as error:
        return ImportedFile.refused(ImportReport.refused(path, form.NAME, raw.numbers.height, str(error)))
    return _imported(path, form, identity, sift(raw, identity.timeframe))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise UnreadableFile(f"{path} does not exist")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise UnreadableFile(f"{path} holds no file to import")
    return files


def _read(form: Format, path: Path) -> RawCandles:
    import pyarrow as pa

    try:
        return form.read(path)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise UnreadableFile(f"{path} is damaged {form.NAME}: {error}; fetch it again") from error


def _imported(path: Path, form: Format, identity: Identity, sifted: Sifted) -> ImportedFile:
    refusal = sifted.refusal
    stored = sifted.rows if refusal is None else sifted.rows.clear()
    candles = complete(stored, identity.timeframe, identity.venue)
    counts = quality(candles, identity.timeframe, identity.venue)
    report = ImportReport(
        path=path,
        format=form.NAME,
        venue=identity.venue,
        pair=identity.pair,
        timeframe=identity.timeframe,
        rows_read=sifted.rows_read,
        rows_stored=counts.rows,
        duplicates_dropped=sifted.duplicates,
        conflicts=len(sifted.conflicts),
        misaligned=sifted.misaligned,
        impossible=sifted.impossible,
        missing=counts.missing,
        gaps=counts.gaps,
        first=cast(datetime | None, candles["open_time"].first()),
        last=cast(datetime | None, candles["open_time"].last()),
        refused_reason=refusal,
    )
    return ImportedFile(report, candles, sifted.rejected)


def _format_of(head: Head) -> Format:
    for form in FORMATS:
        if form.recognises(head):
            return form
    known = ", ".join(form.NAME for form in FORMATS)
    raise UnreadableFile(
        f"{head.path} holds no candles that can be read: {_appearance(head)}. Known formats: {known}"
    )


def _appearance(head: Head) -> str:
    """What an unknown file seems to be, for a person."""
    if head.container in COMPRESSED:
        return f"it is compressed ({head.container}), unpack it first"
    if head.columns:
        return f"{head.container} with columns {', '.join(head.columns[:12])}"
    if head.container == "binary":
        return "it is binary, of no known kind"
    fields = head.fields(0)
    if len(fields) == 3 and all(map(is_number, fields)):
        return "Kraken time-and-sales (time, price, volume), which are trades, not candles"
    if head.lines[0].lstrip().startswith(("[", "{")):
        return "JSON of another shape than [[milliseconds, open, high, low, close, volume], ...]"
    return f"text whose first line is {head.lines[0][:80]!r}"

"""The file formats that news is read from: Parquet and CSV, both into the same columns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ml.news.delimited import read_rows
from trading.bounded_files import parquet_columns, read_parquet, read_text
from trading.errors import UnreadableFile
from trading.timestamps import parse_epoch_time

_CSV_TIME = "%d-%m-%Y %H:%M"  # day first, UTC
_CSV_COLUMNS = {"date", "source", "text", "title", "url"}
_OPTIONAL = ("source", "title", "text", "url", "language")


@dataclass(frozen=True, slots=True)
class RawNews:
    """The articles of a file as they are, and the numbers of the lines that hold none that can be read."""

    articles: pl.DataFrame  # published_at (UTC, null where unreadable), source, title, text, url, language
    damaged_lines: tuple[int, ...] = ()


def _read_parquet(path: Path) -> RawNews:
    """Read columns published_at and text; title, url, source and language where the file has them."""
    columns = parquet_columns(path)
    missing = {"published_at", "text"} - set(columns)
    if missing:
        raise UnreadableFile(f"{path} is no news file: it lacks {', '.join(sorted(missing))}")
    raw = read_parquet(path, [name for name in ("published_at", *_OPTIONAL) if name in columns])
    absent = {"source": path.stem.partition("_")[0], "title": "", "url": "", "language": ""}
    articles = raw.with_columns(pl.lit(absent[name]).alias(name) for name in _OPTIONAL if name not in columns)
    published = _published(pl.col("published_at"), raw.schema["published_at"])
    return RawNews(articles.select(published.alias("published_at"), *_OPTIONAL))


def _published(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Convert a column of times, or of numbers since 1970 in the unit that their magnitude tells."""
    if kind.is_integer() or kind.is_float():
        return parse_epoch_time(column.cast(pl.Int64, strict=False))
    zone = getattr(kind, "time_zone", None)
    published = column.cast(pl.Datetime("us", zone))
    return published.dt.replace_time_zone("UTC") if zone is None else published.dt.convert_time_zone("UTC")


def _read_csv(path: Path) -> RawNews:
    """Read semicolons and day-first minutes. A sentiment column is left out: a machine made it, it is no label."""
    header, rows, damaged = read_rows(read_text(path).decode("utf-8-sig"))
    missing = _CSV_COLUMNS - set(header)
    if missing:
        raise UnreadableFile(f"{path} is no news file: it lacks {', '.join(sorted(missing))}")
    raw = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String()), orient="row")
    language = pl.col("language") if "language" in header else pl.lit("")
    day_first = pl.col("date").str.to_datetime(_CSV_TIME, strict=False).dt.replace_time_zone("UTC")
    articles = raw.select(
        pl.coalesce(day_first, parse_epoch_time(pl.col("date"))).alias("published_at"),
        "source",
        "title",
        "text",
        # one source wrote its host twice: https://example.comhttps://example.com/news
        pl.col("url").str.replace(r"^https?://[^/]*?(https?://)", "${1}"),
        language.alias("language"),
    )
    return RawNews(articles, tuple(damaged))


READERS: dict[str, Callable[[Path], RawNews]] = {".parquet": _read_parquet, ".csv": _read_csv}

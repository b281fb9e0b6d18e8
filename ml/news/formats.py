"""The file formats that news is read from: Parquet and CSV, both into the same columns."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from trading.errors import UnreadableFile

_CSV_TIME = "%d-%m-%Y %H:%M"  # day first, UTC
_CSV_COLUMNS = {"date", "source", "text", "title", "url"}


def _read_parquet(path: Path) -> pl.DataFrame:
    """Read columns published_at and text; title, url and source where the file has them."""
    raw = pl.read_parquet(path)
    missing = {"published_at", "text"} - set(raw.columns)
    if missing:
        raise UnreadableFile(f"{path} is no news file: it lacks {', '.join(sorted(missing))}")
    zone = getattr(raw.schema["published_at"], "time_zone", None)
    published = pl.col("published_at").cast(pl.Datetime("us", zone))
    published = (
        published.dt.replace_time_zone("UTC") if zone is None else published.dt.convert_time_zone("UTC")
    )
    source = pl.lit(path.stem.partition("_")[0])
    return raw.select(
        published.alias("published_at"),
        pl.col("source") if "source" in raw.columns else source.alias("source"),
        *(
            pl.col(name) if name in raw.columns else pl.lit("").alias(name)
            for name in ("title", "text", "url")
        ),
    )


def _read_csv(path: Path) -> pl.DataFrame:
    """Read semicolons and day-first minutes. A sentiment column is left out: a machine made it, it is no label."""
    raw = pl.read_csv(path, separator=";", infer_schema=False)
    missing = _CSV_COLUMNS - set(raw.columns)
    if missing:
        raise UnreadableFile(f"{path} is no news file: it lacks {', '.join(sorted(missing))}")
    return raw.select(
        pl.col("date")
        .str.to_datetime(_CSV_TIME, strict=False)
        .dt.replace_time_zone("UTC")
        .alias("published_at"),
        "source",
        "title",
        "text",
        # one source wrote its host twice: https://example.comhttps://example.com/news
        pl.col("url").str.replace(r"^https?://[^/]*?(https?://)", "${1}"),
    )


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {".parquet": _read_parquet, ".csv": _read_csv}

"""News from files, as articles (ARTICLE_SCHEMA).

No look-ahead: an article is known when it was published. One that carries a day without a clock time
(published exactly at 00:00:00 UTC) may be from any moment of that day: it becomes known at the next midnight.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

import polars as pl

from ml.news.articles import article_id, first_sentence, language_code
from ml.news.formats import READERS, RawNews
from trading.errors import UnreadableFile
from trading.market import TIME
from trading.polars_errors import panics_as_errors
from trading.ports import ARTICLE_SCHEMA

MAX_SHOWN = 10  # damaged lines that a report names


@dataclass(frozen=True, slots=True)
class NewsReport:
    """rows_read = rows_stored + duplicates_dropped + undated + without_text + damaged. Times are published_at, UTC."""

    path: Path
    rows_read: int = 0
    rows_stored: int = 0
    duplicates_dropped: int = 0  # same source, time, title and text
    without_clock_time: int = 0  # stored, but known a day later
    undated: int = 0  # dropped: the time when they became known is unknown
    without_text: int = 0  # dropped: neither title nor text
    damaged: int = 0  # dropped: lines whose fields cannot be told apart
    damaged_lines: tuple[int, ...] = ()  # the first of them
    first: datetime | None = None
    last: datetime | None = None
    refused_reason: str | None = None

    @property
    def complaint(self) -> str | None:
        """Say why the file, or some of its rows, could not be read; None when all of it could."""
        if self.refused_reason or not self.damaged:
            return self.refused_reason
        lines = ", ".join(map(str, self.damaged_lines)) + (" ..." if self.damaged > MAX_SHOWN else "")
        return f"{self.path}: {self.damaged} of {self.rows_read} rows cannot be read (line {lines}): mend their quotes"


@dataclass(frozen=True, slots=True)
class NewsFile:
    """The articles of one file, and the report on reading it."""

    articles: pl.DataFrame  # ARTICLE_SCHEMA, by known_at
    report: NewsReport


class NewsSource(Protocol):
    """A source of articles."""

    @property
    def refused(self) -> tuple[str, ...]:
        """Return why some of it could not be read; what could be read is returned all the same."""

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Return ARTICLE_SCHEMA with start <= known_at < end, by known_at; empty when there was no news."""


class NewsFiles:
    """All files of a folder, read on first use. `reports` lists which were refused and why."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Select the articles of that time. UnreadableFile when the folder is missing or has no readable file."""
        return self._all.filter(pl.col("known_at") >= start, pl.col("known_at") < end)

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(report.complaint for report in self.reports if report.complaint)

    @property
    def reports(self) -> list[NewsReport]:
        return [file.report for file in self._files]

    @cached_property
    def _files(self) -> list[NewsFile]:
        return read_folder(self._folder)

    @cached_property
    def _all(self) -> pl.DataFrame:
        refused = [report.refused_reason for report in self.reports if report.refused_reason]
        if len(refused) == len(self._files):
            raise UnreadableFile(f"{self._folder}: no news file can be read. {' '.join(refused)}".strip())
        together = pl.concat([file.articles for file in self._files])
        return together.unique("article_id", keep="first", maintain_order=True).sort("known_at", "article_id")


def read_folder(folder: Path) -> list[NewsFile]:
    """Read every file, by name. A file that cannot be read gives no articles; its report says why."""
    if not folder.is_dir():
        raise UnreadableFile(f"{folder} is not a folder: name the one that holds the news files")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [_read_or_refuse(path) for path in paths]


def read_news(path: Path) -> NewsFile:
    """Read one file; UnreadableFile when it is missing, corrupt, empty or of an unknown kind."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"{path}: news is read from {' and '.join(sorted(READERS))} files")
    try:
        with panics_as_errors():
            return _clean(path, _check_dated(path, reader(path)))
    except UnreadableFile:
        raise
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        raise UnreadableFile(f"{path} cannot be read: {error}; fetch it again") from error


def _check_dated(path: Path, raw: RawNews) -> RawNews:
    if raw.articles.is_empty():
        raise UnreadableFile(f"{path} holds no articles")
    if raw.articles["published_at"].null_count() == raw.articles.height:
        raise UnreadableFile(f"{path} has no date that can be read, in any of its {raw.articles.height} rows")
    return raw


def _read_or_refuse(path: Path) -> NewsFile:
    try:
        return read_news(path)
    except UnreadableFile as error:
        return NewsFile(ARTICLE_SCHEMA.to_frame(), NewsReport(path, refused_reason=str(error)))


def _clean(path: Path, raw: RawNews) -> NewsFile:
    trimmed = raw.articles.with_columns(
        pl.col("source", "title", "text", "url").fill_null("").str.strip_chars(),
        language=language_code(pl.col("language").fill_null("")),
    )
    dated = trimmed.filter(pl.col("published_at").is_not_null())
    with_content = dated.filter((pl.col("title") != "") | (pl.col("text") != ""))
    articles = _articles(with_content).unique("article_id", keep="first", maintain_order=True)
    report = NewsReport(
        path=path,
        rows_read=trimmed.height + len(raw.damaged_lines),
        rows_stored=articles.height,
        duplicates_dropped=with_content.height - articles.height,
        without_clock_time=articles.filter("date_only").height,
        undated=trimmed.height - dated.height,
        without_text=dated.height - with_content.height,
        damaged=len(raw.damaged_lines),
        damaged_lines=raw.damaged_lines[:MAX_SHOWN],
        first=min(articles["published_at"].to_list(), default=None),
        last=max(articles["published_at"].to_list(), default=None),
    )
    return NewsFile(articles.sort("known_at", "article_id"), report)


def _articles(with_content: pl.DataFrame) -> pl.DataFrame:
    published = pl.col("published_at")
    has_no_clock_time = published == published.dt.truncate("1d")
    sentences = pl.Series("sentence", [first_sentence(text) for text in with_content["text"]], pl.String)
    titled = with_content.with_columns(
        title=pl.when(pl.col("title") == "").then(sentences).otherwise(pl.col("title")),
        published_at=published.cast(TIME),
        date_only=has_no_clock_time,
        known_at=pl.when(has_no_clock_time)
        .then(published.dt.offset_by("1d"))
        .otherwise(published)
        .cast(TIME),
    )
    return titled.with_columns(article_id=_ids(titled)).select(ARTICLE_SCHEMA.names())


def _ids(articles: pl.DataFrame) -> pl.Series:
    rows = articles.select("source", "published_at", "title", "text").iter_rows()
    ids = [article_id(*row) for row in rows]
    return pl.Series("article_id", ids, pl.String)

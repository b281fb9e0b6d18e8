"""CachedPages of a long download on disk: what is complete stays, what a kill cut off is asked for again.

A page is one Parquet file. Its name holds the range that it covers and the CRC-32 of its bytes: one rename makes
both of them true at once.
"""

import fcntl
import io
import itertools
import logging
import os
import re
import threading
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trading.errors import InvalidValue, NotStored, UnreadableFile, UnusableHome
from trading.market import TIME

LOG = logging.getLogger("marketloom.history")
Range = tuple[datetime, datetime]  # [start, end)

PAGE_SUFFIX = ".parquet"
DRAFT_SUFFIX = ".writing"
TIME_FORMAT = "%Y%m%dT%H%M%S.%f"


@dataclass(frozen=True, slots=True, order=True)
class _Page:
    start: datetime
    end: datetime
    checksum: int = field(compare=False)
    path: Path = field(compare=False)


class PageCache:
    """Downloads under root, each under its own key; key parts become folders."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def pages(self, *key: str) -> "CachedPages":
        """Return the pages of a key such as ("kraken", "BTC-USDT", "trades").

        InvalidValue for a part that is no plain folder name.
        """
        for part in key:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part):
                raise InvalidValue(
                    f"{part!r} cannot be part of a download's name: use letters, digits, . _ -"
                )
        if not key:
            raise InvalidValue("a download needs a name: venue, pair and kind of data")
        return CachedPages(self._root.joinpath(*key))


class CachedPages:
    """The pages of one key. The first column of every frame is its time, of type `trading.market.TIME`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._lock_depth = 0
        self._locked_pages: list[_Page] | None = None  # trusted only while this object holds the file lock

    def covered_ranges(self) -> list[Range]:
        """Return the disjoint, ascending ranges that are complete; pages that touch are one range."""
        ranges: list[Range] = []
        for page in self._pages():
            if ranges and ranges[-1][1] == page.start:
                ranges[-1] = (ranges[-1][0], page.end)
            else:
                ranges.append((page.start, page.end))
        return ranges

    def missing_ranges(self, start: datetime, end: datetime) -> list[Range]:
        """Return the parts of [start, end) that no page covers, ascending."""
        gaps, reached = [], _utc(start)
        for page in _overlapping(self._pages(), reached, _utc(end)):
            if page.start > reached:
                gaps.append((reached, page.start))
            reached = page.end
        return [*gaps, (reached, _utc(end))] if reached < end else gaps

    def append(self, frame: pl.DataFrame, start: datetime, end: datetime) -> None:
        """Store `frame`, which has every row of [start, end), sorted by its first column; durable on return.

        What is covered already stays as it is: repeating a page changes nothing. A page whose source may hold more
        rows of its last instant must end at that instant and leave its rows to the next page. An empty frame says
        that there is nothing in the range. InvalidValue, changing nothing, for rows outside it, not sorted, or of
        other columns than the pages before; UnusableHome when the disk takes no more.
        """
        start, end = _utc(start), _utc(end)
        _check_page(frame, start, end)
        with self.locked():
            self._check_columns(frame)
            for gap in self.missing_ranges(start, end):
                self._write(_between(frame, *gap), gap)

    def read(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Read the rows of [start, end), sorted. NotStored unless all of it is covered; UnreadableFile if damaged."""
        if gaps := self.missing_ranges(start, end):
            raise NotStored(
                f"{self._folder} lacks {gaps[0][0]:%Y-%m-%d %H:%M:%S} to {gaps[0][1]:%Y-%m-%d %H:%M:%S} (UTC): "
                "the download has not come that far"
            )
        pages = _overlapping(self._pages(), _utc(start), _utc(end)) or self._pages()[:1]
        if not pages:
            raise NotStored(f"{self._folder} has no page yet: nothing was downloaded")
        return _between(_concat(pages), _utc(start), _utc(end))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the key: only this object downloads it meanwhile; others wait, in this process and in all others.

        May be nested. One thread must not take it through two objects of the same key: it would wait for itself.
        """
        with self._lock:
            if self._lock_depth:
                yield
                return
            with _writable(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = (self._folder / ".lock").open("a")
            with lock:
                _acquire(lock.fileno(), self._folder)
                try:
                    self._lock_depth, self._locked_pages = 1, None
                    self._remove_drafts()
                    yield
                finally:
                    self._lock_depth, self._locked_pages = 0, None

    def _pages(self) -> list[_Page]:
        if self._locked_pages is not None:
            return self._locked_pages
        pages = sorted(_parse_name(path) for path in self._folder.glob(f"*{PAGE_SUFFIX}"))
        for one, other in itertools.pairwise(pages):
            if other.start < one.end:
                raise UnreadableFile(f"{other.path} overlaps {one.path.name}: remove one of them")
        if self._lock_depth:
            self._locked_pages = pages
        return pages

    def _check_columns(self, frame: pl.DataFrame) -> None:
        pages = self._pages()
        if pages and (schema := _read_page(pages[0]).schema) != frame.schema:
            raise InvalidValue(
                f"{self._folder} holds pages with the columns {dict(schema)}, this one has {dict(frame.schema)}"
            )

    def _write(self, frame: pl.DataFrame, covered: Range) -> None:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getbuffer()
        checksum = zlib.crc32(content)
        path = (
            self._folder
            / f"{covered[0]:{TIME_FORMAT}}_{covered[1]:{TIME_FORMAT}}_{checksum:08x}{PAGE_SUFFIX}"
        )
        with _writable(self._folder):
            _write_file(content, path)
        insort(self._pages(), _Page(*covered, checksum, path))

    def _remove_drafts(self) -> None:
        """Remove what a killed writer left: nobody else writes while the lock is held."""
        with _writable(self._folder):
            for leftover in self._folder.glob(f"*{DRAFT_SUFFIX}"):
                leftover.unlink()


def _acquire(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        LOG.info("%s: waiting for another download of the same data to finish", folder)
        fcntl.flock(lock, fcntl.LOCK_EX)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnusableHome(
            f"{folder} cannot be written ({error.strerror or error}): free space or mend the permissions, then run "
            "the month again; what was downloaded is kept"
        ) from error


def _write_file(content: memoryview, path: Path) -> None:
    temporary = path.with_suffix(DRAFT_SUFFIX)
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise InvalidValue(f"{time} has no time zone: times are UTC")
    return time.astimezone(UTC)


def _parse_name(path: Path) -> _Page:
    try:
        start, end, checksum = path.stem.split("_")
        page = _Page(_parse_time(start), _parse_time(end), int(checksum, 16), path)
    except ValueError:
        raise UnreadableFile(f"{path} is not named like a page of a download: remove it") from None
    if page.start >= page.end:
        raise UnreadableFile(f"{path} covers no time: remove it")
    return page


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _overlapping(pages: list[_Page], start: datetime, end: datetime) -> list[_Page]:
    first = bisect_left(pages, start, key=lambda page: page.end)
    after = bisect_left(pages, end, key=lambda page: page.start)
    return [page for page in pages[first:after] if page.end > start]


def _check_page(frame: pl.DataFrame, start: datetime, end: datetime) -> None:
    if start >= end:
        raise InvalidValue(f"a page from {start} to {end} covers no time")
    if not frame.columns or frame.dtypes[0] != TIME:
        raise InvalidValue(f"the first column of a page is its time, of type {TIME}, not {frame.schema}")
    times = frame.to_series(0)
    if times.null_count() or not times.is_sorted():
        raise InvalidValue(f"the rows of the page from {start} to {end} are not sorted by {times.name}")
    if frame.height and not (times[0] >= start and times[-1] < end):
        raise InvalidValue(f"rows from {times[0]} to {times[-1]} lie outside the page from {start} to {end}")


def _between(frame: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return frame.filter((pl.first() >= start) & (pl.first() < end))


def _concat(pages: list[_Page]) -> pl.DataFrame:
    frames = [_read_page(page) for page in pages]
    for page, frame in zip(pages, frames, strict=True):
        if frame.schema != frames[0].schema:
            raise UnreadableFile(f"{page.path} has other columns than the pages before it: remove it")
    return pl.concat(frames)


def _read_page(page: _Page) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(_read_bytes(page)))


def _read_bytes(page: _Page) -> bytes:
    """Read the page's bytes as written; the checksum in its name is verified, so no parser meets other bytes."""
    try:
        content = page.path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{page.path} cannot be read ({error}): remove it and download again") from error
    if zlib.crc32(content) != page.checksum:
        raise UnreadableFile(f"{page.path} is damaged: remove it and download again")
    return content


def _sync_folder(folder: Path) -> None:
    """Sync the folder: else the name of the page may be lost in a power cut although its bytes are not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

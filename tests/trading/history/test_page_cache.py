import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidValue, NotStored, UnreadableFile, UnusableHome
from trading.history.page_cache import CachedPages, PageCache
from trading.history.progress import log_progress
from trading.market import TIME

START = datetime(2023, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = ("kraken", "BTC-USDT", "trades")


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def rows(first: int, last: int, step: int = 1) -> pl.DataFrame:
    """A row for each minute in [first, last); its price tells the minute."""
    minutes = range(first, last, step)
    return pl.DataFrame(
        {"at": [at(minute) for minute in minutes], "price": [float(minute) for minute in minutes]},
        schema={"at": TIME, "price": pl.Float64()},
    )


def minutes(frame: pl.DataFrame) -> list[float]:
    return frame["price"].to_list()


@pytest.fixture
def pages(tmp_path: Path) -> CachedPages:
    return PageCache(tmp_path).pages(*KEY)


def append(pages: CachedPages, first: int, last: int) -> None:
    pages.append(rows(first, last), at(first), at(last))


def test_what_was_appended_is_read_back_in_order_whatever_the_order_of_appending(pages: CachedPages) -> None:
    for first in (20, 0, 10):
        append(pages, first, first + 10)
    assert minutes(pages.read(at(0), at(30))) == list(range(30))
    assert minutes(pages.read(at(5), at(12))) == list(range(5, 12))


def test_pages_that_touch_are_one_covered_range_and_others_are_not(pages: CachedPages) -> None:
    append(pages, 0, 10)
    append(pages, 10, 20)
    append(pages, 30, 40)
    assert pages.covered_ranges() == [(at(0), at(20)), (at(30), at(40))]
    assert pages.missing_ranges(at(5), at(50)) == [(at(20), at(30)), (at(40), at(50))]
    assert pages.missing_ranges(at(31), at(39)) == []


def test_an_empty_page_covers_its_range_and_reads_as_no_rows(pages: CachedPages) -> None:
    pages.append(rows(0, 0), at(0), at(10))
    assert pages.read(at(0), at(10)).is_empty()
    assert pages.read(at(0), at(10)).schema == rows(0, 0).schema


def test_what_is_not_covered_completely_is_not_read(pages: CachedPages) -> None:
    append(pages, 0, 10)
    append(pages, 20, 30)
    with pytest.raises(NotStored, match="lacks 2023-11-01 00:10:00 to 2023-11-01 00:20:00"):
        pages.read(at(0), at(30))


def test_reading_before_any_download_is_an_error(pages: CachedPages) -> None:
    with pytest.raises(NotStored, match="lacks"):
        pages.read(at(0), at(1))
    assert pages.covered_ranges() == []


def test_a_page_that_overlaps_others_fills_only_what_they_lack(pages: CachedPages) -> None:
    append(pages, 10, 20)
    pages.append(rows(0, 30).with_columns(pl.col("price") + 1000), at(0), at(30))
    read = minutes(pages.read(at(0), at(30)))
    assert read == [*range(1000, 1010), *range(10, 20), *range(1020, 1030)]


@pytest.mark.parametrize(
    ("frame", "start", "end", "words"),
    [
        (rows(0, 10), at(0), at(9), "outside the page"),
        (rows(0, 10), at(1), at(10), "outside the page"),
        (rows(0, 10).reverse(), at(0), at(10), "not sorted"),
        (rows(0, 10).select("price", "at"), at(0), at(10), "first column"),
        (rows(0, 0), at(1), at(1), "covers no time"),
        (rows(0, 10), datetime(2023, 11, 1), at(10), "no time zone"),  # noqa: DTZ001
    ],
)
def test_a_page_that_contradicts_its_range_is_refused_and_changes_nothing(
    pages: CachedPages, frame: pl.DataFrame, start: datetime, end: datetime, words: str
) -> None:
    with pytest.raises(InvalidValue, match=words):
        pages.append(frame, start, end)
    assert pages.covered_ranges() == []


def test_a_page_of_other_columns_is_refused(pages: CachedPages) -> None:
    append(pages, 0, 10)
    with pytest.raises(InvalidValue, match="holds pages with the columns"):
        pages.append(rows(10, 20).with_columns(size=1.0), at(10), at(20))


@pytest.mark.parametrize("part", ["..", "", "a/b", ".hidden", "a b"])
def test_a_key_is_made_of_plain_folder_names(tmp_path: Path, part: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be part of"):
        PageCache(tmp_path).pages("kraken", part)


def page_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "gone"])
def test_a_damaged_page_is_named_and_its_neighbours_stay_readable(tmp_path: Path, damage: str) -> None:
    pages = PageCache(tmp_path).pages(*KEY)
    append(pages, 0, 10)
    append(pages, 10, 20)
    victim = page_files(tmp_path)[0]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"cut": bytes(content[:-20]), "empty": b"", "flipped": bytes(content)}
    if damage == "gone":
        victim.unlink()
        victim.symlink_to(tmp_path / "nowhere")
    else:
        victim.write_bytes(damaged[damage])
    with pytest.raises(UnreadableFile, match=f"{victim.name} .*remove it"):
        pages.read(at(0), at(20))
    assert minutes(pages.read(at(10), at(20))) == list(range(10, 20))
    victim.unlink()
    assert pages.missing_ranges(at(0), at(20)) == [(at(0), at(10))]


@pytest.mark.parametrize(
    "name",
    [
        "notes.parquet",
        "20231101T000000.000000_20231101T000000.000000_00000000.parquet",
        "20231101T000000.000000_20231101T000100.000000_zz.parquet",
    ],
)
def test_a_strange_file_among_the_pages_is_named(tmp_path: Path, name: str) -> None:
    pages = PageCache(tmp_path).pages(*KEY)
    append(pages, 5, 10)
    (page_files(tmp_path)[0].parent / name).write_bytes(b"")
    with pytest.raises(UnreadableFile, match=f"{name}.*remove it"):
        pages.covered_ranges()


def test_pages_that_overlap_are_named_instead_of_being_counted_twice(tmp_path: Path) -> None:
    append(PageCache(tmp_path).pages("one"), 0, 10)
    append(PageCache(tmp_path).pages("two"), 5, 15)
    page_files(tmp_path / "two")[0].rename(tmp_path / "one" / page_files(tmp_path / "two")[0].name)
    with pytest.raises(UnreadableFile, match="overlaps"):
        PageCache(tmp_path).pages("one").read(at(0), at(15))


class Killed(BaseException):
    """Nothing between a page's bytes and its name may catch the end of the process."""


@contextmanager
def killed_after(renames: int) -> Iterator[None]:
    """The process ends before its next rename, once it has done so many."""
    left = iter([None] * renames)

    def rename(source: Path, target: Path) -> None:
        if next(left, Killed) is Killed:
            raise Killed
        source.rename(target)

    with mock.patch("trading.history.page_cache.os.replace", rename), suppress(Killed):
        yield


def test_a_kill_before_the_rename_leaves_no_page_and_the_next_writer_sweeps_up(tmp_path: Path) -> None:
    pages = PageCache(tmp_path).pages(*KEY)
    append(pages, 0, 10)
    with killed_after(0):
        append(pages, 10, 20)
    assert pages.covered_ranges() == [(at(0), at(10))]
    assert len(list(tmp_path.rglob("*.writing"))) == 1
    again = PageCache(tmp_path).pages(*KEY)
    append(again, 10, 15)  # another file name
    append(again, 15, 20)
    assert minutes(again.read(at(0), at(20))) == list(range(20))
    assert list(tmp_path.rglob("*.writing")) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_an_error_and_stored_pages_stay(tmp_path: Path, call: str) -> None:
    pages = PageCache(tmp_path).pages(*KEY)
    append(pages, 0, 10)
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        mock.patch(f"trading.history.page_cache.os.{call}", side_effect=full),
        pytest.raises(UnusableHome, match=r"cannot be written \(No space left on device\): free space"),
    ):
        append(pages, 10, 20)
    assert minutes(pages.read(at(0), at(10))) == list(range(10))
    append(pages, 10, 20)
    assert minutes(pages.read(at(0), at(20))) == list(range(20))


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kraken").write_text("a file in the way")
    with pytest.raises(UnusableHome, match="BTC-USDT/trades cannot be written"):
        append(PageCache(tmp_path).pages(*KEY), 0, 10)


Step = tuple[int, int, int | None]  # first minute, count of minutes, renames until a kill
STEPS = st.tuples(st.integers(0, 40), st.integers(1, 15), st.none() | st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_after_any_appends_and_kills_each_covered_row_is_there_once_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    cache = PageCache(tmp_path_factory.mktemp("cache"))
    sure: set[int] = set()
    for first, count, renames in steps:
        pages = cache.pages(*KEY)  # a new process knows only the disk
        if renames is None:
            append(pages, first, first + count)
            sure |= set(range(first, first + count))
        else:
            with killed_after(renames):
                append(pages, first, first + count)
    pages = cache.pages(*KEY)
    covered = [minute for minute in range(60) if any(a <= at(minute) < b for a, b in pages.covered_ranges())]
    assert sure <= set(covered)
    assert [row for a, b in pages.covered_ranges() for row in minutes(pages.read(a, b))] == covered
    gaps = pages.missing_ranges(at(0), at(60))
    assert sum((b - a for a, b in gaps), timedelta(0)) == (60 - len(covered)) * MINUTE


WRITER = """
import sys
from datetime import timedelta
from pathlib import Path
from tests.trading.history.test_page_cache import KEY, append, at
from trading.history.page_cache import PageCache
pages = PageCache(Path(sys.argv[1])).pages(*KEY)
with pages.locked():
    for first in range(0, 10_000, 10):
        if pages.missing_ranges(at(first), at(first + 10)):
            append(pages, first, first + 10)
        print(first, flush=True)
"""


def test_a_killed_process_loses_no_page_whose_append_returned(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
    pages = PageCache(tmp_path).pages(*KEY)
    append(pages, 20_000, 20_010)  # the lock died with its owner
    [(start, end), _] = pages.covered_ranges()
    assert start == at(0)
    assert end >= at(told[-1] + 10)
    assert len(minutes(pages.read(start, end))) == (end - start) // MINUTE


def test_a_second_download_of_the_key_waits_and_logs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "marketloom.history")
    first, second = PageCache(tmp_path).pages(*KEY), PageCache(tmp_path).pages(*KEY)
    order: list[str] = []

    def other() -> None:
        with second.locked():
            order.append("second")

    with first.locked():
        thread = threading.Thread(target=other)
        thread.start()
        while "waiting for another download" not in caplog.text:
            thread.join(0.005)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_may_be_taken_again_by_its_holder_and_other_keys_are_free(tmp_path: Path) -> None:
    pages, other = PageCache(tmp_path).pages(*KEY), PageCache(tmp_path).pages("kraken", "XRP-USDT", "trades")
    with pages.locked(), pages.locked(), other.locked():
        append(pages, 0, 10)
    append(pages, 10, 20)
    assert pages.covered_ranges() == [(at(0), at(20))]


def test_pages_written_by_others_meanwhile_are_seen(tmp_path: Path) -> None:
    mine, theirs = PageCache(tmp_path).pages(*KEY), PageCache(tmp_path).pages(*KEY)
    append(mine, 0, 10)
    append(theirs, 10, 20)
    with mine.locked():
        assert mine.covered_ranges() == [(at(0), at(20))]


def test_a_page_is_on_the_disk_before_it_has_its_name(pages: CachedPages) -> None:
    calls: list[str] = []

    def fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    def rename(source: Path, target: Path) -> None:
        calls.append("rename")
        source.rename(target)

    with (
        mock.patch("trading.history.page_cache.os.fsync", fsync),
        mock.patch("trading.history.page_cache.os.replace", rename),
    ):
        append(pages, 0, 10)
    assert calls == ["file", "rename", "folder"]


def test_progress_names_the_month_or_the_range(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "marketloom.history")
    log_progress(
        "kraken BTC/USDT trades", datetime(2023, 11, 3, 14, tzinfo=UTC), START,
        datetime(2023, 12, 1, tzinfo=UTC), 0.379,
    )  # fmt: skip
    log_progress("kraken BTC/USDT trades", at(30), at(0), at(60), 0.5)
    assert caplog.messages == [
        "kraken BTC/USDT trades: 2023-11-03 14:00, 37 % of 2023-11",
        "kraken BTC/USDT trades: 2023-11-01 00:30, 50 % of 2023-11-01 00:00 to 2023-11-01 01:00",
    ]

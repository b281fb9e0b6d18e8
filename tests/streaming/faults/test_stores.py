"""Stores that cannot take anything for a while: a full disk under the lake, and a consumer that is held up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.streaming.faults.faulted_stream import FaultedStream, faulted_stream
from tests.streaming.faults.forked import Forker

HELD_UP = 6 * 3600.0  # market seconds
MOST_GROWTH = 60e6  # bytes of memory, whatever waits on the bus


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root")
def test_a_full_disk_under_the_lake_delays_it_and_loses_nothing(
    forker: Forker, tmp_path: Path, dsn: str
) -> None:
    tape = tmp_path / "home" / "tape"
    with small_disk(tape, "1m"), faulted_stream(forker, tmp_path, dsn) as stream:
        stream.play(120)
        stream.until_complete(stream.wait_until_closed())
        ballast = tape / "ballast"
        fill(ballast)
        stream.play(300)
        stream.until(lambda: stream.status()["consumers"]["analytical"]["failing"], 60)
        stream.until(lambda: not stream.lag("operational"))
        ballast.unlink()
        stream.settle()


def fill(file: Path) -> None:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            return


def test_a_consumer_that_is_held_up_shows_as_lag_and_takes_no_memory(stream: FaultedStream) -> None:
    stream.play(300)
    stream.until_complete(stream.wait_until_closed())
    assert stream.process is not None
    process = psutil.Process(stream.process.pid)
    before = process.memory_info().rss
    with psycopg.connect(stream.dsn) as connection:
        connection.execute("LOCK TABLE market_data IN ACCESS EXCLUSIVE MODE")
        stream.play(HELD_UP, step=120)
        stream.wait_until_level()
        assert stream.lag("operational") > 1000
        stream.until(lambda: shown_lag(stream) > 1000)
        grown = process.memory_info().rss - before
        assert grown < MOST_GROWTH, grown
    stream.settle()


def shown_lag(stream: FaultedStream) -> float:
    name = 'marketloom_stream_consumer_lag_records{group="operational",topic="ohlcv-raw"}'
    return next(
        (float(line.split()[-1]) for line in stream.metrics().splitlines() if line.startswith(name)), 0.0
    )

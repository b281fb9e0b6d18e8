"""An hour of a stream: memory and file handles stay flat, and everything that happened is in the stores."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest

from tests.streaming.faults.faulted_stream import FaultedStream, faulted_stream, market_going_on
from tests.streaming.faults.forked import Forker

SECONDS = float(os.environ.get("MARKETLOOM_SOAK_SECONDS", "3600"))
SPEED = 10.0  # market seconds per second
WARM_UP = 0.2  # share of the time; the first features, full windows and the allocator's arenas come in it
SAMPLES = 60
MOST_GROWTH = 0.10  # of memory, between the medians of the first and the last quarter after the warm-up
MORE_HANDLES = 8  # at most, between the same


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float
    rss: int
    handles: int
    threads: int
    messages: int


@pytest.mark.soak
def test_an_hour_leaves_memory_and_file_handles_flat(forker: Forker, tmp_path: Path, dsn: str) -> None:
    with faulted_stream(forker, tmp_path, dsn) as stream:
        stream.play(120)
        with market_going_on(stream, SPEED):
            samples = list(measure(stream))
        report = Path(os.environ.get("MARKETLOOM_SOAK_REPORT", str(tmp_path / "soak.json")))
        report.write_text(json.dumps([asdict(sample) for sample in samples]))
        warm = samples[int(len(samples) * WARM_UP) :]
        first, last = warm[: len(warm) // 4], warm[-len(warm) // 4 :]
        growth = median(last, "rss") / median(first, "rss") - 1
        handles = median(last, "handles") - median(first, "handles")
        print(f"\n{SECONDS:.0f} s: {samples[-1].messages} messages; memory {median(first, 'rss') / 1e6:.0f} MB "
              f"to {median(last, 'rss') / 1e6:.0f} MB; file handles {median(first, 'handles'):.0f} "
              f"to {median(last, 'handles'):.0f}")  # fmt: skip
        stream.settle()
        assert growth < MOST_GROWTH, samples
        assert handles <= MORE_HANDLES, samples


def measure(stream: FaultedStream) -> Iterator[Sample]:
    assert stream.process is not None
    process = psutil.Process(stream.process.pid)
    began = time.monotonic()
    for number in range(1, SAMPLES + 1):
        time.sleep(max(0.0, began + number * SECONDS / SAMPLES - time.monotonic()))
        [(messages,)] = stream.rows('SELECT coalesce(max("offset"), 0) FROM bus_event')
        yield Sample(
            seconds=time.monotonic() - began,
            rss=process.memory_info().rss,
            handles=process.num_fds(),
            threads=process.num_threads(),
            messages=messages,
        )


def median(samples: list[Sample], name: str) -> float:
    values = sorted(getattr(sample, name) for sample in samples)
    return float(values[len(values) // 2])

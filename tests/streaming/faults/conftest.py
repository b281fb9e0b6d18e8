"""What the tests of faults share: a process that starts streams in an instant, and a running one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streaming.faults.faulted_stream import FaultedStream, faulted_stream
from tests.streaming.faults.forked import Forker


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    made = Forker()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def stream(forker: Forker, tmp_path: Path, dsn: str) -> Iterator[FaultedStream]:
    with faulted_stream(forker, tmp_path, dsn) as running:
        yield running

"""A stream that is killed before midnight of a month's last day and begins again after it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.streaming.faults.faulted_stream import PAIRS, faulted_stream
from tests.streaming.faults.forked import Forker

pytestmark = pytest.mark.soak  # each takes minutes

LAST_DAY = datetime(2024, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
STEP = 900.0


def test_both_days_and_both_months_are_right(forker: Forker, tmp_path: Path, dsn: str) -> None:
    with faulted_stream(forker, tmp_path, dsn, begins=LAST_DAY) as stream:
        stream.play(DAY.total_seconds() - 1200, STEP)
        stream.wait_until_level()
        stream.kill()
        stream.play(1200)
        stream.start()
        stream.play(DAY.total_seconds() - 600, STEP)
        stream.settle(since=LAST_DAY)
        for pair in PAIRS:
            days = {
                each["open_time"]: each["trades"]
                for each in stream.published("ohlcv-raw", pair)
                if each["timeframe"] == "1d"
            }
            opens = [datetime.fromisoformat(opened) for opened in days]
            assert {LAST_DAY, LAST_DAY + DAY} <= set(opens)
            assert all(trades > 0 for trades in days.values())

"""A stream that is killed before midnight of a month's last day and begins again after it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.streaming.faults.faulted_stream import PAIRS, faulted_stream
from tests.streaming.faults.forked import Forker

LAST_DAY = datetime(2024, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
STEP = 120.0  # less than the hour in which a closed candle is still compared


def test_both_days_and_both_months_are_right(forker: Forker, tmp_path: Path, dsn: str) -> None:
    with faulted_stream(forker, tmp_path, dsn, begins=LAST_DAY) as stream:
        stream.play(DAY.total_seconds() - 1200, STEP)
        stream.wait_until_level()
        stream.kill()
        stream.play(1200, STEP)
        assert stream.market_now() > LAST_DAY + DAY
        stream.start()
        stream.play(4 * 3600, STEP)
        stream.settle(since=LAST_DAY)
        for pair in PAIRS:
            candles = stream.published("ohlcv-raw", pair)
            [day] = [each for each in candles if each["timeframe"] == "1d"]
            assert datetime.fromisoformat(day["open_time"]) == LAST_DAY
            trades = {
                each["open_time"]: each["trades"]  # of its newest revision
                for each in candles
                if each["timeframe"] == "1m" and datetime.fromisoformat(each["open_time"]) < LAST_DAY + DAY
            }
            assert day["trades"] == sum(trades.values())

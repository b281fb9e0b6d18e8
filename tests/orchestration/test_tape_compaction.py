"""The job that makes the tape's files few, over a lake on the disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.tape_compaction import tape_compaction
from tests.doubles.stores.tape import tape_rows
from trading.closed_candles import Basis, ClosedCandle
from trading.market import Pair, Timeframe
from trading.ports import TapeTable
from trading.stores.tape_lake import LakeTape

BTC = Pair("BTC", "USDT")
HOUR = timedelta(hours=1)


def test_a_finished_day_becomes_one_file_with_the_same_rows(tmp_path: Path) -> None:
    tape, day = LakeTape(tmp_path), datetime(2024, 3, 5, tzinfo=UTC)
    for hour in range(5):
        opened = day + hour * HOUR
        candle = ClosedCandle(
            "kraken", BTC, Timeframe.H1, opened, 1.0, 2.0, 1.0, 2.0, 3.0, 4, 1, 4, Basis.TRADES, opened + HOUR
        )
        tape.append(TapeTable.CANDLES, tape_rows(candle), f"batch-{hour}")
    before = tape.read(TapeTable.CANDLES, "kraken", BTC, day, day + 24 * HOUR)
    assert len(list(tmp_path.rglob("*.parquet"))) == 5
    for _ in range(2):
        assert tape_compaction.execute_in_process(resources={"tape": tape}).success
        assert len(list(tmp_path.rglob("*.parquet"))) == 1
        assert tape.read(TapeTable.CANDLES, "kraken", BTC, day, day + 24 * HOUR).equals(before)

"""The candles of real trades are those that were built of them elsewhere."""

from pathlib import Path

import polars as pl
import pytest

from streaming.bars import PairCandles
from streaming.events import Trade
from tests.streaming.bars.market import BTC, GRACE, MIDNIGHT, SECOND, Recording, expected, history, trade
from trading.market import Timeframe
from trading.orders import Side

SHARED = Path(__file__).parents[3] / "../shared/data"
TRADES = SHARED / "ticks/kraken_BTC-USDT_trades_2023-11.parquet"
FILES = {Timeframe.M1: "1m_2023-11", Timeframe.M5: "5m_2023-11"}
COUNT = 26_921  # all


@pytest.mark.skipif(not TRADES.exists(), reason="the real trades are not here")
def test_real_trades_with_missing_ids_give_the_candles_of_the_vendor() -> None:
    """Ids that never existed are gaps until the history shows it; a restart after every thousandth trade."""
    rows = (
        pl.read_parquet(TRADES).select("id", "side", "price", "amount", "timestamp").head(COUNT).iter_rows()
    )
    trades = [Trade(BTC, row[0], Side(row[1]), row[2], row[3], row[4]) for row in rows]
    recording = Recording()
    for index, each in enumerate(trades):
        if index % 1000 == 999:
            recording.restart()
        recording.take(recording.candles.add([each], each.at))
        for gap in recording.candles.gaps:
            assert gap.until is not None
            near = trades[max(index - 9, 0) : index + 1]
            recording.take(
                recording.candles.backfill(gap, history(near, gap.since, gap.until), None, each.at)
            )
    assert recording.restated == 0
    end = Timeframe.M1.floor(trades[-1].at)
    assert recording.final() == expected(trades, Timeframe.D1.floor(trades[0].at), end)
    for timeframe, name in FILES.items():
        vendor = pl.read_parquet(SHARED / f"ohlcv/kraken_BTC-USDT_{name}.parquet").rows_by_key(
            "timestamp", unique=True
        )
        opens = [
            each for each in recording.opens(timeframe) if recording.revisions[timeframe, each][-1].trades
        ]
        assert len(opens) > 300
        for open_time in opens:
            ours = recording.revisions[timeframe, open_time][-1]
            theirs = vendor[open_time]
            assert (ours.open, ours.high, ours.low, ours.close) == theirs[:4]
            assert ours.volume == pytest.approx(theirs[4], abs=1e-9)  # the vendor added floats


def test_what_every_batch_changes_of_a_checkpoint_is_small_and_the_rest_is_the_same() -> None:
    candles = PairCandles("kraken", BTC, tuple(Timeframe), GRACE)
    trades = [trade(number, MIDNIGHT + number * SECOND) for number in range(1, 90)]
    candles.add(trades[:70], MIDNIGHT)
    before = candles.checkpoint()
    candles.add(trades[70:80], MIDNIGHT)
    after = candles.checkpoint()
    assert after.settled == before.settled
    assert after.recent != before.recent
    assert len(after.recent) < 1000

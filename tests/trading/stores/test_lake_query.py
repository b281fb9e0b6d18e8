from datetime import date
from pathlib import Path

import pytest

from tests.ml.decision.trading_day import PAIR, RISING, START, candles
from trading.errors import InvalidValue
from trading.market import CANDLE_SCHEMA
from trading.stores.lake import LakeTable
from trading.stores.lake_query import run_sql


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    january = candles(RISING).filter(candles(RISING)["open_time"].dt.month() == START.month)
    LakeTable(tmp_path / "ohlcv", CANDLE_SCHEMA).write(PAIR, date(START.year, START.month, 1), january)
    return tmp_path


def test_a_select_has_pair_and_month_as_columns(lake: Path) -> None:
    [row] = run_sql(lake, "select pair, count(*) as candles from ohlcv group by pair").to_dicts()
    assert row == {"pair": PAIR.key, "candles": 744}


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1 as a) to '{part}' (format parquet)",
        "create table t as select 1",
        "select 1; copy (select 1 as a) to '{part}' (format parquet)",
        "install httpfs",
    ],
)
def test_whatever_could_write_is_refused_and_the_lake_stays_as_it_was(lake: Path, query: str) -> None:
    [part] = lake.rglob("*.parquet")
    before = part.read_bytes()
    with pytest.raises(InvalidValue):
        run_sql(lake, query.format(part=part))
    assert part.read_bytes() == before

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


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('{secret}')", "select * from read_csv('{secret}')", "select * from '{secret}'",
        "select * from read_blob('{secret}')", "select * from glob('{folder}/*')",
        "select * from read_parquet('{part}/../../..{copy}')",
        "select * from read_text('{lake}/../secret.csv')", "select * from secret", "from read_json('{secret}')",
        "select getenv('HOME')", "select * from sniff_csv('{secret}')", "select * from parquet_metadata('{copy}')",
        "select current_setting('TimeZone') from ohlcv; set enable_external_access = true",
        "select * from query('set lock_configuration = false')", "select * from read_csv('http://127.0.0.1:1/x.csv')",
        "select * from sqlite_scan('{secret}', 'x')",
    ],
)  # fmt: skip
def test_a_query_reaches_nothing_but_the_lake(lake: Path, tmp_path: Path, query: str) -> None:
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    secret = home / "secret.csv"
    secret.write_text("word\nhidden\n")
    [part] = lake.rglob("*.parquet")
    copy = home / "copy.parquet"
    copy.write_bytes(part.read_bytes())
    with pytest.raises(InvalidValue) as refused:
        run_sql(lake, query.format(secret=secret, folder=home, part=part.parent, lake=lake, copy=copy))
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "time", ["'infinity'::timestamp", "'-infinity'::timestamptz", "date '290000-01-01'", "'infinity'::date"]
)
def test_a_time_that_cannot_be_shown_is_refused_in_a_sentence(lake: Path, time: str) -> None:
    with pytest.raises(InvalidValue, match="column a has a time outside the years 1 to 9999"):
        run_sql(lake, f"select {time} as a")
    assert (
        run_sql(lake, "select '9999-12-31'::timestamptz as a, date '0001-01-01' as b, null::date as c").height
        == 1
    )


def test_an_order_is_kept(lake: Path) -> None:
    opens = run_sql(lake, "select open_time from ohlcv order by open_time desc")["open_time"]
    assert opens.is_sorted(descending=True)
    assert len(opens) == 744


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("select range from range(1000001)", "more than 1,000,000 rows"),
        ("select sum(a.range % b.range) from range(10) b, (select range, repeat('x', 1000000) t from range(9000) "
         "order by t, range desc) a group by a.t", "(?i)memory"),
    ],
)  # fmt: skip
def test_a_query_that_asks_for_too_much_is_refused(lake: Path, query: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        run_sql(lake, query)

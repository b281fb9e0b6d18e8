import datetime as dt
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData, MemoryTable
from tests.services import needs_module
from trading.candles import complete
from trading.errors import (
    InvalidCandles,
    InvalidValue,
    MarketloomError,
    NotStored,
    StoreUnreachable,
    UnreadableFile,
    UnusableHome,
)
from trading.indicators import FEATURE_SCHEMA
from trading.market import CANDLE_SCHEMA, TIME, Pair, Timeframe, month_start
from trading.ports import TableStore
from trading.stores.clickhouse import ClickHouse, ClickHouseTable
from trading.stores.lake import PART, LakeTable
from trading.stores.lake_query import run_sql
from trading.stores.live_candles import LiveCandles

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
HOUR = dt.timedelta(hours=1)
JANUARY, FEBRUARY, MARCH = dt.date(2020, 1, 1), dt.date(2020, 2, 1), dt.date(2020, 3, 1)


def candles(month: dt.date, hours: int = 4, price: float = 10.0) -> pl.DataFrame:
    """The last hours of a day in the middle of the month."""
    first = month_start(month) + dt.timedelta(days=14)
    opens = pl.Series("open_time", [first + n * HOUR for n in range(hours)], TIME)
    numbers = pl.Series([price + n for n in range(hours)], dtype=pl.Float64())
    names = ("open", "high", "low", "close", "volume")
    return complete(pl.DataFrame([opens, *map(numbers.alias, names)]), Timeframe.H1, "test")


class TableStoreContract:
    """Every table store keeps these promises."""

    @pytest.fixture
    def store(self) -> TableStore:
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store: TableStore) -> TableStore:
        for month in (MARCH, JANUARY, FEBRUARY):
            store.write(BTC, month, candles(month))
        return store

    def test_a_month_comes_back_as_it_went_in(self, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        assert store.read(BTC, JANUARY).equals(candles(JANUARY))
        assert store.read(BTC, JANUARY).schema == CANDLE_SCHEMA

    def test_writing_again_replaces_the_month(self, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY, hours=9))
        store.write(BTC, JANUARY, candles(JANUARY, price=20.0))
        assert store.read(BTC, JANUARY).equals(candles(JANUARY, price=20.0))

    def test_a_month_never_written_is_an_error_an_empty_one_is_not(self, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY, hours=0))
        assert store.read(BTC, JANUARY).height == 0
        with pytest.raises(NotStored):
            store.read(BTC, FEBRUARY)
        with pytest.raises(NotStored):
            store.read(XRP, JANUARY)

    def test_months_are_listed_in_order(self, filled: TableStore) -> None:
        assert filled.months(BTC) == [JANUARY, FEBRUARY, MARCH]
        assert filled.months(XRP) == []

    def test_between_includes_the_start_and_not_the_end(self, filled: TableStore) -> None:
        january, march = candles(JANUARY)["open_time"], candles(MARCH)["open_time"]
        rows = filled.between(BTC, january[2], march[1])
        assert rows["open_time"].to_list() == [*january[2:], *candles(FEBRUARY)["open_time"], march[0]]

    def test_between_reads_only_the_columns_that_are_asked_for(self, filled: TableStore) -> None:
        start, end = month_start(JANUARY), month_start(MARCH)
        few = filled.between(BTC, start, end, ("open_time", "close"))
        assert few.equals(filled.between(BTC, start, end).select("open_time", "close"))
        assert few.height > 0

    def test_between_is_empty_where_a_written_pair_has_nothing(self, filled: TableStore) -> None:
        for year in (2019, 2021):
            start = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
            rows = filled.between(BTC, start, start + dt.timedelta(days=9))
            assert (rows.height, rows.schema) == (0, CANDLE_SCHEMA)

    def test_tail_crosses_months_and_ends_at_the_last_closed_row(self, filled: TableStore) -> None:
        until = candles(MARCH)["close_time"][1]
        rows = filled.tail(BTC, until, 7)
        expected = pl.concat([candles(JANUARY), candles(FEBRUARY), candles(MARCH)[:2]]).tail(7)
        assert rows.equals(expected)

    def test_tail_gives_fewer_rows_where_there_are_fewer(self, filled: TableStore) -> None:
        assert filled.tail(BTC, month_start(MARCH), 500).height == 8
        before = filled.tail(BTC, month_start(JANUARY), 5)
        assert (before.height, before.schema) == (0, CANDLE_SCHEMA)

    def test_tail_until_the_end_of_time_has_the_newest_rows(self, filled: TableStore) -> None:
        assert filled.tail(BTC, dt.datetime.max.replace(tzinfo=dt.UTC), 2).equals(candles(MARCH).tail(2))

    def test_a_candle_that_closes_after_the_clock_is_not_seen(self, filled: TableStore) -> None:
        until = candles(MARCH)["close_time"][1] - dt.timedelta(microseconds=1)
        assert filled.tail(BTC, until, 1)["open_time"][0] == candles(MARCH)["open_time"][0]

    def test_a_pair_never_written_has_no_rows_to_ask_for(self, store: TableStore) -> None:
        with pytest.raises(NotStored, match="XRP/USDT"):
            store.between(XRP, month_start(JANUARY), month_start(MARCH))
        with pytest.raises(NotStored, match="XRP/USDT"):
            store.tail(XRP, month_start(MARCH), 5)

    @pytest.mark.parametrize("broken", ["reversed", "doubled", "other month", "null", "column", "naive time"])
    def test_a_broken_month_is_refused_and_the_old_one_stays(self, store: TableStore, broken: str) -> None:
        good = candles(JANUARY)
        store.write(BTC, JANUARY, good)
        tables = {
            "reversed": good.reverse(), "doubled": pl.concat([good, good]).sort("open_time"),
            "other month": candles(FEBRUARY), "null": good.with_columns(open_time=pl.lit(None, TIME)),
            "column": good.drop("volume"),
            "naive time": good.with_columns(pl.col("open_time").dt.replace_time_zone(None)),
        }  # fmt: skip
        with pytest.raises(InvalidCandles, match=r"BTC/USDT 2020-01"):
            store.write(BTC, JANUARY, tables[broken])
        assert store.read(BTC, JANUARY).equals(good)

    def test_a_month_is_named_by_its_first_day(self, store: TableStore) -> None:
        with pytest.raises(InvalidValue, match="2020-01-01"):
            store.write(BTC, dt.date(2020, 1, 5), candles(JANUARY))
        with pytest.raises(InvalidValue, match="2020-01-01"):
            store.read(BTC, dt.date(2020, 1, 5))


class TestMemoryTable(TableStoreContract):
    @pytest.fixture
    def store(self) -> TableStore:
        return MemoryTable(CANDLE_SCHEMA)


class TestLiveCandles(TableStoreContract):
    """Where nothing streams, what decisions read is the table."""

    @pytest.fixture
    def store(self) -> TableStore:
        stream = MemoryMarketData(MemoryEventLog(), "test", "test-1h", Timeframe.H1)
        return LiveCandles(MemoryTable(CANDLE_SCHEMA), stream, Timeframe.H1)


CLICKHOUSE_WRITER = """
import os, pickle, signal, sys
import clickhouse_connect
from trading.market import CANDLE_SCHEMA
from trading.stores.clickhouse import ClickHouse, ClickHouseTable
path, step, pair, month, tables = pickle.load(sys.stdin.buffer)
server = ClickHouse(lambda: clickhouse_connect.get_client(interface="chdb", path=path), "lake", "the engine")
execute = server.execute
def dies(statement, values=None):
    if step in statement:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(statement, values)
store = ClickHouseTable(server, "ohlcv", CANDLE_SCHEMA)
found = store.read(pair, month) if store.months(pair) else None
sys.stdout.buffer.write(pickle.dumps(found))
sys.stdout.buffer.flush()
for table in tables:
    store.write(pair, month, table)
    server.execute = dies
os._exit(0)
"""


@pytest.mark.service
class TestClickHouseTable(TableStoreContract):
    @pytest.fixture
    def store(self, clickhouse: ClickHouse) -> TableStore:
        return ClickHouseTable(clickhouse, "ohlcv", CANDLE_SCHEMA)

    def test_a_writer_killed_at_the_last_step_leaves_the_old_month_or_the_new_one(
        self, tmp_path: Path
    ) -> None:
        needs_module("chdb")
        old, new = candles(JANUARY), candles(JANUARY, price=20.0)
        before = _clickhouse_writer(tmp_path, "REPLACE PARTITION", [old, new])
        after = _clickhouse_writer(tmp_path, "DROP TABLE", [old, new])
        last = _clickhouse_writer(tmp_path, "nothing", [])
        assert [each.returncode for each in (before, after, last)] == [-signal.SIGKILL, -signal.SIGKILL, 0]
        assert pickle.loads(before.stdout) is None
        assert pickle.loads(after.stdout).equals(old)
        assert pickle.loads(last.stdout).equals(new)

    def test_a_failed_insert_leaves_the_old_month(
        self, store: TableStore, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))

        def fail(*_: object) -> None:
            raise StoreUnreachable("the server went away")

        with monkeypatch.context() as server:
            server.setattr(clickhouse, "insert", fail)
            with pytest.raises(StoreUnreachable):
                store.write(BTC, JANUARY, candles(JANUARY, price=20.0))
        assert store.read(BTC, JANUARY).equals(candles(JANUARY))
        tables = clickhouse.query(
            "SELECT name FROM system.tables WHERE database = {name:String}", {"name": clickhouse.database}
        )
        assert sorted(tables["name"]) == ["ohlcv", "ohlcv_rows"]

    def test_people_see_the_rows_alone_with_pair_and_month(
        self, filled: TableStore, clickhouse: ClickHouse
    ) -> None:
        filled.write(BTC, dt.date(2020, 4, 1), candles(dt.date(2020, 4, 1), hours=0))
        rows = clickhouse.query(
            f"SELECT pair, month, count() AS rows FROM {clickhouse.table('ohlcv')} GROUP BY ALL ORDER BY month"
        )
        assert rows.rows() == [("BTC-USDT", month, 4) for month in (JANUARY, FEBRUARY, MARCH)]

    def test_the_features_table_gets_its_columns_from_what_is_written(self, clickhouse: ClickHouse) -> None:
        features = ClickHouseTable(clickhouse, "features", None)
        table = pl.DataFrame(
            {name: _some(kind, JANUARY) for name, kind in FEATURE_SCHEMA.items()}, FEATURE_SCHEMA
        )
        features.write(BTC, JANUARY, table)
        assert features.read(BTC, JANUARY).equals(table)
        few = features.between(BTC, month_start(JANUARY), month_start(MARCH), ("regime", "open_time"))
        assert few.equals(table.select("regime", "open_time"))

    def test_months_with_different_columns_are_not_joined(self, clickhouse: ClickHouse) -> None:
        features = ClickHouseTable(clickhouse, "features", None)
        features.write(BTC, JANUARY, candles(JANUARY).drop("volume"))
        features.write(BTC, FEBRUARY, candles(FEBRUARY))
        assert features.read(BTC, JANUARY).equals(candles(JANUARY).drop("volume"))
        with pytest.raises(InvalidCandles, match="different columns"):
            features.between(BTC, month_start(JANUARY), month_start(MARCH))
        with pytest.raises(InvalidCandles, match="different columns"):
            features.tail(BTC, month_start(MARCH), 500)
        assert features.tail(BTC, month_start(MARCH), 2).equals(candles(FEBRUARY).tail(2))

    def test_a_month_of_another_version_is_refused(self, clickhouse: ClickHouse) -> None:
        ClickHouseTable(clickhouse, "ohlcv", None).write(BTC, JANUARY, candles(JANUARY).drop("known_at"))
        with pytest.raises(UnreadableFile, match=r"another version.*`ohlcv` again for BTC-USDT 2020-01"):
            ClickHouseTable(clickhouse, "ohlcv", CANDLE_SCHEMA).read(BTC, JANUARY)

    def test_a_column_that_no_month_has_is_no_good_version(self, filled: TableStore) -> None:
        with pytest.raises(UnreadableFile, match=r"volumen.*materialise `ohlcv` again"):
            filled.between(BTC, month_start(JANUARY), month_start(MARCH), ("volumen",))


def _clickhouse_writer(
    folder: Path, step: str, tables: list[pl.DataFrame]
) -> "subprocess.CompletedProcess[bytes]":
    """Read what is stored, then write the tables one after the other; dead before the step of any but the first."""
    work = pickle.dumps((str(folder), step, BTC, JANUARY, tables))
    return subprocess.run(
        [sys.executable, "-c", CLICKHOUSE_WRITER],
        input=work,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )


def _some(kind: pl.DataType, month: dt.date) -> list[object]:
    first = month_start(month)
    if kind == TIME:
        return [first, first + HOUR]
    return [None, "quiet"] if kind == pl.String() else [None, 0.1 + 0.2]


DRAFT = "part.partial"
WRITER = """
import sys, os, signal, pickle
from pathlib import Path
import trading.atomic_files as atomic_files
from trading.stores.lake import LakeTable
from trading.market import CANDLE_SCHEMA, Pair
pair, month, table = pickle.load(sys.stdin.buffer)
atomic_files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
LakeTable(Path(sys.argv[1]), CANDLE_SCHEMA).write(pair, month, table)
"""


class TestLakeTable(TableStoreContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "lake" / "ohlcv"

    @pytest.fixture
    def store(self, root: Path) -> TableStore:
        return LakeTable(root, CANDLE_SCHEMA)

    def test_a_writer_killed_before_the_end_leaves_the_old_month(self, root: Path, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        work = pickle.dumps((BTC, JANUARY, candles(JANUARY, price=20.0)))
        killed = subprocess.run(
            [sys.executable, "-c", WRITER, str(root)], input=work, cwd=Path(__file__).parents[2]
        )
        folder = root / "pair=BTC-USDT" / "month=2020-01-01"
        assert killed.returncode == -signal.SIGKILL
        assert (folder / DRAFT).exists()
        assert store.read(BTC, JANUARY).equals(candles(JANUARY))
        store.write(BTC, JANUARY, candles(JANUARY, price=30.0))
        assert [path.name for path in folder.iterdir()] == [PART]

    def test_a_folder_with_nothing_but_a_draft_is_no_month(self, root: Path, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        part = root / "pair=BTC-USDT" / "month=2020-01-01" / PART
        part.rename(part.with_name(DRAFT))
        assert store.months(BTC) == []

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 400 + b"PAR1", b"\0" * 600])
    def test_a_corrupt_file_is_named_with_what_to_do(
        self, root: Path, store: TableStore, content: bytes
    ) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        part = root / "pair=BTC-USDT" / "month=2020-01-01" / PART
        part.write_bytes(content)
        advice = r"part\.parquet.*materialise `ohlcv` again for BTC-USDT 2020-01"
        with pytest.raises(UnreadableFile, match=advice):
            store.read(BTC, JANUARY)
        with pytest.raises(UnreadableFile, match=advice):
            store.tail(BTC, month_start(MARCH), 3)

    def test_a_file_cut_short_anywhere_never_gives_rows(self, root: Path, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        part = root / "pair=BTC-USDT" / "month=2020-01-01" / PART
        whole = part.read_bytes()
        for length in range(0, len(whole), 97):
            part.write_bytes(whole[:length])
            with pytest.raises(UnreadableFile):
                store.read(BTC, JANUARY)

    def test_no_changed_byte_gives_other_numbers(self, root: Path, store: TableStore) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))
        part = root / "pair=BTC-USDT" / "month=2020-01-01" / PART
        whole = part.read_bytes()
        for position in range(len(whole)):
            for change in (1, 0x80):
                part.write_bytes(whole[:position] + bytes([whole[position] ^ change]) + whole[position + 1 :])
                with pytest.raises(UnreadableFile, match="`ohlcv` again for BTC-USDT 2020-01"):
                    store.read(BTC, JANUARY)
        with pytest.raises(UnreadableFile, match="not those that were written"):
            run_sql(root.parent, "select * from ohlcv")

    def test_a_whole_part_of_another_month_or_pair_is_refused(self, root: Path, store: TableStore) -> None:
        for pair in (BTC, Pair("ETH", "USDT")):
            store.write(pair, JANUARY, candles(JANUARY))
            store.write(pair, FEBRUARY, candles(FEBRUARY))
        here = root / "pair=BTC-USDT" / "month=2020-01-01" / PART
        for other in ("pair=BTC-USDT/month=2020-02-01", "pair=ETH-USDT/month=2020-01-01"):
            here.write_bytes((root / other / PART).read_bytes())
            with pytest.raises(UnreadableFile, match="`ohlcv` again for BTC-USDT 2020-01"):
                store.read(BTC, JANUARY)
            for query in ("from ohlcv", "from query_table('oh' || 'lcv')", "from query('from oh' || 'lcv')"):
                with pytest.raises(UnreadableFile, match="not those that were written here"):
                    run_sql(root.parent, query)

    def test_a_file_of_another_version_is_refused(self, root: Path) -> None:
        LakeTable(root, None).write(BTC, JANUARY, candles(JANUARY).drop("known_at"))
        with pytest.raises(UnreadableFile, match="another version"):
            LakeTable(root, CANDLE_SCHEMA).read(BTC, JANUARY)

    def test_months_with_different_columns_are_not_joined(self, root: Path) -> None:
        features = LakeTable(root, None)
        features.write(BTC, JANUARY, candles(JANUARY))
        features.write(BTC, FEBRUARY, candles(FEBRUARY).drop("volume"))
        with pytest.raises(InvalidCandles, match="different columns"):
            features.between(BTC, month_start(JANUARY), month_start(MARCH))

    def test_the_error_of_an_unwritable_lake_names_the_folder_and_the_remedy(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(UnusableHome, match=r"file.*MARKETLOOM_HOME"):
            LakeTable(tmp_path / "file", CANDLE_SCHEMA).write(BTC, JANUARY, candles(JANUARY))

    def test_a_full_disk_leaves_the_old_month(
        self, root: Path, store: TableStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.write(BTC, JANUARY, candles(JANUARY))

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("trading.atomic_files.os.fsync", full)
        with pytest.raises(UnusableHome, match="No space left"):
            store.write(BTC, JANUARY, candles(JANUARY, price=20.0))
        assert store.read(BTC, JANUARY).equals(candles(JANUARY))
        assert not list(root.rglob(DRAFT))

    def test_duckdb_and_polars_read_the_tree_themselves(self, root: Path, filled: TableStore) -> None:
        scanned = pl.scan_parquet(root / "**/*.parquet", hive_partitioning=True).collect()
        assert scanned["month"].unique().sort().to_list() == [JANUARY, FEBRUARY, MARCH]
        query = f"SELECT pair, month, count(*) FROM '{root}/*/*/*.parquet' GROUP BY ALL ORDER BY month"
        assert duckdb.execute(query).fetchall() == [
            ("BTC-USDT", month, 4) for month in (JANUARY, FEBRUARY, MARCH)
        ]

    def test_sql_sees_every_table_of_the_lake(self, root: Path, filled: TableStore) -> None:
        LakeTable(root.parent / "features", None).write(
            BTC, MARCH, candles(MARCH).select("open_time", "close_time")
        )
        joined = run_sql(
            root.parent, "SELECT open_time, o.close FROM ohlcv o JOIN features USING (pair, open_time)"
        )
        assert joined.sort("open_time").equals(candles(MARCH).select("open_time", "close"))

    def test_sql_errors_say_what_is_wrong(self, root: Path, filled: TableStore) -> None:
        with pytest.raises(InvalidValue, match="volumen"):
            run_sql(root.parent, "SELECT volumen FROM ohlcv")
        with pytest.raises(NotStored, match="materialise `ohlcv` first"):
            run_sql(root / "nowhere", "SELECT 1")
        (root / "pair=BTC-USDT" / "month=2020-01-01" / PART).write_bytes(b"junk")
        with pytest.raises(MarketloomError, match=PART):
            run_sql(root.parent, "SELECT sum(close) FROM ohlcv")

    def test_a_path_with_signs_that_patterns_use_is_read(self, tmp_path: Path) -> None:
        root = tmp_path / "it's [1] lake, 100 %*" / "ohlcv"
        store = LakeTable(root, CANDLE_SCHEMA)
        store.write(BTC, JANUARY, candles(JANUARY))
        assert store.months(BTC) == [JANUARY]
        assert store.read(BTC, JANUARY).height == 4
        assert run_sql(root.parent, "SELECT count(*) AS rows FROM ohlcv")["rows"][0] == 4

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from trading.errors import InvalidValue, UnreadableFile, UnusableHome
from trading.market import TIME, Pair
from trading.ports import Tape, TapeTable
from trading.ports.market_data import TAPE_KEYS, TAPE_SCHEMAS
from trading.stores.clickhouse import ClickHouse, ClickHouseTape
from trading.stores.tape_lake import MAX_BATCHES, LakeTape

PROJECT = Path(__file__).parents[2]
KRAKEN = "kraken"
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "BTC")
SECOND, DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
LONG_AGO, FAR = NOON - 400 * DAY, NOON + 400 * DAY
SOME = {
    pl.String(): "text", pl.Float64(): 0.1 + 0.2, pl.Int64(): 7, pl.List(pl.Float64()): [0.1 + 0.2, 3.0],
}  # fmt: skip


def rows_at(table: TapeTable, *times: dt.datetime, **columns: object) -> pl.DataFrame:
    """A row per time, known a second later."""
    made = [
        {name: SOME.get(kind, at + SECOND) for name, kind in TAPE_SCHEMAS[table].items()}
        | {"origin": KRAKEN, "pair": BTC.key, "at": at, "open_time": at} | columns
        for at in times
    ]  # fmt: skip
    return pl.DataFrame(
        [{name: row[name] for name in TAPE_SCHEMAS[table]} for row in made], TAPE_SCHEMAS[table]
    )


def trades(first: int, count: int, start: dt.datetime = NOON, **columns: object) -> pl.DataFrame:
    """A trade per second, numbered from `first`."""
    times = [start + number * SECOND for number in range(count)]
    rows = rows_at(TapeTable.TRADES, *times, **columns)
    return rows.with_columns(trade_id=pl.int_range(first, first + count))


class TapeContract:
    """Every tape keeps these promises."""

    @pytest.fixture
    def tape(self) -> Tape:
        raise NotImplementedError

    def ids(self, tape: Tape, start: dt.datetime = LONG_AGO, end: dt.datetime = FAR) -> list[int]:
        return tape.read(TapeTable.TRADES, KRAKEN, BTC, start, end)["trade_id"].to_list()

    @pytest.mark.parametrize("table", TapeTable)
    def test_rows_come_back_as_they_went_in(self, tape: Tape, table: TapeTable) -> None:
        rows = rows_at(table, NOON, NOON + dt.timedelta(microseconds=1))
        tape.append(table, rows, "0-1")
        assert tape.read(table, KRAKEN, BTC, LONG_AGO, FAR).equals(rows)
        assert tape.newest(table, KRAKEN, BTC) == NOON + dt.timedelta(microseconds=1)
        assert tape.rows(table, KRAKEN) == 2

    @pytest.mark.parametrize("table", TapeTable)
    def test_what_a_venue_does_not_say_stays_unsaid(self, tape: Tape, table: TapeTable) -> None:
        said = {*TAPE_KEYS[table], "known_at", "close_time", "timeframe"} - {"trade_id", "side"}
        rows = rows_at(table, NOON).with_columns(
            pl.lit(None, kind).alias(name)
            for name, kind in TAPE_SCHEMAS[table].items()
            if name not in said and not isinstance(kind, pl.List)
        )
        tape.append(table, rows, "0-1")
        assert tape.read(table, KRAKEN, BTC, LONG_AGO, FAR).equals(rows)

    def test_an_empty_tape_has_no_rows(self, tape: Tape) -> None:
        assert tape.read(TapeTable.BOOK, KRAKEN, BTC, LONG_AGO, FAR).schema == TAPE_SCHEMAS[TapeTable.BOOK]
        assert tape.rows(TapeTable.BOOK, KRAKEN) == 0
        assert tape.newest(TapeTable.BOOK, KRAKEN, BTC) is None
        tape.append(TapeTable.BOOK, TAPE_SCHEMAS[TapeTable.BOOK].to_frame(), "0-1")
        tape.compact(FAR)
        assert tape.rows(TapeTable.BOOK, KRAKEN) == 0

    def test_the_start_is_read_and_the_end_is_not(self, tape: Tape) -> None:
        tape.append(TapeTable.TRADES, trades(1, 5), "0-1")
        assert self.ids(tape, NOON + SECOND, NOON + 3 * SECOND) == [2, 3]

    def test_rows_are_sorted_across_batches_and_midnight(self, tape: Tape) -> None:
        tape.append(TapeTable.TRADES, trades(4, 4, MIDNIGHT - 2 * SECOND).reverse(), "0-9")
        tape.append(TapeTable.TRADES, trades(1, 3), "0-1")
        assert self.ids(tape) == [1, 2, 3, 4, 5, 6, 7]
        assert self.ids(tape, MIDNIGHT, FAR) == [6, 7]
        assert tape.newest(TapeTable.TRADES, KRAKEN, BTC) == MIDNIGHT + SECOND

    def test_a_batch_that_comes_again_is_stored_once(self, tape: Tape) -> None:
        tape.append(TapeTable.TRADES, trades(1, 3), "0-1")
        tape.append(TapeTable.TRADES, trades(1, 3), "0-1")
        tape.append(TapeTable.TRADES, trades(1, 5), "0-1")  # longer
        tape.append(TapeTable.TRADES, trades(2, 1, NOON + SECOND), "0-1")  # shorter
        assert self.ids(tape) == [1, 2, 3, 4, 5]
        tape.append(TapeTable.TRADES, trades(3, 4, NOON + 2 * SECOND), "0-3")  # cut in another way
        assert self.ids(tape) == [1, 2, 3, 4, 5, 6]

    def test_of_a_row_that_came_twice_the_first_knowledge_counts(self, tape: Tape) -> None:
        early, late = trades(1, 2), trades(1, 2, known_at=NOON + DAY)
        tape.append(TapeTable.TRADES, late, "0-9")
        tape.append(TapeTable.TRADES, early, "0-1")
        assert tape.read(TapeTable.TRADES, KRAKEN, BTC, LONG_AGO, FAR).equals(early)

    def test_every_revision_of_a_candle_is_kept(self, tape: Tape) -> None:
        first, second = (
            rows_at(TapeTable.CANDLES, NOON, close=close, known_at=NOON + minutes * 60 * SECOND)
            for close, minutes in ((10.0, 1), (11.0, 9))
        )
        tape.append(TapeTable.CANDLES, second, "0-1")
        tape.append(TapeTable.CANDLES, first, "0-2")
        assert tape.read(TapeTable.CANDLES, KRAKEN, BTC, LONG_AGO, FAR).equals(pl.concat([first, second]))

    def test_pairs_venues_and_tables_do_not_mix(self, tape: Tape) -> None:
        mixed = [trades(1, 2), trades(3, 2, pair=XRP.key), trades(5, 2, origin="sandbox")]
        tape.append(TapeTable.TRADES, pl.concat(mixed), "0-1")
        assert self.ids(tape) == [1, 2]
        assert tape.read(TapeTable.TRADES, KRAKEN, XRP, LONG_AGO, FAR)["trade_id"].to_list() == [3, 4]
        assert tape.rows(TapeTable.TRADES, KRAKEN) == 4
        assert tape.rows(TapeTable.TICKER, KRAKEN) == 0

    def test_compaction_changes_no_row(self, tape: Tape) -> None:
        for number in range(4):
            tape.append(
                TapeTable.TRADES, trades(1 + 2 * number, 3, NOON + 2 * number * SECOND), f"0-{number}"
            )
        tape.append(TapeTable.TRADES, trades(20, 2, MIDNIGHT + 40 * DAY), "0-99")
        before = tape.read(TapeTable.TRADES, KRAKEN, BTC, LONG_AGO, FAR)
        for _ in range(2):
            tape.compact(MIDNIGHT + 28 * DAY)
            assert tape.read(TapeTable.TRADES, KRAKEN, BTC, LONG_AGO, FAR).equals(before)
        assert tape.rows(TapeTable.TRADES, KRAKEN) == 11
        tape.append(TapeTable.TRADES, trades(1, 3), "0-0")  # a batch that was not committed before
        assert tape.read(TapeTable.TRADES, KRAKEN, BTC, LONG_AGO, FAR).equals(before)

    def test_rows_of_another_shape_are_refused(self, tape: Tape) -> None:
        for broken in (
            trades(1, 2).drop("side"),
            trades(1, 2).with_columns(pl.col("price").cast(pl.Float32)),
            trades(1, 2).with_columns(at=pl.lit(None, TIME)),
        ):
            with pytest.raises(InvalidValue, match="tape trades"):
                tape.append(TapeTable.TRADES, broken, "0-1")
        assert tape.rows(TapeTable.TRADES, KRAKEN) == 0


@pytest.mark.service
class TestClickHouseTape(TapeContract):
    @pytest.fixture
    def tape(self, clickhouse: ClickHouse) -> Tape:
        return ClickHouseTape(clickhouse)

    def test_a_finished_month_becomes_one_part(self, tape: Tape, clickhouse: ClickHouse) -> None:
        clickhouse.make_once("SELECT 1")
        tape.append(TapeTable.TRADES, trades(1, 3), "0-1")
        clickhouse.execute(f"SYSTEM STOP MERGES {clickhouse.table('tape_trades')}")
        tape.append(TapeTable.TRADES, trades(1, 4), "0-1")
        clickhouse.execute(f"SYSTEM START MERGES {clickhouse.table('tape_trades')}")
        tape.compact(MIDNIGHT)
        parts = clickhouse.query(
            "SELECT sum(rows) AS rows, count() AS parts FROM system.parts WHERE active AND database = {name:String}",
            {"name": clickhouse.database},
        )
        assert parts.row(0) == (4, 1)


STEPS = 30  # more than the work has file operations
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.contracts.test_tape import FAR, MIDNIGHT, SECOND, STEPS, LakeTape, TapeTable, trades

def dies_before(step):
    left = step
    def counted(call):
        def dies(*given, **named):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*given, **named)
        return dies
    for name in ("replace", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    for name in ("open", "mkdir", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))

for step in range(STEPS):
    if (child := os.fork()) == 0:
        dies_before(step)
        tape = LakeTape(Path(sys.argv[1]) / str(step))
        if sys.argv[2] == "append":
            tape.append(TapeTable.TRADES, trades(1, 4, MIDNIGHT - 2 * SECOND), "0-1")
        else:
            tape.compact(FAR)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MERGER = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from tests.contracts.test_tape import FAR, NOON, LakeTape, SECOND, TapeTable, trades
tape = LakeTape(Path(sys.argv[1]))
while True:
    for number in range(6):
        tape.append(TapeTable.TRADES, trades(5 * number, 5, NOON + 5 * number * SECOND), f"0-{number}")
    tape.compact(FAR)
"""


def _run_killed(root: Path, work: str) -> list[int]:
    """Do the work in folders 0, 1, 2 ..., each in a process that is killed before its file operation of that number."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), work],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [int(line) for line in ended.stdout.split()]


class TestLakeTape(TapeContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "lake" / "tape"

    @pytest.fixture
    def tape(self, root: Path) -> Tape:
        return LakeTape(root)

    def names(self, root: Path) -> list[str]:
        return sorted(path.name for path in root.rglob("*") if path.is_file())

    @pytest.mark.parametrize("work", ["append", "compact"])
    def test_killed_at_any_step_no_row_is_lost_and_none_is_doubled(self, tmp_path: Path, work: str) -> None:
        tapes = [LakeTape(tmp_path / str(step)) for step in range(STEPS)]
        for tape in tapes if work == "compact" else []:
            tape.append(TapeTable.TRADES, trades(1, 3, MIDNIGHT - 2 * SECOND), "0-1")
            tape.append(TapeTable.TRADES, trades(3, 2, MIDNIGHT), "0-3")
        ends = _run_killed(tmp_path, work)
        killed = ends.count(-signal.SIGKILL)
        assert 8 < killed < STEPS
        assert ends == [-signal.SIGKILL] * killed + [0] * (STEPS - killed)
        for step, tape in enumerate(tapes[: killed + 1]):
            whole = work == "compact" or step == killed
            assert self.ids(tape) in ([[1, 2, 3, 4]] if whole else [[], [1, 2], [1, 2, 3, 4]])
            tape.append(TapeTable.TRADES, trades(1, 4, MIDNIGHT - 2 * SECOND), "0-1")  # the batch comes again
            tape.compact(FAR)
            assert self.ids(tape) == [1, 2, 3, 4]
            assert self.names(tmp_path / str(step)) == ["day.parquet", "day.parquet"]

    def test_a_full_disk_leaves_everything_as_it_was_and_there_is_room_again_later(
        self, root: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tape.append(TapeTable.TRADES, trades(1, 2, MIDNIGHT - 2 * SECOND), "0-1")
        before, real = self.names(root), os.fsync
        for room_for in (0, 1, 1):  # the second time the new day has its folder already
            left = room_for

            def full(descriptor: int) -> None:
                nonlocal left
                if left == 0:
                    raise OSError(28, "No space left on device")
                left -= 1
                real(descriptor)

            with monkeypatch.context() as disk:
                disk.setattr("trading.atomic_files.os.fsync", full)
                with pytest.raises(UnusableHome, match="No space left"):
                    tape.append(TapeTable.TRADES, trades(3, 4, MIDNIGHT - 2 * SECOND), "0-3")
            assert self.names(root) == before
            assert self.ids(tape) == [1, 2]
        tape.append(TapeTable.TRADES, trades(3, 4, MIDNIGHT - 2 * SECOND), "0-3")
        assert sorted(self.ids(tape)) == [1, 2, 3, 4, 5, 6]

    def test_many_small_batches_of_a_day_become_few_files(self, root: Path, tape: Tape) -> None:
        count = 2 * MAX_BATCHES + 5
        for number in range(count):
            tape.append(TapeTable.TRADES, trades(number, 1, NOON + number * SECOND), f"0-{number}")
        assert len(self.names(root)) == 2 + 5
        assert self.ids(tape) == list(range(count))
        assert tape.rows(TapeTable.TRADES, KRAKEN) == count
        tape.compact(MIDNIGHT)
        assert self.names(root) == ["day.parquet"]
        assert self.ids(tape) == list(range(count))

    def test_a_reader_goes_on_while_files_are_merged(self, root: Path, tape: Tape) -> None:
        """Another process merges the day again and again; a reader sees every row, each once, at any moment."""
        for number in range(6):
            tape.append(TapeTable.TRADES, trades(5 * number, 5, NOON + 5 * number * SECOND), f"0-{number}")
        merger = subprocess.Popen([sys.executable, "-c", MERGER, str(root)], cwd=PROJECT)
        seen: set[tuple[str, ...]] = set()
        try:
            while len(seen) < 5:  # so many different lots of files
                assert self.ids(tape) == list(range(30))
                seen.add(tuple(self.names(root)))
        finally:
            merger.kill()
            merger.wait()

    def test_an_unfinished_day_is_not_compacted(self, root: Path, tape: Tape) -> None:
        tape.append(TapeTable.TRADES, trades(1, 2), "0-1")
        tape.compact(MIDNIGHT - SECOND)
        assert self.names(root) == ["0-1.parquet"]

    def test_a_damaged_file_is_named_and_never_believed(self, root: Path, tape: Tape) -> None:
        tape.append(TapeTable.TRADES, trades(1, 2), "0-1")
        [part] = root.rglob("*.parquet")
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
        with pytest.raises(UnreadableFile, match=r"0-1\.parquet"):
            self.ids(tape)
        with pytest.raises(UnreadableFile, match=r"0-1\.parquet"):
            tape.compact(FAR)
        assert self.names(root) == ["0-1.parquet"]
        tape.append(TapeTable.TRADES, trades(1, 2), "0-1")  # it comes again
        assert self.ids(tape) == [1, 2]

    def test_a_damaged_day_does_not_keep_the_others_from_being_compacted(
        self, root: Path, tape: Tape
    ) -> None:
        for day in range(3):
            tape.append(TapeTable.TRADES, trades(1, 2, NOON + day * DAY), "0-1")
        (root / "trades/pair=BTC-USDT/day=2026-02-01/0-1.parquet").write_bytes(b"PAR1")
        with pytest.raises(UnreadableFile, match="day=2026-02-01"):
            tape.compact(FAR)
        assert self.names(root) == ["0-1.parquet", "day.parquet", "day.parquet"]

    @pytest.mark.parametrize("batch", ["", "../x", "a.b", "day", "merged-1", "x" * 101])
    def test_a_batch_is_named_by_a_plain_word(self, tape: Tape, batch: str) -> None:
        with pytest.raises(InvalidValue, match="name a batch"):
            tape.append(TapeTable.TRADES, trades(1, 2), batch)

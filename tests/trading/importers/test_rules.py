import math
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.trading.importers.candle_files import (
    WRITERS,
    Row,
    cryptodatadownload,
    freqtrade_json,
    klines,
    kraken,
    lines,
    parquet,
    rows,
)
from trading.errors import UnreadableFile
from trading.importers import ImportedFile, import_path, read_candle_file
from trading.market import CANDLE_SCHEMA, Pair, Timeframe

NAME = "binance_BTC-USDT_1h.parquet"
REPORT_KEYS = {
    "path", "format", "venue", "pair", "timeframe", "rows_read", "rows_stored", "duplicates_dropped",
    "conflicts", "misaligned", "impossible", "unfinished", "missing", "gaps", "zero_volume", "unchanged",
    "first", "last", "warnings", "refused_reason",
}  # fmt: skip


def read(folder: Path, candles: list[Row]) -> ImportedFile:
    parquet(folder / NAME, candles)
    return read_candle_file(folder / NAME)


def changed(row: Row, **numbers: float) -> Row:
    names = ("open", "high", "low", "close", "volume")
    return (row[0], *(numbers.get(name, value) for name, value in zip(names, row[1:], strict=True)))  # type: ignore[return-value]


def reason(imported: ImportedFile) -> str:
    """Why a file was refused; nothing of it may be stored."""
    assert imported.candles.is_empty()
    assert imported.candles.schema == CANDLE_SCHEMA
    assert imported.report.rows_stored == 0
    assert imported.report.refused_reason is not None
    return imported.report.refused_reason


def test_rows_that_disagree_refuse_the_file_and_are_shown(tmp_path: Path) -> None:
    candles = rows(500)
    imported = read(tmp_path, [*candles, changed(candles[7], close=109.0)])
    text = reason(imported)
    assert imported.report.conflicts == 1
    assert "2021-04-01 07:00:00" in text
    assert "close 108.25" in text
    assert "close 109.0" in text


def test_only_the_first_conflicts_are_spelled_out(tmp_path: Path) -> None:
    candles = rows(50)
    imported = read(tmp_path, candles + [changed(row, volume=9.0) for row in candles])
    assert imported.report.conflicts == 50
    assert reason(imported).count(" and ") == 3


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ({"high": 1.0, "low": 2.0, "open": 1.5, "close": 1.5}, "high below low"),
        ({"high": 108.5}, "high below open or close"),
        ({"low": 109.0}, "low above open or close"),
        ({"low": 0.0}, "price not positive"),
        ({"close": math.nan}, "not a finite number"),
        ({"volume": -1.0}, "negative volume"),
    ],
)
def test_an_impossible_candle_is_left_out_and_returned_as_it_was(
    numbers: dict[str, float], why: str, tmp_path: Path
) -> None:
    candles = rows(200)
    candles[8] = changed(candles[8], **numbers)
    imported = read(tmp_path, candles)
    report = imported.report
    assert (report.impossible, report.misaligned, report.rows_stored, report.missing) == (1, 0, 199, 1)
    (rejected,) = imported.rejected.rows(named=True)
    assert (rejected["timestamp"], rejected["reason"]) == (candles[8][0], why)
    assert repr(rejected["close"]) == repr(candles[8][4])


def test_a_candle_off_the_grid_is_left_out_and_counted_apart(tmp_path: Path) -> None:
    candles = rows(200)
    candles[8] = (candles[8][0] + timedelta(minutes=28), *candles[8][1:])
    imported = read(tmp_path, candles)
    report = imported.report
    assert (report.misaligned, report.impossible, report.rows_stored) == (1, 0, 199)
    assert imported.rejected["reason"].to_list() == ["open not on the grid"]


def test_text_where_a_number_belongs_is_quarantined_as_text(tmp_path: Path) -> None:
    klines(tmp_path / "BTCUSDT-1h.csv", rows(200))
    text = (tmp_path / "BTCUSDT-1h.csv").read_text().replace(",110.0,", ",n/a,", 1)
    (tmp_path / "BTCUSDT-1h.csv").write_text(text)
    imported = read_candle_file(tmp_path / "BTCUSDT-1h.csv")
    assert imported.rejected["open"].to_list() == ["n/a"]
    assert imported.rejected["reason"].to_list() == ["not a finite number"]


def test_one_percent_of_bad_rows_is_quarantined_and_more_refuses_the_file(tmp_path: Path) -> None:
    candles = rows(200)
    candles[3], candles[4] = (changed(row, volume=-1.0) for row in candles[3:5])
    assert read(tmp_path, candles).report.rows_stored == 198
    candles[5] = changed(candles[5], volume=-1.0)
    imported = read(tmp_path, candles)
    assert "3 of 200 rows" in reason(imported)
    assert "negative volume" in reason(imported)
    assert imported.rejected.height == 3


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    candles = rows(400)
    candles[8] = changed(candles[8], volume=-1.0)
    candles[9] = (candles[9][0] + timedelta(minutes=1), *candles[9][1:])
    report = read(tmp_path, candles + candles[20:25]).report
    kept = report.rows_stored + report.duplicates_dropped + report.impossible + report.misaligned
    assert report.rows_read == kept == 405


def test_the_report_has_these_keys_and_plain_values(tmp_path: Path) -> None:
    report = read(tmp_path, rows(3)).report.as_json()
    assert set(report) == REPORT_KEYS
    assert (report["pair"], report["timeframe"]) == ("BTC/USDT", "1h")
    assert (report["first"], report["last"]) == ("2021-04-01T00:00:00+00:00", "2021-04-01T02:00:00+00:00")


@pytest.mark.parametrize(
    ("name", "flags", "flag"),
    [
        ("BTC-USDT.parquet", {}, "--venue"),
        ("binance.parquet", {}, "--pair"),
        ("kraken_BATUSD.parquet", {}, "--pair"),
        (NAME, {"venue": "kraken"}, "--venue"),
        (NAME, {"pair": Pair("ETH", "USDT")}, "--pair"),
        (NAME, {"timeframe": Timeframe.M5}, "--timeframe"),
        ("binance_BTC-USDT_5m.parquet", {}, "--timeframe"),
    ],
)
def test_silence_and_contradiction_are_refused_with_the_flag_that_helps(
    name: str, flags: dict[str, object], flag: str, tmp_path: Path
) -> None:
    parquet(tmp_path / name, rows(5))
    assert flag in reason(read_candle_file(tmp_path / name, **flags))  # type: ignore[arg-type]


def test_a_single_candle_gives_no_timeframe(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT.parquet", rows(1))
    assert "--timeframe" in reason(read_candle_file(tmp_path / "binance_BTC-USDT.parquet"))
    flagged = read_candle_file(tmp_path / "binance_BTC-USDT.parquet", timeframe=Timeframe.H1)
    assert flagged.report.rows_stored == 1


def test_rows_an_unknown_time_apart_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT.parquet", rows(50, timedelta(minutes=7)))
    assert "0:07:00 apart" in reason(read_candle_file(tmp_path / "binance_BTC-USDT.parquet"))


def test_a_symbol_column_that_contradicts_the_flag_is_refused(tmp_path: Path) -> None:
    cryptodatadownload(tmp_path / "kraken.csv", rows(5))
    imported = read_candle_file(tmp_path / "kraken.csv", pair=Pair("XRP", "USDT"))
    assert "--pair says XRP/USDT but the content says BTC/USDT" in reason(imported)


def test_two_symbols_in_one_file_are_refused(tmp_path: Path) -> None:
    cryptodatadownload(tmp_path / "kraken.csv", rows(5))
    text = (tmp_path / "kraken.csv").read_text().replace("BTCUSDT", "ETHUSDT", 1)
    (tmp_path / "kraken.csv").write_text(text)
    assert "several symbols" in reason(read_candle_file(tmp_path / "kraken.csv"))


def test_a_venue_flag_that_contradicts_the_venue_of_the_format_is_refused(tmp_path: Path) -> None:
    klines(tmp_path / "BTCUSDT-1h.csv", rows(5))
    assert "--venue" in reason(read_candle_file(tmp_path / "BTCUSDT-1h.csv", venue="kraken"))


UNREADABLE = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "prose": (b"hello\nworld\n", "first line is 'hello'"),
    "other csv": (b"id,date,text\n1,2021-04-01,up\n", "first line is 'id,date,text'"),
    "trades": (b"1672531436,90.54,1.1\n1672531471,90.45,1.0\n", "trades, not candles"),
    "object": (b'{"error": []}', "JSON of another shape"),
    "empty list": (b"[]", "JSON of another shape"),
    "rows of five": (b"[[1617235200000,1,2,1,2]]", "JSON of another shape"),
    "cut json": (b"[[1617235200000,1,2,1,2,5],[16172", "damaged freqtrade JSON"),
    "uneven json": (b"[[1617235200000,1,2,1,2,5],[1617238800000,1,2]]", "are not"),
    "text in json": (b'[[1617235200000,1,2,1,2,5],["x",1,2,1,2,5]]', "damaged freqtrade JSON"),
    "zip": (b"PK\x03\x04rest", "unpack it first"),
    "binary": (b"\x00\x01\x02", "binary"),
    "false parquet": (b"PAR1 and nothing else", "damaged Parquet"),
    "false feather": (b"ARROW1\x00\x00 and nothing else", "damaged Feather"),
    "wide row": (b"1617235200,1,2,1,2,5,7\n1617238800,1,2,1,2,5,7,8,9\n", "damaged Kraken"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_the_error_for_another_kind_of_file_describes_it(kind: str, tmp_path: Path) -> None:
    content, message = UNREADABLE[kind]
    path = tmp_path / "binance_BTC-USDT_1h.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=message):
        read_candle_file(path)
    (imported,) = import_path(path)
    assert message in reason(imported)


def test_the_known_formats_are_listed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableFile) as raised:
        read_candle_file(tmp_path / "x.csv")
    assert all(form in str(raised.value) for form in WRITERS)


@pytest.mark.parametrize("form", ["Parquet candles", "freqtrade Feather"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_half_a_columnar_file_is_unreadable(form: str, share: float, tmp_path: Path) -> None:
    WRITERS[form](tmp_path / NAME, rows(3000))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match="damaged"):
        read_candle_file(tmp_path / NAME)


@pytest.mark.parametrize("form", WRITERS)
def test_damage_inside_a_file_never_ends_the_program(form: str, tmp_path: Path) -> None:
    WRITERS[form](tmp_path / NAME, rows(1000))
    whole = (tmp_path / NAME).read_bytes()
    for at in range(8, len(whole) - 64, len(whole) // 15):
        (tmp_path / NAME).write_bytes(whole[:at] + b"\xff" * 48 + whole[at + 48 :])
        (imported,) = import_path(tmp_path / NAME)
        assert imported.candles.schema == CANDLE_SCHEMA


def test_parquet_of_other_things_is_described_by_its_columns(tmp_path: Path) -> None:
    pl.DataFrame({"timestamp": [1], "price": [2.0]}).write_parquet(tmp_path / NAME)
    with pytest.raises(UnreadableFile, match="Parquet with columns timestamp, price"):
        read_candle_file(tmp_path / NAME)


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "BTCUSDT-1h.csv", ["open_time,open,high,low,close,volume,close_time,a,b,c,d,ignore"])
    assert "holds no rows" in reason(read_candle_file(tmp_path / "BTCUSDT-1h.csv"))
    parquet(tmp_path / NAME, [])
    assert "holds no rows" in reason(read_candle_file(tmp_path / NAME))


def test_a_path_that_does_not_exist_and_a_folder_without_files_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        list(import_path(tmp_path / "nowhere"))
    with pytest.raises(UnreadableFile, match="holds no file"):
        list(import_path(tmp_path))
    with pytest.raises(UnreadableFile, match="is a folder"):
        read_candle_file(tmp_path)


def test_a_folder_gives_one_result_per_file_in_order_and_goes_on_after_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    kraken(tmp_path / "b" / "XBTUSD_60.csv", rows(5))
    (tmp_path / "a_notes.txt").write_text("hello")
    freqtrade_json(tmp_path / "c_binance_XRP_BTC-1h.json", rows(5))
    stored = [imported.report.rows_stored for imported in import_path(tmp_path)]
    assert stored == [0, 5, 5]

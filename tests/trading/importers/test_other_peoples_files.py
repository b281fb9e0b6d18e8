"""Files that people met with other tools: what was taken for spot candles, and what was refused without need."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.trading.importers.candle_files import (
    START,
    Row,
    cryptodatadownload_unix,
    feather,
    frame,
    freqtrade_json,
    klines,
    kraken,
    lines,
    numbers,
    parquet,
    rows,
    seconds,
)
from trading.errors import UnreadableFile
from trading.importers import ImportedFile, ImportReport, LandingArea, import_path, read_candle_file
from trading.market import Pair, Timeframe

BTC = Pair("BTC", "USDT")
HOUR = timedelta(hours=1)


def reported(path: Path, **flags: object) -> ImportReport:
    (imported,) = import_path(path, **flags)  # type: ignore[arg-type]
    return imported.report


def refusal(path: Path, **flags: object) -> str:
    report = reported(path, **flags)
    assert report.rows_stored == 0
    return report.refused_reason or ""


# --- candles that still run ---


def visited(folder: Path, candles: list[Row], now: datetime) -> ImportedFile:
    cryptodatadownload_unix(folder / "Binance_BTCUSDT_1h.csv", candles)
    return read_candle_file(folder / "Binance_BTCUSDT_1h.csv", now=now)


def test_the_candle_that_still_runs_is_left_out_and_counted_and_the_next_download_merges(
    tmp_path: Path,
) -> None:
    landing = LandingArea(tmp_path / "landing")
    running = rows(4)
    finished = [*running[:3], (*running[3][:5], 77.0)]
    first = visited(tmp_path, running, now=START + 3.3 * HOUR)
    landing.add(first)
    second = visited(tmp_path, [*finished, rows(5)[4]], now=START + 4.1 * HOUR)
    landing.add(second)
    assert [(each.report.rows_stored, each.report.unfinished) for each in (first, second)] == [(3, 1), (4, 1)]
    stored = landing.source("binance", Timeframe.H1).candles(BTC, START, START + 9 * HOUR)
    assert stored["volume"].to_list() == [row[5] for row in finished]


def test_the_newest_candle_that_ran_when_the_file_was_written_is_left_out_later_too(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT_1h.parquet", rows(4))
    os.utime(tmp_path / "binance_BTC-USDT_1h.parquet", times=((START + 3.5 * HOUR).timestamp(),) * 2)
    report = reported(tmp_path / "binance_BTC-USDT_1h.parquet")
    assert (report.rows_stored, report.unfinished) == (3, 1)


def test_a_candle_of_next_year_is_impossible_and_not_unfinished(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT_1h.parquet", [*rows(200), *rows(9000)[-1:]])
    report = reported(tmp_path / "binance_BTC-USDT_1h.parquet", now=START + 300 * HOUR)
    assert (report.rows_stored, report.impossible, report.unfinished) == (200, 1, 0)


def test_a_file_without_a_closed_candle_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT_1h.parquet", rows(1))
    reason = refusal(tmp_path / "binance_BTC-USDT_1h.parquet", now=START, timeframe=Timeframe.H1)
    assert "none of its candles has closed" in reason


# --- derivatives and foreign dumps ---


@pytest.mark.parametrize(
    "line",
    [
        "1617235200000,100.0,102.5,99.5,101.25,3.5,354.3126",  # Bybit: milliseconds, turnover
        "1617235200,100.0,102.5,99.5,101.25,3.5,354.3126",  # seconds, turnover
        "1617235200000,100.0,102.5,99.5,101.25,3.5,7",  # milliseconds, a whole number
    ],
)
def test_seven_columns_that_are_not_krakens_are_not_taken_for_krakens(line: str, tmp_path: Path) -> None:
    lines(tmp_path / "BTCUSDT_60.csv", [line])
    assert "--venue" in refusal(tmp_path / "BTCUSDT_60.csv")


def test_a_row_of_krakens_whose_count_of_trades_is_no_whole_number_is_put_aside(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD_60.csv", rows(200))
    text = (
        (tmp_path / "XBTUSD_60.csv")
        .read_text()
        .replace(f"{numbers(rows(9)[8])},7", f"{numbers(rows(9)[8])},7.5")
    )
    (tmp_path / "XBTUSD_60.csv").write_text(text)
    report = reported(tmp_path / "XBTUSD_60.csv")
    assert (report.rows_stored, report.impossible) == (199, 1)


@pytest.mark.parametrize(
    "name",
    [
        "BTC_USDT_USDT-1h-mark", "BTC_USDT_USDT-1h-futures", "BTC_USDT_USDT-1h", "BTC_USD_BTC-1h-futures",
        "BTC_USDT_USDT-8h-funding_rate", "BTC_USDT-1h-mark", "BTC_USDT-1h-index", "BTC_USDT-1h-premiumIndex",
        "BTC_USDT:USDT-1h", "BTCUSD_PERP-1h-2023-05", "BTCUSDPERP-1h", "BTC-PERPETUAL_1h", "BTC-USDT-SWAP_1h",
        "BTCUSDT_230630-1h", "BTC-USDT-230630_1h", "BTC-29DEC23_1h", "XBTZ23_1h", "BTCUSDH24_1h", "XBTUSDTM_1h",
        "PF_XBTUSD_60", "FI_XBTUSD_230630_60", "BTCUSDT_UMCBL-1h", "futures/BTC_USDT-1h", "futures/um/BTCUSDT-1h",
        "markPriceKlines/BTCUSDT-1h", "futures/cm/daily/klines/BTCUSD/1h/BTCUSD-1h",
    ],
)  # fmt: skip
def test_a_derivative_or_a_computed_price_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.feather"
    path.parent.mkdir(parents=True, exist_ok=True)
    feather(path, rows(5))
    assert "derivative" in refusal(path, venue="binance", pair=BTC)


@pytest.mark.parametrize(
    "name",
    [
        "PERP_USDT-1h", "binance_INDEX-USDT_1h", "BTCUSDT-1h-20230630", "BTCUSDT-1h-230630", "BTCUSDT-1h-2023-06-30",
        "binance_BTC-USDT_1h_2021b-2022", "BTC_USDT-1h", "ETH_BTC-1h", "PI_USDT-1h", "futures/spot/BTCUSDT-1h",
        "BTCUSDT_MARCH21-1h",
    ],
)  # fmt: skip
def test_a_spot_file_with_a_similar_name_is_taken(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.feather"
    path.parent.mkdir(parents=True, exist_ok=True)
    feather(path, rows(5))
    assert reported(path, venue="binance").refused_reason is None


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "BTC/USD:BTC-230630", "BTCUSD_PERP", "BTC-PERPETUAL"])
def test_a_symbol_column_that_names_a_derivative_is_refused(symbol: str, tmp_path: Path) -> None:
    frame(rows(5), "date").with_columns(symbol=pl.lit(symbol)).write_parquet(
        tmp_path / "binance_BTC-USDT.parquet"
    )
    assert "derivative" in refusal(tmp_path / "binance_BTC-USDT.parquet")


def test_the_header_of_binances_futures_is_refused_whatever_the_file_is_called(tmp_path: Path) -> None:
    klines(tmp_path / "BTCUSDT-1h-2023-05.csv", rows(5))
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    text = header + "taker_buy_quote_volume,ignore\n" + (tmp_path / "BTCUSDT-1h-2023-05.csv").read_text()
    (tmp_path / "BTCUSDT-1h-2023-05.csv").write_text(text)
    assert "derivatives" in refusal(tmp_path / "BTCUSDT-1h-2023-05.csv")


def test_volumes_in_contracts_are_refused_without_any_sign_in_the_name_or_a_header(tmp_path: Path) -> None:
    contracts = [
        f"{seconds(row)}000,{numbers(row[:-1])},2000,{seconds(row)}999,{2000 * 100 / row[4]},7,1000,0.5,0"
        for row in rows(50)
    ]
    lines(tmp_path / "BTCUSD-1h.csv", contracts)
    assert "contracts" in refusal(tmp_path / "BTCUSD-1h.csv")
    spot = [
        f"{seconds(row)}000,10,10.1,9.9,10,2000,{seconds(row)}999,20000,7,1000,10000,0" for row in rows(50)
    ]
    lines(tmp_path / "LINKUSD-1h.csv", spot)
    assert reported(tmp_path / "LINKUSD-1h.csv").rows_stored == 50


def test_prices_that_move_without_any_volume_are_no_spot_candles(tmp_path: Path) -> None:
    feather(tmp_path / "binance_BTC-USDT_1h.feather", [(*row[:5], 0.0) for row in rows(50)])
    assert "mark price" in refusal(tmp_path / "binance_BTC-USDT_1h.feather")


# --- what was refused without need ---


def test_geminis_files_have_one_volume_column(tmp_path: Path) -> None:
    head = ["https://www.CryptoDataDownload.com", "Unix Timestamp,Date,Symbol,Open,High,Low,Close,Volume"]
    body = [
        f"{seconds(row)}000,{row[0]:%Y-%m-%d %H:%M:%S},BTCUSD,{numbers(row)}" for row in reversed(rows(5))
    ]
    lines(tmp_path / "gemini_BTCUSD_1hr.csv", head + body)
    report = reported(tmp_path / "gemini_BTCUSD_1hr.csv")
    assert (report.venue, str(report.pair), report.timeframe) == ("gemini", "BTC/USD", Timeframe.H1)
    assert report.rows_stored == 5
    assert read_candle_file(tmp_path / "gemini_BTCUSD_1hr.csv").candles["volume"].to_list() == [
        row[5] for row in rows(5)
    ]


def minutes(*at: int) -> list[Row]:
    return [
        (START + minute * timedelta(minutes=1), *row[1:])
        for minute, row in zip(at, rows(len(at)), strict=True)
    ]


@pytest.mark.parametrize("flag", [None, Timeframe.M1])
def test_a_thin_market_keeps_the_timeframe_of_its_name(flag: Timeframe | None, tmp_path: Path) -> None:
    kraken(tmp_path / "XRPXBT_1.csv", minutes(0, 5, 10, 12, 17, 27))
    report = reported(tmp_path / "XRPXBT_1.csv", timeframe=flag)
    assert (report.timeframe, report.rows_stored, report.missing, report.gaps) == (Timeframe.M1, 6, 22, 5)


def test_the_timeframe_flag_wins_over_the_distances_of_the_rows(tmp_path: Path) -> None:
    kraken(tmp_path / "XRPXBT.csv", minutes(0, 5, 10, 12, 17, 27))
    assert reported(tmp_path / "XRPXBT.csv", timeframe=Timeframe.M1).rows_stored == 6


def test_hours_that_are_called_minutes_are_refused_since_their_close_would_be_known_too_early(
    tmp_path: Path,
) -> None:
    kraken(tmp_path / "XBTUSD_5.csv", rows(30))
    assert "the content says 1h" in refusal(tmp_path / "XBTUSD_5.csv")
    assert "the content says 1h" in refusal(tmp_path / "XBTUSD_5.csv", timeframe=Timeframe.M5)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("XXBTZUSD_60", "BTC/USD"),
        ("XETHXXBT_60", "ETH/BTC"),
        ("XDGUSD_60", "DOGE/USD"),
        ("XBT-EUR_60", "BTC/EUR"),
    ],
)
def test_krakens_names_are_the_pairs_of_everybody(name: str, pair: str, tmp_path: Path) -> None:
    kraken(tmp_path / f"{name}.csv", rows(5))
    assert str(reported(tmp_path / f"{name}.csv").pair) == pair


def test_kraken_names_in_a_flag_agree_with_the_file(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD_60.csv", rows(5))
    assert str(reported(tmp_path / "XBTUSD_60.csv", pair=Pair.parse("XBT/USD")).pair) == "BTC/USD"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_in_json_that_is_none_is_put_aside_by_the_stated_rule(word: str, tmp_path: Path) -> None:
    freqtrade_json(tmp_path / "BTC_USDT-1h.json", rows(200))
    text = (tmp_path / "BTC_USDT-1h.json").read_text()
    (tmp_path / "BTC_USDT-1h.json").write_text(text.replace("108.25", word, 1))
    report = reported(tmp_path / "BTC_USDT-1h.json", venue="binance")
    assert (report.rows_stored, report.impossible, report.refused_reason) == (199, 1, None)
    freqtrade_json(tmp_path / "BTC_USDT-1h.json", rows(4))
    text = (tmp_path / "BTC_USDT-1h.json").read_text()
    (tmp_path / "BTC_USDT-1h.json").write_text(text.replace("102.25", word, 1))
    assert "1 of 4 rows would be quarantined" in refusal(tmp_path / "BTC_USDT-1h.json", venue="binance")


Writer = Callable[[Path, list[Row]], None]


@pytest.mark.parametrize("end", [",", ",,", ", ,"])
@pytest.mark.parametrize("rows_only", [True, False])
@pytest.mark.parametrize(("name", "write"), [
    ("XBTUSDT_60.csv", kraken), ("BTCUSDT-1h.csv", klines), ("kraken.csv", cryptodatadownload_unix),
])  # fmt: skip
def test_commas_at_the_end_of_a_line_are_no_damage(
    name: str, write: Writer, end: str, rows_only: bool, tmp_path: Path
) -> None:
    write(tmp_path / name, rows(20))
    plain = read_candle_file(tmp_path / name).candles
    text = (tmp_path / name).read_text().splitlines()
    lines(
        tmp_path / name,
        [*text[:2], *(f"{line}{end}" for line in text[2:])]
        if rows_only
        else [f"{line}{end}" for line in text],
    )
    assert read_candle_file(tmp_path / name).candles.equals(plain)


# --- dead markets ---


def test_a_dead_market_is_counted_and_warned_of(tmp_path: Path) -> None:
    dead = [(row[0], 7.0, 7.0, 7.0, 7.0, 0.0) for row in rows(720)]
    parquet(tmp_path / "binance_BTC-USDT_1h.parquet", dead)
    report = reported(tmp_path / "binance_BTC-USDT_1h.parquet")
    assert (report.rows_stored, report.zero_volume, report.unchanged) == (720, 720, 719)
    assert report.as_json()["zero_volume"] == 720
    assert len(report.warnings) == 2
    assert "720 of 720 candles have no volume" in report.warnings[0]


def test_a_living_market_is_not_warned_of(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT_1h.parquet", rows(100))
    assert reported(tmp_path / "binance_BTC-USDT_1h.parquet").warnings == ()


# --- bounds and damage ---


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    row = {"timestamp": [START], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [1.0]}
    table = pl.DataFrame(row).select(pl.all().repeat_by(1_500_000).explode())
    for name in ("binance_BTC-USDT_1m.parquet", "binance_BTC-USDT_1m.feather"):
        path = tmp_path / name
        table.write_parquet(path) if name.endswith("parquet") else table.write_ipc(path, compression="zstd")
        assert path.stat().st_size < 200_000
        assert "of memory" in refusal(path)


def test_a_long_symbol_repeated_in_every_row_is_refused_by_what_it_would_take(tmp_path: Path) -> None:
    table = frame(rows(100), "timestamp").with_columns(symbol=pl.lit("B" * 1_000_000))
    table.write_parquet(tmp_path / "binance_BTC-USDT_1h.parquet")
    assert (tmp_path / "binance_BTC-USDT_1h.parquet").stat().st_size < 100_000
    assert "takes 9" in refusal(tmp_path / "binance_BTC-USDT_1h.parquet")


def test_json_that_is_nested_without_end_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "BTC_USDT-1h.json").write_text("[[1617235200000,1,2,1,2,5]," + "[" * 100_000)
    with pytest.raises(UnreadableFile, match="damaged"):
        read_candle_file(tmp_path / "BTC_USDT-1h.json")

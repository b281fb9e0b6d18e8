from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.importers.candle_files import (
    START,
    WRITERS,
    Row,
    cryptodatadownload_unix,
    feather,
    frame,
    freqtrade_json,
    kline,
    klines,
    kraken,
    lines,
    numbers,
    parquet,
    rows,
    seconds,
)
from trading.candles import complete
from trading.importers import ImportedFile, read_candle_file
from trading.market import Pair, Timeframe

BTC = Pair("BTC", "USDT")
STAMPS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def imported(path: Path, venue: str | None = "binance") -> ImportedFile:
    result = read_candle_file(path, venue=venue, pair=BTC, timeframe=Timeframe.H1)
    assert result.report.refused_reason is None
    return result


def expected(candles: list[Row], venue: str = "binance") -> pl.DataFrame:
    return complete(frame(candles, "open_time"), Timeframe.H1, venue)


@pytest.mark.parametrize("form", WRITERS)
def test_each_format_is_recognised_by_its_content_whatever_the_file_is_called(
    form: str, tmp_path: Path
) -> None:
    path = tmp_path / "anything.at.all"
    WRITERS[form](path, rows(30))
    venue = "kraken" if form.startswith("Kraken") else "binance"
    result = imported(path, venue)
    assert result.report.format == form
    assert result.candles.equals(expected(rows(30), venue))


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_order_and_exact_repeats_change_nothing_that_is_stored(
    form: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    candles = rows(12)
    repeated = data.draw(st.lists(st.sampled_from(candles), max_size=5))
    shuffled = data.draw(st.permutations(candles + repeated))
    path = tmp_path_factory.mktemp("shuffled") / "candles"
    WRITERS[form](path, shuffled)
    venue = "kraken" if form.startswith("Kraken") else "binance"
    result = imported(path, venue)
    assert result.candles.equals(expected(candles, venue))
    assert result.report.duplicates_dropped == len(repeated)
    assert result.report.rows_read == len(shuffled)


@pytest.mark.parametrize("unit", STAMPS)
def test_the_magnitude_of_a_timestamp_decides_its_unit(unit: str, tmp_path: Path) -> None:
    lines(tmp_path / "k.csv", [kline(row, str(seconds(row) * STAMPS[unit])) for row in rows(10)])
    assert imported(tmp_path / "k.csv").candles.equals(expected(rows(10)))


def test_units_may_change_inside_one_file_as_they_did_at_the_vendor(tmp_path: Path) -> None:
    body = [kline(row, str(seconds(row) * (1000 if i < 5 else 10**6))) for i, row in enumerate(rows(10))]
    lines(tmp_path / "k.csv", body)
    assert imported(tmp_path / "k.csv").candles.equals(expected(rows(10)))


def test_two_date_spellings_in_one_file_are_both_read(tmp_path: Path) -> None:
    header = "timestamp,open,high,low,close,volume,close_time,quote_av,trades,tb_base_av,tb_quote_av,ignore"
    spelled = ["%Y-%m-%d %H:%M:%S.000", "%Y-%m-%d %H:%M:%S"]
    body = [kline(row, row[0].strftime(spelled[i % 2])) for i, row in enumerate(rows(10))]
    lines(tmp_path / "k.csv", [header, *body])
    assert imported(tmp_path / "k.csv").candles.equals(expected(rows(10)))


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    header = "Open_time,Open,High,Low,Close,Volume,Close_time,a,b,c,d,Ignore"
    body = [kline(row, str(seconds(row))) for row in rows(10)]
    (tmp_path / "k.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([header, *body, ""]).encode())
    assert imported(tmp_path / "k.csv").candles.equals(expected(rows(10)))
    (tmp_path / "bare.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*body, ""]).encode())
    assert imported(tmp_path / "bare.csv").candles.equals(expected(rows(10)))


def test_the_newer_cryptodatadownload_form_has_its_volume_in_base_currency(tmp_path: Path) -> None:
    cryptodatadownload_unix(tmp_path / "c.csv", rows(10))
    result = imported(tmp_path / "c.csv")
    assert result.report.format == "CryptoDataDownload CSV"
    assert result.candles.equals(expected(rows(10)))


def test_midnight_and_noon_of_the_twelve_hour_clock(tmp_path: Path) -> None:
    head = "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT"
    lines(
        tmp_path / "c.csv",
        [head, "2021-04-01 12-PM,BTCUSDT,2,3,1,2,5,6", "2021-04-01 12-AM,BTCUSDT,2,3,1,2,5,6"],
    )
    result = read_candle_file(tmp_path / "c.csv", venue="kraken", pair=BTC, timeframe=Timeframe.H1)
    assert result.candles["open_time"].dt.hour().to_list() == [0, 12]


def test_two_times_of_a_row_that_disagree_make_it_impossible(tmp_path: Path) -> None:
    cryptodatadownload_unix(tmp_path / "c.csv", rows(300))
    text = (tmp_path / "c.csv").read_text().replace("2021-04-01 05:00:00", "2021-04-01 05:30:00")
    (tmp_path / "c.csv").write_text(text)
    result = imported(tmp_path / "c.csv")
    assert result.rejected["reason"].to_list() == ["no open time"]
    assert result.rejected["date"].to_list() == ["2021-04-01 05:30:00"]


@pytest.mark.parametrize("time", ["timestamp", "date", "open_time"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None])
def test_columnar_times_of_any_unit_with_or_without_a_zone(
    time: str, unit: str, zone: str | None, tmp_path: Path
) -> None:
    instants = pl.col(time).dt.replace_time_zone(zone).cast(pl.Datetime(unit, zone))  # type: ignore[arg-type]
    frame(rows(10), time).with_columns(instants).write_parquet(tmp_path / "p")
    assert imported(tmp_path / "p").candles.equals(expected(rows(10)))


def test_columnar_stamps_are_read_as_times(tmp_path: Path) -> None:
    frame(rows(10), "date").with_columns(pl.col("date").dt.epoch("ms")).write_parquet(tmp_path / "p")
    assert imported(tmp_path / "p").candles.equals(expected(rows(10)))


def test_pretty_printed_json_is_the_same_format(tmp_path: Path) -> None:
    freqtrade_json(tmp_path / "j", rows(10))
    spread = (tmp_path / "j").read_text().replace(",", ",\n  ").replace("[", "[\n  ")
    (tmp_path / "j").write_text(spread)
    assert imported(tmp_path / "j").candles.equals(expected(rows(10)))


Writer = Callable[[Path, list[Row]], None]


@pytest.mark.parametrize(
    ("name", "write", "step", "venue", "pair", "timeframe"),
    [
        ("binance_BTC-USDT_1h_2017-2020.parquet", parquet, 60, "binance", "BTC/USDT", "1h"),
        ("kraken_XRP-BTC_15m_2021.parquet", parquet, 15, "kraken", "XRP/BTC", "15m"),
        ("bybit/BTC_USDT-5m.feather", feather, 5, "bybit", "BTC/USDT", "5m"),
        ("XBTUSD_60.csv", kraken, 60, "kraken", "BTC/USD", "1h"),
        ("XBTUSDT_1440.csv", kraken, 1440, "kraken", "BTC/USDT", "1d"),
        ("XDGEUR_240.csv", kraken, 240, "kraken", "DOGE/EUR", "4h"),
        ("ADABTC-1m-2021-11-27.csv", klines, 1, "binance", "ADA/BTC", "1m"),
        ("binance_klines_XRPBTC-1h-data.csv", klines, 60, "binance", "XRP/BTC", "1h"),
        ("binanceus_BTCUSD.csv", klines, 30, "binanceus", "BTC/USD", "30m"),
        ("binance_btcusdt_1h.json", freqtrade_json, 60, "binance", "BTC/USDT", "1h"),
        ("BITSTAMP_ETHBTC.json", freqtrade_json, 60, "bitstamp", "ETH/BTC", "1h"),
    ],
)
def test_venue_pair_and_timeframe_come_from_name_folder_and_content(
    name: str, write: Writer, step: int, venue: str, pair: str, timeframe: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path, rows(5, timedelta(minutes=step)))
    report = read_candle_file(path).report
    assert (report.venue, str(report.pair), report.timeframe) == (venue, pair, Timeframe(timeframe))


def test_the_symbol_column_gives_the_pair_when_the_file_name_does_not(tmp_path: Path) -> None:
    cryptodatadownload_unix(tmp_path / "kraken.csv", rows(5))
    assert read_candle_file(tmp_path / "kraken.csv").report.pair == BTC


def test_a_few_far_apart_candles_of_a_quiet_market_keep_the_timeframe_of_the_name(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD_60.csv", [rows(20)[i] for i in (0, 3, 11)])
    report = read_candle_file(tmp_path / "XBTUSD_60.csv").report
    assert (report.timeframe, report.missing, report.gaps) == (Timeframe.H1, 9, 2)


def test_of_two_equally_common_distances_the_shorter_is_the_timeframe(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD.csv", [rows(20)[i] for i in (0, 1, 5)])
    assert read_candle_file(tmp_path / "XBTUSD.csv").report.timeframe is Timeframe.H1


def test_a_row_that_was_cut_short_is_quarantined_as_it_is(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD_60.csv", rows(200))
    cut = (tmp_path / "XBTUSD_60.csv").read_text()[:-6]
    (tmp_path / "XBTUSD_60.csv").write_text(cut)
    result = read_candle_file(tmp_path / "XBTUSD_60.csv")
    assert (result.report.rows_stored, result.report.impossible) == (199, 1)
    assert result.rejected["close"].to_list() == [numbers(rows(200)[-1]).split(",")[3]]


def test_times_are_utc(tmp_path: Path) -> None:
    kraken(tmp_path / "XBTUSD_60.csv", rows(3))
    first = read_candle_file(tmp_path / "XBTUSD_60.csv").report.first
    assert first == START == datetime(2021, 4, 1, tzinfo=UTC)

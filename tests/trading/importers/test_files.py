"""The importers against the recorded files: the expected counts are those of the files' own description."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading.candles import quality, violations
from trading.errors import UnreadableFile
from trading.importers import ImportReport, import_path, read_candle_file
from trading.market import Pair, Timeframe

DATA = Path(__file__).parents[3] / "../shared/data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the recorded files are not here")


@dataclass(frozen=True)
class Described:
    """One row of the description of `ohlcv/`."""

    name: str
    rows: int
    first: datetime
    last: datetime
    missing: int
    gaps: int
    longest_gap: int
    duplicates: int
    zero_volume: int


def described() -> list[Described]:
    pattern = re.compile(
        r"\| `ohlcv/(?P<name>[^`]+)` \|[^|]+\| (?P<rows>\d+) \| (?P<first>[\d: -]+) to (?P<last>[\d: -]+) "
        r"\| (?P<missing>\d+) in (?P<gaps>\d+) gaps, longest (?P<longest>\d+) "
        r"\| (?P<duplicates>\d+) \| (?P<zero>\d+)"
    )
    text = (DATA / "SOURCES.md").read_text() if DATA.exists() else ""
    return [
        Described(
            row["name"], int(row["rows"]), utc(row["first"]), utc(row["last"]),
            *(int(row[key]) for key in ("missing", "gaps", "longest", "duplicates", "zero")),
        )
        for row in pattern.finditer(text)
    ]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Here 43 candles open at minute 28 after an outage: they are quarantined, so their hours are missing too.
MISALIGNED = {"binance_XRP-BTC_1h_2017-2020.parquet": 43}


def test_the_description_names_every_file() -> None:
    assert {row.name for row in described()} == {path.name for path in (DATA / "ohlcv").iterdir()}


@pytest.mark.parametrize("row", described(), ids=lambda row: row.name)
def test_every_parquet_file_imports_as_described(row: Described) -> None:
    imported = read_candle_file(DATA / "ohlcv" / row.name)
    report = imported.report
    assert report.venue is not None
    assert report.timeframe is not None
    venue, pair, timeframe = row.name.removesuffix(".parquet").split("_")[:3]
    assert (report.venue, report.pair, report.timeframe) == (venue, Pair.parse(pair), Timeframe(timeframe))
    misaligned = MISALIGNED.get(row.name, 0)
    assert (report.rows_read, report.duplicates_dropped) == (row.rows, row.duplicates)
    assert report.rows_stored == imported.candles.height == row.rows - row.duplicates - misaligned
    assert (report.misaligned, report.gaps) == (misaligned, row.gaps)
    assert report.missing == row.missing + misaligned
    assert (report.first, report.last) == (row.first, row.last)
    assert (report.impossible, report.conflicts, report.refused_reason) == (0, 0, None)
    counts = quality(imported.candles, report.timeframe, report.venue)
    assert row.duplicates or counts.zero_volume == row.zero_volume  # the description counts duplicates too
    assert misaligned or counts.longest_gap == row.longest_gap
    assert violations(imported.candles, report.timeframe).is_empty()


@dataclass(frozen=True)
class Raw:
    name: str
    form: str
    venue: str
    pair: str
    timeframe: str
    rows: int
    first: str
    last: str
    missing: int = 0
    gaps: int = 0
    misaligned: int = 0
    zero_volume: int = 0
    unchanged: int = 0


RAW = [
    Raw("binance_klines_XRPBTC-1h-data.csv", "Binance klines CSV", "binance", "XRP/BTC", "1h", 20106,
        "2017-11-02 07:00", "2020-02-21 23:00", missing=95 + 43, gaps=14, misaligned=43, zero_volume=1,
        unchanged=1),
    Raw("binance_vision_ADABTC-1m-2021-11-27.csv", "Binance klines CSV", "binance", "ADA/BTC", "1m", 10,
        "2021-11-27 00:00", "2021-11-27 00:09"),
    Raw("cryptodatadownload_Kraken_BTCUSD_1h.csv", "CryptoDataDownload CSV", "kraken", "BTC/USD", "1h", 21537,
        "2017-07-01 11:00", "2019-12-15 19:00", zero_volume=115, unchanged=115),
    Raw("cryptodatadownload_Kraken_XRPUSD_1h.csv", "CryptoDataDownload CSV", "kraken", "XRP/USD", "1h", 21537,
        "2017-07-01 11:00", "2019-12-15 19:00", zero_volume=122, unchanged=135),
    Raw("freqtrade_binance_XRP_BTC-1h.json", "freqtrade JSON", "binance", "XRP/BTC", "1h", 1447,
        "2018-12-12 19:00", "2019-02-11 01:00"),
    Raw("freqtrade_kraken_BTC_USDT-5m.feather", "freqtrade Feather", "kraken", "BTC/USDT", "5m", 1520,
        "2023-11-17 00:00", "2023-11-22 08:40", missing=25, gaps=25),
    Raw("kraken_ohlcvt_XBTUSD_60.csv", "Kraken OHLCVT CSV", "kraken", "BTC/USD", "1h", 43802,
        "2013-10-06 21:00", "2019-12-31 23:00", missing=10849, gaps=3250, unchanged=426),
]  # fmt: skip


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw.name)
def test_every_vendor_file_imports_as_described(raw: Raw) -> None:
    path = DATA / "raw" / raw.name
    imported = read_candle_file(path)
    assert imported.report == ImportReport(
        path=path, format=raw.form, venue=raw.venue, pair=Pair.parse(raw.pair),
        timeframe=Timeframe(raw.timeframe), rows_read=raw.rows, rows_stored=raw.rows - raw.misaligned,
        duplicates_dropped=0, conflicts=0, misaligned=raw.misaligned, impossible=0, unfinished=0,
        missing=raw.missing, gaps=raw.gaps, zero_volume=raw.zero_volume, unchanged=raw.unchanged,
        first=utc(raw.first), last=utc(raw.last), refused_reason=None,
    )  # fmt: skip
    assert imported.rejected.height == raw.misaligned
    assert violations(imported.candles, Timeframe(raw.timeframe)).is_empty()


def test_the_vendor_files_and_their_parquet_copies_hold_the_same_candles() -> None:
    for raw, copy in (
        ("binance_klines_XRPBTC-1h-data.csv", "binance_XRP-BTC_1h_2017-2020.parquet"),
        ("kraken_ohlcvt_XBTUSD_60.csv", "kraken_BTC-USD_1h_2013-2019.parquet"),
        ("freqtrade_kraken_BTC_USDT-5m.feather", "kraken_BTC-USDT_5m_2023-11.parquet"),
    ):
        from_raw = read_candle_file(DATA / "raw" / raw).candles
        assert from_raw.equals(read_candle_file(DATA / "ohlcv" / copy).candles)


def test_newest_first_twelve_hour_clock_rows_keep_their_prices() -> None:
    candles = read_candle_file(DATA / "raw/cryptodatadownload_Kraken_BTCUSD_1h.csv").candles
    newest = candles.row(-1, named=True)
    assert newest["open_time"] == datetime(2019, 12, 15, 19, tzinfo=UTC)
    numbers = [newest[name] for name in ("open", "high", "low", "close", "volume")]
    assert numbers == [7115, 7118.4, 7100, 7106.2, 34.22]


def test_time_and_sales_are_named_as_trades() -> None:
    with pytest.raises(UnreadableFile, match="trades, not candles"):
        read_candle_file(DATA / "raw/kraken_trades_csv_BCHEUR.csv")


def test_a_file_that_is_no_candles_does_not_stop_its_folder() -> None:
    reports = [imported.report for imported in import_path(DATA / "raw")]
    assert [report.path.name for report in reports] == sorted(path.name for path in (DATA / "raw").iterdir())
    refused = [report.path.name for report in reports if report.refused_reason]
    assert refused == ["kraken_trades_csv_BCHEUR.csv"]


@pytest.mark.parametrize("folder", ["ticks", "news", "sentiment", "ws", "rest"])
def test_nothing_else_is_taken_for_candles(folder: str) -> None:
    for imported in import_path(DATA / folder):
        assert imported.report.refused_reason, imported.report.path
        assert imported.candles.is_empty()

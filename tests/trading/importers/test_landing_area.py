import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.trading.importers.candle_files import START, Row, kraken, parquet, rows
from trading.errors import InvalidCandles, InvalidValue, NotStored, UnreadableFile, UnusableHome
from trading.importers import ImportedFile, LandingArea, read_candle_file
from trading.market import Pair, Timeframe
from trading.ports import CandleSource

BTC = Pair("BTC", "USDT")
HOUR = timedelta(hours=1)
NAME = "binance_BTC-USDT_1h.parquet"


def imported(folder: Path, candles: list[Row], name: str = NAME) -> ImportedFile:
    parquet(folder / name, candles)
    return read_candle_file(folder / name)


@pytest.fixture
def landing(tmp_path: Path) -> LandingArea:
    return LandingArea(tmp_path / "landing")


def opens(source: CandleSource) -> list[int]:
    """Hours since START of all candles that the source gives."""
    candles = source.candles(BTC, *source.span(BTC))
    return [(time - START) // HOUR for time in candles["open_time"].to_list()]


def test_importing_twice_leaves_one_copy(landing: LandingArea, tmp_path: Path) -> None:
    first = imported(tmp_path, rows(5))
    landing.add(first)
    landing.add(first)
    source = landing.source("binance", Timeframe.H1)
    assert source.candles(BTC, *source.span(BTC)).equals(first.candles)


def test_files_that_agree_where_they_overlap_are_merged_in_any_order(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(20)[10:]))
    landing.add(imported(tmp_path, rows(12)))
    source = landing.source("binance", Timeframe.H1)
    assert opens(source) == list(range(20))
    assert source.span(BTC) == (START, START + 20 * HOUR)


def test_an_overlap_that_disagrees_names_the_first_time_and_both_rows_and_changes_nothing(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(5)))
    other = rows(9)
    other[3] = (*other[3][:5], 77.0)
    other[4] = (*other[4][:5], 78.0)
    with pytest.raises(InvalidCandles) as raised:
        landing.add(imported(tmp_path, other))
    assert "2021-04-01 03:00:00" in str(raised.value)
    assert "volume 6.5" in str(raised.value)
    assert "volume 77.0" in str(raised.value)
    assert opens(landing.source("binance", Timeframe.H1)) == list(range(5))


def test_a_refused_file_is_not_added(landing: LandingArea, tmp_path: Path) -> None:
    parquet(tmp_path / "nameless.parquet", rows(5))
    with pytest.raises(InvalidCandles, match="was refused"):
        landing.add(read_candle_file(tmp_path / "nameless.parquet"))
    assert landing.source("binance", Timeframe.H1).pairs() == ()


def test_venues_timeframes_and_pairs_are_stored_apart(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(5)))
    landing.add(imported(tmp_path, rows(6), "kraken_BTC-USDT_1h.parquet"))
    landing.add(imported(tmp_path, rows(7, timedelta(minutes=5)), "binance_BTC-USDT_5m.parquet"))
    landing.add(imported(tmp_path, rows(8), "binance_XRP-BTC_1h.parquet"))
    source = landing.source("binance", Timeframe.H1)
    assert source.pairs() == (BTC, Pair("XRP", "BTC"))
    assert opens(source) == list(range(5))
    assert landing.source("kraken", Timeframe.H1).span(BTC)[1] == START + 6 * HOUR


def test_until_hides_candles_that_close_later_from_everybody_but_the_venue(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(10)))
    until = START + 4 * HOUR + timedelta(minutes=59)
    source = landing.source("binance", Timeframe.H1, until)
    assert opens(source) == [0, 1, 2, 3]
    assert source.span(BTC) == (START, START + 4 * HOUR)
    assert source.candles(BTC, START + 4 * HOUR, START + 9 * HOUR).is_empty()
    quote = source.quote_after(BTC, until)
    assert quote is not None
    assert (quote.price, quote.time) == (105.0, START + 5 * HOUR)


def test_the_first_quote_after_a_gap_is_the_next_candle_that_exists(
    landing: LandingArea, tmp_path: Path
) -> None:
    kraken(tmp_path / "XBTUSDT_60.csv", [rows(20)[i] for i in (0, 1, 2, 3, 7)])
    landing.add(read_candle_file(tmp_path / "XBTUSDT_60.csv"))
    source = landing.source("kraken", Timeframe.H1)
    quote = source.quote_after(BTC, START + 4 * HOUR)
    assert quote is not None
    assert (quote.price, quote.time) == (107.0, START + 7 * HOUR)
    assert source.quote_after(BTC, START + 8 * HOUR) is None


def test_a_window_is_half_open_and_may_be_empty(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(10)))
    source = landing.source("binance", Timeframe.H1)
    window = source.candles(BTC, START + 2 * HOUR, START + 4 * HOUR)
    assert window["open_time"].to_list() == [START + 2 * HOUR, START + 3 * HOUR]
    assert source.candles(BTC, START + 99 * HOUR, START + 100 * HOUR).is_empty()
    assert source.origin == "binance"
    assert set(window["origin"]) == {"binance"}


def test_what_was_never_imported_is_an_error_not_an_empty_table(landing: LandingArea, tmp_path: Path) -> None:
    source = landing.source("binance", Timeframe.H1, START)
    for ask in (
        lambda: source.span(BTC),
        lambda: source.candles(BTC, START, START),
        lambda: source.quote_after(BTC, START),
    ):
        with pytest.raises(NotStored, match="no candles of BTC/USDT"):
            ask()
    landing.add(imported(tmp_path, rows(5)))
    with pytest.raises(NotStored, match="had closed by"):
        source.span(BTC)


def test_a_leftover_of_a_killed_writer_is_not_read(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(5)))
    folder = tmp_path / "landing/binance/1h/BTC-USDT"
    (folder / "candles.writing").write_bytes(b"half")
    assert opens(landing.source("binance", Timeframe.H1)) == list(range(5))
    landing.add(imported(tmp_path, rows(6)))
    assert opens(landing.source("binance", Timeframe.H1)) == list(range(6))


def test_a_damaged_file_is_named(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(5)))
    (tmp_path / "landing/binance/1h/BTC-USDT/candles.parquet").write_bytes(b"half")
    with pytest.raises(UnreadableFile, match=r"candles\.parquet is damaged"):
        landing.source("binance", Timeframe.H1).span(BTC)


def test_no_changed_byte_gives_other_candles(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(5)))
    [file] = (tmp_path / "landing/binance/1h/BTC-USDT").glob("*.parquet")
    whole = file.read_bytes()
    for position in range(0, len(whole), 7):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(UnreadableFile, match="is damaged"):
            landing.source("binance", Timeframe.H1).candles(BTC, START, START + 5 * HOUR)


def test_a_venue_that_is_no_plain_word_is_refused(landing: LandingArea) -> None:
    with pytest.raises(InvalidValue, match="lower-case"):
        landing.source("../elsewhere", Timeframe.H1)


def freqtrade(folder: Path, candles: list[Row]) -> ImportedFile:
    """The same venue and pair from another vendor."""
    path = folder / "binance_BTC_USDT-1h.json"
    path.write_text(json.dumps([[int(time.timestamp() * 1000), *numbers] for time, *numbers in candles]))
    return read_candle_file(path, venue="binance")


def test_two_vendors_that_agree_are_read_as_one(landing: LandingArea, tmp_path: Path) -> None:
    landing.add(imported(tmp_path, rows(20)[10:]))
    landing.add(freqtrade(tmp_path, rows(12)))
    source = landing.source("binance", Timeframe.H1)
    assert opens(source) == list(range(20))
    assert source.disagreeing_series(BTC) == ()


def test_of_two_vendors_that_disagree_the_longer_series_is_read_alone_and_the_other_is_named(
    landing: LandingArea, tmp_path: Path
) -> None:
    other = rows(9)
    other[3] = (*other[3][:5], 77.0)
    landing.add(freqtrade(tmp_path, other))
    landing.add(imported(tmp_path, rows(12)[2:]))
    source = landing.source("binance", Timeframe.H1)
    assert opens(source) == list(range(2, 12))
    assert source.candles(BTC, *source.span(BTC))["volume"].max() != 77.0
    assert source.disagreeing_series(BTC) == ("freqtrade-json",)


def test_quarantined_rows_are_stored_with_their_reason(landing: LandingArea, tmp_path: Path) -> None:
    candles = rows(300)
    time, *_ = candles[7]
    candles[7] = (time, 10.0, 9.0, 11.0, 10.0, 1.0)  # high below low
    landing.add(imported(tmp_path, candles))
    [kept] = (tmp_path / "landing").rglob("rejected/*.parquet")
    assert pl.read_parquet(kept)["reason"].len() == 1
    assert len(opens(landing.source("binance", Timeframe.H1))) == 299


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`, as on a disk with that little space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    }


def test_a_full_disk_is_one_sentence_and_leaves_everything_as_it_was(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(5)))
    before = contents(tmp_path / "landing")
    candles = rows(300)
    candles[7] = (candles[7][0], 10.0, 9.0, 11.0, 10.0, 1.0)
    more = imported(tmp_path, candles)
    with full_disk(1000), pytest.raises(UnusableHome, match=r"landing/binance/1h/BTC-USDT: cannot write"):
        landing.add(more)
    assert contents(tmp_path / "landing") == before
    landing.add(more)
    assert len(opens(landing.source("binance", Timeframe.H1))) == 299


def test_a_folder_of_an_older_version_that_is_called_xbt_is_no_market_of_its_own(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(5)))
    folder = tmp_path / "landing/binance/1h"
    (folder / "BTC-USDT").rename(folder / "XBT-USDT")
    assert landing.source("binance", Timeframe.H1).pairs() == ()
    landing.add(imported(tmp_path, rows(5)))
    assert landing.source("binance", Timeframe.H1).pairs() == (BTC,)


def test_a_whole_series_that_lies_in_another_pairs_folder_is_refused(
    landing: LandingArea, tmp_path: Path
) -> None:
    landing.add(imported(tmp_path, rows(5)))
    folder = tmp_path / "landing/binance/1h"
    (folder / "BTC-USDT").rename(folder / "ETH-USDT")
    with pytest.raises(UnreadableFile, match=r"ETH-USDT/parquet-candles\.parquet is damaged"):
        landing.source("binance", Timeframe.H1).candles(Pair("ETH", "USDT"), START, START + 5 * HOUR)

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.trading.importers.candle_files import START, parquet, rows
from trading.errors import NotStored
from trading.importers import LandingArea, read_candle_file
from trading.importers.common_window import longest_common_window
from trading.market import Pair, Timeframe

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALWAYS = (START - 1000 * DAY, START + 1000 * DAY)
KINDS = {
    ("binance", Timeframe.H1): ALWAYS,
    ("kraken", Timeframe.H1): ALWAYS,
    ("binance", Timeframe.M5): ALWAYS,
}


class Shelves:
    def __init__(self, folder: Path) -> None:
        self.folder, self.landing = folder, LandingArea(folder / "landing")

    def add(self, name: str, first: int, last: int, step: timedelta = HOUR) -> None:
        """Candles number `first` to `last` - 1 of that file's grid."""
        parquet(self.folder / f"{name}.parquet", rows(last, step)[first:])
        self.landing.add(read_candle_file(self.folder / f"{name}.parquet"))


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves(tmp_path)


def span(shelves: Shelves) -> tuple[str, datetime, datetime]:
    window = longest_common_window(shelves.landing, KINDS, (BTC, XRP))
    return window.venue, window.start, window.end


def test_the_window_is_what_all_pairs_share(shelves: Shelves) -> None:
    shelves.add("binance_BTC-USDT_1h", 0, 100)
    shelves.add("binance_XRP-USDT_1h", 40, 130)
    assert span(shelves) == ("binance", START + 40 * HOUR, START + 100 * HOUR)


def test_the_venue_and_timeframe_with_the_longer_window_wins(shelves: Shelves) -> None:
    for pair in ("BTC", "XRP"):
        shelves.add(f"binance_{pair}-USDT_1h", 0, 50)
        shelves.add(f"kraken_{pair}-USDT_1h", 0, 60)
        shelves.add(f"binance_{pair}-USDT_5m", 0, 300, timedelta(minutes=5))
    assert span(shelves)[0] == "kraken"


def test_of_equally_long_windows_the_finer_timeframe_wins(shelves: Shelves) -> None:
    for pair in ("BTC", "XRP"):
        shelves.add(f"binance_{pair}-USDT_1h", 0, 24)
        shelves.add(f"binance_{pair}-USDT_5m", 0, 288, timedelta(minutes=5))
    assert longest_common_window(shelves.landing, KINDS, (BTC, XRP)).timeframe is Timeframe.M5


def test_an_outage_of_hours_does_not_end_a_window_but_a_week_without_candles_does(shelves: Shelves) -> None:
    for pair in ("BTC", "XRP"):
        shelves.add(f"binance_{pair}-USDT_1h", 0, 20)
        shelves.add(f"binance_{pair}-USDT_1h", 30, 50)
        shelves.add(f"binance_{pair}-USDT_1h", 50 + 8 * 24, 60 + 8 * 24)
    assert span(shelves)[1:] == (START, START + 50 * HOUR)


def test_pairs_that_are_never_there_together_say_so(shelves: Shelves) -> None:
    shelves.add("binance_BTC-USDT_1h", 0, 10)
    shelves.add("binance_XRP-USDT_1h", 500, 510)
    with pytest.raises(NotStored, match="BTC/USDT, XRP/USDT at the same time"):
        span(shelves)


def test_what_lies_outside_the_bounds_is_not_part_of_the_window(shelves: Shelves) -> None:
    for pair in ("BTC", "XRP"):
        shelves.add(f"binance_{pair}-USDT_1h", 0, 100)
    bounds = {("binance", Timeframe.H1): (START + 20 * HOUR, START + 50 * HOUR)}
    window = longest_common_window(shelves.landing, bounds, (BTC, XRP))
    assert (window.start, window.end) == (START + 20 * HOUR, START + 50 * HOUR)

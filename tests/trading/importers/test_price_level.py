"""Prices that contradict what is stored: inverted quotes and other units."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.trading.importers.candle_files import START, Row, freqtrade_json, parquet
from trading.errors import InvalidCandles
from trading.importers import LandingArea, read_candle_file
from trading.market import Timeframe

HOUR = timedelta(hours=1)


class Shelf:
    def __init__(self, folder: Path) -> None:
        self.folder, self.landing = folder, LandingArea(folder / "landing")

    def add(self, pair: str, price: float, first: int = 0) -> None:
        """Add thirty candles that rise by a hundredth from that hour on."""
        parquet(self.folder / f"binance_{pair}_1h.parquet", candles(price, first))
        self.landing.add(read_candle_file(self.folder / f"binance_{pair}_1h.parquet"))

    def pairs(self) -> list[str]:
        return [str(pair) for pair in self.landing.source("binance", Timeframe.H1).pairs()]


def candles(price: float, first: int) -> list[Row]:
    steps = [price * (1 + i / 3000) for i in range(30)]
    return [
        (START + (first + i) * HOUR, close, close * 1.01, close * 0.99, close, 5.0)
        for i, close in enumerate(steps)
    ]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize("first", [-60, 60])
def test_inverted_quotes_beside_stored_candles_are_refused(first: int, shelf: Shelf) -> None:
    shelf.add("XRP-BTC", 0.0000166)
    with pytest.raises(InvalidCandles, match=r"around 6\d{4}.* where candles around 1\.6\d+e-05"):
        shelf.add("XRP-BTC", 60240.0, first=first)
    shelf.add("XRP-BTC", 0.00002, first=first)


def test_candles_in_a_gap_are_compared_with_those_before_it(shelf: Shelf) -> None:
    shelf.add("XRP-BTC", 0.0000166)
    shelf.add("XRP-BTC", 0.0000170, first=100)
    with pytest.raises(InvalidCandles, match="inverted"):
        shelf.add("XRP-BTC", 60240.0, first=50)


def test_another_vendor_in_another_unit_at_the_same_time_is_refused(shelf: Shelf) -> None:
    shelf.add("BTC-USDT", 30_000.0)
    freqtrade_json(shelf.folder / "binance_BTC_USDT-1h.json", candles(60_000.0, 0))
    with pytest.raises(InvalidCandles, match="the same unit"):
        shelf.landing.add(read_candle_file(shelf.folder / "binance_BTC_USDT-1h.json"))


def test_a_price_that_three_pairs_cannot_have_is_refused_and_the_inverted_one_is_named(shelf: Shelf) -> None:
    shelf.add("BTC-USDT", 30_000.0)
    shelf.add("XRP-USDT", 0.498)
    with pytest.raises(InvalidCandles, match="XRP/BTC would fit the other way round"):
        shelf.add("XRP-BTC", 60240.0)
    assert shelf.pairs() == ["BTC/USDT", "XRP/USDT"]
    shelf.add("XRP-BTC", 0.0000166)


def test_the_inverted_pair_is_named_also_when_it_was_stored_first(shelf: Shelf) -> None:
    shelf.add("XRP-BTC", 60240.0)
    shelf.add("BTC-USDT", 30_000.0)
    with pytest.raises(InvalidCandles, match="XRP/BTC would fit the other way round"):
        shelf.add("XRP-USDT", 0.498)


def test_a_pair_quoted_the_other_way_round_makes_the_same_triangle(shelf: Shelf) -> None:
    shelf.add("USDT-BTC", 1 / 30_000.0)
    shelf.add("XRP-USDT", 0.498)
    with pytest.raises(InvalidCandles, match="triangle"):
        shelf.add("XRP-BTC", 0.00166)
    shelf.add("XRP-BTC", 0.0000166)


def test_pairs_that_share_no_time_make_no_triangle(shelf: Shelf) -> None:
    shelf.add("BTC-USDT", 30_000.0)
    shelf.add("XRP-USDT", 0.498)
    shelf.add("XRP-BTC", 0.0001, first=500)
    assert len(shelf.pairs()) == 3


def test_a_market_may_fall_by_nine_tenths_between_two_files(shelf: Shelf) -> None:
    shelf.add("XRP-USDT", 3.0)
    shelf.add("XRP-USDT", 0.3, first=1000)

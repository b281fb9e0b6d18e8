"""Recorded trades: what is played, and what is refused."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.sandbox.market import csv_pages, parquet_pages
from streaming.sandbox.market.recordings import RecordedTrade
from streaming.sandbox.market.trades import TradeReplay
from tests.streaming.sandbox.market_cases import BTC, SHARED, XRP, instrument, recorded
from tests.streaming.sandbox.trade_files import ALWAYS, SECOND, TERMS, at, csv, lines, played
from trading.errors import InvalidValue, UnreadableFile
from trading.market import Pair
from trading.orders import Side

KRAKEN_TRADES = SHARED / "ticks/kraken_BTC-USDT_trades_2023-11.parquet"


def test_time_and_sales_keep_their_exact_decimals(tmp_path: Path) -> None:
    path = csv(tmp_path, lines([(0, "36160.900000", "0.00039900"), (2, "36153.2", "1.1")]))
    one, other = played(path)
    assert (one.at, one.price, one.quantity) == (at(0), Decimal("36160.9"), Decimal("0.000399"))
    assert (other.at, other.price, other.quantity) == (at(2), Decimal("36153.2"), Decimal("1.1"))


def test_fractions_of_a_second_a_header_and_other_line_ends_are_read(tmp_path: Path) -> None:
    path = csv(tmp_path, f"time,price,volume\r\n{SECOND}.123456,100.0,1\r\n\r\n{SECOND}.5,101.0,2\r\n")
    assert [tick.at for tick in played(path)] == [at(0.123456), at(0.5)]


def test_the_taker_bought_a_rise_and_sold_a_fall(tmp_path: Path) -> None:
    ticks = played(csv(tmp_path, lines([(0, "100", "1"), (1, "101", "1"), (2, "99", "1"), (3, "99.5", "1")])))
    assert [tick.side for tick in ticks[1:]] == [Side.BUY, Side.SELL, Side.BUY]


def test_finer_prices_than_the_increment_are_rounded_to_it(tmp_path: Path) -> None:
    ticks = played(csv(tmp_path, lines([(0, "100.16", "0.000000019"), (1, "100.25", "0.000000001")])))
    assert [tick.price for tick in ticks] == [Decimal("100.2"), Decimal("100.2")]
    assert [tick.quantity for tick in ticks] == [Decimal("0.00000002"), Decimal("0.00000001")]


pairs_of_pages = st.tuples(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(900, 1100), st.integers(1, 999)), min_size=1, max_size=150
    ),
    st.integers(-5, 300),
    st.integers(0, 40),
)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(pairs_of_pages)
def test_reading_may_begin_anywhere_in_a_file(
    tmp_path: Path, kind: str, drawn: tuple[list[tuple[int, int, int]], int, int]
) -> None:
    steps, seconds, count = drawn
    time, trades = 0, []
    for pause, price, quantity in steps:
        time += pause
        trades.append((time, f"{price / 10}", f"{quantity / 1000}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_pages, "PAGE", 64)
        patch.setattr(parquet_pages, "PAGE", 3)
        if kind == "csv":
            path = csv(tmp_path, lines(trades))
        else:
            path = tmp_path / "BTC-USDT.parquet"
            numbers = {
                "price": [float(price) for _, price, _ in trades],
                "amount": [float(q) for *_, q in trades],
            }
            pl.DataFrame({"timestamp": [at(when) for when, *_ in trades], **numbers}).write_parquet(
                path, row_group_size=7
            )
        source = TradeReplay({BTC: [path]}, TERMS)
        everything = list(source.ticks(ALWAYS))
        assert [(tick.at, tick.price, tick.quantity) for tick in everything] == [
            (at(when), Decimal(price), Decimal(quantity)) for when, price, quantity in trades
        ]
        assert list(source.ticks(at(seconds))) == [tick for tick in everything if tick.at > at(seconds)]
        past = [tick for tick in everything if tick.at <= at(seconds)]
        assert source.history(BTC, at(seconds), count) == past[max(len(past) - count, 0) :]
        assert source.first() == everything[0].at


def test_a_large_file_is_entered_in_the_middle_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv(tmp_path, lines([(number, "100.0", "0.5") for number in range(50_000)]))
    read: list[int] = []
    rows = csv_pages.CsvPages.rows

    def counted(pages: csv_pages.CsvPages, page: int) -> Sequence[RecordedTrade]:
        read.append(page)
        return rows(pages, page)

    monkeypatch.setattr(csv_pages.CsvPages, "rows", counted)
    source = TradeReplay({BTC: [path]}, TERMS)
    assert next(source.ticks(at(30_000.5))).at == at(30_001)
    assert len(source.history(BTC, at(40_000), 500)) == 500
    assert len(read) < 8


def test_a_line_that_begins_where_a_page_does_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_pages, "PAGE", 2 * len(lines([(0, "100.0", "1")])))
    ticks = played(csv(tmp_path, lines([(number, "100.0", "1") for number in range(9)])))
    assert [tick.at for tick in ticks] == [at(number) for number in range(9)]


def test_files_of_one_pair_follow_each_other_and_pairs_are_merged(tmp_path: Path) -> None:
    late = csv(tmp_path, lines([(10, "101", "1"), (11, "102", "1")]), "late.csv")
    early = csv(tmp_path, lines([(0, "99", "1"), (5, "100", "1")]), "early.csv")
    other = csv(tmp_path, lines([(3, "0.5", "1"), (10, "0.6", "1")]), "XRPXBT.csv")
    source = TradeReplay({BTC: [late, early], XRP: [other]}, TERMS)
    ticks = list(source.ticks(ALWAYS))
    assert [(tick.at - at(0)).seconds for tick in ticks] == [0, 3, 5, 10, 10, 11]
    assert list(source.ticks(at(5))) == ticks[3:]
    assert source.history(BTC, at(10), 2) == [ticks[2], ticks[3]]
    assert source.history(XRP, at(2), 2) == []
    assert source.pairs == (BTC, XRP)


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    one = csv(tmp_path, lines([(0, "99", "1"), (5, "100", "1")]), "one.csv")
    other = csv(tmp_path, lines([(4, "99", "1")]), "other.csv")
    with pytest.raises(UnreadableFile, match=r"one\.csv and .*other\.csv overlap"):
        TradeReplay({BTC: [one, other]}, TERMS)


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    csv(tmp_path, lines([(0, "99", "1")]), "XBTUSDT.csv")
    csv(tmp_path, lines([(1, "99", "1")]), "kraken_BTC-USDT_trades_2023-12.csv")
    csv(tmp_path, "not trades", "ETHUSD.csv")
    csv(tmp_path, "not trades", "README.md")
    source = TradeReplay.of_path(tmp_path, TERMS)
    assert source.pairs == (BTC,)
    assert len(list(source.ticks(ALWAYS))) == 2


@pytest.mark.parametrize("name", ["ETHUSD.csv", "trades.csv", "nowhere"])
def test_a_path_whose_name_says_no_listed_pair_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match=f"{name}: no file name says one of BTC/USDT, XRP/BTC"):
        TradeReplay.of_path(tmp_path / name, TERMS)


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet"])
def test_a_file_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match=f"{name} does not exist; accepted are Kraken's time and sales"):
        played(tmp_path / name)


def test_a_suffix_that_nobody_reads_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"\.json is not a file of trades; accepted are"):
        played(csv(tmp_path, "{}", "trades.json"))


def test_a_pair_without_an_instrument_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, lines([(0, "99", "1")]))
    with pytest.raises(InvalidValue, match="ETH/USDT, which has no instrument"):
        TradeReplay({Pair("ETH", "USDT"): [path]}, TERMS)
    with pytest.raises(InvalidValue, match="at least one file"):
        TradeReplay({}, TERMS)


@recorded
def test_the_recorded_trades_of_kraken_are_played_as_they_are() -> None:
    source = TradeReplay.of_path(KRAKEN_TRADES, TERMS)
    table = pl.read_parquet(KRAKEN_TRADES)
    ticks = list(source.ticks(ALWAYS))
    assert [tick.at for tick in ticks] == table["timestamp"].to_list()
    assert [float(tick.price) for tick in ticks] == table["price"].to_list()
    assert [float(tick.quantity) for tick in ticks] == table["amount"].to_list()
    assert [tick.side.value for tick in ticks] == table["side"].to_list()
    middle = ticks[13_000].at + timedelta(milliseconds=1)
    assert source.history(BTC, middle, 100) == [tick for tick in ticks if tick.at <= middle][-100:]


@recorded
def test_the_recorded_time_and_sales_of_kraken_are_read() -> None:
    path = SHARED / "raw/kraken_trades_csv_BCHEUR.csv"
    pair = Pair("BCH", "EUR")
    ticks = list(TradeReplay({pair: [path]}, {pair: instrument(pair, "0.01")}).ticks(ALWAYS))
    assert len(ticks) == 148
    assert (ticks[0].price, ticks[0].quantity) == (Decimal("90.54"), Decimal("1.1044842"))

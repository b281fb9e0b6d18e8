"""Candles played as trades and added up again."""

import math
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice, pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.market.candles import CandleReplay
from streaming.sandbox.market.tape import TradeTape
from streaming.sandbox.model import Bar
from tests.streaming.sandbox.market_cases import (
    BTC,
    SHARED,
    START,
    XRP,
    Tables,
    candles,
    instrument,
    printed,
    recorded,
)
from trading.candles import complete, off_grid
from trading.errors import InvalidCandles, InvalidValue, NotStored
from trading.market import Instrument, Pair, Timeframe
from trading.orders import Side
from trading.simulation.market import SimulatedMarket

M1, H1 = Timeframe.M1, Timeframe.H1
BEFORE = START - timedelta(days=1)
Row = tuple[float, float, float, float, float]


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    found: list[Row] = []
    price, amount = (
        st.floats(0.1, 1e6),
        st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 1e-8, 3e-8, 4e-9])),
    )
    for _ in range(draw(st.integers(1, 12))):
        low, *inside, high = sorted(draw(st.tuples(price, price, price, price)))
        first, last = draw(st.permutations(inside))
        found.append((first, high, low, last, draw(amount)))
    return found


def replay(table: pl.DataFrame, terms: Instrument, timeframe: Timeframe = M1) -> CandleReplay:
    return CandleReplay(Tables({terms.pair: table}), {terms.pair: terms}, timeframe)


def rounded(number: float, step: Decimal) -> Decimal:
    return (Decimal(repr(number)) / step).to_integral_value(ROUND_HALF_EVEN) * step


def assert_is_candle(bar: Bar, row: dict[str, float], terms: Instrument) -> None:
    told = (bar.open, bar.high, bar.low, bar.close)
    assert told == tuple(
        rounded(row[name], terms.price_increment) for name in ("open", "high", "low", "close")
    )
    volume, step = rounded(row["volume"], terms.quantity_increment), terms.quantity_increment
    if volume >= 4 * step:
        assert bar.volume == volume
        assert bar.trades == 4
    else:  # each price that it visited needs an increment
        assert max(volume, step) <= bar.volume <= 4 * step


@given(
    rows(), st.sampled_from(["0.1", "0.00001", "0.5", "0.07"]), st.sampled_from(["0.00000001", "0.001", "1"])
)
def test_the_trades_of_a_candle_add_up_to_it(found: list[Row], price: str, quantity: str) -> None:
    terms = instrument(BTC, price, quantity)
    table = candles(found, M1).with_columns(pl.col("open", "high", "low", "close").clip(1))
    tape = TradeTape(terms)
    ticks = list(replay(table, terms).ticks(BEFORE))
    printed(tape, ticks)
    traded = list(table.filter(pl.col("volume") > 0).iter_rows(named=True))
    bars = tape.bars(1)
    assert [bar.open_time for bar in bars] == [row["open_time"] for row in traded]
    for bar, row in zip(bars, traded, strict=True):
        assert_is_candle(bar, row, terms)
    assert all(one.at < other.at for one, other in pairwise(ticks))


@recorded
@pytest.mark.parametrize(
    ("name", "timeframe", "terms"),
    [
        ("kraken_BTC-USDT_1m_2023-11", M1, instrument()),
        ("kraken_XRP-USD_1h_2017-2019", H1, instrument(Pair("XRP", "USD"), "0.00001")),
        ("binance_XRP-BTC_1h_2017-2020", H1, instrument(XRP, "0.00000001")),
        ("binance_BTC-USDT_1m_2023", M1, instrument()),
    ],
)
def test_recorded_candles_are_played_exactly(name: str, timeframe: Timeframe, terms: Instrument) -> None:
    frame = pl.read_parquet(SHARED / "ohlcv" / f"{name}.parquet").unique("timestamp").sort("timestamp")
    table = complete(frame.rename({"timestamp": "open_time"}), timeframe, "recorded").filter(
        ~off_grid(timeframe)
    )
    for begin in range(0, 2800, 700):  # a tape keeps 721 bars
        part, tape = table.slice(begin, 700), TradeTape(terms)
        printed(tape, replay(part, terms, timeframe).ticks(datetime(2000, 1, 1, tzinfo=UTC)))
        bars, traded = (
            tape.bars(timeframe.duration // timedelta(minutes=1)),
            part.filter(pl.col("volume") > 0),
        )
        assert [bar.open_time for bar in bars] == traded["open_time"].to_list()
        for bar, row in zip(bars, traded.iter_rows(named=True), strict=True):
            assert_is_candle(bar, row, terms)


def test_trades_lie_at_the_beginning_a_quarter_a_half_and_just_before_the_end() -> None:
    ticks = list(replay(candles([(10, 12, 9, 11, 4)], H1), instrument(), H1).ticks(BEFORE))
    seconds = [(tick.at - START).total_seconds() for tick in ticks]
    assert seconds == [0, 900, 1800, 3599.999]
    assert [tick.price for tick in ticks][::3] == [10, 11]
    assert {tick.price for tick in ticks[1:3]} == {9, 12}


def test_a_rise_is_bought_and_a_fall_is_sold() -> None:
    ticks = list(replay(candles([(10, 12, 9, 11, 4)] * 20, M1), instrument()).ticks(BEFORE))
    for one, other in pairwise(ticks):
        if one.price != other.price and other.at.second:
            assert other.side is (Side.BUY if other.price > one.price else Side.SELL)


def test_which_extreme_comes_first_does_not_reveal_the_close() -> None:
    table = candles([(10, 12, 8, 11 if number % 2 else 9, 4) for number in range(2000)], M1)
    ticks = list(replay(table, instrument()).ticks(BEFORE))
    told = [(ticks[at + 1].price < 10) == (ticks[at + 3].price > 10) for at in range(0, len(ticks), 4)]
    assert 0.45 < sum(told) / len(told) < 0.55


def test_a_candle_without_volume_prints_nothing() -> None:
    ticks = list(replay(candles([(10, 10, 10, 10, 0), (11, 11, 11, 11, 1)], M1), instrument()).ticks(BEFORE))
    assert ticks[0].at == START + M1.duration


def test_a_candle_of_one_price_and_less_than_an_increment_prints_one_increment() -> None:
    [tick] = replay(candles([(10, 10, 10, 10, 1e-9)], M1), instrument()).ticks(BEFORE)
    assert (tick.price, tick.quantity) == (Decimal("10.0"), Decimal("0.00000001"))


@given(st.integers(0, 7 * 60 * 4), st.integers(0, 40))
def test_reading_may_begin_anywhere_and_meets_the_same_trades(seconds: int, count: int) -> None:
    table = candles([(10, 12, 9, 11, volume) for volume in (4, 0, 2, 7, 0, 0, 3)] * 4, M1)
    source = replay(table, instrument())
    everything = list(source.ticks(BEFORE))
    at = START + timedelta(seconds=seconds)
    assert list(source.ticks(at)) == [tick for tick in everything if tick.at > at]
    past = [tick for tick in everything if tick.at <= at]
    assert source.history(BTC, at, count) == past[max(len(past) - count, 0) :]


def test_a_trade_at_the_very_time_belongs_to_the_past() -> None:
    source = replay(candles([(10, 12, 9, 11, 4)], M1), instrument())
    assert [tick.at for tick in source.history(BTC, START, 9)] == [START]
    assert next(source.ticks(START)).at > START


def test_gaps_of_years_are_stepped_over() -> None:
    late = START + timedelta(days=3000)
    table = pl.concat([candles([(10, 12, 9, 11, 4)], M1), candles([(20, 22, 19, 21, 4)], M1, late)])
    tables = Tables({BTC: table})
    source = CandleReplay(tables, {BTC: instrument()}, M1)
    assert [tick.at for tick in source.ticks(BEFORE)][::4] == [START, late]
    assert source.history(BTC, late + timedelta(days=1), 5)[0].price == Decimal("11.0")


def test_the_past_is_read_no_further_than_it_is_needed() -> None:
    tables = Tables({BTC: candles([(10, 12, 9, 11, 4)] * 5000, M1)})
    source = CandleReplay(tables, {BTC: instrument()}, M1)
    assert len(source.history(BTC, START + timedelta(minutes=4000), 400)) == 400
    assert tables.given < 120


def test_pairs_are_merged_in_order_of_time() -> None:
    tables = Tables({BTC: candles([(10, 12, 9, 11, 4)] * 3, M1), XRP: candles([(1, 2, 0.5, 1, 4)] * 3, M1)})
    source = CandleReplay(tables, {XRP: instrument(XRP), BTC: instrument()}, M1)
    ticks = list(source.ticks(BEFORE))
    assert len(ticks) == 24
    assert all(one.at <= other.at for one, other in pairwise(ticks))
    assert [tick.pair for tick in ticks[:4]] == [BTC, XRP, BTC, XRP]
    assert source.first() == START


def test_a_market_without_an_end_is_read_as_far_as_it_is_asked() -> None:
    market = SimulatedMarket((BTC, XRP), M1, 7, START, datetime(9000, 1, 1, tzinfo=UTC))
    source = CandleReplay(market, {BTC: instrument(), XRP: instrument(XRP, "0.00000001")}, M1)
    ticks = list(islice(source.ticks(BEFORE), 20_000))
    assert source.first() == START == ticks[0].at
    middle = ticks[10_000].at
    assert list(islice(source.ticks(middle), 100)) == [tick for tick in ticks if tick.at > middle][:100]
    past = [tick for tick in ticks if tick.pair == BTC and tick.at <= middle]
    assert source.history(BTC, middle, 500) == past[-500:]


@pytest.mark.parametrize("until", [START, START + timedelta(minutes=1), START + timedelta(minutes=90)])
def test_candles_that_are_hidden_are_not_played(until: datetime) -> None:
    tables = Tables({BTC: candles([(10, 12, 9, 11, 4)] * 3000, M1)}, until)
    source = CandleReplay(tables, {BTC: instrument()}, M1)
    assert len(list(source.ticks(BEFORE))) == 4 * ((until - START) // M1.duration)


def test_a_simulated_market_that_ends_ends_its_trades() -> None:
    market = SimulatedMarket((BTC,), M1, 7, START, START + timedelta(minutes=30))
    assert 0 < len(list(CandleReplay(market, {BTC: instrument()}, M1).ticks(BEFORE))) <= 120


def test_a_pair_that_is_not_replayed_has_no_past() -> None:
    assert replay(candles([(10, 12, 9, 11, 4)], M1), instrument()).history(XRP, START, 5) == []


def test_no_candles_at_all_are_not_stored() -> None:
    source = replay(candles([], M1), instrument())
    assert list(source.ticks(BEFORE)) == []
    assert source.history(BTC, START, 5) == []
    with pytest.raises(NotStored, match="no candles of BTC/USDT"):
        source.first()
    with pytest.raises(InvalidValue, match="at least one pair"):
        CandleReplay(Tables({}), {}, M1)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((10, 12, 0.01, 11, 4), "price of zero increments of 0.1"),
        ((10, math.nan, 9, 11, 4), "nan"),
        ((10, 12, 9, 11, math.inf), "inf"),
        ((10, 12, 9, 11, -1), "-1"),
        ((10, 1e300, 9, 11, 1), "1e\\+300"),
    ],
)
def test_a_candle_that_cannot_be_printed_is_named(row: Row, complaint: str) -> None:
    with pytest.raises(InvalidCandles, match=f"candle of BTC/USDT at 2024-01-04.*{complaint}"):
        list(replay(candles([row], M1), instrument()).ticks(BEFORE))


def test_candles_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidCandles, match="is not one of 1m"):
        list(replay(candles([(10, 12, 9, 11, 4)], H1), instrument()).ticks(BEFORE))

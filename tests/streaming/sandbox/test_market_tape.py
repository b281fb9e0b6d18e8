"""The public tape: prints, ids, cursors and bars, against the plain sums of everything that was printed."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sandbox.market.source import Tick
from streaming.sandbox.market.tape import INTERVALS, TradeTape
from streaming.sandbox.model import Bar
from tests.streaming.sandbox.market_cases import BTC, START, instrument, printed, tick
from trading.errors import InvalidValue
from trading.orders import Side

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tape(capacity: int = 1000) -> TradeTape:
    return TradeTape(instrument(), capacity)


@st.composite
def trades(draw: st.DrawFn, most: int = 60) -> list[Tick]:
    """Ascending trades, close together and days apart."""
    pauses = st.sampled_from([0, 1, 30, 59, 61, 3_000, 40_000, 90_000, 3_000_000])
    prices = draw(st.sampled_from([st.integers(1, 9), st.integers(1, 10**7)]))
    steps = draw(st.lists(st.tuples(pauses, prices, st.integers(1, 10**12)), min_size=1, max_size=most))
    time, ticks = 0, []
    for pause, price, quantity in steps:
        time += pause
        at = START + timedelta(seconds=time)
        amount = Decimal(quantity).scaleb(-8)
        ticks.append(Tick(BTC, at, Decimal(price).scaleb(-1), amount, Side.SELL, "limit"))
    return ticks


def bar_of(ticks: list[Tick], open_time: datetime) -> Bar:
    """A candle, the slow way."""
    prices = [each.price for each in ticks]
    volume = sum((each.quantity for each in ticks), Decimal(0))
    vwap = sum((each.price * each.quantity for each in ticks), Decimal(0)) / volume
    rounded = vwap.quantize(Decimal("0.1"), ROUND_HALF_UP)
    return Bar(open_time, prices[0], max(prices), min(prices), prices[-1], rounded, volume, len(ticks))


def grouped(ticks: list[Tick], minutes: int) -> list[Bar]:
    length = timedelta(minutes=minutes)
    return [
        bar_of(list(group), EPOCH + number * length)
        for number, group in groupby(ticks, key=lambda each: (each.at - EPOCH) // length)
    ]


@given(trades())
def test_bars_of_every_interval_are_the_sums_of_their_prints(ticks: list[Tick]) -> None:
    market = tape()
    printed(market, ticks)
    for minutes in INTERVALS:
        assert market.bars(minutes) == grouped(ticks, minutes)[-721:]


@given(trades(most=20), st.integers(0, 2_000_000))
def test_rows_without_a_trade_repeat_the_last_close_up_to_now(ticks: list[Tick], later: int) -> None:
    market = tape()
    printed(market, ticks)
    now = ticks[-1].at + timedelta(seconds=later)
    rows = market.filled_bars(60, now)
    hour = timedelta(hours=1)
    newest = EPOCH + (now - EPOCH) // hour * hour
    oldest = max(EPOCH + (ticks[0].at - EPOCH) // hour * hour, newest - 720 * hour)
    assert [row.open_time for row in rows] == [oldest + number * hour for number in range(len(rows))]
    assert rows[-1].open_time == newest
    traded = {bar.open_time: bar for bar in market.bars(60)}
    for row in rows:
        last = [each.price for each in ticks if each.at < row.open_time + hour][-1]
        nothing = Bar(row.open_time, last, last, last, last, Decimal("0.0"), Decimal("0E-8"), 0)
        assert row == traded.get(row.open_time, nothing)


def test_at_most_721_bars_are_returned_and_the_newest_is_always_among_them() -> None:
    market = tape(5000)
    printed(market, [tick(60 * minute, "100.0") for minute in range(1000)])
    now = START + timedelta(minutes=999, seconds=59)
    assert len(market.bars(1)) == len(market.filled_bars(1, now)) == 721
    assert market.filled_bars(1, now)[0].open_time == START + timedelta(minutes=279)
    assert [bar.open_time for bar in market.filled_bars(1, now, now + timedelta(days=1))] == [
        START + timedelta(minutes=999)
    ]


def test_since_leaves_out_the_bar_that_opens_at_it() -> None:
    market = tape()
    printed(market, [tick(0, "100.0"), tick(60, "101.0"), tick(120, "102.0")])
    assert [bar.close for bar in market.bars(1, START)] == [Decimal("101.0"), Decimal("102.0")]
    now = START + timedelta(minutes=2)
    assert [bar.close for bar in market.filled_bars(1, now, START + timedelta(minutes=1))] == [
        Decimal("102.0")
    ]


def test_weeks_begin_on_thursdays_and_half_months_on_multiples_of_15_days() -> None:
    market = tape()
    printed(market, [tick(3 * 86_400, "100.0")])
    [week], [half] = market.bars(10080), market.bars(21600)
    assert week.open_time == START
    assert (half.open_time - EPOCH) % timedelta(days=15) == timedelta(0)


def test_a_tape_without_a_trade_has_no_bars_no_prints_and_no_price() -> None:
    market = tape()
    assert market.filled_bars(1, START) == []
    assert market.bars(1) == []
    assert market.newest(5) == []
    assert market.last_price is None
    assert market.last_id == 0
    assert market.since(0) == ([], 0)


def test_ids_rise_by_one_and_the_oldest_prints_make_room() -> None:
    market = tape(capacity=3)
    printed(market, [tick(second, f"{100 + second}.0") for second in range(5)])
    assert [each.trade_id for each in market.newest(10)] == [3, 4, 5]
    assert [each.price for each in market.newest(2)] == [Decimal("103.0"), Decimal("104.0")]
    assert [each.trade_id for each in market.since(0)[0]] == [3, 4, 5]


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 50))
def test_pages_meet_every_print_once_however_many_share_an_instant(
    count: int, page: int, capacity: int
) -> None:
    market = tape(capacity)
    printed(market, [tick(number // 10, "100.0") for number in range(count)])
    seen, cursor = [], 0
    while True:
        prints, cursor = market.since(cursor, page)
        if not prints:
            break
        seen += [each.trade_id for each in prints]
    assert seen == list(range(max(count - capacity, 0) + 1, count + 1))
    assert cursor == market.cursor


def test_a_page_begins_after_the_time_of_its_cursor() -> None:
    market = tape()
    printed(market, [tick(0, "100.0"), tick(1, "101.0")])
    nanoseconds = (START - EPOCH) // timedelta(microseconds=1) * 1000
    assert [each.price for each in market.since(nanoseconds - 1)[0]] == [Decimal("100.0"), Decimal("101.0")]
    assert [each.price for each in market.since(nanoseconds)[0]] == [Decimal("101.0")]


def test_a_late_print_carries_the_time_of_the_one_before() -> None:
    market = tape()
    market.add(START + timedelta(seconds=5), Decimal("100.0"), Decimal(1), Side.BUY, "market")
    late = market.add(START, Decimal("101.0"), Decimal(1), Side.BUY, "market")
    assert late.at == START + timedelta(seconds=5)
    assert market.last_price == Decimal("101.0")


def test_the_tape_returns_what_was_printed() -> None:
    market = tape()
    told = market.add(START, Decimal("100.5"), Decimal("0.00000007"), Side.SELL, "limit")
    assert market.newest(1) == [told]
    assert (told.price, told.quantity, told.side) == (Decimal("100.5"), Decimal("0.00000007"), Side.SELL)
    assert (told.order_type, told.at, told.pair, told.trade_id) == ("limit", START, BTC, 1)


def test_preloaded_trades_end_with_the_given_id_and_the_next_follows() -> None:
    market = tape()
    market.preload([tick(0, "100.0"), tick(1, "101.0")], last_id=500)
    assert [each.trade_id for each in market.newest(5)] == [499, 500]
    assert (
        market.add(START + timedelta(seconds=2), Decimal(99), Decimal(1), Side.BUY, "limit").trade_id == 501
    )


@settings(deadline=None)
@given(trades(), st.sampled_from([1, 3, 7, 1000]))
def test_a_preloaded_tape_is_the_one_that_was_printed_one_by_one(ticks: list[Tick], capacity: int) -> None:
    preloaded, other = tape(capacity), tape(capacity)
    preloaded.preload(ticks)
    printed(other, ticks)
    later = Tick(BTC, ticks[-1].at + timedelta(seconds=1), Decimal(5), Decimal(1), Side.BUY, "market")
    for market in (preloaded, other):
        printed(market, [later])
    now = later.at + timedelta(hours=1)
    assert preloaded.newest(100) == other.newest(100)
    assert [preloaded.since(0, count) for count in range(1, 9)] == [
        other.since(0, count) for count in range(1, 9)
    ]
    assert preloaded.summary(now, None, None) == other.summary(now, None, None)
    for interval in INTERVALS:
        assert preloaded.filled_bars(interval, now) == other.filled_bars(interval, now)


def test_a_preloaded_tape_has_the_newest_of_more_bars_than_it_stores() -> None:
    preloaded, other = tape(), tape()
    minutes = [tick(60 * number, "100.0") for number in range(900)]
    preloaded.preload(minutes)
    printed(other, minutes)
    assert len(preloaded.bars(1)) == 721
    assert preloaded.bars(1) == other.bars(1)


def test_a_preload_that_holds_what_cannot_be_printed_leaves_the_tape_empty() -> None:
    market = tape()
    with pytest.raises(InvalidValue, match="multiple of its increment"):
        market.preload([tick(0, "100.0"), tick(1, "100.05")])
    assert market.last_price is None
    assert market.bars(1) == []


def test_preload_comes_before_the_first_print() -> None:
    market = tape()
    printed(market, [tick(0, "100.0")])
    with pytest.raises(InvalidValue, match="preload comes first"):
        market.preload([tick(1, "100.0")])


@pytest.mark.parametrize(
    ("price", "quantity"),
    [
        ("100.05", "1"),
        ("0", "1"),
        ("-1", "1"),
        ("NaN", "1"),
        ("Infinity", "1"),
        ("1E+30", "1"),
        ("100", "0"),
        ("100", "0.000000001"),
        ("100", "NaN"),
        ("100", "1E+30"),
    ],
)
def test_a_print_off_the_increments_is_refused_and_changes_nothing(price: str, quantity: str) -> None:
    market = tape()
    with pytest.raises(InvalidValue, match="BTC/USDT"):
        market.add(START, Decimal(price), Decimal(quantity), Side.BUY, "market")
    assert market.last_id == 0
    assert market.bars(1) == []


def test_an_interval_that_kraken_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidValue, match="interval 2: allowed are 1, 5, 15"):
        tape().bars(2)


def test_a_million_prints_need_less_than_60_megabytes() -> None:
    import tracemalloc

    market = TradeTape(instrument(), 10_000)
    each = tick(0, "100.0")
    tracemalloc.start()
    for number in range(10_000):
        market.add(
            START + timedelta(seconds=number / 10), each.price, each.quantity, each.side, each.order_type
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 10_000 < 60

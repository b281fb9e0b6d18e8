"""The last 24 hours and today, against plain sums over all prints."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.market.source import Tick
from streaming.sandbox.market.tape import TradeTape
from streaming.sandbox.model import BookLevel
from tests.streaming.sandbox.market_cases import BTC, START, instrument, printed, tick
from trading.orders import Side

DAY = timedelta(days=1)


@st.composite
def days(draw: st.DrawFn) -> list[Tick]:
    pauses = st.sampled_from([0, 1, 600, 20_000, 43_200, 86_400, 100_000])
    time, ticks = 0, []
    for pause, price in draw(st.lists(st.tuples(pauses, st.integers(1, 50)), min_size=1, max_size=60)):
        time += pause
        at = START + timedelta(seconds=time)
        ticks.append(Tick(BTC, at, Decimal(price).scaleb(-1), Decimal(price), Side.BUY, "limit"))
    return ticks


def mean(ticks: list[Tick]) -> Decimal:
    volume = sum((each.quantity for each in ticks), Decimal(0))
    cost = sum((each.price * each.quantity for each in ticks), Decimal(0))
    return (cost / volume if volume else Decimal(0)).quantize(Decimal("0.1"), ROUND_HALF_UP)


@given(days(), st.integers(0, 100_000), st.integers(1, 12))
def test_the_24_hours_are_the_sums_of_their_prints(ticks: list[Tick], later: int, capacity: int) -> None:
    market = TradeTape(instrument(), capacity)
    printed(market, ticks)
    now = ticks[-1].at + timedelta(seconds=later)
    kept = ticks[-capacity:]
    inside = [each for each in kept if each.at > now - DAY]
    before = [each.price for each in kept if each.at <= now - DAY]
    told = market.summary(now, None, None)
    stood = before[-1] if before else kept[0].price
    assert told.open == stood
    assert told.volume == sum(each.quantity for each in inside)
    assert told.trades == len(inside)
    assert told.high == max((each.price for each in inside), default=stood)
    assert told.low == min((each.price for each in inside), default=stood)
    assert told.vwap == mean(inside)
    assert (told.last, told.last_quantity) == (ticks[-1].price, ticks[-1].quantity)


@given(days(), st.integers(0, 100_000))
def test_today_is_the_utc_day_of_now_and_the_last_price_before_its_first_trade(
    ticks: list[Tick], later: int
) -> None:
    market = TradeTape(instrument())
    printed(market, ticks)
    now = ticks[-1].at + timedelta(seconds=later)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = [each for each in ticks if each.at >= midnight]
    prices = [each.price for each in today] or [ticks[-1].price]
    told = market.summary(now, None, None)
    assert (told.open_today, told.high_today, told.low_today) == (prices[0], max(prices), min(prices))
    assert told.volume_today == sum(each.quantity for each in today)
    assert told.trades_today == len(today)
    assert told.vwap_today == mean(today)


def test_the_day_slides_also_while_nothing_trades() -> None:
    market = TradeTape(instrument())
    printed(market, [tick(0, "100.0"), tick(3600, "120.0"), tick(7200, "110.0")])
    assert market.summary(START + timedelta(hours=23), None, None).high == Decimal("120.0")
    later = market.summary(START + timedelta(hours=25, minutes=30), None, None)
    assert (later.open, later.high, later.trades) == (Decimal("120.0"), Decimal("110.0"), 1)


def test_the_best_quotes_are_passed_on_and_an_empty_tape_has_no_last_price() -> None:
    bid, ask = (BookLevel(Decimal(price), Decimal(1), START) for price in (99, 101))
    told = TradeTape(instrument()).summary(START, bid, ask)
    assert (told.bid, told.ask, told.last) == (bid, ask, None)
    assert {told.open, told.high, told.low, told.volume, told.vwap} == {Decimal(0)}
    assert told.trades == 0

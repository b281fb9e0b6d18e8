"""Candles with trades on them."""

from datetime import timedelta

from assets.price_chart import Mark, price_chart
from tests.assets.test_history import MARKET, PAIR
from trading.market import month_start

CANDLES = MARKET.candles(
    PAIR, *(month_start(MARKET.span(PAIR)[0].date()) + timedelta(days=n) for n in (3, 5))
)
FIRST, LAST = CANDLES["close_time"][10], CANDLES["close_time"][30]


def test_a_chart_names_the_kinds_of_marks_that_are_on_it() -> None:
    price = CANDLES["close"][10]
    closed = Mark(FIRST, price, True, price * 0.98, price * 1.04, LAST, price * 0.98)
    drawn = price_chart("BTC/USDT", CANDLES, [closed], since=FIRST)
    assert drawn.startswith("<figure><svg")
    assert all(word in drawn for word in (">long entry<", ">exit<", ">stop<", ">target<"))
    assert ">short entry<" not in drawn


def test_an_open_position_has_no_exit_and_a_chart_without_marks_no_legend() -> None:
    price = CANDLES["close"][10]
    still_open = Mark(FIRST, price, False, price * 1.02, None, LAST, None)
    drawn = price_chart("BTC/USDT", CANDLES, [still_open], since=FIRST)
    assert ">short entry<" in drawn
    assert ">exit<" not in drawn
    assert ">stop<" not in price_chart("BTC/USDT", CANDLES, [], since=FIRST)

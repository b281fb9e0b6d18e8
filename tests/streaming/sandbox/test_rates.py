"""RateCounters rise with calls, fall with time, and say no at their maximum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.model import Refused
from streaming.sandbox.rates import INTERMEDIATE, PRO, STARTER, RateLimit, Rates, order_call_cost
from tests.doubles.clock import Clock
from trading.market import Pair

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("call", "age", "cost"),
    [
        ("add", 0, 1),
        ("amend", 4.9, 4),
        ("amend", 5, 3),
        ("amend", 14, 2),
        ("amend", 15, 1),
        ("edit", 0, 7),
        ("edit", 9, 6),
        ("edit", 14, 5),
        ("edit", 44, 3),
        ("edit", 89, 2),
        ("edit", 90, 1),
        ("cancel", 0, 8),
        ("cancel", 5, 6),
        ("cancel", 10, 5),
        ("cancel", 15, 4),
        ("cancel", 45, 2),
        ("cancel", 90, 1),
        ("cancel", 300, 0),
    ],
)
def test_a_call_costs_what_kraken_publishes(call: str, age: float, cost: int) -> None:
    assert order_call_cost(call, age) == cost  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["add", "amend", "edit", "cancel"]), st.floats(0, 400)),
        max_size=60,
    ),
    st.sampled_from([STARTER, INTERMEDIATE, PRO]),
)
def test_the_counter_of_orders_is_the_plain_formula_of_decay(calls: list[tuple], tier) -> None:
    clock = Clock(NOW)
    rates = Rates(tier, clock)
    expected = 0.0
    for pause, call, age in calls:
        clock.now += pause
        expected = max(0.0, expected - pause * tier.orders.decay)
        cost = order_call_cost(call, age)
        if expected + cost > tier.orders.maximum + 1e-6:
            with pytest.raises(Refused, match="EOrder:Rate limit exceeded"):
                rates.order("ann", BTC, call, age)
        elif expected + cost < tier.orders.maximum - 1e-6:
            rates.order("ann", BTC, call, age)
            expected += cost
        else:
            return  # too close to the edge for two ways of adding floats
        assert rates.counter("ann", BTC) == pytest.approx(expected, abs=1e-5)


def test_seven_quick_cancels_are_all_that_a_starter_may_do() -> None:
    rates = Rates(STARTER, Clock(NOW))
    for _ in range(7):
        rates.order("ann", BTC, "cancel", 1)
    with pytest.raises(Refused, match="EOrder:Rate limit exceeded"):
        rates.order("ann", BTC, "cancel", 1)


def test_pairs_and_accounts_are_counted_apart() -> None:
    rates = Rates(STARTER, Clock(NOW))
    for _ in range(60):
        rates.order("ann", BTC, "add")
    rates.order("ann", XRP, "add")
    rates.order("bob", BTC, "add")
    assert rates.counter("ann", BTC) == 60
    assert rates.counter("ann", XRP) == rates.counter("bob", BTC) == 1


def test_a_batch_costs_half_of_its_orders() -> None:
    rates = Rates(STARTER, Clock(NOW))
    rates.batch("ann", BTC, 15)
    assert rates.counter("ann", BTC) == 7.5


def test_private_calls_come_back_with_time() -> None:
    clock = Clock(NOW)
    rates = Rates(STARTER, clock)
    for _ in range(15):
        rates.rest("ann")
    with pytest.raises(Refused, match="EAPI:Rate limit exceeded"):
        rates.rest("ann")
    clock.now += 3.1  # a third of a call each second
    rates.rest("ann")


def test_history_costs_what_is_asked() -> None:
    rates = Rates(STARTER, Clock(NOW))
    for _ in range(7):
        rates.rest("ann", 2)
    with pytest.raises(Refused):
        rates.rest("ann", 2)
    rates.rest("ann", 1)


def test_a_refused_call_counts_nothing() -> None:
    clock = Clock(NOW)
    rates = Rates(STARTER, clock, public=RateLimit(1, 1))
    rates.public("127.0.0.1")
    for _ in range(50):
        with pytest.raises(Refused, match="EGeneral:Too many requests"):
            rates.public("127.0.0.1")
    clock.now += 1
    rates.public("127.0.0.1")


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    clock = Clock(NOW)
    rates = Rates(STARTER, clock)
    rates.order("ann", BTC, "add")
    clock.now -= 3600
    assert rates.counter("ann", BTC) == 1
    rates.order("ann", BTC, "add")
    clock.now += 2
    assert rates.counter("ann", BTC) == 0


def test_addresses_that_asked_long_ago_are_forgotten() -> None:
    clock = Clock(NOW)
    rates = Rates(STARTER, clock)
    for number in range(5000):
        clock.now += 1
        rates.public(f"10.0.{number // 256}.{number % 256}")
    assert len(rates._public._counted) <= 1001


def test_the_maximum_is_the_tiers() -> None:
    assert [Rates(tier, Clock(NOW)).maximum for tier in (STARTER, INTERMEDIATE, PRO)] == [60, 125, 180]

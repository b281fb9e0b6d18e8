"""Bad days at the exchange: what it refuses, does not answer, or answers with nonsense."""

from decimal import Decimal
from typing import Any

import pytest

from streaming.messages import AlertMessage
from streaming.sandbox.server import ACCOUNT
from tests.bad_days.trading_day import PAIR, TradingDay
from trading.orders import OrderStatus

# What keeps every order out, on both ways that it may go.
REST_AND_WEBSOCKET: dict[str, tuple[dict[str, Any], ...]] = {
    "nonce error": ({"kind": "nonce_error"},),
    "rate limit": (
        {"kind": "rate_limit", "method": "AddOrder"},
        {"kind": "rate_limit", "method": "add_order"},
    ),
}


def arm(day: TradingDay, *faults: dict[str, Any]) -> None:
    for fault in faults:
        day.exchange.arm(**fault)


def problems(day: TradingDay) -> list[AlertMessage]:
    """What people are told of the account; that an order went over REST, on a busy machine, is none of it."""
    return [each for each in day.told("account") if "over REST" not in each.text]


def test_garbage_instead_of_answers_stops_the_decision_before_any_order(day: TradingDay) -> None:
    day.open()
    arm(day, {"kind": "garbage_answer"})
    assert not day.decide().succeeded
    assert day.orders_at_exchange() == []
    [told] = day.told("failed run")
    assert "InvalidMessage" in told.text or "VenueUnreachable" in told.text
    day.exchange.disarm()
    day.ends_well()


def test_garbage_instead_of_the_answer_to_an_order_leaves_one_order(day: TradingDay) -> None:
    day.open()
    arm(
        day,
        {"kind": "token_expiry", "method": "add_order"},
        {"kind": "garbage_answer", "method": "AddOrder"},
    )
    decided = day.decide()
    assert decided.order is not None
    assert decided.order.status in (OrderStatus.UNKNOWN, OrderStatus.FILLED)  # it may be found at once
    assert len(day.told("order problem")) == 1
    assert "may be at the venue" in day.told("order problem")[0].text
    day.keep()
    assert day.newest().is_filled()
    assert len(day.told("fill")) == 1
    assert day.entries_at_exchange() == 1
    day.exchange.disarm()
    day.ends_well()


def test_an_order_below_the_minimum_is_refused_by_risk(
    day: TradingDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM__RISK__RISK_PER_TRADE", "0.0000001")
    assert day.decide().refused_by == "minimum quantity"
    assert day.orders_at_exchange() == []
    assert "minimum quantity" in day.told("refusal")[0].text
    monkeypatch.delenv("MARKETLOOM__RISK__RISK_PER_TRADE")
    day.ends_well()


def test_an_order_below_a_minimum_that_only_the_exchange_knows_is_rejected(day: TradingDay) -> None:
    day.open()
    small = day.home.decide(pair=PAIR, quantity=Decimal("0.5"), stop_loss=Decimal("0.3"))
    day.keep()
    order = day.services.journal.order(small.intent_id)
    assert order is not None
    assert order.status is OrderStatus.REJECTED
    [told] = day.told("order problem")
    assert (told.severity, order.reason in told.text) == ("warning", True)
    assert day.orders_at_exchange() == []
    day.ends_well()


def test_funds_that_are_gone_reject_the_order_and_the_withdrawal_is_booked(day: TradingDay) -> None:
    day.open()
    day.exchange.advance(1)
    day.exchange.enter(ACCOUNT, "USDT", "-900", "withdrawal")
    decided = day.decide()
    assert decided.order is not None
    assert decided.order.status is OrderStatus.REJECTED
    assert "Insufficient funds" in decided.order.reason
    assert "Insufficient funds" in day.told("order problem")[0].text
    day.keep()
    assert day.services.journal.balances(day.account)["USDT"] == Decimal(100)
    day.close_candle()
    assert day.decide().is_filled()  # of what is there
    day.exchange.enter(ACCOUNT, "USDT", "900", "deposit")
    day.ends_well()


def test_while_a_pair_is_in_cancel_only_nothing_is_bought(day: TradingDay) -> None:
    day.open()
    arm(day, {"kind": "cancel_only"})
    assert day.decide().refused_by == "status"
    assert day.orders_at_exchange() == []
    assert "cancel_only" in day.told("refusal")[0].text
    day.exchange.disarm()
    day.ends_well()


def test_while_a_pair_is_in_cancel_only_its_exit_waits_behind_its_stop(day: TradingDay) -> None:
    assert day.decide().is_filled()
    arm(day, {"kind": "cancel_only"})
    services = day.services
    services.order_executor.flatten(day.account, services.clock().at, "enough")
    for _ in range(2):
        day.keep()
    [told] = problems(day)
    assert "takes no market order" in told.text
    day.is_in_order()  # the stop is there
    day.exchange.disarm()
    day.keep_until(lambda: services.journal.positions(day.account) == [])
    assert [each.severity for each in problems(day)] == ["warning", "info"]
    day.ends_well()


@pytest.mark.parametrize("what", REST_AND_WEBSOCKET)
def test_an_order_that_is_kept_out_waits_and_is_sent_once(day: TradingDay, what: str) -> None:
    day.open()
    arm(day, *REST_AND_WEBSOCKET[what])
    decided = day.decide()
    assert decided.order is not None
    assert decided.order.status is OrderStatus.INTENDED
    assert day.orders_at_exchange() == []
    day.keep()
    assert problems(day)[0].severity == "warning"
    day.exchange.disarm()
    day.keep_until(lambda: day.newest().is_filled())
    assert day.entries_at_exchange() == 1
    assert problems(day)[-1].severity == "info"
    day.ends_well()


def test_an_order_that_is_kept_out_for_too_long_is_never_sent(day: TradingDay) -> None:
    day.open()
    arm(day, *REST_AND_WEBSOCKET["rate limit"])
    late = day.decide().order
    assert late is not None
    day.close_candle(3)
    day.exchange.disarm()
    day.keep()
    order = day.services.journal.order(late.intent_id)
    assert order is not None
    assert order.status is OrderStatus.EXPIRED
    assert "not sent" in day.told("order problem")[0].text
    assert day.orders_at_exchange() == []
    day.ends_well()


def test_a_token_that_has_expired_lets_the_order_go_the_other_way(day: TradingDay) -> None:
    day.open()
    arm(day, {"kind": "token_expiry"})
    assert day.decide().is_filled()
    assert len(day.told("fill")) == 1
    told = day.told("account")[0]
    assert (told.severity, "over REST" in told.text) == ("info", True)
    day.is_in_order()
    day.exchange.disarm()
    day.ends_well()

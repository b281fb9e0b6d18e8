from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Side
from trading.venues.kraken.order_request import (
    ConditionalClose,
    KrakenOrderType,
    KrakenTimeInForce,
    OrderRequest,
    check_client_order_id,
)

BTC = Pair("BTC", "USDT")
AN_ID = "9f6f3d1e-2c0a-5a5e-8a43-0d6f3a1b2c3d"


def request(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {"pair": BTC, "side": Side.BUY, "quantity": Decimal("0.01"), **changes}
    return OrderRequest(**values)


def test_a_market_order_has_only_the_fields_it_needs() -> None:
    assert request().fields("XBTUSDT") == {
        "ordertype": "market", "type": "buy", "volume": "0.01", "pair": "XBTUSDT",
    }  # fmt: skip


def test_everything_that_kraken_takes_is_spelled_as_kraken_spells_it() -> None:
    asked = request(
        order_type=KrakenOrderType.STOP_LOSS_LIMIT, price=Decimal("1E+4"), price2="-2.5%",
        client_order_id=AN_ID, deadline=datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC),
        time_in_force=KrakenTimeInForce.GTD, expires_at=datetime(2026, 1, 3, tzinfo=UTC), leverage=3,
        reduce_only=True, flags=("post", "fciq"), trigger="last", validate=True,
        close=ConditionalClose(KrakenOrderType.TAKE_PROFIT_LIMIT, Decimal(11000), Decimal(11001)),
    )  # fmt: skip
    assert asked.fields("XBTUSDT") == {
        "ordertype": "stop-loss-limit", "type": "buy", "volume": "0.01", "pair": "XBTUSDT", "price": "10000",
        "price2": "-2.5%", "cl_ord_id": AN_ID, "deadline": "2026-01-02T03:04:05.678Z", "timeinforce": "GTD",
        "expiretm": "1767398400", "leverage": "3", "reduce_only": "true", "oflags": "post,fciq", "trigger": "last",
        "validate": "true", "close[ordertype]": "take-profit-limit", "close[price]": "11000",
        "close[price2]": "11001",
    }  # fmt: skip


@given(st.decimals(Decimal("1e-8"), Decimal("1e12"), allow_nan=False, allow_infinity=False))
def test_a_quantity_is_written_exactly_and_without_an_exponent(quantity: Decimal) -> None:
    told = request(quantity=quantity).fields("XBTUSDT")["volume"]
    assert Decimal(told) == quantity
    assert "E" not in told


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "Infinity"])
def test_an_impossible_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(InvalidValue, match="quantity must be above zero"):
        request(quantity=Decimal(quantity)).fields("XBTUSDT")


def test_settling_a_position_may_leave_the_quantity_open() -> None:
    settled = request(order_type=KrakenOrderType.SETTLE_POSITION, quantity=Decimal(0), leverage=3)
    assert settled.fields("XBTUSDT")["volume"] == "0"


@pytest.mark.parametrize("price", [Decimal("NaN"), Decimal(0), Decimal(-5), "5 %", "++5", "1e5", ""])
def test_an_impossible_price_is_refused(price: Decimal | str) -> None:
    with pytest.raises(InvalidValue, match="price"):
        request(price=price).fields("XBTUSDT")


@pytest.mark.parametrize("identity", [AN_ID, AN_ID.replace("-", ""), "my-order-1", "x" * 18])
def test_krakens_forms_of_a_client_order_id_are_taken(identity: str) -> None:
    assert check_client_order_id(identity) == identity


@pytest.mark.parametrize(
    "identity", ["", "x" * 19, "intent-of-decision-1", "two words", "ümlaut", AN_ID + "0"]
)
def test_other_client_order_ids_are_refused(identity: str) -> None:
    with pytest.raises(InvalidValue, match="client order id"):
        check_client_order_id(identity)


def test_client_order_id_and_user_reference_exclude_each_other() -> None:
    with pytest.raises(InvalidValue, match="not both"):
        request(client_order_id=AN_ID, user_reference=7).fields("XBTUSDT")


def test_a_deadline_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidValue, match="time zone"):
        request(deadline=datetime(2026, 1, 2)).fields("XBTUSDT")  # noqa: DTZ001

"""Orders in the words of add_order, amend_order and cancel_order of the WebSocket."""

import json
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
)
from trading.venues.kraken.websocket_fields import (
    add_order_params,
    amend_order_params,
    cancel_order_params,
    is_expressible,
)
from trading.venues.kraken.websocket_messages import encode_request

BTC = Pair("BTC", "USDT")
AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
NO_CHANGE: dict[str, Any] = {
    "order_id": "O1", "client_order_id": "", "quantity": None, "limit": None, "trigger": None, "post_only": False,
    "deadline": None,
}  # fmt: skip


def order(**changes: Any) -> OrderRequest:
    return OrderRequest(**{"pair": BTC, "side": Side.BUY, "quantity": Decimal("0.01"), **changes})


def read(params: dict[str, object]) -> Any:
    """What a server reads, numbers exact."""
    return json.loads(encode_request("method", params, 1), parse_float=Decimal)["params"]


def test_an_entry_takes_its_stop_along_and_pays_its_fee_in_quote_currency() -> None:
    request = order(
        client_order_id="my-order",
        deadline=AT,
        flags=("fciq",),
        close=ConditionalClose(KrakenOrderType.STOP_LOSS, Decimal("30000.10")),
    )
    assert read(add_order_params(request)) == {
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "market",
        "order_qty": Decimal("0.01"),
        "cl_ord_id": "my-order",
        "deadline": "2026-01-02T03:04:05.678Z",
        "fee_preference": "quote",
        "conditional": {"order_type": "stop-loss", "trigger_price": Decimal("30000.10")},
    }


def test_a_resting_order_has_all_its_terms() -> None:
    request = order(
        order_type=KrakenOrderType.STOP_LOSS_LIMIT,
        price=Decimal(100),
        price2=Decimal("99.5"),
        user_reference=0,
        time_in_force=KrakenTimeInForce.GTD,
        expires_at=AT,
        reduce_only=True,
        flags=("post", "nompp", "fcib"),
        trigger="index",
        validate=True,
    )
    assert read(add_order_params(request)) == {
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "stop-loss-limit",
        "order_qty": Decimal("0.01"),
        "limit_price": Decimal("99.5"),
        "triggers": {"price": 100, "reference": "index"},
        "order_userref": 0,
        "time_in_force": "gtd",
        "expire_time": "2026-01-02T03:04:05.678Z",
        "reduce_only": True,
        "post_only": True,
        "no_mpp": True,
        "fee_preference": "base",
        "validate": True,
    }


def test_the_price_of_a_limit_order_is_its_limit() -> None:
    params = read(add_order_params(order(order_type=KrakenOrderType.LIMIT, price=Decimal("20000.1"))))
    assert params["limit_price"] == Decimal("20000.1")
    assert "triggers" not in params


@pytest.mark.parametrize(
    ("price", "number", "unit"),
    [
        ("+5%", Decimal(5), "pct"),
        ("-2.5%", Decimal("-2.5"), "pct"),
        ("-2.50", Decimal("-2.50"), "quote"),
        ("7", Decimal(7), "static"),
    ],
)
def test_a_relative_price_says_what_its_number_means(price: str, number: Decimal, unit: str) -> None:
    params = read(add_order_params(order(order_type=KrakenOrderType.TRAILING_STOP, price=price)))
    assert params["triggers"] == {"price": number, "price_type": unit}


@given(st.decimals("0.000000000001", "1000000000", places=12, allow_nan=False))
def test_numbers_have_all_their_digits_and_no_exponent(quantity: Decimal) -> None:
    frame = encode_request("add_order", add_order_params(order(quantity=quantity)), 1)
    assert f'"order_qty":{quantity:f}' in frame
    assert read(add_order_params(order(quantity=quantity)))["order_qty"] == quantity


@pytest.mark.parametrize(
    "changes",
    [
        {"leverage": 3},
        {"order_type": KrakenOrderType.SETTLE_POSITION, "quantity": Decimal(0)},
        {"order_type": KrakenOrderType.LIMIT, "price": "#5"},
        {"close": ConditionalClose(KrakenOrderType.STOP_LOSS, "#5%")},
        {"flags": ("viqc",)},
    ],
)
def test_what_the_websocket_has_no_sure_words_for_is_refused_here(changes: dict[str, Any]) -> None:
    assert is_expressible(order())
    assert not is_expressible(order(**changes))
    with pytest.raises(InvalidValue, match="only be placed over REST"):
        add_order_params(order(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(0)},
        {"quantity": Decimal("NaN")},
        {"order_type": KrakenOrderType.LIMIT, "price": Decimal(-1)},
        {"client_order_id": "far too long for a client order id"},
        {"client_order_id": "one", "user_reference": 2},
    ],
)
def test_nonsense_is_refused_as_over_rest(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        order(**changes).fields("XBTUSDT")
    with pytest.raises(InvalidValue):
        add_order_params(order(**changes))


def test_an_amendment_names_what_changes() -> None:
    changes = {**NO_CHANGE, "trigger": Decimal("1E+2"), "quantity": Decimal("0.10"), "deadline": AT}
    assert read(amend_order_params(**changes)) == {
        "order_id": "O1",
        "trigger_price": 100,
        "order_qty": Decimal("0.10"),
        "deadline": "2026-01-02T03:04:05.678Z",
    }


def test_an_order_is_cancelled_by_one_of_its_ids() -> None:
    assert cancel_order_params("O1", "") == {"order_id": ["O1"]}
    assert cancel_order_params("", "mine") == {"cl_ord_id": ["mine"]}
    for ids in (("", ""), ("O1", "mine")):
        with pytest.raises(InvalidValue, match="one of them"):
            cancel_order_params(*ids)
        with pytest.raises(InvalidValue, match="one of them"):
            amend_order_params(**{**NO_CHANGE, "order_id": ids[0], "client_order_id": ids[1]})


def test_an_amendment_to_nothing_is_refused() -> None:
    with pytest.raises(InvalidValue, match="neither a price nor a quantity"):
        amend_order_params(**{**NO_CHANGE, "quantity": Decimal(0)})

"""An order as the parameters of add_order, amend_order and cancel_order of Kraken's WebSocket v2.

docs.kraken.com/exchange/api-reference/spot-websocket-v2/add_order
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trading.errors import InvalidValue
from trading.venues.kraken.order_request import (
    BASE_FEE,
    QUOTE_FEE,
    ConditionalClose,
    KrakenOrderType,
    OrderRequest,
    Price,
    order_reference,
    rfc3339,
)
from trading.venues.kraken.websocket_messages import Params, exact_number

FLAGS: dict[str, Params] = {
    QUOTE_FEE: {"fee_preference": "quote"},
    BASE_FEE: {"fee_preference": "base"},
    "post": {"post_only": True},
    "nompp": {"no_mpp": True},
}
Term = tuple[Price | None, Price | None]  # the trigger and the limit


def is_expressible(request: OrderRequest) -> bool:
    """Tell whether the WebSocket has words for all of the order; REST has.

    Margin orders go over REST: the descriptions of `margin` and `leverage` in add_order contradict each other.
    """
    prices = (
        request.price,
        request.price2,
        *((request.close.price, request.close.price2) if request.close else ()),
    )
    relative_by_side = any(isinstance(price, str) and price.startswith("#") for price in prices)
    margin = request.leverage is not None or request.order_type is KrakenOrderType.SETTLE_POSITION
    return not (margin or relative_by_side or set(request.flags) - set(FLAGS))


def add_order_params(request: OrderRequest) -> Params:
    """Return the parameters without the token. InvalidValue for an order that is not expressible or makes no sense."""
    request.fields("")  # REST's checks of ids, quantities and prices hold here too
    if not is_expressible(request):
        raise InvalidValue(f"this order can only be placed over REST: {request}")
    trigger, limit = _terms(request.order_type, request.price, request.price2)
    params: Params = {
        "symbol": str(request.pair),
        "side": request.side.value,
        "order_type": request.order_type.value,
        "order_qty": exact_number(request.quantity),
        "cl_ord_id": request.client_order_id,
        "order_userref": request.user_reference,
        "deadline": request.deadline and rfc3339(request.deadline),
        "validate": request.validate,
        "time_in_force": request.time_in_force and request.time_in_force.value.lower(),
        "expire_time": request.expires_at and rfc3339(request.expires_at),
        "reduce_only": request.reduce_only,
        "triggers": _given({**_price("price", trigger), "reference": request.trigger}) if trigger else None,
        "conditional": request.close and _conditional(request.close),
        **_price("limit_price", limit),
    }
    for flag in request.flags:
        params |= FLAGS[flag]
    return _given(params)


def amend_order_params(
    order_id: str,
    client_order_id: str,
    quantity: Decimal | None,
    limit: Decimal | None,
    trigger: Decimal | None,
    post_only: bool,
    deadline: datetime | None,
) -> Params:
    """Return the parameters without the token. InvalidValue unless exactly one of the ids is given."""
    numbers = {"order_qty": quantity, "limit_price": limit, "trigger_price": trigger}
    exact = {name: exact_number(_positive(value)) for name, value in numbers.items() if value is not None}
    others = {"post_only": post_only, "deadline": deadline and rfc3339(deadline)}
    return _reference(order_id, client_order_id) | exact | _given(others)


def cancel_order_params(order_id: str, client_order_id: str) -> Params:
    """Return the parameters without the token. InvalidValue unless exactly one of the ids is given."""
    return {name: [value] for name, value in _reference(order_id, client_order_id).items()}


def _reference(order_id: str, client_order_id: str) -> Params:
    order_reference(order_id, client_order_id)  # its checks
    return {"order_id": order_id} if order_id else {"cl_ord_id": client_order_id}


def _conditional(close: ConditionalClose) -> Params:
    trigger, limit = _terms(close.order_type, close.price, close.price2)
    return {
        "order_type": close.order_type.value,
        **_price("trigger_price", trigger),
        **_price("limit_price", limit),
    }


def _terms(order_type: KrakenOrderType, price: Price | None, price2: Price | None) -> Term:
    """Return the trigger and the limit: REST's `price` is the limit of an order that has no trigger."""
    return (None, price) if order_type is KrakenOrderType.LIMIT else (price, price2)


def _price(name: str, price: Price | None) -> Params:
    """Return the number and what it means: a price, or a distance from the last one in quote currency or percent."""
    if price is None:
        return {}
    if isinstance(price, Decimal):
        return {name: exact_number(price)}
    unit = "pct" if price.endswith("%") else "quote" if price[0] in "+-" else "static"
    return {name: exact_number(Decimal(price.rstrip("%"))), f"{name}_type": unit}


def _positive(value: Decimal) -> Decimal:
    if not (value.is_finite() and value > 0):
        raise InvalidValue(f"{value} is neither a price nor a quantity")
    return value


def _given(params: Mapping[str, object]) -> Params:
    given = {name: value for name, value in params.items() if value is not None and value is not False}
    return {name: value for name, value in given.items() if value != ""}

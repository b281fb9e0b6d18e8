"""The terms of one order as a request writes them (docs.kraken.com, websocket-v2: add_order).

What the sandbox cannot do (iceberg orders, scheduled starts, quantities in quote currency) is refused: an order must
not do something else than what was asked for.
"""

from decimal import Decimal

from streaming.sandbox.model import (
    LIMITED,
    TRAILING,
    UNTRIGGERED,
    CloseOrder,
    NewOrder,
    OrderType,
    PriceTerm,
    Refused,
    TimeInForce,
    Unit,
)
from streaming.sandbox.websocket import fields
from streaming.sandbox.websocket.order_requests import AddOrder
from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Side

UNITS = {"static": Unit.ABSOLUTE, "quote": Unit.DISTANCE, "pct": Unit.PERCENT}
_32_BITS = 2**31

IGNORED = (
    "no_mpp",
    "sender_sub_id",
)  # the docs say that the first one is ignored; nobody here has sub-accounts
ORDER_FIELDS = (
    "order_type",
    "side",
    "order_qty",
    "limit_price",
    "limit_price_type",
    "triggers",
    "time_in_force",
    "expire_time",
    "margin",
    "leverage",
    "post_only",
    "reduce_only",
    "cl_ord_id",
    "order_userref",
    "conditional",
    "fee_preference",
    "stp_type",
    "display_qty",
    "effective_time",
    "cash_order_qty",
    "stop_price",
    "trigger",
    *IGNORED,
)
_IMPOSSIBLE = ("display_qty", "effective_time", "cash_order_qty", "stop_price", "trigger")


def added(params: fields.Params, pair: Pair) -> AddOrder:
    for name in _IMPOSSIBLE:
        if name in params:
            raise fields.invalid(name)
    if fields.choice(params, "fee_preference", ("base", "quote"), "quote") != "quote":
        raise fields.invalid("fee_preference")
    fields.choice(params, "stp_type", ("cancel_newest",), "cancel_newest")
    order_type = _order_type(params)
    force = TimeInForce(fields.choice(params, "time_in_force", ("gtc", "ioc", "fok", "gtd"), "gtc").upper())
    expires = fields.time(params, "expire_time")
    if (expires is None) == (force is TimeInForce.GTD):
        raise fields.invalid("expire_time")
    reference, client = user_reference(params), fields.client_order_id(params)
    if client and "order_userref" in params:
        raise fields.invalid("cl_ord_id and order_userref are mutually exclusive")
    margin = fields.flag(params, "margin")
    order = NewOrder(
        pair=pair,
        side=Side(fields.choice(params, "side", ("buy", "sell"))),
        order_type=order_type,
        quantity=positive(params, "order_qty"),
        limit=_limit(params, order_type),
        trigger=_triggers(params, order_type),
        time_in_force=force,
        expires_at=expires,
        post_only=fields.flag(params, "post_only"),
        reduce_only=fields.flag(params, "reduce_only"),
        leverage=fields.whole(params, "leverage", 1, 10, 1),
        client_order_id=client,
        user_reference=reference,
        close=_close(params),
    )
    return AddOrder("", order, margin and order.leverage == 1)


def listed_pair(params: fields.Params) -> Pair:
    symbol = fields.text(params, "symbol")
    try:
        pair = Pair.parse(symbol)
    except InvalidValue:
        raise unsupported(symbol) from None
    if str(pair) != symbol:
        raise unsupported(symbol)
    return pair


def unsupported(symbol: str) -> Refused:
    return Refused(f"Currency pair not supported {symbol[:40]}")


def _order_type(params: fields.Params) -> OrderType:
    return OrderType(fields.choice(params, "order_type", frozenset(OrderType)))


def positive(params: fields.Params, name: str) -> Decimal:
    amount = fields.number(params, name)
    if amount is None or amount <= 0:
        raise fields.invalid(name)
    return amount


def price_term(params: fields.Params, name: str, default: str = "static") -> PriceTerm | None:
    unit = fields.choice(params, f"{name}_type", UNITS, default)
    value = fields.number(params, name)
    return None if value is None else PriceTerm(value, UNITS[unit])


def _limit(params: fields.Params, order_type: OrderType) -> PriceTerm | None:
    default = "quote" if order_type is OrderType.TRAILING_STOP_LIMIT else "static"
    limit = price_term(params, "limit_price", default)
    if (limit is not None) != (order_type in LIMITED):
        raise fields.invalid("limit_price")
    return limit


def _triggers(params: fields.Params, order_type: OrderType) -> PriceTerm | None:
    triggers = object_of(params, "triggers")
    fields.known(triggers, ("reference", "price", "price_type"), "add order")
    # the docs: without an external index the last price is the reference
    fields.choice(triggers, "reference", ("last", "index"), "last")
    trigger = price_term(triggers, "price")
    if (trigger is None) != (order_type in UNTRIGGERED):
        raise fields.invalid("triggers")
    return _distance(trigger, "triggers") if order_type in TRAILING else trigger


def _distance(trigger: PriceTerm | None, name: str) -> PriceTerm | None:
    if trigger is None or trigger.unit is Unit.ABSOLUTE or trigger.value <= 0:
        raise fields.invalid(name)
    return trigger


def _close(params: fields.Params) -> CloseOrder | None:
    terms = object_of(params, "conditional")
    if not terms:
        return None
    allowed = ("limit_price", "limit_price_type", "trigger_price", "trigger_price_type", "order_type")
    fields.known(terms, allowed, "add order")
    order_type = _order_type(terms)
    trigger = price_term(terms, "trigger_price")
    if order_type is OrderType.MARKET or (trigger is None) != (order_type is OrderType.LIMIT):
        raise fields.invalid("conditional")
    if order_type in TRAILING:
        _distance(trigger, "conditional")
    return CloseOrder(order_type, _limit(terms, order_type), trigger)


def object_of(params: fields.Params, name: str) -> fields.Params:
    value = params.get(name, {})
    if not isinstance(value, dict):
        raise fields.invalid(name)
    return value


def user_reference(params: fields.Params) -> int:
    return fields.whole(params, "order_userref", -_32_BITS, _32_BITS - 1, 0)

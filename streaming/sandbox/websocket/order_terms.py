"""The terms of one order: from the parameters of a request to the order that the exchange takes."""

from typing import TypeVar

from msgspec import UNSET, UnsetType

from streaming.sandbox.model import (
    LIMITED,
    TRAILING,
    UNTRIGGERED,
    CloseOrder,
    NewOrder,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
    SelfTrade,
    TimeInForce,
)
from streaming.sandbox.websocket.decoding import Amount, Decoded, Params, decode, invalid
from streaming.sandbox.websocket.order_fields import CloseFields, OrderFields, TriggerFields
from trading.errors import InvalidValue
from trading.market import Pair

Value = TypeVar("Value")
UNITS = {"static": PriceUnit.ABSOLUTE, "quote": PriceUnit.DISTANCE, "pct": PriceUnit.PERCENT}


def new_order(fields: OrderFields, pair: Pair) -> NewOrder:
    force = TimeInForce(fields.time_in_force.upper())
    if (fields.expire_time is UNSET) == (force is TimeInForce.GTD):
        raise invalid("expire_time")
    if fields.cl_ord_id is not UNSET and fields.order_userref is not UNSET:
        raise invalid("cl_ord_id and order_userref are mutually exclusive")
    return NewOrder(
        pair=pair,
        side=fields.side,
        order_type=fields.order_type,
        quantity=fields.order_qty.value,
        limit=_limit(fields),
        trigger=_trigger(fields),
        time_in_force=force,
        expires_at=value_of(fields.expire_time),
        post_only=fields.post_only,
        reduce_only=fields.reduce_only,
        leverage=fields.leverage,
        client_order_id=given(fields.cl_ord_id) or "",
        user_reference=given(fields.order_userref) or 0,
        close=_close(fields.conditional),
        fee_in_base=fields.fee_preference == "base",
        self_trade=SelfTrade(fields.stp_type.replace("_", "-")),
    )


def listed_pair(symbol: str) -> Pair:
    """Return the pair of a symbol that is spelled as Kraken spells it; raise Refused for any other."""
    try:
        pair = Pair.parse(symbol)
    except InvalidValue:
        raise unsupported(symbol) from None
    if str(pair) != symbol:
        raise unsupported(symbol)
    return pair


def unsupported(symbol: str) -> Refused:
    return Refused(f"Currency pair not supported {symbol[:40]}")


def price_term(amount: Amount | UnsetType, unit: str) -> PriceTerm | None:
    return None if amount is UNSET else PriceTerm(amount.value, UNITS[unit])


def given(value: Value | UnsetType) -> Value | None:
    """Return None for what the request does not say."""
    return None if value is UNSET else value


def value_of(field: Decoded[Value] | UnsetType) -> Value | None:
    """Return None for what the request does not say."""
    return None if field is UNSET else field.value


def _limit(fields: OrderFields | CloseFields) -> PriceTerm | None:
    default = "quote" if fields.order_type is OrderType.TRAILING_STOP_LIMIT else "static"
    limit = price_term(fields.limit_price, given(fields.limit_price_type) or default)
    if (limit is not None) != (fields.order_type in LIMITED):
        raise invalid("limit_price")
    return limit


def _trigger(fields: OrderFields) -> PriceTerm | None:
    wanted = decode(fields.triggers, TriggerFields, "add order")
    trigger = price_term(wanted.price, wanted.price_type)
    if (trigger is None) != (fields.order_type in UNTRIGGERED):
        raise invalid("triggers")
    if fields.order_type in TRAILING:
        _check_distance(trigger, "triggers")
    return trigger


def _close(conditional: Params) -> CloseOrder | None:
    if not conditional:
        return None
    fields = decode(conditional, CloseFields, "add order")
    order_type = fields.order_type
    trigger = price_term(fields.trigger_price, fields.trigger_price_type)
    if order_type is OrderType.MARKET or (trigger is None) != (order_type is OrderType.LIMIT):
        raise invalid("conditional")
    if order_type in TRAILING:
        _check_distance(trigger, "conditional")
    return CloseOrder(order_type, _limit(fields), trigger)


def _check_distance(trigger: PriceTerm | None, name: str) -> None:
    """Check the terms of a trailing stop: it follows the price at a distance above zero."""
    if trigger is None or trigger.unit is PriceUnit.ABSOLUTE or trigger.value <= 0:
        raise invalid(name)

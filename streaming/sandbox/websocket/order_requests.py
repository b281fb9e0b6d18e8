"""Requests to the trading engine: their parameters by method, decoded into values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from streaming.sandbox.model import Amendment, NewOrder
from streaming.sandbox.websocket.decoding import Params, convert, decode, invalid
from streaming.sandbox.websocket.order_fields import (
    AddOrderFields,
    AmendOrderFields,
    BatchAddFields,
    BatchCancel,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    ChangeFields,
    EditOrderFields,
    OrderFields,
    PriceFields,
)
from streaming.sandbox.websocket.order_terms import given, listed_pair, new_order, price_term, value_of
from trading.market import Pair


@dataclass(frozen=True, slots=True)
class AddOrder:
    """`margin` without `leverage`: the most that the pair allows."""

    token: str
    order: NewOrder
    margin: bool = False
    deadline: datetime | None = None
    validate: bool = False


@dataclass(frozen=True, slots=True)
class BatchAdd:
    token: str
    orders: tuple[AddOrder, ...]
    deadline: datetime | None
    validate: bool


@dataclass(frozen=True, slots=True)
class ChangeOrder:
    """A request of amend_order or edit_order; only the latter names the pair."""

    token: str
    wanted: Amendment
    deadline: datetime | None
    pair: Pair | None = None


OrderRequest = AddOrder | BatchAdd | ChangeOrder | CancelOrder | BatchCancel | CancelAll | CancelAllAfter


def _add_order(params: Params) -> AddOrder:
    fields = decode(params, AddOrderFields, "add order")
    order = _with_margin(fields, listed_pair(fields.symbol))
    return replace(order, token=fields.token, deadline=value_of(fields.deadline), validate=fields.validate)


def _batch_add(params: Params) -> BatchAdd:
    fields = decode(params, BatchAddFields, "batch add")
    pair = listed_pair(fields.symbol)
    orders = tuple(_with_margin(decode(each, OrderFields, "batch add"), pair) for each in fields.orders)
    return BatchAdd(fields.token, orders, value_of(fields.deadline), fields.validate)


def _with_margin(fields: OrderFields, pair: Pair) -> AddOrder:
    return AddOrder("", new_order(fields, pair), fields.margin and fields.leverage == 1)


def _amend_order(params: Params) -> ChangeOrder:
    fields = decode(params, AmendOrderFields, "amend order")
    if bool(fields.order_id) == bool(given(fields.cl_ord_id)):
        raise invalid("order_id")
    return _change(fields, client_order_id=given(fields.cl_ord_id) or "")


def _edit_order(params: Params) -> ChangeOrder:
    fields = decode(params, EditOrderFields, "edit order")
    if not fields.order_id:
        raise invalid("order_id")
    trigger = convert(fields.triggers, PriceFields)
    change = _change(fields)
    wanted = replace(change.wanted, trigger=price_term(trigger.price, trigger.price_type))
    return replace(change, pair=listed_pair(fields.symbol), wanted=wanted)


def _change(fields: ChangeFields, client_order_id: str = "") -> ChangeOrder:
    amendment = Amendment(
        order_id=fields.order_id,
        client_order_id=client_order_id,
        quantity=value_of(fields.order_qty),
        limit=price_term(fields.limit_price, fields.limit_price_type),
        trigger=price_term(fields.trigger_price, fields.trigger_price_type),
        post_only=given(fields.post_only),
    )
    return ChangeOrder(fields.token, amendment, value_of(fields.deadline))


ORDER_METHODS: dict[str, Callable[[Params], OrderRequest]] = {
    "add_order": _add_order,
    "amend_order": _amend_order,
    "edit_order": _edit_order,
    "cancel_order": lambda params: decode(params, CancelOrder, "cancel order"),
    "batch_add": _batch_add,
    "batch_cancel": lambda params: decode(params, BatchCancel, "batch cancel"),
    "cancel_all": lambda params: decode(params, CancelAll, "cancel all"),
    "cancel_all_orders_after": lambda params: decode(params, CancelAllAfter, "cancel all orders after"),
}

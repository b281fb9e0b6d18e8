"""Parameters of each order method, read into a typed request (docs.kraken.com, websocket-v2)."""

from collections.abc import Callable
from dataclasses import replace

from streaming.sandbox.limits import LONGEST_TIMEOUT
from streaming.sandbox.model import Amendment
from streaming.sandbox.references import TXID, Kind, Reference
from streaming.sandbox.websocket import fields
from streaming.sandbox.websocket.order_requests import (
    AddOrder,
    BatchAdd,
    BatchCancel,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    ChangeOrder,
    OrderRequest,
)
from streaming.sandbox.websocket.order_terms import (
    IGNORED,
    ORDER_FIELDS,
    added,
    listed_pair,
    object_of,
    positive,
    price_term,
    user_reference,
)
from trading.market import Pair

SMALLEST_BATCH, LARGEST_BATCH = 2, 15
MOST_CANCELLED = 50  # of one batch


def _add(params: fields.Params) -> AddOrder:
    fields.known(params, ("symbol", "token", "deadline", "validate", *ORDER_FIELDS), "add order")
    return replace(
        added(params, listed_pair(params)),
        token=fields.text(params, "token"),
        deadline=fields.time(params, "deadline"),
        validate=fields.flag(params, "validate"),
    )


def _batch_add(params: fields.Params) -> BatchAdd:
    fields.known(params, ("symbol", "token", "deadline", "validate", "orders"), "batch add")
    entries = params.get("orders")
    if not isinstance(entries, list) or not SMALLEST_BATCH <= len(entries) <= LARGEST_BATCH:
        raise fields.invalid("orders")
    pair = listed_pair(params)
    return BatchAdd(
        fields.text(params, "token"),
        tuple(_batched(entry, pair) for entry in entries),
        fields.time(params, "deadline"),
        fields.flag(params, "validate"),
    )


def _batched(entry: object, pair: Pair) -> AddOrder:
    if not isinstance(entry, dict):
        raise fields.invalid("orders")
    fields.known(entry, ORDER_FIELDS, "batch add")
    return added(entry, pair)


def _amend(params: fields.Params) -> ChangeOrder:
    fields.known(params, (*_CHANGE, "cl_ord_id"), "amend order")
    change = _change(params)
    if bool(change.wanted.order_id) == bool(change.wanted.client_order_id):
        raise fields.invalid("order_id")
    return change


def _edit(params: fields.Params) -> ChangeOrder:
    allowed = (*_CHANGE, "triggers", "reduce_only", "order_userref", "validate", "fee_preference", *IGNORED)
    fields.known(params, allowed, "edit order")
    for name in ("reduce_only", "order_userref", "validate", "fee_preference"):
        if params.get(name):
            raise fields.invalid(name)
    change = _change(params)
    if not change.wanted.order_id:
        raise fields.invalid("order_id")
    trigger = price_term(object_of(params, "triggers"), "price")
    return replace(change, pair=listed_pair(params), wanted=replace(change.wanted, trigger=trigger))


_CHANGE = (
    "order_id",
    "order_qty",
    "limit_price",
    "limit_price_type",
    "trigger_price",
    "trigger_price_type",
    "post_only",
    "deadline",
    "symbol",
    "token",
)


def _change(params: fields.Params) -> ChangeOrder:
    return ChangeOrder(
        token=fields.text(params, "token"),
        wanted=Amendment(
            order_id=fields.text(params, "order_id"),
            client_order_id=fields.client_order_id(params),
            quantity=positive(params, "order_qty") if "order_qty" in params else None,
            limit=price_term(params, "limit_price"),
            trigger=price_term(params, "trigger_price"),
            post_only=fields.flag(params, "post_only") if "post_only" in params else None,
        ),
        deadline=fields.time(params, "deadline"),
    )


def _cancel(params: fields.Params) -> CancelOrder:
    fields.known(params, ("order_id", "cl_ord_id", "order_userref", "token"), "cancel order")
    references = (
        *_references(params, "order_id", Kind.ORDER_ID),
        *_references(params, "cl_ord_id", Kind.CLIENT_ORDER_ID),
        *_user_references(params),
    )
    if not references or not all(each.name for each in references):
        raise fields.invalid("order_id")
    return CancelOrder(fields.text(params, "token"), references)


def _batch_cancel(params: fields.Params) -> BatchCancel:
    fields.known(params, ("orders", "cl_ord_id", "token"), "batch cancel")
    references = (
        *_references(params, "orders", *TXID),
        *_references(params, "cl_ord_id", Kind.CLIENT_ORDER_ID),
    )
    named = all(each.name for each in references)
    if not SMALLEST_BATCH <= len(references) <= MOST_CANCELLED or not named:
        raise fields.invalid("orders")
    return BatchCancel(fields.text(params, "token"), references)


def _cancel_all(params: fields.Params) -> CancelAll:
    fields.known(params, ("token",), "cancel all")
    return CancelAll(fields.text(params, "token"))


def _cancel_all_after(params: fields.Params) -> CancelAllAfter:
    fields.known(params, ("timeout", "token"), "cancel all orders after")
    seconds = fields.whole(params, "timeout", 0, LONGEST_TIMEOUT)
    return CancelAllAfter(fields.text(params, "token"), seconds)


def _references(params: fields.Params, name: str, *kinds: Kind) -> tuple[Reference, ...]:
    return tuple(Reference(each, kinds) for each in fields.texts(params, name, MOST_CANCELLED))


def _user_references(params: fields.Params) -> tuple[Reference, ...]:
    value = params.get("order_userref", [])
    if not isinstance(value, list) or len(value) > MOST_CANCELLED:
        raise fields.invalid("order_userref")
    numbers = [user_reference({"order_userref": one}) for one in value]
    return tuple(Reference(str(number), (Kind.USER_REFERENCE,)) for number in numbers)


ORDER_METHODS: dict[str, Callable[[fields.Params], OrderRequest]] = {
    "add_order": _add,
    "amend_order": _amend,
    "edit_order": _edit,
    "cancel_order": _cancel,
    "batch_add": _batch_add,
    "batch_cancel": _batch_cancel,
    "cancel_all": _cancel_all,
    "cancel_all_orders_after": _cancel_all_after,
}

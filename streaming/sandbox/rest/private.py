"""The private methods that change something: orders, the dead man's switch, tokens (docs.kraken.com, Trading)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streaming.sandbox.formatting import format_fixed, format_rfc3339, quantity_decimals
from streaming.sandbox.keys import TOKEN_SECONDS, Permission
from streaming.sandbox.limits import MAX_TIMEOUT
from streaming.sandbox.model import ExchangeOrder, Refused
from streaming.sandbox.references import TXID, Reference, ReferenceKind
from streaming.sandbox.rest import funds, history, orders
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.describe import OrderDescription, describe
from streaming.sandbox.rest.envelope import PrivateMethod
from streaming.sandbox.rest.parameters import Parameters, invalid

MIN_BATCH, MAX_BATCH = 2, 15  # orders of one batch
TOKEN_WORD = "create-ws-token"  # how GetApiKeyInfo calls the permission for the WebSocket
MAX_CANCELLED = 50  # names of one batch


async def add_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    wanted = orders.new_order(given, api.names, api.now())
    validate = given.flag("validate")
    order = await api.gateway.add(name, wanted, given.time("deadline"), validate)
    result = {"descr": _in_words(_describe(api, order))}
    return result if validate else {**result, "txid": [order.order_id]}


async def add_order_batch(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    """Place a batch. The docs: one invalid order refuses all; one that cannot be paid refuses only itself."""
    parts = given.parts("orders", pair=given.required("pair"))
    if not MIN_BATCH <= len(parts) <= MAX_BATCH:
        raise invalid("orders")
    wanted = [orders.new_order(each, api.names, api.now()) for each in parts]
    validate = given.flag("validate")
    placed = await api.gateway.add_batch(name, wanted, given.time("deadline"), validate)
    return {"orders": [_batch_result(api, each, validate) for each in placed]}


async def amend_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    if ("txid" in given) == ("cl_ord_id" in given):
        raise invalid("txid")
    known = api.gateway.find_order(name, given.text("txid"), orders.client_id(given))
    wanted = orders.amendment(given, known.request.side)
    return {"amend_id": (await api.gateway.amend(name, wanted, given.time("deadline"))).amend_id}


async def edit_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    pair = api.names.pair(given.required("pair"))
    if given.flag("validate"):
        raise invalid("validate")  # the engine cannot try an edit without doing it
    known = _editable(api, name, given.required("txid"))
    if known.request.pair != pair:
        raise invalid("pair")
    orders.check_fee_flag(given, known.request)
    amendment = orders.edit(given, known.request.order_type, known.request.side)
    order = await api.gateway.edit(name, replace(amendment, order_id=known.order_id), given.time("deadline"))
    words = _describe(api, order)
    return {
        "status": "ok",
        "descr": {"order": words.order},
        "txid": order.order_id,
        "originaltxid": known.order_id,
        "volume": format_fixed(order.request.quantity, quantity_decimals(api.instrument(pair))),
        "price": words.price,
        "price2": words.price2,
        "orders_cancelled": 1,
    }


async def cancel_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    if ("txid" in given) == ("cl_ord_id" in given):
        raise invalid("txid")
    client_id = orders.client_id(given)
    reference = (
        Reference(client_id, (ReferenceKind.CLIENT_ORDER_ID,))
        if client_id
        else Reference(given.text("txid"), TXID)
    )
    cancelled = await api.gateway.cancel(name, reference)
    return {"count": len(cancelled)}


async def cancel_order_batch(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    references = [
        *(Reference(each, TXID) for each in given.names("orders")),
        *(Reference(each, (ReferenceKind.CLIENT_ORDER_ID,)) for each in given.names("cl_ord_ids")),
    ]
    if not 1 <= len(references) <= MAX_CANCELLED:
        raise invalid("orders")
    return {"count": await api.gateway.cancel_batch(name, references)}


async def cancel_all(api: RestApi, name: str, _: Parameters) -> dict[str, Any]:
    return {"count": await api.gateway.cancel_all(name)}


async def cancel_all_after(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    timeout = given.integer("timeout", 0, MAX_TIMEOUT)
    now = api.skewed_time()
    trigger = await api.gateway.cancel_all_after(name, timeout)
    return {
        "currentTime": format_rfc3339(now),
        "triggerTime": format_rfc3339(api.skewed_time(trigger)) if trigger is not None else "0",
    }


async def api_key_info(api: RestApi, key: str, _: Parameters) -> dict[str, Any]:
    """Describe the key that signed the request; the sandbox's have no restrictions."""
    known = api.keys.known(key)
    created = str(int(known.created))
    return {
        "api_key_name": known.account,
        "api_key": key,
        "iban": "",
        "permissions": sorted(
            TOKEN_WORD if it is Permission.WEBSOCKET else it.value for it in known.permissions
        ),
        "ip_allowlist": [],
        "nonce": known.nonce,
        "nonce_window": "0",
        "created_time": created,
        "modified_time": created,
        "last_used": str(int(api.server())),
        "valid_until": "0",
        "query_from": "0",
        "query_to": "0",
    }


async def websockets_token(api: RestApi, name: str, _: Parameters) -> dict[str, Any]:
    return {"token": api.keys.token(name), "expires": int(TOKEN_SECONDS)}


MODIFY, CANCEL = Permission.MODIFY, Permission.CANCEL
CALLS: Mapping[str, PrivateMethod] = {
    **funds.CALLS,
    **history.CALLS,
    # The trading engine counts these by itself, per pair.
    "AddOrder": PrivateMethod(add_order, (MODIFY,), cost=0),
    "AddOrderBatch": PrivateMethod(add_order_batch, (MODIFY,), cost=0),
    "AmendOrder": PrivateMethod(amend_order, (MODIFY, CANCEL), cost=0),
    "EditOrder": PrivateMethod(edit_order, (MODIFY,), cost=0),
    "CancelOrder": PrivateMethod(cancel_order, (MODIFY, CANCEL), cost=0),
    "CancelOrderBatch": PrivateMethod(cancel_order_batch, (MODIFY, CANCEL), cost=0),
    "CancelAll": PrivateMethod(cancel_all, (MODIFY, CANCEL)),
    "CancelAllOrdersAfter": PrivateMethod(cancel_all_after, (MODIFY, CANCEL)),
    "GetApiKeyInfo": PrivateMethod(api_key_info, (), of_key=True),
    "GetWebSocketsToken": PrivateMethod(websockets_token, (Permission.WEBSOCKET,)),
}


def _editable(api: RestApi, name: str, reference: str) -> ExchangeOrder:
    """Find the order by its id, or by a user reference that only one open order has."""
    known = api.gateway.find_orders(name, Reference(reference, TXID))
    if len(known) > 1:
        raise invalid("txid")
    return known[0] if known else api.gateway.find_order(name, reference)


def _describe(api: RestApi, order: ExchangeOrder) -> OrderDescription:
    return describe(order, api.instrument(order.request.pair))


def _in_words(words: OrderDescription) -> dict[str, str]:
    return {"order": words.order, **({"close": words.close} if words.close else {})}


def _batch_result(api: RestApi, placed: ExchangeOrder | Refused, validate: bool) -> dict[str, Any]:
    if isinstance(placed, Refused):
        return {"error": str(placed)}
    result = {"descr": _in_words(_describe(api, placed))}
    return result if validate else {"txid": placed.order_id, **result}

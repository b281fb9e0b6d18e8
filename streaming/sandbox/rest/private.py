"""The private methods that change something: orders, the dead man's switch, tokens (docs.kraken.com, Trading)."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streaming.sandbox.formatting import format_fixed, format_rfc3339, quantity_decimals
from streaming.sandbox.keys import TOKEN_SECONDS, Permission
from streaming.sandbox.limits import MAX_TIMEOUT
from streaming.sandbox.model import ExchangeOrder
from streaming.sandbox.references import TXID, Reference, ReferenceKind
from streaming.sandbox.rest import funds, history, orders
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.describe import OrderDescription, describe
from streaming.sandbox.rest.envelope import PrivateMethod
from streaming.sandbox.rest.parameters import Parameters, invalid

ID_LETTERS = string.ascii_uppercase + string.digits


async def add_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    wanted = orders.new_order(given, api.names, api.now())
    validate = given.flag("validate")
    order = await api.gateway.add(name, wanted, given.time("deadline"), validate)
    result = {"descr": _in_words(_describe(api, order))}
    return result if validate else {**result, "txid": [order.order_id]}


async def amend_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    if ("txid" in given) == ("cl_ord_id" in given):
        raise invalid("txid")
    known = api.gateway.find_order(name, given.text("txid"), orders.client_id(given))
    await api.gateway.amend(name, orders.amendment(given, known.request.side), given.time("deadline"))
    return {"amend_id": _new_id("T")}


async def edit_order(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    pair = api.names.pair(given.required("pair"))
    if given.flag("validate"):
        raise invalid("validate")  # the engine cannot try an edit without doing it
    known = _editable(api, name, given.required("txid"))
    if known.request.pair != pair:
        raise invalid("pair")
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


async def websockets_token(api: RestApi, name: str, _: Parameters) -> dict[str, Any]:
    return {"token": api.keys.token(name), "expires": int(TOKEN_SECONDS)}


MODIFY, CANCEL = Permission.MODIFY, Permission.CANCEL
CALLS: Mapping[str, PrivateMethod] = {
    **funds.CALLS,
    **history.CALLS,
    # The trading engine counts these by itself, per pair.
    "AddOrder": PrivateMethod(add_order, (MODIFY,), cost=0),
    "AmendOrder": PrivateMethod(amend_order, (MODIFY, CANCEL), cost=0),
    "EditOrder": PrivateMethod(edit_order, (MODIFY,), cost=0),
    "CancelOrder": PrivateMethod(cancel_order, (MODIFY, CANCEL), cost=0),
    "CancelAll": PrivateMethod(cancel_all, (MODIFY, CANCEL)),
    "CancelAllOrdersAfter": PrivateMethod(cancel_all_after, (MODIFY, CANCEL)),
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


def _new_id(letter: str) -> str:
    """TXXXXX-XXXXX-XXXXXX, as Kraken's ids look; nothing can be asked by this one."""
    drawn = letter + "".join(secrets.choice(ID_LETTERS) for _ in range(15))
    return f"{drawn[:6]}-{drawn[6:11]}-{drawn[11:]}"

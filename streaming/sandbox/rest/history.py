"""Private methods about orders and fills, open and past (docs.kraken.com, Account Data)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from streaming.sandbox.exchange.history import FillKind, SearchTime
from streaming.sandbox.keys import Permission
from streaming.sandbox.model import BalanceChanged, ExchangeFill, ExchangeOrder, Refused
from streaming.sandbox.rest import statements
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.envelope import PrivateMethod
from streaming.sandbox.rest.orders import USER_REFERENCE, client_id
from streaming.sandbox.rest.parameters import Parameters, invalid, parse_amount, parse_epoch_time

PAGE = 50  # results of one answer, by Kraken's rules
MAX_ORDERS = 50  # of QueryOrders
MAX_FILLS = 20  # of QueryTrades
MAX_ASSETS = 100  # of one request
MAX_OFFSET = 10**9  # offset
ORDER_ID = re.compile(r"O[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}")
FILL_ID = re.compile(r"T[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}")
ENTRY_ID = re.compile(r"L[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}")
EVERYTHING = "all"
LEDGER_TYPES = (
    EVERYTHING, "trade", "deposit", "withdrawal", "transfer", "margin", "adjustment", "rollover", "credit", "settled",
    "staking", "dividend", "sale", "nft_rebate",
)  # fmt: skip
Wanted = Callable[[ExchangeOrder], bool]


async def open_orders(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    wanted = _reference_filter(given)
    found = [order for order in api.exchange.open_orders(name) if wanted(order)]
    return {"open": _infos(api, found, given)}


async def closed_orders(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    offset = given.integer("ofs", 0, MAX_OFFSET, 0)
    counted = given.choice("closetime", SearchTime, SearchTime.BOTH)
    start, end = (_moment_of_order(api, name, given, field) for field in ("start", "end"))
    reference, client_order_id = _reference(given), client_id(given)
    page, total = api.exchange.closed_orders(
        name, start, end, offset, PAGE, counted, reference, client_order_id
    )
    return _with_count({"closed": _infos(api, page, given)}, total, given)


async def query_orders(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    """Return the known orders; raise Refused for what cannot be an id."""
    ids = given.id_list("txid", MAX_ORDERS)
    if not ids and "cl_ord_id" in given:
        order = api.exchange.order_by_client_id(name, client_id(given))
        return _infos(api, [order] if order else [], given)
    if not ids:
        raise invalid("txid")
    if not all(ORDER_ID.fullmatch(one) for one in ids):
        raise Refused("EOrder:Invalid order")
    wanted = _reference_filter(given)
    return _infos(api, [order for order in _known_orders(api, name, ids) if wanted(order)], given)


async def trades_history(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    offset = given.integer("ofs", 0, MAX_OFFSET, 0)
    kind = given.choice("type", FillKind, FillKind.ALL)
    start, end = (_moment_of_fill(api, name, given, field) for field in ("start", "end"))
    page, total = api.exchange.fills(name, start, end, offset, PAGE, kind)
    return _with_count({"trades": _fills(api, page)}, total, given)


async def query_trades(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    ids = given.id_list("txid", MAX_FILLS)
    if not ids:
        raise invalid("txid")
    if not all(FILL_ID.fullmatch(one) for one in ids):
        raise Refused("EQuery:Unknown trade")
    return _fills(api, api.exchange.fills_by_id(name, ids))


async def ledgers(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    offset = given.integer("ofs", 0, MAX_OFFSET, 0)
    given.one_of("aclass", ("currency", "all"), "currency")
    kind = given.one_of("type", LEDGER_TYPES, EVERYTHING)
    names = [one for one in given.id_list("asset", MAX_ASSETS) if one != EVERYTHING]
    start, end = (_moment_of_entry(api, name, given, field) for field in ("start", "end"))
    page, total = api.exchange.entries(
        name,
        start,
        end,
        offset,
        PAGE,
        assets=[api.names.asset(one) for one in names],
        kind="" if kind == EVERYTHING else kind,
    )
    return _with_count({"ledger": _entries(page)}, total, given)


async def query_ledgers(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    ids = given.id_list("id", MAX_FILLS)
    if not ids:
        raise invalid("id")
    if not all(ENTRY_ID.fullmatch(one) for one in ids):
        raise Refused("EQuery:Unknown ledger")
    return _entries(api.exchange.entries_by_id(name, ids))


async def order_amends(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    order_id = given.required("order_id")
    [order] = api.exchange.orders(name, [order_id])
    instrument = api.instrument(order.request.pair)
    found = [statements.amend_info(each, instrument) for each in api.exchange.amends(name, order_id)]
    return {"count": len(found), "amends": found}


QUERY_BOTH = (Permission.QUERY_OPEN, Permission.QUERY_CLOSED)
CALLS: Mapping[str, PrivateMethod] = {
    "OpenOrders": PrivateMethod(open_orders, (Permission.QUERY_OPEN,)),
    "ClosedOrders": PrivateMethod(closed_orders, (Permission.QUERY_CLOSED,)),
    "QueryOrders": PrivateMethod(query_orders, QUERY_BOTH),
    "TradesHistory": PrivateMethod(trades_history, (Permission.QUERY_CLOSED,), cost=2),
    "Ledgers": PrivateMethod(ledgers, (Permission.QUERY_LEDGER,), cost=2),
    "QueryLedgers": PrivateMethod(query_ledgers, (Permission.QUERY_LEDGER,), cost=2),
    "OrderAmends": PrivateMethod(order_amends, QUERY_BOTH),
    "QueryTrades": PrivateMethod(query_trades, (Permission.QUERY_CLOSED,)),
}


def _infos(api: RestApi, found: Iterable[ExchangeOrder], given: Parameters) -> dict[str, Any]:
    with_fills = given.flag("trades")
    return {
        order.order_id: statements.order_info(
            order,
            api.instrument(order.request.pair),
            api.exchange.fills_of_order(order.order_id) if with_fills else None,
        )
        for order in found
    }


def _fills(api: RestApi, fills: Iterable[ExchangeFill]) -> dict[str, Any]:
    return {fill.execution_id: statements.fill_info(fill, api.instrument(fill.pair)) for fill in fills}


def _with_count(result: dict[str, Any], total: int, given: Parameters) -> dict[str, Any]:
    return result if given.flag("without_count") else {**result, "count": total}


def _reference_filter(given: Parameters) -> Wanted:
    """Orders of the user reference or client id that was asked for; all when neither was."""
    reference, client_order_id = _reference(given), client_id(given)

    def wanted(order: ExchangeOrder) -> bool:
        request = order.request
        return (reference is None or request.user_reference == reference) and (
            not client_order_id or request.client_order_id == client_order_id
        )

    return wanted


def _reference(given: Parameters) -> int | None:
    return given.integer("userref", -USER_REFERENCE - 1, USER_REFERENCE, 0) if "userref" in given else None


def _moment_of_order(api: RestApi, name: str, given: Parameters, field: str) -> datetime | None:
    """Seconds since 1970, or an order id: then when it was opened."""
    text = given.text(field)
    if not ORDER_ID.fullmatch(text):
        return parse_epoch_time(parse_amount(text, field), field) if text else None
    for known in _known_orders(api, name, (text,)):
        return known.opened_at
    raise invalid(field)


def _moment_of_fill(api: RestApi, name: str, given: Parameters, field: str) -> datetime | None:
    text = given.text(field)
    if not FILL_ID.fullmatch(text):
        return parse_epoch_time(parse_amount(text, field), field) if text else None
    known = api.exchange.fills_by_id(name, (text,))
    if not known:
        raise invalid(field)
    return known[0].at


def _moment_of_entry(api: RestApi, name: str, given: Parameters, field: str) -> datetime | None:
    text = given.text(field)
    if not ENTRY_ID.fullmatch(text):
        return parse_epoch_time(parse_amount(text, field), field) if text else None
    known = api.exchange.entries_by_id(name, (text,))
    if not known:
        raise invalid(field)
    return known[0].at


def _entries(found: Iterable[BalanceChanged]) -> dict[str, Any]:
    return {entry.entry_id: statements.ledger_entry(entry) for entry in found}


def _known_orders(api: RestApi, name: str, ids: Iterable[str]) -> Iterator[ExchangeOrder]:
    for one in ids:
        try:
            yield from api.exchange.orders(name, [one])
        except Refused:
            continue  # the account never had it

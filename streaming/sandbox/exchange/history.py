"""An account's ended orders and fills, read by the store's indexes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from streaming.sandbox.exchange.amends import OrderAmend
from streaming.sandbox.exchange.records import microseconds, read_amend, read_entry, read_fill
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.model import BalanceChanged, ExchangeFill, ExchangeOrder
from trading.market import Pair


class SearchTime(StrEnum):
    """The time of an order that has to lie within a period."""

    OPEN = "open"
    CLOSE = "close"
    BOTH = "both"  # either of them


class FillKind(StrEnum):
    """A kind of fills to search for, in Kraken's words."""

    ALL = "all"
    ANY_POSITION = "any position"  # on margin
    CLOSING = "closing position"  # on margin, and something of a position was closed by it
    NO_POSITION = "no position"  # paid in full


_TIMES: Mapping[SearchTime, tuple[str, ...]] = {
    SearchTime.OPEN: ("opened_at",),
    SearchTime.CLOSE: ("closed_at",),
    SearchTime.BOTH: ("opened_at", "closed_at"),
}
# What a fill opens ties up its cost through the leverage; a billionth is more than these floats are wrong by.
_FILLS: Mapping[FillKind, str] = {
    FillKind.ALL: "",
    FillKind.ANY_POSITION: " AND leverage > 1",
    FillKind.CLOSING: (
        " AND leverage > 1 AND CAST(margin AS REAL) < CAST(cost AS REAL) / leverage * 0.999999999 - 1e-9"
    ),
    FillKind.NO_POSITION: " AND leverage = 1",
}


def closed_orders(
    store: ExchangeStore,
    account: str,
    start: datetime | None,
    end: datetime | None,
    offset: int,
    limit: int,
    search_time: SearchTime = SearchTime.CLOSE,
    user_reference: int | None = None,
    client_order_id: str = "",
) -> tuple[list[ExchangeOrder], int]:
    """Return orders, newest end first, and how many there are; start < time <= end."""
    where, values = "account = ? AND closed_at IS NOT NULL", [account]
    bounds: list[object] = list(values)
    if start is not None or end is not None:
        periods = [_within(time, start, end) for time in _TIMES[search_time]]
        where += f" AND ({' OR '.join(period for period, _ in periods)})"
        bounds += [bound for _, each in periods for bound in each]
    if user_reference is not None:
        where += " AND user_reference = ?"
        bounds.append(user_reference)
    if client_order_id:
        where += " AND client_order_id = ? AND client_order_id != ''"
        bounds.append(client_order_id)
    page = f"{where} ORDER BY closed_at DESC, number DESC LIMIT ? OFFSET ?"
    orders = store.orders(page, *bounds, limit, offset)
    [(count,)] = store.rows(f"SELECT COUNT(*) FROM orders WHERE {where}", *bounds)
    return orders, count


def fills(
    store: ExchangeStore,
    account: str,
    start: datetime | None,
    end: datetime | None,
    offset: int,
    limit: int,
    kind: FillKind = FillKind.ALL,
) -> tuple[list[ExchangeFill], int]:
    """Return fills, newest first, and how many there are; start < at <= end."""
    period, bounds = _within("at", start, end)
    where = f"account = ? AND {period}{_FILLS[kind]}"
    rows = store.rows(
        f"SELECT body FROM executions WHERE {where} ORDER BY at DESC, number DESC LIMIT ? OFFSET ?",
        account,
        *bounds,
        limit,
        offset,
    )
    [(count,)] = store.rows(f"SELECT COUNT(*) FROM executions WHERE {where}", account, *bounds)
    return [read_fill(body) for (body,) in rows], count


def fills_of_order(store: ExchangeStore, order_id: str) -> list[ExchangeFill]:
    """Return fills, oldest first."""
    rows = store.rows("SELECT body FROM executions WHERE order_id = ? ORDER BY number", order_id)
    return [read_fill(body) for (body,) in rows]


def fills_by_id(store: ExchangeStore, account: str, ids: Sequence[str]) -> list[ExchangeFill]:
    """Return fills in the order of the ids; those that are none of the account's are left out."""
    query = "SELECT body FROM executions WHERE execution_id = ? AND account = ?"
    return [read_fill(body) for each in ids for (body,) in store.rows(query, each, account)]


def amends_of_order(store: ExchangeStore, account: str, order_id: str) -> list[OrderAmend]:
    """Return what the order was amended to, oldest first; nothing for one that never was."""
    query = "SELECT body FROM amends WHERE order_id = ? AND account = ? ORDER BY number"
    return [read_amend(body) for (body,) in store.rows(query, order_id, account)]


def entries(
    store: ExchangeStore,
    account: str,
    start: datetime | None,
    end: datetime | None,
    offset: int,
    limit: int,
    assets: Sequence[str] = (),
    kind: str = "",
) -> tuple[list[BalanceChanged], int]:
    """Return changes of balances, newest first, and how many there are; start < at <= end. Empty: of any."""
    period, bounds = _within("at", start, end)
    where, values = f"account = ? AND {period}", [account, *bounds]
    if assets:
        where += f" AND asset IN ({', '.join('?' * len(assets))})"
        values += assets
    if kind:
        where += " AND kind = ?"
        values.append(kind)
    page = f"SELECT body FROM entries WHERE {where} ORDER BY at DESC, number DESC LIMIT ? OFFSET ?"
    rows = store.rows(page, *values, limit, offset)
    [(count,)] = store.rows(f"SELECT COUNT(*) FROM entries WHERE {where}", *values)
    return [read_entry(body) for (body,) in rows], count


def entries_by_id(store: ExchangeStore, account: str, ids: Sequence[str]) -> list[BalanceChanged]:
    """Return entries in the order of the ids; those that are none of the account's are left out."""
    query = "SELECT body FROM entries WHERE entry_id = ? AND account = ?"
    return [read_entry(body) for each in ids for (body,) in store.rows(query, each, account)]


def fill_costs(store: ExchangeStore, account: str, after: datetime) -> dict[Pair, Decimal]:
    """Return what the account's fills cost, by pair in its quote currency."""
    query = (
        "SELECT json_extract(body, '$.pair.base'), json_extract(body, '$.pair.quote'), cost "
        "FROM executions WHERE account = ? AND at > ?"
    )
    costs: dict[Pair, Decimal] = {}
    for base, quote, cost in store.rows(query, account, microseconds(after)):
        pair = Pair(base, quote)
        costs[pair] = costs.get(pair, Decimal(0)) + Decimal(cost)
    return costs


def _within(time: str, start: datetime | None, end: datetime | None) -> tuple[str, list[object]]:
    bounds = [(sign, bound) for sign, bound in ((">", start), ("<=", end)) if bound is not None]
    period = " AND ".join(f"{time} {sign} ?" for sign, _ in bounds)
    return period or f"{time} IS NOT NULL", [microseconds(bound) for _, bound in bounds]

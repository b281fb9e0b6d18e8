"""Orders, fills and balances of an account as Kraken's private channels report them.

Shapes: docs.kraken.com, websocket-v2 executions and balances (schema and examples of 2026).
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from streaming.sandbox.formatting import PairDecimals, format_microseconds, json_exact, json_fixed
from streaming.sandbox.model import (
    BalanceChanged,
    ExchangeFill,
    ExchangeOrder,
    ExecType,
    OrderChanged,
    OrderState,
    PriceTerm,
    PriceUnit,
)

Row = dict[str, Any]
AVERAGE_DECIMALS = 4  # of an average price beyond those of the pair
SPARSE = frozenset({ExecType.NEW, ExecType.FILLED, ExecType.CANCELED, ExecType.EXPIRED, ExecType.STATUS})
BRIEF = frozenset({ExecType.NEW, ExecType.TRADE, ExecType.FILLED, ExecType.CANCELED, ExecType.EXPIRED})
_UNITS = {PriceUnit.ABSOLUTE: "static", PriceUnit.DISTANCE: "quote", PriceUnit.PERCENT: "pct"}
_CATEGORIES = {"margin": "margin-trade", "rollover": "marginrollover"}
Dollars = Callable[[str], Decimal | None]  # what one of the asset is worth, None where nobody knows


def order_report(event: OrderChanged, decimals: PairDecimals, dollars: Dollars, at: datetime) -> Row:
    """Make one row of an update. Kraken repeats the terms of an order only where they are new."""
    order, change = event.order, event.exec_type
    if change is ExecType.TRADE and event.fill is not None:
        return fill_report(event.fill, order, decimals, dollars)
    row = _identity(order) | {
        "exec_type": change.value,
        "order_status": _status(order, change),
        "timestamp": format_microseconds(at),
    }
    if change not in SPARSE:
        row |= _terms(order, decimals)
    if change is not ExecType.NEW:
        row |= _progress(order, decimals, dollars)
    if change in (ExecType.AMENDED, ExecType.RESTATED):
        row["amended"] = True
    if order.trigger_price is not None and change is ExecType.STATUS:
        row["triggers"] = _triggers(order, decimals)
    if change in (ExecType.CANCELED, ExecType.EXPIRED) and order.reason:
        row |= {"cancel_reason": order.reason, "reason": order.reason}
    return row


def open_order_report(order: ExchangeOrder, decimals: PairDecimals, dollars: Dollars) -> Row:
    """Make one row of a snapshot."""
    return (
        _identity(order)
        | {
            "exec_type": ExecType.NEW.value,
            "order_status": _status(order, ExecType.NEW),
            "timestamp": format_microseconds(order.opened_at),
        }
        | _terms(order, decimals)
        | _progress(order, decimals, dollars)
    )


def fill_report(fill: ExchangeFill, order: ExchangeOrder, decimals: PairDecimals, dollars: Dollars) -> Row:
    """Make the row of a fill: `partially_filled` even when nothing is left; `filled` follows by itself (the docs)."""
    return (
        _identity(order)
        | {
            "exec_id": fill.execution_id,
            "exec_type": ExecType.TRADE.value,
            "trade_id": fill.trade_id,
            "symbol": str(fill.pair),
            "side": fill.side.value,
            "last_qty": decimals.json_quantity(fill.quantity),
            "last_price": decimals.json_price(fill.price),
            "liquidity_ind": "m" if fill.maker else "t",
            "cost": json_exact(fill.cost),
            "order_type": fill.order_type.value,
            "timestamp": format_microseconds(fill.at),
            "order_status": "partially_filled",
        }
        | _progress(order, decimals, dollars)
        | {"fees": [{"asset": fill.fee_asset, "qty": json_exact(fill.fee)}]}
        | ({"margin_borrow": True} if fill.margin else {})
    )


def balance_row(asset: str, amount: Decimal) -> Row:
    """Make one row of a snapshot: everything lies in the spot wallet."""
    return {
        "asset": asset,
        "asset_class": "currency",
        "balance": json_exact(amount),
        "wallets": [{"type": "spot", "id": "main", "balance": json_exact(amount)}],
    }


def ledger_row(event: BalanceChanged) -> Row:
    """Make one row of an update. `amount` is the change of the balance, so that no fee comes off it again."""
    return {
        "ledger_id": event.entry_id,
        "ref_id": event.reference,
        "timestamp": format_microseconds(event.at),
        "type": event.kind,
        "asset": event.asset,
        "asset_class": "currency",
        "category": _CATEGORIES.get(event.kind, event.kind),
        "wallet_type": "spot",
        "wallet_id": "main",
        "amount": json_exact(event.amount),
        "fee": json_exact(Decimal(0)),
        "balance": json_exact(event.balance),
    }


def _identity(order: ExchangeOrder) -> Row:
    request = order.request
    row: Row = {"order_id": order.order_id}
    if request.client_order_id:
        return row | {"cl_ord_id": request.client_order_id}
    return row | {"order_userref": request.user_reference}


def _status(order: ExchangeOrder, change: ExecType) -> str:
    if change is ExecType.PENDING_NEW:
        return "pending_new"
    ended = {OrderState.CLOSED: "filled", OrderState.CANCELED: "canceled", OrderState.EXPIRED: "expired"}
    return ended.get(order.state) or ("partially_filled" if order.filled else "new")


def _progress(order: ExchangeOrder, decimals: PairDecimals, dollars: Dollars) -> Row:
    row: Row = {
        "cum_qty": decimals.json_quantity(order.filled),
        "cum_cost": json_exact(order.cost),
        "avg_price": json_fixed(order.average_price, decimals.price + AVERAGE_DECIMALS),
    }
    worth = dollars(order.request.fee_asset)
    return row | ({} if worth is None else {"fee_usd_equiv": json_fixed(order.fee * worth, 4)})


def _terms(order: ExchangeOrder, decimals: PairDecimals) -> Row:
    request = order.request
    row: Row = {
        "symbol": str(request.pair),
        "order_qty": decimals.json_quantity(request.quantity),
        "time_in_force": request.time_in_force.value,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "fee_ccy_pref": "fcib" if request.fee_in_base else "fciq",
        "margin": request.leverage > 1,
        "post_only": request.post_only,
        "reduce_only": request.reduce_only,
    }
    if order.limit_price is not None:
        row |= {"limit_price_type": "static", "limit_price": decimals.json_price(order.limit_price)}
    if order.trigger_price is not None:
        row |= {
            "stop_price": decimals.json_price(order.trigger_price),
            "triggers": _triggers(order, decimals),
        }
    if request.expires_at is not None:
        row["expire_time"] = format_microseconds(request.expires_at)
    if request.close is not None:
        row["contingent"] = _contingent(order)
    return row | ({"ord_ref_id": order.parent_id} if order.parent_id else {})


def _triggers(order: ExchangeOrder, decimals: PairDecimals) -> Row:
    asked = order.request.trigger
    assert order.trigger_price is not None
    price, unit = (asked.value, asked.unit) if asked else (order.trigger_price, PriceUnit.ABSOLUTE)
    return {
        "reference": "last",
        "price": json_exact(price),
        "price_type": _UNITS[unit],
        "actual_price": decimals.json_price(order.trigger_price),
        "status": "triggered" if order.triggered else "untriggered",
    }


def _contingent(order: ExchangeOrder) -> Row:
    close = order.request.close
    assert close is not None
    row: Row = {"order_type": close.order_type.value}
    return row | _term("trigger_price", close.trigger) | _term("limit_price", close.limit)


def _term(name: str, term: PriceTerm | None) -> Row:
    return {} if term is None else {name: json_exact(term.value), f"{name}_type": _UNITS[term.unit]}

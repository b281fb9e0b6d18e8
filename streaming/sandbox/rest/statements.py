"""An account's orders, fills, balances and positions as Kraken's JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from streaming.sandbox.exchange.amends import OrderAmend
from streaming.sandbox.exchange.ledger import MarginSummary
from streaming.sandbox.formatting import (
    cost_decimals,
    format_fixed,
    format_short,
    format_signed,
    format_whole,
    price_decimals,
    quantity_decimals,
)
from streaming.sandbox.model import (
    FINAL,
    TAKE_PROFIT,
    UNTRIGGERED,
    BalanceChanged,
    ExchangeFill,
    ExchangeOrder,
    OrderType,
)
from streaming.sandbox.rest.describe import describe, leverage
from streaming.sandbox.rest.names import altname, asset_name, pair_key
from trading.margin.terms import MarginPosition, MarginTerms
from trading.market import Instrument
from trading.orders import Side

PERCENT = Decimal(100)
RATE_DECIMALS = 4  # of fees in percent, and of money that TradeVolume counts


def order_info(
    order: ExchangeOrder, instrument: Instrument, fills: Sequence[ExchangeFill] | None
) -> dict[str, Any]:
    """Describe an order; `fills` is None when they are not asked for."""
    request = order.request
    cost, lot = cost_decimals(instrument), quantity_decimals(instrument)
    words = describe(order, instrument)
    info: dict[str, Any] = {
        "refid": order.parent_id or None,
        "userref": request.user_reference or None,
        **({"cl_ord_id": request.client_order_id} if request.client_order_id else {}),
        "status": order.state.value,
        "opentm": order.opened_at.timestamp(),
        "starttm": 0,
        "expiretm": request.expires_at.timestamp() if request.expires_at else 0,
        "descr": {
            "pair": altname(request.pair),
            "aclass": "forex",
            "type": request.side.value,
            "ordertype": request.order_type.value,
            "price": words.price,
            "price2": words.price2,
            "leverage": leverage(request.leverage),
            "order": words.order,
            "close": words.close,
        },
        "vol": format_fixed(request.quantity, lot),
        "vol_exec": format_fixed(order.filled, lot),
        "cost": format_fixed(order.cost, cost),
        "fee": format_whole(order.fee, cost),  # what the account was charged, as its ledger has it
        "price": _average(order, instrument),
        "stopprice": format_fixed(order.trigger_price or Decimal(0), cost),
        "limitprice": _limit(order, cost),
        "misc": _misc(order),
        "oflags": ("fcib" if request.fee_in_base else "fciq") + (",post" if request.post_only else ""),
    }
    if request.reduce_only:
        info["reduce_only"] = True
    if request.order_type not in UNTRIGGERED:
        info["trigger"] = "last"
    if fills is not None and fills:
        info["trades"] = [fill.execution_id for fill in fills]
    if order.state in FINAL:
        info["reason"] = order.reason or None
        info["closetm"] = (order.closed_at or order.opened_at).timestamp()
    return info


def fill_info(fill: ExchangeFill, instrument: Instrument) -> dict[str, Any]:
    cost = cost_decimals(instrument)
    borrowed = fill.margin > 0
    return {
        "ordertxid": fill.order_id,
        "postxid": fill.execution_id,
        "pair": pair_key(fill.pair),
        "aclass": "forex",
        "time": fill.at.timestamp(),
        "type": fill.side.value,
        "ordertype": fill.order_type.value,
        "price": format_fixed(fill.price, cost),
        "cost": format_fixed(fill.cost, cost),
        "fee": format_whole(fill.fee, cost),
        "vol": format_fixed(fill.quantity, quantity_decimals(instrument)),
        "margin": format_fixed(fill.margin, cost),
        "leverage": str(round(fill.cost / fill.margin)) if borrowed else "0",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": fill.maker,
    }


def ledger_entry(entry: BalanceChanged) -> dict[str, Any]:
    """Describe one change of a balance: by `amount` less `fee`."""
    name = asset_name(entry.asset)
    return {
        "refid": entry.reference,
        "time": entry.at.timestamp(),
        "type": entry.kind,
        "subtype": "",
        "aclass": "currency",
        "asset": name.key,
        "amount": format_whole(entry.amount + entry.fee, name.decimals),
        "fee": format_whole(entry.fee, name.decimals),
        "balance": format_whole(entry.balance, name.decimals),
    }


def amend_info(amend: OrderAmend, instrument: Instrument) -> dict[str, Any]:
    lot, price = quantity_decimals(instrument), price_decimals(instrument)
    prices = {"limit_price": amend.limit_price, "trigger_price": amend.trigger_price}
    return {
        "amend_id": amend.amend_id,
        "amend_type": amend.kind.value,
        "order_qty": format_fixed(amend.quantity, lot),
        "remaining_qty": format_fixed(amend.remaining, lot),
        **{name: format_fixed(each, price) for name, each in prices.items() if each is not None},
        **({"reason": amend.reason} if amend.reason else {}),
        "post_only": amend.post_only,
        "timestamp": int(amend.at.timestamp() * 1_000_000) * 1000,  # nanoseconds
    }


def balances(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {
        asset_name(asset).key: format_fixed(amount, asset_name(asset).decimals)
        for asset, amount in sorted(amounts.items())
    }


def extended_balances(amounts: Mapping[str, Decimal], held: Mapping[str, Decimal]) -> dict[str, Any]:
    reserved = balances({asset: held.get(asset, Decimal(0)) for asset in amounts})
    return {
        key: {"balance": amount, "hold_trade": reserved[key]} for key, amount in balances(amounts).items()
    }


def trade_balance(summary: MarginSummary, asset: str) -> dict[str, str]:
    decimals = asset_name(asset).decimals
    amounts = {
        "eb": summary.equivalent,
        "tb": summary.trade,
        "m": summary.margin,
        "uv": Decimal(0),  # of orders that are not filled: nothing is borrowed for them yet
        "n": summary.unrealised,
        "c": summary.cost,
        "v": summary.valuation,
        "e": summary.equity,
        "mf": summary.free,
    }
    result = {name: format_fixed(amount, decimals) for name, amount in amounts.items()}
    return result if summary.level is None else {**result, "ml": format_fixed(summary.level, 2)}


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """One margin position, where its market stands, and what is known of the fill that opened it."""

    position_id: str
    position: MarginPosition
    instrument: Instrument
    price: Decimal  # last
    opened_by: ExchangeFill | None
    rolls_over_at: datetime


def position_info(known: OpenPosition, terms: MarginTerms, with_profit: bool) -> dict[str, Any]:
    position, fill = known.position, known.opened_by
    cost, lot = cost_decimals(known.instrument), quantity_decimals(known.instrument)
    hours = format_short(Decimal(terms.rollover_every.total_seconds()) / 3600)
    closed = max(fill.quantity - abs(position.quantity), Decimal(0)) if fill else Decimal(0)
    profit = _profit(known, cost) if with_profit else {}
    return {
        "ordertxid": fill.order_id if fill else "",
        "posstatus": "open",
        "pair": pair_key(position.pair),
        "time": position.opened_at.timestamp(),
        "type": _side(position).value,
        "ordertype": fill.order_type.value if fill else OrderType.MARKET.value,
        "cost": format_fixed(position.value, cost),
        "fee": format_whole(fill.fee if fill else Decimal(0), cost),
        "vol": format_fixed(abs(position.quantity) + closed, lot),
        "vol_closed": format_fixed(closed, lot),
        "margin": format_fixed(position.value / position.leverage, cost),
        **profit,
        "terms": f"{format_fixed(terms.rollover_fee * PERCENT, RATE_DECIMALS)}% per {hours} hours",
        "rollovertm": str(int(known.rolls_over_at.timestamp())),
        "misc": "",
        "oflags": "",
    }


def market_position(group: Sequence[OpenPosition], with_profit: bool) -> dict[str, Any]:
    """Sum the positions of one pair and side (`consolidation=market`)."""
    first = group[0]
    cost, lot = cost_decimals(first.instrument), quantity_decimals(first.instrument)
    value = sum((it.position.value for it in group), Decimal(0))
    margin = sum((it.position.value / it.position.leverage for it in group), Decimal(0))
    profits = [_profit_of(it) for it in group]
    result = {"value": format_fixed(sum((v for v, _ in profits), Decimal(0)), cost)}
    result["net"] = format_signed(sum((net for _, net in profits), Decimal(0)), RATE_DECIMALS)
    return {
        "pair": pair_key(first.position.pair),
        "positions": str(len(group)),
        "type": _side(first.position).value,
        "leverage": format_fixed(value / margin, 5),
        "cost": format_fixed(value, cost),
        "fee": format_whole(sum((it.opened_by.fee for it in group if it.opened_by), Decimal(0)), cost),
        "vol": format_fixed(sum((abs(it.position.quantity) for it in group), Decimal(0)), lot),
        "vol_closed": format_fixed(Decimal(0), lot),
        "margin": format_fixed(margin, cost),
        **(result if with_profit else {}),
    }


def fee_tier(share: Decimal) -> dict[str, Any]:
    """Return the only step that the sandbox has: the fee is also the smallest and the largest."""
    percent = format_fixed(share * PERCENT, RATE_DECIMALS)
    return {
        "fee": percent,
        "minfee": percent,
        "maxfee": percent,
        "nextfee": None,
        "nextvolume": None,
        "tiervolume": format_fixed(Decimal(0), RATE_DECIMALS),
    }


def _profit(known: OpenPosition, decimals: int) -> dict[str, str]:
    value, net = _profit_of(known)
    return {"value": format_fixed(value, decimals), "net": format_signed(net, RATE_DECIMALS)}


def _profit_of(known: OpenPosition) -> tuple[Decimal, Decimal]:
    return abs(known.position.quantity) * known.price, known.position.profit(known.price)


def _side(position: MarginPosition) -> Side:
    return Side.BUY if position.quantity > 0 else Side.SELL


def _average(order: ExchangeOrder, instrument: Instrument) -> str:
    if not order.filled:
        return format_fixed(Decimal(0), cost_decimals(instrument))
    return format_fixed(order.average_price, price_decimals(instrument))


def _limit(order: ExchangeOrder, decimals: int) -> str:
    """Zero for plain limit orders, whose price is in `descr`; what a triggered order turns into otherwise."""
    shown = order.limit_price if order.request.order_type not in UNTRIGGERED else None
    return format_fixed(shown or Decimal(0), decimals)


def _misc(order: ExchangeOrder) -> str:
    if not order.triggered:
        return ""
    return "touched" if order.request.order_type in TAKE_PROFIT else "stopped"

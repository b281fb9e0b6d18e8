"""Kraken's private messages as events: our own orders and our own money. InvalidValue for what cannot be."""

from decimal import Decimal

from streaming import events
from streaming.events import Event
from streaming.feeds.kraken import messages as wire
from streaming.feeds.kraken.names import Pairs
from streaming.feeds.kraken.numbers import ZERO, exact, given, not_negative, positive, utc
from trading.errors import InvalidValue


def executions(message: wire.Execution, pairs: Pairs) -> list[Event]:
    snapshot = message.type == "snapshot"
    return [_execution(each, message.sequence, snapshot, pairs) for each in message.data]


def _execution(data: wire.ExecutionData, sequence: int, snapshot: bool, pairs: Pairs) -> events.Execution:
    fill = data.exec_type == "trade"
    if fill and not data.exec_id:
        raise InvalidValue(f"a fill of {ascii(data.order_id)[:60]} lacks its exec_id")
    return events.Execution(
        sequence=sequence,
        snapshot=snapshot,
        order_id=data.order_id,
        client_order_id=data.cl_ord_id,
        pair=None if data.symbol is None else pairs[data.symbol],
        kind=data.exec_type,
        status=data.order_status,
        side=data.side,
        quantity=given(not_negative, data.order_qty, "order_qty"),
        filled=given(not_negative, data.cum_qty, "cum_qty"),
        average_price=given(not_negative, data.avg_price, "avg_price") or None,  # 0 while nothing was filled
        fill_id=data.exec_id if fill else "",
        fill_price=positive(data.last_price, "last_price") if fill else None,
        fill_quantity=positive(data.last_qty, "last_qty") if fill else None,
        fees=tuple((fee.asset, exact(fee.qty, "fee")) for fee in data.fees),
        reason=data.reason,
        at=utc(data.timestamp),
    )


SPOT, MAIN = "spot", "main"  # the wallet that orders are paid from


def balances(message: wire.Balance, pairs: Pairs) -> list[Event]:
    """Of a snapshot the spot wallet alone; updates name their wallet, and each message keeps its number."""
    snapshot = message.type == "snapshot"
    return [
        events.Balance(
            message.sequence,
            snapshot,
            each.asset,
            _spendable(each),
            None if each.timestamp is None else utc(each.timestamp),
            _wallet(each),
        )
        for each in message.data
    ]


def _wallet(data: wire.BalanceData) -> str:
    kind, name = data.wallet_type or SPOT, data.wallet_id or MAIN
    return kind if name == MAIN else f"{kind}/{name}"


def _spendable(data: wire.BalanceData) -> Decimal:
    total = exact(data.balance, "balance")
    if not data.wallets:
        return total
    spot = (each.balance for each in data.wallets if each.type == SPOT and each.id == MAIN)
    return exact(next(spot, ZERO), "balance")

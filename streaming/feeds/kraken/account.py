"""Events from Kraken's private messages: our own orders and balances. InvalidValue for what cannot be true."""

from decimal import Decimal

from streaming import events
from streaming.events import Event
from streaming.feeds.kraken import messages
from streaming.feeds.kraken.names import PairsBySymbol
from streaming.feeds.kraken.numbers import ZERO, check_utc, exact_decimal, not_negative, optional, positive
from trading.errors import InvalidValue


def executions(message: messages.ExecutionFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the executions of a message, or that it is empty."""
    snapshot = message.type == "snapshot"
    if not message.data:
        return [events.EmptyMessage(events.Channel.EXECUTIONS, message.sequence, snapshot)]
    return [_execution(each, message.sequence, snapshot, pairs) for each in message.data]


def _execution(
    data: messages.ExecutionData, sequence: int, snapshot: bool, pairs: PairsBySymbol
) -> events.Execution:
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
        quantity=optional(not_negative, data.order_qty, "order_qty"),
        filled=optional(not_negative, data.cum_qty, "cum_qty"),
        average_price=optional(not_negative, data.avg_price, "avg_price")
        or None,  # 0 while nothing was filled
        fill_id=data.exec_id if fill else "",
        fill_price=positive(data.last_price, "last_price") if fill else None,
        fill_quantity=positive(data.last_qty, "last_qty") if fill else None,
        fees=tuple((fee.asset, exact_decimal(fee.qty, "fee")) for fee in data.fees),
        reason=data.reason,
        at=check_utc(data.timestamp),
    )


SPOT, MAIN = "spot", "main"  # the wallet that orders are paid from


def balances(message: messages.BalanceFrame, pairs: PairsBySymbol) -> list[Event]:
    """Return the balances of a message: of a snapshot the spot wallet alone, of an update the wallet that it names."""
    snapshot = message.type == "snapshot"
    if not message.data:
        return [events.EmptyMessage(events.Channel.BALANCES, message.sequence, snapshot)]
    return [
        events.Balance(
            message.sequence,
            snapshot,
            each.asset,
            _spendable(each),
            None if each.timestamp is None else check_utc(each.timestamp),
            _wallet(each),
        )
        for each in message.data
    ]


def _wallet(data: messages.BalanceData) -> str:
    kind, name = data.wallet_type or SPOT, data.wallet_id or MAIN
    return kind if name == MAIN else f"{kind}/{name}"


def _spendable(data: messages.BalanceData) -> Decimal:
    total = exact_decimal(data.balance, "balance")
    if not data.wallets:
        return total
    spot = (each.balance for each in data.wallets if each.type == SPOT and each.id == MAIN)
    return exact_decimal(next(spot, ZERO), "balance")

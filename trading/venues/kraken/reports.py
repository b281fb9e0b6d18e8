"""What Kraken says of one order, as our Order and Fills. Pure; whatever contradicts the intent is refused."""

import uuid
from collections.abc import Mapping
from decimal import Decimal

from trading.errors import InvalidMessage
from trading.orders import Fill, Order, OrderIntent, OrderStatus
from trading.venues.kraken.account_responses import OrderInfo, TradeInfo
from trading.venues.kraken.decoding import moment
from trading.venues.kraken.order_records import held
from trading.venues.kraken.order_request import SHORT_ID, is_uuid

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://marketloom.dev/kraken/client-order-id")
ENDED = frozenset({"closed", "canceled", "expired"})
BASE_FEE = "fcib"


def client_order_id(intent_id: str) -> str:
    """The intent's id itself where Kraken takes it as one, else a UUID that follows from it."""
    usable = is_uuid(intent_id) or SHORT_ID.fullmatch(intent_id)
    return intent_id if usable else str(uuid.uuid5(_NAMESPACE, intent_id))


def check_order(intent: OrderIntent, order_id: str, info: OrderInfo, names: frozenset[str]) -> None:
    """InvalidMessage when the order that was found is not the one that was asked for."""
    wanted = (intent.side.value, intent.quantity, client_order_id(intent.intent_id))
    found = (info.descr.type, info.vol, info.cl_ord_id or wanted[2])
    if found != wanted or info.descr.pair not in names:
        raise _wrong(
            order_id,
            f"it is {info.descr.type} {info.vol:f} {info.descr.pair} ({info.cl_ord_id}), intent {intent.intent_id} "
            f"is {intent.side.value} {intent.quantity:f} {intent.pair}",
        )
    if not 0 <= info.vol_exec <= info.vol:
        raise _wrong(order_id, f"{info.vol_exec:f} of {info.vol:f} are executed")
    if info.status == "closed" and info.vol_exec < info.vol:
        raise _wrong(order_id, f"closed with {info.vol_exec:f} of {info.vol:f} executed")
    if BASE_FEE in info.oflags.split(","):
        raise _wrong(order_id, f"its fee is in {intent.pair.base}, {intent.pair.quote} was asked for")


def report(
    intent: OrderIntent, order_id: str, info: OrderInfo, trades: Mapping[str, TradeInfo]
) -> tuple[Order, list[Fill]]:
    """The order's state and every fill so far. It is final only once its fills add up to what was executed."""
    fills = [_fill(intent, order_id, fill_id, each) for fill_id, each in trades.items()]
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    if filled > info.vol_exec:
        raise _wrong(order_id, f"its fills add up to {filled:f}, it says {info.vol_exec:f}")
    status, reason = _status(intent, order_id, info, filled)
    time = info.closetm if info.status in ENDED and info.closetm else info.opentm
    return Order(intent.intent_id, status, reason, moment("QueryOrders", time)), fills


def _status(intent: OrderIntent, order_id: str, info: OrderInfo, filled: Decimal) -> tuple[OrderStatus, str]:
    if info.status not in ENDED:
        return OrderStatus.ACCEPTED, held(order_id, f"{info.status}, {filled:f} of {info.vol:f} are filled")
    if filled != info.vol_exec:
        missing = f"{info.vol_exec - filled:f} {intent.pair.base} of its fills are not listed yet"
        return OrderStatus.ACCEPTED, held(order_id, f"{info.status}, {missing}")
    if filled == info.vol:
        return OrderStatus.FILLED, ""
    ended = f"Kraken order {order_id} {info.status}" + (f": {info.reason}" if info.reason else "")
    if not filled:
        return OrderStatus.REJECTED, ended
    return OrderStatus.FILLED, f"{ended}, after {filled:f} of {info.vol:f} {intent.pair.base}"


def _fill(intent: OrderIntent, order_id: str, fill_id: str, trade: TradeInfo) -> Fill:
    if (trade.ordertxid, trade.type) != (order_id, intent.side.value):
        raise _wrong(order_id, f"fill {fill_id} is a {trade.type} of order {trade.ordertxid}")
    if not (trade.price > 0 and trade.vol > 0 and trade.fee >= 0):
        raise _wrong(order_id, f"fill {fill_id} is {trade.vol:f} at {trade.price:f}, fee {trade.fee:f}")
    return Fill(
        fill_id=fill_id,
        intent_id=intent.intent_id,
        account=intent.account,
        pair=intent.pair,
        side=intent.side,
        price=trade.price,
        quantity=trade.vol,
        fee=trade.fee,
        fee_asset=intent.pair.quote,
        filled_at=moment("QueryTrades", trade.time),
    )


def _wrong(order_id: str, reason: str) -> InvalidMessage:
    return InvalidMessage("Kraken orders", f"order {order_id}: {reason}")

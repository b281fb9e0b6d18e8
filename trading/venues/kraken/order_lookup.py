"""Finds the order of an intent at Kraken and reports it as our Order and Fills, if it is the one that was asked for."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import InvalidMessage
from trading.market import Instrument
from trading.orders import Fill, Order, OrderIntent, OrderStatus
from trading.venues.kraken.account_responses import OrderInfo, TradeInfo
from trading.venues.kraken.client import MAX_FILLS, KrakenClient
from trading.venues.kraken.decoding import to_datetime
from trading.venues.kraken.order_records import MAX_DEADLINE, accepted_reason
from trading.venues.kraken.order_request import BASE_FEE, client_order_id

PAGE_SIZE = 50  # orders of one ClosedOrders response
MAX_PAGES = (
    20  # of closed orders that are read back; an account that closes more in a minute is not ours alone
)
SEARCH_RADIUS = MAX_DEADLINE + timedelta(minutes=1)
INSIGNIFICANT = "Insignificant volume remaining"
ENDED = frozenset({"closed", "canceled", "expired"})


class OrderLookup:
    """Every method raises what the client raises when it could not look: that is not "nothing there"."""

    def __init__(self, client: KrakenClient) -> None:
        self._client = client

    def find(self, intent: OrderIntent, void_after: datetime | None) -> str | None:
        """Find the id of the intent's order; None: Kraken has none. With `void_after`, read recent orders one by one.

        Open orders come first: one that closes meanwhile is found among the closed.
        """
        name = client_order_id(intent.intent_id)
        found = self._client.open_orders(name) | self._client.closed_orders(name).closed
        for order_id, info in found.items():
            if info.cl_ord_id != name:
                raise InvalidMessage(
                    "Kraken orders", f"asked for client order id {name}, got {order_id} with {info.cl_ord_id}"
                )
        if not found and void_after is not None:
            found = {key: info for key, info in self._closed_around(void_after) if info.cl_ord_id == name}
        if len(found) > 1:
            raise InvalidMessage("Kraken orders", f"{', '.join(found)} are all of intent {intent.intent_id}")
        for order_id, info in found.items():
            self._check(intent, order_id, info)
        return next(iter(found), None)

    def report(self, intent: OrderIntent, order_id: str) -> tuple[Order, list[Fill]]:
        """Read the order's state and every fill so far. It is final only once its fills add up to what was executed."""
        info = self._order(intent, order_id)
        fills = [_fill(intent, order_id, key, each) for key, each in self._trades(info).items()]
        filled = sum((fill.quantity for fill in fills), Decimal(0))
        if filled > info.vol_exec:
            raise _mismatch(order_id, f"its fills add up to {filled:f}, it says {info.vol_exec:f}")
        status, reason = _status(intent, order_id, info, filled)
        time = info.closetm if info.status in ENDED and info.closetm else info.opentm
        return Order(intent.intent_id, status, reason, to_datetime("QueryOrders", time)), fills

    def _order(self, intent: OrderIntent, order_id: str) -> OrderInfo:
        found = self._client.query_orders([order_id])
        if order_id not in found:
            raise InvalidMessage("Kraken QueryOrders", f"asked for {order_id}, got {', '.join(found)[:100]}")
        self._check(intent, order_id, found[order_id])
        return found[order_id]

    def _check(self, intent: OrderIntent, order_id: str, info: OrderInfo) -> None:
        """InvalidMessage when the order that was found is not the one that was asked for."""
        listings = self._client.listings()
        _check_order(intent, order_id, info, listings.names(intent.pair))
        if info.status == "closed" and not _is_rest_insignificant(info, listings.instrument(intent.pair)):
            raise _mismatch(order_id, f"closed with {info.vol_exec:f} of {info.vol:f} executed")

    def _trades(self, info: OrderInfo) -> Mapping[str, TradeInfo]:
        trades: dict[str, TradeInfo] = {}
        for first in range(0, len(info.trades), MAX_FILLS):
            wanted = info.trades[first : first + MAX_FILLS]
            trades |= {key: each for key, each in self._client.query_trades(wanted).items() if key in wanted}
        return trades

    def _closed_around(self, time: datetime) -> Iterator[tuple[str, OrderInfo]]:
        """Read closed orders of these minutes, without trusting that Kraken finds closed ones by client order id."""
        start, end = int((time - SEARCH_RADIUS).timestamp()), int((time + SEARCH_RADIUS).timestamp())
        for page in range(MAX_PAGES):
            closed = self._client.closed_orders(start=start, end=end, offset=page * PAGE_SIZE).closed
            yield from closed.items()
            if len(closed) < PAGE_SIZE:
                return
        raise InvalidMessage(
            "Kraken ClosedOrders", f"more than {MAX_PAGES * PAGE_SIZE} orders closed around {time}"
        )


def _check_order(intent: OrderIntent, order_id: str, info: OrderInfo, names: frozenset[str]) -> None:
    wanted = (intent.side.value, intent.quantity, client_order_id(intent.intent_id))
    found = (info.descr.type, info.vol, info.cl_ord_id or wanted[2])
    if found != wanted or info.descr.pair not in names:
        raise _mismatch(
            order_id,
            f"it is {info.descr.type} {info.vol:f} {info.descr.pair} ({info.cl_ord_id}), intent {intent.intent_id} "
            f"is {intent.side.value} {intent.quantity:f} {intent.pair}",
        )
    if not 0 <= info.vol_exec <= info.vol:
        raise _mismatch(order_id, f"{info.vol_exec:f} of {info.vol:f} are executed")
    if BASE_FEE in info.oflags.split(","):
        raise _mismatch(order_id, f"its fee is in {intent.pair.base}, {intent.pair.quote} was asked for")


def _is_rest_insignificant(info: OrderInfo, instrument: Instrument) -> bool:
    """Kraken closes some orders a step short: nobody could place an order for what is left (ccxt#8816)."""
    return info.vol - info.vol_exec < instrument.minimum_quantity or INSIGNIFICANT in (info.reason or "")


def _status(intent: OrderIntent, order_id: str, info: OrderInfo, filled: Decimal) -> tuple[OrderStatus, str]:
    if info.status not in ENDED:
        state = f"{info.status}, {filled:f} of {info.vol:f} are filled"
        return OrderStatus.ACCEPTED, accepted_reason(order_id, state)
    if filled != info.vol_exec:
        missing = f"{info.vol_exec - filled:f} {intent.pair.base} of its fills are not listed yet"
        return OrderStatus.ACCEPTED, accepted_reason(order_id, f"{info.status}, {missing}")
    if filled == info.vol:
        return OrderStatus.FILLED, ""
    ended = f"Kraken order {order_id} {info.status}" + (f": {info.reason}" if info.reason else "")
    if not filled:
        return OrderStatus.REJECTED, ended
    return OrderStatus.FILLED, f"{ended}, after {filled:f} of {info.vol:f} {intent.pair.base}"


def _fill(intent: OrderIntent, order_id: str, fill_id: str, trade: TradeInfo) -> Fill:
    if (trade.ordertxid, trade.type) != (order_id, intent.side.value):
        raise _mismatch(order_id, f"fill {fill_id} is a {trade.type} of order {trade.ordertxid}")
    if not (trade.price > 0 and trade.vol > 0 and trade.fee >= 0):
        raise _mismatch(order_id, f"fill {fill_id} is {trade.vol:f} at {trade.price:f}, fee {trade.fee:f}")
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
        filled_at=to_datetime("QueryTrades", trade.time),
    )


def _mismatch(order_id: str, reason: str) -> InvalidMessage:
    return InvalidMessage("Kraken orders", f"order {order_id}: {reason}")

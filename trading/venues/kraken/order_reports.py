"""Kraken's records of orders and fills as our reports, if they are the orders that were asked for."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from trading.errors import InvalidMessage
from trading.market import Instrument, Pair
from trading.orders import Fill, OrderIntent, OrderStatus, Purpose, Side, WorkingOrder
from trading.portfolio.exact import ROUNDED, divide
from trading.ports import VenueOrder, VenueReport
from trading.venues.kraken.account_responses import OrderInfo, TradeInfo
from trading.venues.kraken.client import MAX_FILLS, KrakenClient
from trading.venues.kraken.decoding import to_datetime
from trading.venues.kraken.instruments import Listings
from trading.venues.kraken.order_request import BASE_FEE

INSIGNIFICANT = "Insignificant volume remaining"
ENDED = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
}
BASE_FEE_STEP = Decimal("1e-10")  # Kraken keeps no more decimals of an asset
UNTRIGGERED = frozenset({"market", "limit"})
Orders = Mapping[str, OrderInfo]  # by Kraken's id


class OrderReports:
    """Raises what the client raises when fills cannot be read."""

    def __init__(self, client: KrakenClient) -> None:
        self._client = client
        self._explained: dict[tuple[str, Decimal], str] = {}  # changes of quantity that were looked up

    def report(
        self, working: Iterable[tuple[WorkingOrder, Orders]], purpose: Purpose
    ) -> dict[str, VenueReport]:
        """Report these orders with every fill so far, by intent id."""
        pairs = list(working)
        fill_ids = [fill_id for _, orders in pairs for info in orders.values() for fill_id in info.trades]
        trades = self._trades(list(dict.fromkeys(fill_ids)), purpose)
        return {each.intent.intent_id: self._one(each.intent, orders, trades) for each, orders in pairs}

    def _trades(self, fill_ids: list[str], purpose: Purpose) -> dict[str, TradeInfo]:
        trades: dict[str, TradeInfo] = {}
        for first in range(0, len(fill_ids), MAX_FILLS):
            wanted = fill_ids[first : first + MAX_FILLS]
            found = self._client.query_trades(wanted, purpose)
            trades |= {key: each for key, each in found.items() if key in wanted}
        return trades

    def _one(self, intent: OrderIntent, orders: Orders, trades: Mapping[str, TradeInfo]) -> VenueReport:
        """Report one intent's order. What cannot be it is UNKNOWN, with the reason and without a fill."""
        order_id, info = next(iter(orders.items()))
        try:
            reports = [self._checked(intent, key, each, trades) for key, each in orders.items()]
        except InvalidMessage as error:
            at = to_datetime("QueryOrders", info.opentm)
            return VenueReport(order_id, OrderStatus.UNKNOWN, str(error), at, ())
        if len(reports) == 1:
            return reports[0]
        fills = tuple(fill for each in reports for fill in each.fills)
        reason = f"Kraken has several orders of it: {', '.join(orders)}"
        return VenueReport(order_id, OrderStatus.UNKNOWN, reason, reports[0].at, fills)

    def _checked(
        self, intent: OrderIntent, order_id: str, info: OrderInfo, trades: Mapping[str, TradeInfo]
    ) -> VenueReport:
        listings = self._client.listings()
        _check_order(intent, order_id, info, listings.names(intent.pair))
        change = self._quantity_change(intent, order_id, info)
        listed = {key: trades[key] for key in info.trades if key in trades}
        fills = tuple(_fill(intent, order_id, info, key, each) for key, each in listed.items())
        filled = sum((fill.quantity for fill in fills), Decimal(0))
        if filled > info.vol_exec:
            raise mismatch(order_id, f"its fills add up to {filled:f}, it says {info.vol_exec:f}")
        status, words = _status(info, filled, listings.instrument(intent.pair))
        if status is OrderStatus.FILLED and info.vol < intent.quantity:
            status = OrderStatus.CANCELLED  # the rest was amended away
        reason = "" if status is OrderStatus.FILLED and info.vol_exec == intent.quantity else words + change
        ended = info.status in ENDED and info.closetm
        at = to_datetime("QueryOrders", info.closetm if ended and info.closetm else info.opentm)
        return VenueReport(order_id, status, reason, at, fills, trigger_of(info))

    def _quantity_change(self, intent: OrderIntent, order_id: str, info: OrderInfo) -> str:
        """Say how the order got another quantity: by an amendment, whoever made it, or it is not ours."""
        if info.vol == intent.quantity:
            return ""
        known = (order_id, info.vol)
        if known not in self._explained:
            amends = self._client.order_amends(order_id)
            if not amends or amends[0].order_qty != intent.quantity:
                raise mismatch(order_id, f"it is over {info.vol:f}, {intent.quantity:f} was asked for")
            last = amends[-1]
            why = f": {last.reason}" if last.reason else ""
            self._explained[known] = f"; amended to {info.vol:f} ({last.amend_type}{why})"
        return self._explained[known]


def _check_order(intent: OrderIntent, order_id: str, info: OrderInfo, names: frozenset[str]) -> None:
    """InvalidMessage when the order that was found is not the one that was asked for."""
    wanted = (intent.side.value, intent.client_order_id)
    found = (info.descr.type, info.cl_ord_id or intent.client_order_id)  # a stop with an entry has none
    if found != wanted or info.descr.pair not in names:
        raise mismatch(
            order_id,
            f"it is {info.descr.type} {info.vol:f} {info.descr.pair} ({info.cl_ord_id}), intent {intent.intent_id} "
            f"is {intent.side.value} {intent.quantity:f} {intent.pair}",
        )
    if not 0 <= info.vol_exec <= info.vol:
        raise mismatch(order_id, f"{info.vol_exec:f} of {info.vol:f} are executed")


def _status(info: OrderInfo, filled: Decimal, instrument: Instrument) -> tuple[OrderStatus, str]:
    """Return the state, final only once its fills add up to what was executed, and its description."""
    base, live = instrument.pair.base, OrderStatus.PARTLY_FILLED if filled else OrderStatus.ACKNOWLEDGED
    state = f"{info.status}, {filled:f} of {info.vol:f} {base} are filled"
    if info.status not in ENDED:
        return live, state
    if filled != info.vol_exec:
        return live, f"{info.status}, {info.vol_exec - filled:f} {base} of its fills are not listed yet"
    if info.status == "closed" and not _is_rest_insignificant(info, instrument):
        return live, f"{state}: more of its fills must follow"
    return ENDED[info.status], state + (f": {info.reason}" if info.reason else "")


def _is_rest_insignificant(info: OrderInfo, instrument: Instrument) -> bool:
    """Kraken closes some orders a step short: nobody could place an order for what is left (ccxt#8816)."""
    return info.vol - info.vol_exec < instrument.minimum_quantity or INSIGNIFICANT in (info.reason or "")


def _fill(intent: OrderIntent, order_id: str, info: OrderInfo, fill_id: str, trade: TradeInfo) -> Fill:
    if (trade.ordertxid, trade.type) != (order_id, intent.side.value):
        raise mismatch(order_id, f"fill {fill_id} is a {trade.type} of order {trade.ordertxid}")
    if not (trade.price > 0 and trade.vol > 0 and trade.fee >= 0):
        raise mismatch(order_id, f"fill {fill_id} is {trade.vol:f} at {trade.price:f}, fee {trade.fee:f}")
    fee, fee_asset = _fee(intent.pair, info, trade)
    return Fill(
        fill_id=fill_id,
        intent_id=intent.intent_id,
        account=intent.account,
        pair=intent.pair,
        side=intent.side,
        price=trade.price,
        quantity=trade.vol,
        fee=fee,
        fee_asset=fee_asset,
        filled_at=to_datetime("QueryTrades", trade.time),
    )


def _fee(pair: Pair, info: OrderInfo, trade: TradeInfo) -> tuple[Decimal, str]:
    """Return fee and asset. Kraken tells every fee in quote currency, also one that it took in base currency."""
    if BASE_FEE not in info.oflags.split(","):
        return trade.fee, pair.quote
    return divide(trade.fee, trade.price).quantize(BASE_FEE_STEP, context=ROUNDED), pair.base


def trigger_of(info: OrderInfo) -> Decimal | None:
    """Return the price that triggers the order; None for one without, or one that is relative to the last price."""
    if info.descr.ordertype in UNTRIGGERED:
        return None
    try:
        price = Decimal(info.descr.price)
    except InvalidOperation:  # "+1.5%", of a trailing stop
        price = Decimal(0)
    if info.descr.price.startswith("+") or not (price.is_finite() and price > 0):
        price = info.stopprice or Decimal(0)
    return price or None


def venue_order(order_id: str, info: OrderInfo, listings: Listings) -> VenueOrder:
    """Return the order as it stands in Kraken's books; one of a pair that is gone has the pair's name as its base."""
    return VenueOrder(
        venue_order_id=order_id,
        client_order_id=info.cl_ord_id or "",
        pair=listings.named(info.descr.pair) or Pair(info.descr.pair, ""),
        side=Side(info.descr.type),
        quantity=info.vol,
        filled=info.vol_exec,
        trigger=trigger_of(info),
        at=to_datetime("OpenOrders", info.opentm),
        parent_id=info.refid or "",
    )


def mismatch(order_id: str, reason: str) -> InvalidMessage:
    return InvalidMessage("Kraken orders", f"order {order_id}: {reason}")

"""The paper venue's own books: what it knows of an account, summed up from single entries and not from balances."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from trading.orders import (
    Fill,
    Order,
    OrderIntent,
    OrderKind,
    OrderStatus,
    WorkingOrder,
    round_price,
    stop_id,
)
from trading.portfolio import cash_flows
from trading.portfolio.exact import exactly
from trading.ports import Adjustment, BookEntry, VenueOrder
from trading.venues.paper_orders import venue_order_id

TRADE = "trade"


def is_own(fill: Fill) -> bool:
    """Return whether the paper venue made the fill: its ids follow from the order's. It knows of no others."""
    return fill.fill_id.startswith(fill.intent_id)


def opening_balances(
    by_then: Mapping[str, Decimal],
    opened_at: datetime,
    fills: Iterable[Fill],
    adjustments: Iterable[Adjustment],
) -> dict[str, Decimal]:
    """Return what the account began with; `by_then` has everything that was entered until `opened_at`."""
    early = [each for each in adjustments if each.at <= opened_at]
    return add(by_then, [each for each in fills if each.filled_at <= opened_at], early, sign=-1)


def add(
    balances: Mapping[str, Decimal], fills: Iterable[Fill], adjustments: Iterable[Adjustment], sign: int = 1
) -> dict[str, Decimal]:
    """Return the balances with all of these entered, or taken out again."""
    total = dict(balances)
    with exactly():
        for fill in fills:
            for asset, amount in cash_flows(fill).items():
                total[asset] = total.get(asset, Decimal(0)) + sign * amount
        for each in adjustments:
            total[each.asset] = total.get(each.asset, Decimal(0)) + sign * each.amount
    return total


def trade_entries(fill: Fill, order_id: str) -> Iterator[BookEntry]:
    """Yield what the fill changed, one entry per asset."""
    for asset, amount in cash_flows(fill).items():
        yield BookEntry(
            reference=f"{fill.fill_id}-{asset}",
            asset=asset,
            amount=amount,
            kind=TRADE,
            at=fill.filled_at,
            fill_id=fill.fill_id,
            venue_order_id=order_id,
        )


def adjustment_entry(adjustment: Adjustment) -> BookEntry:
    """Return the entry that the adjustment was booked for."""
    return BookEntry(
        reference=adjustment.reference,
        asset=adjustment.asset,
        amount=adjustment.amount,
        kind=adjustment.cause,
        at=adjustment.at,
    )


def resting_order(working: WorkingOrder, filled: Decimal, parent_id: str = "") -> VenueOrder:
    """Return an order of the ledger as the venue lists it; one that a fill placed has no id of a client."""
    intent, order = working.intent, working.order
    return VenueOrder(
        venue_order_id=order.venue_order_id or venue_order_id(intent.intent_id),
        client_order_id="" if parent_id else intent.client_order_id,
        pair=intent.pair,
        side=intent.side,
        quantity=intent.quantity,
        filled=filled,
        trigger=None if intent.trigger is None else order.trigger or intent.trigger,
        at=order.working_since or order.sent_at or intent.created_at,
        parent_id=parent_id,
    )


def has_stop(intent: OrderIntent) -> bool:
    """Return whether a stop rests over what the order buys from its first fill on."""
    return intent.kind is OrderKind.ENTRY and intent.stop_loss is not None


def stop_with(fill: Fill, entry: WorkingOrder, price_increment: Decimal) -> WorkingOrder:
    """Return the stop that was placed with one fill of the entry: over what it bought, from then on."""
    intent = entry.intent
    assert intent.stop_loss is not None
    trigger = round_price(intent.stop_loss, price_increment)
    name = f"{venue_order_id(fill.fill_id)}-stop"
    stop = OrderIntent(
        intent_id=stop_id(intent.intent_id, name),
        decision_id=intent.decision_id,
        account=intent.account,
        pair=intent.pair,
        side=intent.side.opposite,
        quantity=fill.quantity,
        reduces=True,
        stop_loss=None,
        take_profit=None,
        created_at=fill.filled_at,
        trigger=trigger,
    )
    order = Order(
        intent_id=stop.intent_id,
        status=OrderStatus.ACKNOWLEDGED,
        reason=f"placed with fill {fill.fill_id}",
        updated_at=fill.filled_at,
        venue_order_id=name,
        trigger=trigger,
        working_since=fill.filled_at,
    )
    return WorkingOrder(stop, order)

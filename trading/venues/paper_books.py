"""The paper venue's own books: what it knows of an account, summed up from single entries and not from balances."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from trading.orders import Fill, Side, WorkingOrder
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


def resting_order(working: WorkingOrder, filled: Decimal) -> VenueOrder:
    """Return an order of the ledger as the venue lists it."""
    intent, order = working.intent, working.order
    return VenueOrder(
        venue_order_id=order.venue_order_id or venue_order_id(intent.intent_id),
        client_order_id=intent.client_order_id,
        pair=intent.pair,
        side=intent.side,
        quantity=intent.quantity,
        filled=filled,
        trigger=None if intent.trigger is None else order.trigger or intent.trigger,
        at=order.working_since or order.sent_at or intent.created_at,
    )


def stop_with(fill: Fill, entry: WorkingOrder, trigger: Decimal) -> VenueOrder:
    """Return the stop that was placed with one fill of the entry: over what it bought, from then on."""
    side: Side = entry.intent.side.opposite
    parent = entry.order.venue_order_id or venue_order_id(entry.intent.intent_id)
    return VenueOrder(
        venue_order_id=f"{venue_order_id(fill.fill_id)}-stop",
        client_order_id="",
        pair=fill.pair,
        side=side,
        quantity=fill.quantity,
        filled=Decimal(0),
        trigger=trigger,
        at=fill.filled_at,
        parent_id=parent,
    )

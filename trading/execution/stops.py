"""Stops that rest at the venue: taken over from its entries, placed, moved, taken off."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count

from trading.errors import LeaseLost, MarketloomError, VenueRefused
from trading.execution.cancelling import cancel
from trading.execution.checkpoints import Checkpoint
from trading.execution.refreshing import refresh
from trading.execution.sending import send
from trading.execution.work import Work
from trading.market import Pair
from trading.orders import Order, OrderIntent, OrderKind, OrderStatus, Side, WorkingOrder, stop_id
from trading.portfolio import Position
from trading.ports import VenueOrder

REPLACED = "the position's exit takes its place"


def closing_side(position: Position) -> Side:
    """Return the side that makes the position smaller."""
    return Side.SELL if position.quantity > 0 else Side.BUY


def entries_of(work: Work, position: Position) -> list[WorkingOrder]:
    """List the entries that bought what is still held, newest first; empty when no order of ours did."""
    found: dict[str, WorkingOrder] = {}
    left = position.quantity
    fills = [
        each for each in work.journal.fills(work.account, of_positions=True) if each.pair == position.pair
    ]
    for fill in reversed(fills):
        if left == 0:
            break
        left -= fill.side.sign * fill.quantity
        working = work.journal.working_order(fill.intent_id)
        if working is not None and working.intent.kind is OrderKind.ENTRY:
            found[fill.intent_id] = working
    if left == 0:
        return list(found.values())
    since = {fill.intent_id for fill in fills if fill.filled_at >= position.opened_at}
    return [each for name, each in found.items() if name in since]  # not all of it was bought by orders


def adopt(work: Work, entries: Sequence[WorkingOrder]) -> bool:
    """Enter the stops that the venue placed with fills of these entries.

    False, with a problem noted, while it is not known whether there are more: two over the same would be too much.
    """
    new: list[WorkingOrder] = []
    for entry in entries:
        if entry.intent.stop_loss is None:
            continue
        subject = f"stops of {entry.intent.intent_id}"
        try:
            placed = work.venue.stops_of(entry)
            may_come = _may_come(work, entry, sum((each.quantity for each in placed), Decimal(0)))
        except MarketloomError as error:
            work.notes.problem(subject, f"{subject} could not be looked up: {error}")
            return False
        new += [stop for each in placed if (stop := _enter(work, entry, each)) is not None]
        if may_come:
            work.notes.problem(
                subject, f"the stop that the entry of {entry.intent.pair} took along is not listed yet"
            )
            return False
        work.notes.solved(subject)
    return refresh(work, new)


def _may_come(work: Work, entry: WorkingOrder, placed: Decimal) -> bool:
    """Return whether the venue may have placed a stop with the entry that it does not list yet.

    Counted from its sending and from its last fill, which the stop comes with: a fill has the market's time, which on a
    sandbox is not that of the venue's clock, and then often lies far back.
    """
    order, venue = entry.order, work.venue
    if placed >= order.filled or not work.rules.real_time:
        return False
    fills = [each for each in work.journal.fills(work.account) if each.intent_id == order.intent_id]
    begins = max(order.sent_at or order.updated_at, *(each.filled_at for each in fills))
    return max(venue.now(), work.at) <= venue.never_taken_after(begins)


def _enter(work: Work, entry: WorkingOrder, placed: VenueOrder) -> WorkingOrder | None:
    """Return the stop as the ledger now has it; None for one that it knew."""
    identity = stop_id(entry.intent.intent_id, placed.venue_order_id)
    intent = OrderIntent(
        intent_id=identity,
        decision_id=entry.intent.decision_id,
        account=work.account,
        pair=placed.pair,
        side=placed.side,
        quantity=placed.quantity,
        reduces=True,
        stop_loss=None,
        take_profit=None,
        created_at=placed.at,
        trigger=placed.trigger,
    )
    order = Order(
        intent_id=identity,
        status=OrderStatus.ACKNOWLEDGED,
        reason="placed by the venue with the entry",
        updated_at=work.now(),
        attempt=1,
        venue_order_id=placed.venue_order_id,
        trigger=placed.trigger,
        working_since=placed.at,
    )
    work.checkpoint(Checkpoint.BEFORE_ADOPTING)
    if not work.add(intent, order, f"the venue placed it with entry {entry.intent.intent_id}"):
        return None
    work.checkpoint(Checkpoint.ADOPTED)
    return WorkingOrder(intent, order)


def place(
    work: Work,
    position: Position,
    quantity: Decimal,
    trigger: Decimal,
    *,
    parents: Sequence[WorkingOrder],
    replaced: WorkingOrder | None,
) -> Order:
    """Commit a stop over `quantity` and send it. `replaced`: one that waited for the same and has become wrong."""
    intent = _new_stop(work, position, quantity, trigger, parents)
    if replaced is not None:  # what it waited for has been missing since then
        intent = replace(intent, created_at=replaced.intent.created_at)
    order = Order(
        intent.intent_id, OrderStatus.INTENDED, "protects the position", work.now(), trigger=trigger
    )
    with work.journal.exclusive(work.account):
        if replaced is not None:
            work.request_cancel(replaced.intent.intent_id, "another stop is wanted")
        work.add(intent, order, f"{quantity:f} {position.pair} are held without a stop")
    work.checkpoint(Checkpoint.STOP_INTENDED)
    return send(work, WorkingOrder(intent, order))


def _new_stop(
    work: Work,
    position: Position,
    quantity: Decimal,
    trigger: Decimal,
    parents: Sequence[WorkingOrder],
) -> OrderIntent:
    parent = parents[0].intent if parents else None
    opened = position.opened_at.isoformat()
    name = parent.intent_id if parent else f"{work.account}|{position.pair}"
    ids = (stop_id(name, f"{opened}|{number}") for number in count())
    return OrderIntent(
        intent_id=next(each for each in ids if work.journal.order(each) is None),
        decision_id=parent.decision_id if parent else "",
        account=work.account,
        pair=position.pair,
        side=closing_side(position),
        quantity=quantity,
        reduces=True,
        stop_loss=None,
        take_profit=None,
        created_at=work.at,
        trigger=trigger,
    )


def amend(work: Work, stop: WorkingOrder, trigger: Decimal, at: datetime) -> bool:
    """Move a resting stop; False when it still rests elsewhere. The next call tries again: the ledger has the wish."""
    intent = stop.intent
    subject = f"amend {intent.intent_id}"
    work.checkpoint(Checkpoint.BEFORE_AMEND)
    order = work.journal.record_amend(intent.intent_id, work.lease, trigger, at)
    work.notes.order(order)
    work.checkpoint(Checkpoint.AMEND_RECORDED)
    try:
        work.venue.amend(WorkingOrder(intent, order), trigger)
    except LeaseLost:
        raise
    except MarketloomError as error:
        work.notes.problem(subject, f"the stop of {intent.pair} could not be moved to {trigger:f}: {error}")
        if isinstance(error, VenueRefused):
            refresh(work, [WorkingOrder(intent, order)])
        return False
    work.checkpoint(Checkpoint.AMENDED)
    work.triggers[intent.intent_id] = trigger
    work.notes.solved(subject)
    return True


def clear(work: Work, pair: Pair, reason: str = REPLACED) -> bool:
    """Take every stop of the pair off the venue; True once surely none is left there."""
    stops = work.orders().of(pair, OrderKind.STOP)
    for stop in stops.waiting(OrderKind.STOP):
        work.request_cancel(stop.intent.intent_id, reason)
    resting = stops.at_venue()
    if not resting:
        return True
    for stop in resting:
        if not stop.order.cancel_reason:
            work.request_cancel(stop.intent.intent_id, reason)
        work.checkpoint(Checkpoint.STOP_LEAVING)
        cancel(work, stop)
    refresh(work, resting)
    return not work.orders().of(pair, OrderKind.STOP).at_venue()

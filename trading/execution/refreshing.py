"""Asks the venue what became of orders, and books it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trading.errors import MarketloomError
from trading.execution.checkpoints import Checkpoint
from trading.execution.work import Work
from trading.orders import Order, OrderStatus, WorkingOrder
from trading.ports import VenueReport

UNDECIDED = (OrderStatus.SENT, OrderStatus.UNKNOWN)


def refresh(work: Work, working: Sequence[WorkingOrder], until: datetime | None = None) -> bool:
    """Ask about all of them in one batch and book the answers; False, with a problem noted, when nobody answered.

    One that the venue does not show long after it could have been taken is INTENDED again: it never was taken.
    """
    if not working:
        return True
    try:
        before = work.venue.now()  # read before looking: an order may be taken between the two
        reports = work.venue.reports(working, until or work.at)
    except MarketloomError as error:
        work.notes.problem("refresh", f"orders could not be looked up: {type(error).__name__}: {error}")
        return False
    work.notes.solved("refresh")
    work.checkpoint(Checkpoint.LOOKED_UP)
    for each in working:
        report = reports.get(each.intent.intent_id)
        if report is not None:
            _book(work, each, report)
        elif each.order.status in UNDECIDED:
            _book_missing(work, each, before)
        else:
            _note_missing(work, each)
    return True


def _book(work: Work, working: WorkingOrder, report: VenueReport) -> None:
    order, subject = working.order, f"booking {working.intent.intent_id}"
    if report.trigger is not None:
        work.triggers[order.intent_id] = report.trigger
    if not _has_news(order, report):
        return
    seen = replace(
        order,
        status=report.status,
        reason=report.reason,
        updated_at=report.at,
        venue_order_id=report.venue_order_id,
    )
    try:
        work.record(seen, report.fills, report.reason or "reported by the venue")
        work.notes.settled(order.intent_id)
    except MarketloomError as error:
        work.notes.problem(
            subject, f"a report on order {working.intent.intent_id} could not be booked: {error}"
        )
    work.checkpoint(Checkpoint.BOOKED)


def _has_news(order: Order, report: VenueReport) -> bool:
    filled = sum(fill.quantity for fill in report.fills)
    return (order.status, order.venue_order_id, order.filled) != (
        report.status,
        report.venue_order_id,
        filled,
    )


def _book_missing(work: Work, working: WorkingOrder, now: datetime) -> None:
    order = working.order
    void_after = order.void_after
    if void_after is not None and now > work.venue.never_taken_after(void_after):
        work.state(order, OrderStatus.INTENDED, "the venue never took it")
        work.notes.progress()
    elif order.status is OrderStatus.SENT:
        work.state(order, OrderStatus.UNKNOWN, "sent, and the venue does not show it yet")


def _note_missing(work: Work, working: WorkingOrder) -> None:
    intent = working.intent
    work.notes.problem(
        f"missing {intent.intent_id}",
        f"the venue does not show its order {working.order.venue_order_id} ({intent.kind.value} {intent.pair})",
    )

"""Sends one order once: the ledger says that it is sent before the venue is asked."""

from dataclasses import replace

from trading.errors import (
    InvalidMessage,
    InvalidValue,
    LeaseLost,
    NotAuthorised,
    NotStored,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.execution.cancelling import stop_entries
from trading.execution.checkpoints import Checkpoint
from trading.execution.work import Work
from trading.orders import OPENING, Order, OrderStatus, WorkingOrder

NEVER = (VenueRefused, NotStored)  # surely not done, and it never will be so
NOT_NOW = (VenueUnreachable, RateLimited, NotAuthorised)  # surely not done now


def send(work: Work, waiting: WorkingOrder) -> Order:
    """Send an INTENDED order, unless somebody else did or the ledger refuses it. LeaseLost when it is another's turn.

    Without an answer it is UNKNOWN, whatever went wrong: it is looked up before anything else is done with it.
    """
    intent, known = waiting.intent, waiting.order
    subject = f"{intent.kind.value} {intent.intent_id}"
    work.checkpoint(Checkpoint.BEFORE_SENT)
    try:
        void_after, now = work.venue.void_after(), work.venue.now()
        if intent.kind in OPENING:
            stop_entries(work)  # the ledger knows of halts, and not yet of a kill that was asked for just now
        order = work.journal.mark_sent(intent.intent_id, work.lease, work.at, now, void_after)
    except LeaseLost:
        raise
    except (*NOT_NOW, *NEVER, InvalidMessage, InvalidValue) as error:  # the venue told its time at most
        return _problem(work, subject, waiting, known, error)
    work.notes.order(order)
    work.checkpoint(Checkpoint.SENT)
    if order.status is not OrderStatus.SENT or order.attempt != known.attempt + 1:
        return order
    try:
        venue_order_id = work.venue.submit(intent, void_after)
    except NEVER as error:
        rejected = work.state(order, OrderStatus.REJECTED, str(error))
        return _problem(work, subject, waiting, rejected, error)
    except NOT_NOW as error:
        waits = work.state(order, OrderStatus.INTENDED, f"not taken: {error}")
        return _problem(work, subject, waiting, waits, error)
    except Exception as error:
        unknown = work.state(order, OrderStatus.UNKNOWN, f"{type(error).__name__}: {error}")
        return _problem(work, subject, waiting, unknown, error)
    work.checkpoint(Checkpoint.SUBMITTED)
    work.notes.solved(subject)
    taken = replace(
        order,
        status=OrderStatus.ACKNOWLEDGED,
        reason="the venue has it",
        venue_order_id=venue_order_id,
        updated_at=work.now(),
    )
    return work.record(taken, cause=f"the venue took it as {venue_order_id}")


def _problem(work: Work, subject: str, waiting: WorkingOrder, order: Order, error: Exception) -> Order:
    intent = waiting.intent
    work.notes.problem(
        subject,
        f"{intent.kind.value}: {intent.side.value} {intent.quantity:f} {intent.pair} is {order.status.value}: "
        f"{type(error).__name__}: {error}",
    )
    return order

"""Entries: sent while their decision is young, and while nothing of the pair is on its way out."""

from trading.execution.sending import send
from trading.execution.work import Work
from trading.orders import OrderKind, OrderStatus, WorkingOrder


def enter(work: Work, waiting: WorkingOrder) -> None:
    """Send the entry, let it expire, or leave it waiting."""
    intent = waiting.intent
    age = work.at - intent.created_at
    if age > work.rules.entry_age:
        reason = f"not sent: decided {age} ago, {work.rules.entry_age} is allowed"
        work.state(waiting.order, OrderStatus.EXPIRED, reason)
    elif not _blocked(work, waiting):
        send(work, waiting)


def _blocked(work: Work, waiting: WorkingOrder) -> bool:
    """Orders of the pair that must leave, leave first."""
    others = work.orders().of(waiting.intent.pair).working
    return any(
        each.intent.kind is OrderKind.EXIT
        or (each.order.cancel_reason and each.intent.kind is not OrderKind.STOP)
        for each in others
        if each.intent.intent_id != waiting.intent.intent_id
    )

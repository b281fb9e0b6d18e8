"""What the reason of an unfinished order tells the next process: who holds it, or until when it may still be taken."""

import re
from datetime import datetime, timedelta

from trading.orders import Order, OrderStatus
from trading.venues.kraken.order_request import rfc3339

NEVER_TAKEN = "Kraken never took it: it may be placed again"
LONGEST_DEADLINE = timedelta(seconds=60)  # that Kraken takes
_HELD = re.compile(r"Kraken order (O[A-Z0-9-]{3,40}): ")
_OPEN = re.compile(r"; void after (\S+)$")


def held(order_id: str, state: str) -> str:
    return f"Kraken order {order_id}: {state}"


def held_order(order: Order | None) -> str | None:
    """Kraken's id of the order, where it is known to hold it."""
    found = _HELD.match(order.reason) if order else None
    return found[1] if found else None


def undecided(reason: str, until: datetime) -> str:
    """It was sent: until then the engine may still take it."""
    return f"{reason}; void after {rfc3339(until)}"


def not_done(reason: str, known: Order | None) -> str:
    """A try that surely changed nothing. What is noted of an earlier one stays: every later one looks for it too."""
    until = void_after(known)
    return undecided(f"{NEVER_TAKEN} ({reason})", until) if until else reason


def undecided_until(known: Order | None) -> datetime | None:
    """`void_after` of an order that may still turn up; None also when it was looked for long enough."""
    return None if known and known.reason.startswith(NEVER_TAKEN) else void_after(known)


def void_after(order: Order | None) -> datetime | None:
    """When an order that was sent and not found can no longer have been taken; None when nothing was sent."""
    if order is None:
        return None
    if found := _OPEN.search(order.reason):
        return datetime.fromisoformat(found[1])
    return order.updated_at + LONGEST_DEADLINE if order.status is OrderStatus.UNKNOWN else None

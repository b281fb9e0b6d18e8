"""The record of an unfinished order in its reason in the journal, for the next process that takes the order up."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.orders import Order, OrderStatus
from trading.venues.kraken.order_request import rfc3339

NEVER_TAKEN = "Kraken never took it: it may be placed again"
MAX_DEADLINE = timedelta(seconds=60)  # that Kraken takes
_ACCEPTED = re.compile(r"Kraken order (O[A-Z0-9-]{3,40}): ")
_SENT = re.compile(r"; void after (\S+)$")


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """The result of earlier attempts to place an order, as far as the journal knows it."""

    order_id: str | None = None  # Kraken's, once it is known to have the order
    void_after: datetime | None = (
        None  # the engine cannot have taken the last attempt later; None: nothing was sent
    )
    never_taken: bool = False  # the attempt was looked for long enough after that

    @classmethod
    def of(cls, order: Order | None) -> "OrderRecord":
        """Read the record from the reason of the journal's order."""
        if order is None:
            return cls()
        accepted, sent = _ACCEPTED.match(order.reason), _SENT.search(order.reason)
        unknown_until = order.updated_at + MAX_DEADLINE if order.status is OrderStatus.UNKNOWN else None
        return cls(
            order_id=accepted[1] if accepted else None,
            void_after=datetime.fromisoformat(sent[1]) if sent else unknown_until,
            never_taken=order.reason.startswith(NEVER_TAKEN),
        )

    @property
    def undecided_until(self) -> datetime | None:
        """The deadline of an attempt that may still turn up at Kraken; None when none can."""
        return None if self.never_taken else self.void_after

    def unsent_reason(self, reason: str) -> str:
        """Return the reason after an attempt that surely changed nothing.

        An earlier attempt stays on record: every later one looks for it too.
        """
        return sent_reason(f"{NEVER_TAKEN} ({reason})", self.void_after) if self.void_after else reason


def accepted_reason(order_id: str, state: str) -> str:
    """Return the reason of an order that Kraken has."""
    return f"Kraken order {order_id}: {state}"


def sent_reason(reason: str, deadline: datetime) -> str:
    """Return the reason of an order that was sent: until the deadline the engine may take it."""
    return f"{reason}; void after {rfc3339(deadline)}"

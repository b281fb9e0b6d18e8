"""What one call of the executor did, and what it could not do."""

from dataclasses import dataclass

from trading.orders import Order


@dataclass(frozen=True, slots=True)
class Execution:
    """For receipts and people; what is still to be done stands in the ledger, and the next call goes on with it."""

    orders: tuple[Order, ...] = ()  # those that changed, as they are now
    problems: tuple[str, ...] = ()  # sentences; empty when everything was done
    sent_by_another: bool = False  # another process held the account's lease all the time

    def facts(self) -> dict[str, object]:
        """Return plain values, as a receipt wants them."""
        orders = [
            {"intent_id": order.intent_id, "status": order.status.value, "reason": order.reason}
            for order in self.orders
        ]
        return {
            "orders": orders,
            "problems": list(self.problems),
            "sent_by_another": self.sent_by_another,
        }

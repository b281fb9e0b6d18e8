"""What one call of the executor did, and what it could not do."""

from dataclasses import dataclass

from trading.orders import Order, OrderStatus


@dataclass(frozen=True, slots=True)
class Execution:
    """For receipts and people; what is still to be done stands in the ledger, and the next call goes on with it."""

    orders: tuple[Order, ...] = ()  # those that changed, as they are now
    problems: tuple[str, ...] = ()  # sentences; empty when everything was done
    sent_by_another: bool = False  # another process held the account's lease all the time
    is_unfinished: bool = (
        False  # its time was over before everything had its turn, as after a slow look at the venue
    )

    @property
    def leaves_work(self) -> bool:
        """Return whether the next call is wanted soon."""
        return bool(self.problems) or self.sent_by_another or self.is_unfinished

    @property
    def filled(self) -> tuple[Order, ...]:
        return self._with(OrderStatus.FILLED)

    @property
    def cancelled(self) -> tuple[Order, ...]:
        return self._with(OrderStatus.CANCELLED)

    @property
    def unknown(self) -> tuple[Order, ...]:
        """Orders that the venue may have or not: compare the books soon."""
        return self._with(OrderStatus.UNKNOWN)

    def facts(self) -> dict[str, object]:
        """Return plain values, as a receipt wants them."""
        return {
            "orders": [
                {"intent_id": each.intent_id, "status": each.status.value, "reason": each.reason}
                for each in self.orders
            ],
            "problems": list(self.problems),
            "sent_by_another": self.sent_by_another,
        }

    def _with(self, status: OrderStatus) -> tuple[Order, ...]:
        return tuple(order for order in self.orders if order.status is status)

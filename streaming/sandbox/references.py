"""References to open orders: each kind of name is looked up among names of its kind only."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from streaming.sandbox.model import ExchangeOrder


class ReferenceKind(Enum):
    ORDER_ID = auto()
    CLIENT_ORDER_ID = auto()
    USER_REFERENCE = auto()  # in decimal digits


ALL_KINDS = tuple(ReferenceKind)
TXID = (
    ReferenceKind.ORDER_ID,
    ReferenceKind.USER_REFERENCE,
)  # docs.kraken.com: `txid`, and `orders` of batch_cancel, take both


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    kinds: tuple[ReferenceKind, ...] = ALL_KINDS

    def among(self, orders: Iterable[ExchangeOrder]) -> list[ExchangeOrder]:
        """Return those that bear the name; of several kinds, the first by which there is any."""
        known = list(orders)
        for kind in self.kinds:
            if found := [order for order in known if self.name and self.name == _name(order, kind)]:
                return found
        return []


def _name(order: ExchangeOrder, kind: ReferenceKind) -> str:
    if kind is ReferenceKind.ORDER_ID:
        return order.order_id
    if kind is ReferenceKind.CLIENT_ORDER_ID:
        return order.request.client_order_id
    return str(order.request.user_reference or "")

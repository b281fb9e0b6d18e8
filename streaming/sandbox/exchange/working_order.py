"""An order in force, with its place in the queue and its peak."""

from dataclasses import dataclass
from decimal import Decimal

from streaming.sandbox.model import ExchangeOrder, OrderState
from trading.orders import Side


@dataclass(slots=True, eq=False)
class WorkingOrder:
    """The order is replaced, this record lives from acceptance to the order's end."""

    order: ExchangeOrder
    number: int  # rises with every order accepted
    priority: int = 0  # rises with every arrival at the end of a queue; 0: in none
    queue_position: Decimal = Decimal(0)  # `Level.traded_ahead` when all quotes before it have traded
    peak: Decimal | None = None  # of a trailing stop: the best last price since it was placed

    @property
    def is_resting(self) -> bool:
        return self.priority > 0

    @property
    def is_armed(self) -> bool:
        return self.order.state is OrderState.PENDING


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY

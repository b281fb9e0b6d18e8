"""Changes of one request or tick so far: what the store has to write, and events for the listeners."""

from dataclasses import dataclass, field
from decimal import Decimal

from streaming.sandbox.exchange.amends import OrderAmend
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import BalanceChanged, ExchangeEvent, ExchangeFill, Print
from trading.market import Pair
from trading.orders import Side


@dataclass(slots=True)
class Changes:
    orders: dict[str, WorkingOrder] = field(default_factory=dict)
    fills: list[ExchangeFill] = field(default_factory=list)
    entries: list[BalanceChanged] = field(default_factory=list)
    amends: list[OrderAmend] = field(default_factory=list)
    accounts: dict[str, None] = field(default_factory=dict)
    markets: dict[Pair, None] = field(default_factory=dict)
    prints: dict[Pair, list[Print]] = field(default_factory=dict)
    levels: dict[tuple[Pair, Side, Decimal], None] = field(default_factory=dict)
    exchange: bool = False  # a status or a dead man's switch
    events: list[ExchangeEvent] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.orders
            or self.entries
            or self.accounts
            or self.markets
            or self.prints
            or self.levels
            or self.exchange
        )

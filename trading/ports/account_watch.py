"""Protocol of what watches one account from beside the market, and its reading. Times are UTC."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading.market import Pair
from trading.orders import AT_VENUE, OPENING, OrderKind, WorkingOrder
from trading.portfolio import Position
from trading.risk import Halt


@dataclass(frozen=True, slots=True)
class AccountView:
    """One reading. `adjustments`: how many changes of balances no order of ours caused."""

    positions: tuple[Position, ...]
    working: tuple[WorkingOrder, ...]
    balances: Mapping[str, Decimal]
    halts: tuple[Halt, ...]
    peak: Decimal | None
    adjustments: int

    def has_stop(self, pair: Pair) -> bool:
        """Return whether a stop of the pair rests at the venue, or may, and is to stay."""
        return any(
            each.intent.pair == pair
            and each.intent.kind is OrderKind.STOP
            and each.order.status in AT_VENUE
            and not each.order.cancel_reason
            for each in self.working
        )

    def is_leaving(self, pair: Pair) -> bool:
        """Return whether an exit of the pair is under way."""
        return any(each.intent.pair == pair and each.intent.kind is OrderKind.EXIT for each in self.working)

    @property
    def opening_orders(self) -> tuple[WorkingOrder, ...]:
        """Return what the venue has, or may have, that opens or grows something."""
        return tuple(
            each for each in self.working if each.intent.kind in OPENING and each.order.status in AT_VENUE
        )

    @property
    def needs_stops(self) -> bool:
        """Return whether a stop rests at the venue, or may come to rest there at any moment.

        That is so for a position, for an entry that takes its stop with it, and for a stop of the ledger.
        """
        return bool(self.positions) or any(
            each.intent.kind is OrderKind.STOP or each.intent.stop_loss is not None for each in self.working
        )


class AccountWatch(Protocol):
    """One account. StoreUnreachable where the store does not answer."""

    def read(self) -> AccountView:
        """Read the account as it is at one moment. NotStored before it has opened."""

    def commit(self, positions: Sequence[Position], begun: Sequence[Halt]) -> None:
        """Store levels and reasons to close, and begin halts, all or nothing; what has become another position is left.

        LeaseLost when another process streams by now: it watches, on its own prices.
        """

    def wait(self, changed: Callable[[], object], stop: threading.Event) -> None:
        """Call `changed` once, then at each change of the account, until `stop`."""

    def close(self) -> None:
        """Close its connections."""

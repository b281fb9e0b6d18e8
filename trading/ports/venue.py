"""Protocol of a venue, and what it says of orders and balances. Times are UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.market import Instrument, Pair
from trading.orders import Fill, OrderIntent, OrderStatus, Side, WorkingOrder


@dataclass(frozen=True, slots=True)
class VenueReport:
    """What the venue says of one order now: every fill that it lists, and its state.

    A final state comes only when the fills add up to what was executed.
    """

    venue_order_id: str
    # ACKNOWLEDGED, PARTLY_FILLED or a final one; UNKNOWN where what the venue has under the order's id cannot be what
    # was asked for, or where there are several of it: a person must look, and it does not count as never taken.
    status: OrderStatus
    reason: str
    at: datetime  # of that state
    fills: tuple[Fill, ...]
    trigger: Decimal | None = None  # of a stop: the one that rests at the venue; None where it does not say


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order in the venue's own books, whoever placed it."""

    venue_order_id: str
    client_order_id: str  # empty where it has none
    pair: Pair
    side: Side
    quantity: Decimal
    filled: Decimal
    trigger: Decimal | None  # of a stop
    at: datetime  # when it was placed
    parent_id: str = ""  # the venue's id of the order whose fill placed it


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One change of a balance in the venue's own books."""

    reference: str  # the venue's id of the entry
    asset: str
    amount: Decimal  # fee included
    kind: str  # trade, deposit, withdrawal, reward, transfer, ... in the venue's words
    at: datetime
    fill_id: str = ""  # of a trade
    venue_order_id: str = ""  # of a trade


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """The account as the venue has it."""

    balances: Mapping[str, Decimal]  # what may be staked or earning keeps its suffix, such as BTC.F
    open_orders: tuple[VenueOrder, ...]
    entries: tuple[BookEntry, ...]  # oldest first
    at: datetime


class Venue(Protocol):
    """An exchange, real or on paper. It carries out single calls; what may be sent, and when, its caller knows.

    Errors say what happened: VenueRefused, NotStored: surely not done, and it never will be so. VenueUnreachable,
    RateLimited, NotAuthorised: surely not done now. OutcomeUnknown: it may have been done.
    """

    @property
    def name(self) -> str:
        """Return the venue and the key's fingerprint, as in `kraken-1a2b3c4d`, or `paper`."""

    def instrument(self, pair: Pair, *, anew: bool = False) -> Instrument:
        """Return how the pair is traded now, as it was read some seconds ago at most; `anew`: as it is read now.

        NotStored when the venue does not trade it.
        """

    def now(self) -> datetime:
        """Return a time that has passed at the venue, by its own clock."""

    def void_after(self) -> datetime:
        """Return until when an order that is sent now may be taken."""

    def never_taken_after(self, void_after: datetime) -> datetime:
        """Return from when on an order that the venue does not show was never taken.

        Compare with a `now` that was read before the venue was asked: it may take an order between the two.
        """

    def submit(self, intent: OrderIntent, void_after: datetime) -> str:
        """Send the order, once, and return the venue's id of it. An entry takes its stop with it, where it has one:

        from its first fill on, a stop over what is filled rests at the venue.
        """

    def cancel(self, working: WorkingOrder) -> None:
        """Ask for the order to leave; `reports` says what became of it. One that is gone already is no error."""

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        """Move the trigger of a resting stop. VenueRefused when it is not live any more."""

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        """Ask about all of them at once; by intent id. One that is missing is not there, as far as the venue shows.

        An order whose venue id is not known is looked up by its client order id; once its `void_after` has passed, in
        every way that there is. Ask once more before an order goes out again, too. `until`: a venue that has no clock
        of its own says what had happened by then.
        """

    def stops_of(self, entry: WorkingOrder) -> list[VenueOrder]:
        """List the stops that fills of the entry placed, live or not."""

    def books(self, since: datetime) -> VenueBooks:
        """Read balances, open orders, and everything that changed a balance since then."""

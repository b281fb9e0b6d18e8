"""Kraken as a Venue: market orders that are placed once, whatever breaks between here and there.

Before an order leaves, the journal says that it is sent and until when the engine may take it (its deadline). When
the answer is lost, Kraken is asked until it shows the order, or until the deadline is so far gone that an order which
is not there was never taken. Client order ids are unique at Kraken among open orders only, so nothing but this keeps
a market order from being done twice.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

from trading.errors import (
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    NotStored,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.market import Instrument, Pair
from trading.orders import Order, OrderIntent, OrderStatus
from trading.ports import Journal
from trading.stores.bookkeeping import FINAL
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.lookup import Lookup
from trading.venues.kraken.notes import held, held_order, undecided, void_after
from trading.venues.kraken.order_request import OrderRequest
from trading.venues.kraken.reports import client_order_id, report
from trading.venues.kraken.server_clock import ServerClock

NEVER_TAKEN = "Kraken never took it: it may be placed again"
QUOTE_FEE = "fciq"  # the fee in quote currency, also for sales, where Kraken's default is the base currency
NOT_NOW = (VenueUnreachable, RateLimited)


class KrakenVenue:
    """One account of the journal that trades with one key. One order of the account at a time, in all processes."""

    def __init__(
        self,
        client: KrakenClient,
        journal: Journal,
        account: str,
        deadline: timedelta = timedelta(seconds=8),
        margin: timedelta = timedelta(seconds=5),
        patience: timedelta = timedelta(seconds=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`deadline` (2 to 60 s): how late the engine may take an order. `margin`: how long after it an order that
        was taken may be missing from Kraken's lists. `patience`: how long to wait for a market order's fills.
        """
        if not timedelta(seconds=2) <= deadline <= timedelta(seconds=60):
            raise InvalidValue(f"a deadline of {deadline.total_seconds():g} s: Kraken takes 2 to 60 s")
        self._client = client
        self._journal = journal
        self._account = account
        self._deadline = deadline
        self._margin = margin
        self._patience = patience
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._lookup = Lookup(client)
        self._turn = LockedFile(client.folder / "orders")

    def instrument(self, pair: Pair) -> Instrument:
        return self._client.listings().instrument(pair)

    def place(self, intent: OrderIntent) -> Order:
        """May last as long as deadline and margin together. NotAuthorised when the key may not trade.

        PENDING: the venue does not have it, `settle` tries again. UNKNOWN: it may have it, `settle` asks again.
        """
        if intent.account != self._account:
            raise InvalidValue(
                f"this key trades account {self._account}: intent {intent.intent_id} is another's"
            )
        with self._turn.locked():
            known = self._journal.order(intent.intent_id)
            if known is not None and known.status in FINAL:
                return known
            return self._placed(intent, known)

    def settle(self, account: str) -> list[Order]:
        """An intent that fails holds up no other; the first failure is raised in the end."""
        orders, failures = [], []
        for intent in self._journal.unsettled(account):
            try:
                orders.append(self.place(intent))
            except MarketloomError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return orders

    # --- one order ---------------------------------------------------------------------------------------------

    def _placed(self, intent: OrderIntent, known: Order | None) -> Order:
        until = void_after(known)
        try:
            self._client.listings().listing(intent.pair)
            order_id = held_order(known) or self._lookup.by_intent(intent, until)
            if order_id is None:
                clock = ServerClock(self._client.server_time, self._monotonic)
        except NotStored as error:
            return self._recorded(intent, OrderStatus.REJECTED, str(error))
        except NOT_NOW as error:
            return self._postponed(intent, known, until, error)
        if order_id is not None:
            return self._followed(intent, order_id)
        return self._sent(intent, clock) if until is None else self._resolved(intent, until, clock)

    def _postponed(
        self, intent: OrderIntent, known: Order | None, until: datetime | None, error: MarketloomError
    ) -> Order:
        """Could not look: what was known stays known."""
        if known is not None and held_order(known):
            return known
        if until is not None:
            return self._recorded(intent, OrderStatus.UNKNOWN, undecided(str(error), until))
        return self._recorded(intent, OrderStatus.PENDING, str(error))

    def _sent(self, intent: OrderIntent, clock: ServerClock) -> Order:
        until = clock.earliest() + self._deadline
        self._recorded(intent, OrderStatus.PENDING, undecided("sent to Kraken", until))
        try:
            order_id = self._taken(intent, until)
        except VenueRefused as error:
            return self._recorded(intent, OrderStatus.REJECTED, str(error))
        except NOT_NOW as error:
            return self._recorded(intent, OrderStatus.PENDING, str(error))
        except NotAuthorised as error:
            self._recorded(intent, OrderStatus.PENDING, str(error))
            raise
        except OutcomeUnknown as error:
            self._recorded(intent, OrderStatus.UNKNOWN, undecided(str(error), until))
            return self._resolved(intent, until, clock)
        return self._followed(intent, order_id)

    def _taken(self, intent: OrderIntent, until: datetime) -> str:
        added = self._client.add_order(
            OrderRequest(
                pair=intent.pair,
                side=intent.side,
                quantity=intent.quantity,
                client_order_id=client_order_id(intent.intent_id),
                deadline=until,
                flags=(QUOTE_FEE,),
            )
        )
        if len(added.txid) != 1:
            raise OutcomeUnknown(f"Kraken AddOrder: answered with the ids {added.txid} for one order")
        return added.txid[0]

    def _resolved(self, intent: OrderIntent, until: datetime, clock: ServerClock) -> Order:
        """Look until it is there, or surely never will be. Deadlines are judged before looking, not after."""
        for pause in _pauses():
            decided = clock.earliest() > until + self._margin
            try:
                order_id = self._lookup.by_intent(intent, until if decided else None)
            except NOT_NOW as error:
                order = self._recorded(intent, OrderStatus.UNKNOWN, undecided(str(error), until))
                if decided:
                    return order
            else:
                if order_id is not None:
                    return self._followed(intent, order_id)
                if decided:
                    break
            left = until + self._margin - clock.earliest()
            self._sleep(max(min(pause, left.total_seconds() + 0.05), 0.05))
        return self._recorded(intent, OrderStatus.PENDING, NEVER_TAKEN)

    def _followed(self, intent: OrderIntent, order_id: str) -> Order:
        """Until it is final or patience ends; what is filled is booked at once."""
        end = self._monotonic() + self._patience.total_seconds()
        order = self._recorded(intent, OrderStatus.ACCEPTED, held(order_id, "accepted"))
        for pause in _pauses():
            try:
                info = self._lookup.order(intent, order_id)
                order, fills = report(intent, order_id, info, self._lookup.fills(info))
            except NOT_NOW as error:
                return self._recorded(intent, OrderStatus.ACCEPTED, held(order_id, str(error)))
            self._journal.record_order(order, fills)
            if order.status in FINAL or self._monotonic() + pause > end:
                break
            self._sleep(pause)
        return order

    def _recorded(self, intent: OrderIntent, status: OrderStatus, reason: str) -> Order:
        order = Order(intent.intent_id, status, reason, self._now())
        self._journal.record_order(order, [])
        return order


def _pauses() -> Iterator[float]:
    """Seconds; they grow, so that looking does not spend the rate budget."""
    return (0.25 * 2 ** min(step, 4) for step in count())

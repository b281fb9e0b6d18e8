"""Kraken as a Venue: market orders that are placed once, whatever breaks between here and there.

Before an order leaves, the journal says that it is sent and until when the engine may take it (its deadline). When
the answer is lost, Kraken is asked until it shows the order, or until the deadline is so far gone that an order which
is not there was never taken. An exit is then placed again, an entry only while its decision is young. Client order
ids are unique at Kraken among open orders only, so nothing but this keeps a market order from being done twice.
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
from trading.stores.journal_rules import FINAL
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.order_lookup import Lookup
from trading.venues.kraken.order_records import (
    LONGEST_DEADLINE,
    NEVER_TAKEN,
    held,
    held_order,
    not_done,
    undecided,
    undecided_until,
    void_after,
)
from trading.venues.kraken.order_request import OrderRequest
from trading.venues.kraken.reports import client_order_id, report
from trading.venues.kraken.server_clock import ServerClock

QUOTE_FEE = "fciq"  # the fee in quote currency, also for sales, where Kraken's default is the base currency
NOT_NOW = (VenueUnreachable, RateLimited)
# Kraken refuses one that is less than 2 s ahead when the order arrives: its clock is known to a second, and another
# one is for the way.
SHORTEST_DEADLINE = timedelta(seconds=4)


class KrakenVenue:
    """One account of the journal that trades with one key. One order of the account at a time, in all processes."""

    def __init__(
        self,
        client: KrakenClient,
        journal: Journal,
        account: str,
        *,
        entry_age: timedelta,
        market_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        deadline: timedelta = timedelta(seconds=8),
        margin: timedelta = timedelta(seconds=60),
        patience: timedelta = timedelta(seconds=5),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`entry_age`: an entry that was decided longer ago, by `market_now`, is not placed any more.

        `deadline` (4 to 60 s): how late the engine may take an order. `margin`: how long after it an order that was
        taken may be missing from Kraken's lists. `patience`: how long to wait for a market order's fills, and after
        its deadline for one whose answer was lost.
        """
        if not SHORTEST_DEADLINE <= deadline <= LONGEST_DEADLINE:
            raise InvalidValue(
                f"a deadline of {deadline.total_seconds():g} s: Kraken takes 2 to 60 s and tells its time in whole "
                f"seconds, so {SHORTEST_DEADLINE.total_seconds():g} to 60 s can be kept"
            )
        self._client = client
        self._journal = journal
        self._account = account
        self._entry_age = entry_age
        self._market_now = market_now
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
        """May last as long as deadline and patience together. NotAuthorised when the key may not trade.

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
        until = undecided_until(known)
        try:
            self._client.listings().listing(intent.pair)
            order_id = held_order(known)
            if order_id is None and until is None:
                order_id = self._lookup.by_intent(intent, void_after(known))
            if order_id is None:
                clock = ServerClock(self._client.server_time, self._monotonic)
                too_old = self._too_old(intent)
        except NotStored as error:
            return self._recorded(intent, OrderStatus.REJECTED, str(error))
        except NOT_NOW as error:
            return self._postponed(intent, known, error)
        if order_id is not None:
            return self._followed(intent, order_id)
        if until is not None:
            return self._resolved(intent, until, clock)
        if too_old:
            return self._recorded(intent, OrderStatus.REJECTED, too_old)
        return self._sent(intent, known, clock)

    def _too_old(self, intent: OrderIntent) -> str:
        """Why it is not placed any more; empty when it is. What closes a position is placed however late."""
        age = timedelta(0) if intent.reduces else self._market_now() - intent.created_at
        if age <= self._entry_age:
            return ""
        return f"not placed: the entry was decided {age} ago, {self._entry_age} is allowed; Kraken does not have it"

    def _postponed(self, intent: OrderIntent, known: Order | None, error: MarketloomError) -> Order:
        """Could not look: what was known stays known."""
        if known is not None and held_order(known):
            return known
        if until := undecided_until(known):
            return self._recorded(intent, OrderStatus.UNKNOWN, undecided(str(error), until))
        return self._recorded(intent, OrderStatus.PENDING, not_done(str(error), known))

    def _sent(self, intent: OrderIntent, known: Order | None, clock: ServerClock) -> Order:
        until = clock.earliest() + self._deadline
        self._recorded(intent, OrderStatus.PENDING, undecided("sent to Kraken", until))
        try:
            order_id = self._taken(intent, until)
        except VenueRefused as error:
            return self._recorded(intent, OrderStatus.REJECTED, str(error))
        except NOT_NOW as error:
            return self._recorded(intent, OrderStatus.PENDING, not_done(str(error), known))
        except NotAuthorised as error:
            self._recorded(intent, OrderStatus.PENDING, not_done(str(error), known))
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
        """Look until it is there, surely never will be, or patience ends. Time is judged before looking, not after."""
        end = until + min(self._patience, self._margin)
        pauses = _pauses()
        while True:
            now = clock.earliest()
            order = self._searched(intent, until, now, thoroughly=now > end)
            if order.status is not OrderStatus.UNKNOWN or now > end:
                return order
            left = (end - clock.earliest()).total_seconds()
            self._sleep(max(min(next(pauses), left + 0.05), 0.05))

    def _searched(self, intent: OrderIntent, until: datetime, now: datetime, thoroughly: bool) -> Order:
        try:
            order_id = self._lookup.by_intent(intent, until if thoroughly else None)
        except NOT_NOW as error:
            return self._recorded(intent, OrderStatus.UNKNOWN, undecided(str(error), until))
        if order_id is not None:
            return self._followed(intent, order_id)
        if now > until + self._margin:
            return self._recorded(intent, OrderStatus.PENDING, undecided(NEVER_TAKEN, until))
        return self._recorded(intent, OrderStatus.UNKNOWN, undecided("Kraken does not show it yet", until))

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

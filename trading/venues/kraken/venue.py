"""Kraken as a Venue: market orders that are placed once, whatever breaks on the way to Kraken and back.

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
from trading.orders import Order, OrderIntent, OrderStatus, Purpose
from trading.ports import Journal
from trading.stores.journal_rules import FINAL
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.order_lookup import OrderLookup
from trading.venues.kraken.order_records import (
    MAX_DEADLINE,
    NEVER_TAKEN,
    OrderRecord,
    accepted_reason,
    sent_reason,
)
from trading.venues.kraken.order_request import QUOTE_FEE, OrderRequest, client_order_id
from trading.venues.kraken.server_clock import ServerClock

TEMPORARY = (VenueUnreachable, RateLimited)
# Kraken refuses one that is less than 2 s ahead when the order arrives: its clock is known to a second, and another
# one is for the way.
MIN_DEADLINE = timedelta(seconds=4)


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
        if not MIN_DEADLINE <= deadline <= MAX_DEADLINE:
            raise InvalidValue(
                f"a deadline of {deadline.total_seconds():g} s: Kraken takes 2 to 60 s and tells its time in whole "
                f"seconds, so {MIN_DEADLINE.total_seconds():g} to 60 s can be kept"
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
        self._lookup = OrderLookup(client)
        self._order_lock = LockedFile(client.folder / "orders")

    def instrument(self, pair: Pair) -> Instrument:
        return self._client.listings().instrument(pair)

    def place(self, intent: OrderIntent) -> Order:
        """Place the order, or go on with one that an earlier attempt left unfinished.

        May last as long as deadline and patience together. NotAuthorised when the key may not trade. PENDING: the
        venue does not have it, `settle` tries again. UNKNOWN: it may have it, `settle` asks again.
        """
        if intent.account != self._account:
            raise InvalidValue(
                f"this key trades account {self._account}: intent {intent.intent_id} is another's"
            )
        with self._order_lock.locked():
            known = self._journal.order(intent.intent_id)
            if known is not None and known.status in FINAL:
                return known
            return self._continue(intent, known)

    def settle(self, account: str) -> list[Order]:
        """Continue every unfinished order; one that fails does not stop the others, its error is raised last."""
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

    def _continue(self, intent: OrderIntent, known: Order | None) -> Order:
        """Follow the order where Kraken has it, find out where it may have it, and send it only where it has not."""
        record = OrderRecord.of(known)
        try:
            self._client.listings().listing(intent.pair)
            order_id = record.order_id
            if order_id is None and record.undecided_until is None:
                order_id = self._lookup.find(intent, record.void_after)
            if order_id is None:
                clock = ServerClock(self._client.server_time, self._monotonic)
                too_old = self._age_refusal(intent)
        except NotStored as error:
            return self._record(intent, OrderStatus.REJECTED, str(error))
        except TEMPORARY as error:
            return self._postpone(intent, known, str(error))
        if order_id is not None:
            return self._follow(intent, order_id)
        if record.undecided_until is not None:
            return self._resolve(intent, record.undecided_until, clock)
        if too_old:
            return self._record(intent, OrderStatus.REJECTED, too_old)
        return self._send(intent, record, clock)

    def _age_refusal(self, intent: OrderIntent) -> str:
        """Return the reason not to place an old entry; empty for a young one. Closing orders are placed at any age."""
        age = timedelta(0) if intent.reduces else self._market_now() - intent.created_at
        if age <= self._entry_age:
            return ""
        return f"not placed: the entry was decided {age} ago, {self._entry_age} is allowed; Kraken does not have it"

    def _postpone(self, intent: OrderIntent, known: Order | None, reason: str) -> Order:
        """Kraken could not be asked: what was known stays known."""
        record = OrderRecord.of(known)
        if known is not None and record.order_id:
            return known
        if deadline := record.undecided_until:
            return self._record(intent, OrderStatus.UNKNOWN, sent_reason(reason, deadline))
        return self._record(intent, OrderStatus.PENDING, record.unsent_reason(reason))

    def _send(self, intent: OrderIntent, record: OrderRecord, clock: ServerClock) -> Order:
        """Record that the order is sent and until when it may be taken; only then send it, once."""
        deadline = clock.earliest() + self._deadline
        self._record(intent, OrderStatus.PENDING, sent_reason("sent to Kraken", deadline))
        try:
            order_id = self._submit(intent, deadline)
        except VenueRefused as error:
            return self._record(intent, OrderStatus.REJECTED, str(error))
        except TEMPORARY as error:
            return self._record(intent, OrderStatus.PENDING, record.unsent_reason(str(error)))
        except NotAuthorised as error:
            self._record(intent, OrderStatus.PENDING, record.unsent_reason(str(error)))
            raise
        except OutcomeUnknown as error:
            self._record(intent, OrderStatus.UNKNOWN, sent_reason(str(error), deadline))
            return self._resolve(intent, deadline, clock)
        return self._follow(intent, order_id)

    def _submit(self, intent: OrderIntent, deadline: datetime) -> str:
        """Send the market order and return Kraken's id of it."""
        request = OrderRequest(
            pair=intent.pair,
            side=intent.side,
            quantity=intent.quantity,
            client_order_id=client_order_id(intent.intent_id),
            deadline=deadline,
            flags=(QUOTE_FEE,),
            purpose=Purpose.EXIT if intent.reduces else Purpose.ENTRY,
        )
        order_ids = self._client.add_order(request).txid
        if len(order_ids) != 1:
            raise OutcomeUnknown(f"Kraken AddOrder: answered with the ids {order_ids} for one order")
        return order_ids[0]

    def _resolve(self, intent: OrderIntent, deadline: datetime, clock: ServerClock) -> Order:
        """Look until the order is there, surely never will be, or patience ends.

        The time is read before looking, not after: an order may be taken between the two.
        """
        end = deadline + min(self._patience, self._margin)
        pauses = _pauses()
        while True:
            now = clock.earliest()
            order = self._search(intent, deadline, now, thoroughly=now > end)
            if order.status is not OrderStatus.UNKNOWN or now > end:
                return order
            left = (end - clock.earliest()).total_seconds()
            self._sleep(max(min(next(pauses), left + 0.05), 0.05))

    def _search(self, intent: OrderIntent, deadline: datetime, now: datetime, thoroughly: bool) -> Order:
        try:
            order_id = self._lookup.find(intent, deadline if thoroughly else None)
        except TEMPORARY as error:
            return self._record(intent, OrderStatus.UNKNOWN, sent_reason(str(error), deadline))
        if order_id is not None:
            return self._follow(intent, order_id)
        if now > deadline + self._margin:
            return self._record(intent, OrderStatus.PENDING, sent_reason(NEVER_TAKEN, deadline))
        return self._record(intent, OrderStatus.UNKNOWN, sent_reason("Kraken does not show it yet", deadline))

    def _follow(self, intent: OrderIntent, order_id: str) -> Order:
        """Ask for the order until it is final or patience ends; what is filled is booked at once."""
        end = self._monotonic() + self._patience.total_seconds()
        order = self._record(intent, OrderStatus.ACCEPTED, accepted_reason(order_id, "accepted"))
        for pause in _pauses():
            try:
                order, fills = self._lookup.report(intent, order_id)
            except TEMPORARY as error:
                return self._record(intent, OrderStatus.ACCEPTED, accepted_reason(order_id, str(error)))
            self._journal.record_order(order, fills)
            if order.status in FINAL or self._monotonic() + pause > end:
                break
            self._sleep(pause)
        return order

    def _record(self, intent: OrderIntent, status: OrderStatus, reason: str) -> Order:
        order = Order(intent.intent_id, status, reason, self._now())
        self._journal.record_order(order, [])
        return order


def _pauses() -> Iterator[float]:
    """Seconds; they grow, so that looking does not spend the rate budget."""
    return (0.25 * 2 ** min(step, 4) for step in count())

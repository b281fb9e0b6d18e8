"""Kraken as a Venue: single calls, once each, whose errors say what happened.

An order carries a deadline, after which the engine does not take it any more. So a lost answer is decided in the end:
an order that Kraken does not show some time after its deadline was never taken. Client order ids are unique at Kraken
among open orders only; they do not keep an order from being taken twice.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import InvalidValue, OutcomeUnknown, VenueUnreachable
from trading.market import EPOCH, Instrument, Pair
from trading.orders import OrderIntent, OrderKind, Purpose, WorkingOrder, round_price
from trading.ports import VenueBooks, VenueOrder, VenueReport
from trading.venues.kraken.account_books import AccountBooks
from trading.venues.kraken.account_responses import OrderInfo
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.current_instruments import CurrentInstruments
from trading.venues.kraken.decoding import to_datetime
from trading.venues.kraken.errors import UnknownOrder
from trading.venues.kraken.order_calls import OrderCalls
from trading.venues.kraken.order_lookup import MAX_DEADLINE, OrderLookup, closed_orders
from trading.venues.kraken.order_reports import OrderReports, venue_order
from trading.venues.kraken.order_request import QUOTE_FEE, ConditionalClose, KrakenOrderType, OrderRequest
from trading.venues.kraken.server_clock import ServerClock

# Kraken refuses one that is less than 2 s ahead when the order arrives: its clock is known to a second, and another
# one is for the way.
MIN_DEADLINE = timedelta(seconds=4)
STOPS_LISTED_WITHIN = timedelta(minutes=1)  # after the fill that placed them
PURPOSES = {
    OrderKind.ENTRY: Purpose.ENTRY,
    OrderKind.CONVERSION: Purpose.ENTRY,
    OrderKind.EXIT: Purpose.EXIT,
    OrderKind.STOP: Purpose.PROTECTION,
}


class KrakenVenue:
    """The account of one key. Safe to use from several threads."""

    def __init__(
        self,
        client: KrakenClient,
        *,
        venue: str = "kraken",
        orders: OrderCalls | None = None,
        deadline: timedelta = timedelta(seconds=8),
        margin: timedelta = timedelta(seconds=60),
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`orders` is the way on which orders are sent, amended and cancelled; without it that is the client, REST.

        `deadline` (4 to 60 s): how late the engine may take an order. `margin`: how long after it an order that was
        taken may be missing from Kraken's lists.
        """
        if not MIN_DEADLINE <= deadline <= MAX_DEADLINE:
            raise InvalidValue(
                f"a deadline of {deadline.total_seconds():g} s: Kraken takes 2 to 60 s and tells its time in whole "
                f"seconds, so {MIN_DEADLINE.total_seconds():g} to 60 s can be kept"
            )
        self._client = client
        self._orders: OrderCalls = client if orders is None else orders
        self._name = f"{venue}-{client.fingerprint[:8]}"
        self._deadline = deadline
        self._margin = margin
        self._instruments = CurrentInstruments(client.current_instruments, monotonic)
        self._clock = ServerClock(client.server_time, monotonic, wall)
        self._lookup = OrderLookup(client, self._clock.earliest)
        self._reports = OrderReports(client)
        self._books = AccountBooks(client)

    @property
    def name(self) -> str:
        return self._name

    def instrument(self, pair: Pair, *, anew: bool = False) -> Instrument:
        """Its fees are those of the dearest tier: an order costs no more."""
        return self._instruments.get(pair, anew=anew)

    def now(self) -> datetime:
        return self._clock.earliest()

    def void_after(self) -> datetime:
        return self._clock.earliest() + self._deadline

    def never_taken_after(self, void_after: datetime) -> datetime:
        return void_after + self._margin

    # --- what changes something

    def submit(self, intent: OrderIntent, void_after: datetime) -> str:
        try:
            order_ids = self._orders.add_order(self._request(intent, void_after)).txid
        except (VenueUnreachable, OutcomeUnknown):
            self._clock.forget()  # that it is wrong may be the reason
            raise
        if len(order_ids) != 1:
            raise OutcomeUnknown(f"Kraken AddOrder: answered with the ids {order_ids} for one order")
        return order_ids[0]

    def cancel(self, working: WorkingOrder) -> None:
        order_id, client_order_id = _ids(working)
        try:
            self._orders.cancel_order(
                working.intent.pair,
                order_id,
                client_order_id,
                age=self._age(working),
                purpose=Purpose.PROTECTION,  # whatever it is: it leaves nothing at risk
            )
        except UnknownOrder:
            return

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        pair, (order_id, client_order_id) = working.intent.pair, _ids(working)
        price, age = self._price(pair, trigger), self._age(working)
        self._orders.amend_order(
            pair, order_id, client_order_id, trigger=price, age=age, purpose=Purpose.PROTECTION
        )

    def cancel_all_after(self, seconds: int) -> None:
        """Set the dead man's switch of the whole account, protective stops included; 0 turns it off."""
        self._client.cancel_all_orders_after(seconds)

    def _request(self, intent: OrderIntent, void_after: datetime) -> OrderRequest:
        stop = intent.kind is OrderKind.STOP
        return OrderRequest(
            pair=intent.pair,
            side=intent.side,
            quantity=intent.quantity,
            order_type=KrakenOrderType.STOP_LOSS if stop else KrakenOrderType.MARKET,
            price=self._price(intent.pair, intent.trigger) if intent.trigger is not None else None,
            client_order_id=intent.client_order_id,
            deadline=void_after,
            flags=(QUOTE_FEE,),
            close=self._close(intent),
            purpose=PURPOSES[intent.kind],
        )

    def _close(self, intent: OrderIntent) -> ConditionalClose | None:
        """Return the stop that goes with an entry: Kraken places one over each of its fills."""
        if intent.kind is not OrderKind.ENTRY or intent.stop_loss is None:
            return None
        return ConditionalClose(KrakenOrderType.STOP_LOSS, self._price(intent.pair, intent.stop_loss))

    def _price(self, pair: Pair, price: Decimal) -> Decimal:
        return round_price(price, self._client.listings().instrument(pair).price_increment)

    def _age(self, working: WorkingOrder) -> float:
        """Return the seconds since it was sent, 0 where it was amended or nobody knows: young orders cost more."""
        order = working.order
        if order.sent_at is None or order.trigger not in (None, working.intent.trigger):
            return 0.0
        return max((self.now() - order.sent_at).total_seconds(), 0.0)

    # --- what only looks

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        purpose = Purpose.EXIT if any(map(_is_on_the_way_out, working)) else Purpose.LOOK_UP
        found = self._lookup.find(working, purpose)
        known = [(each, found[each.intent.intent_id]) for each in working if each.intent.intent_id in found]
        return self._reports.report(known, purpose)

    def stops_of(self, entry: WorkingOrder) -> list[VenueOrder]:
        """Look among open orders; closed ones only where those protect less than the entry has bought."""
        parent, listings = entry.order.venue_order_id, self._client.listings()
        live = self._client.open_orders(purpose=Purpose.PROTECTION)
        found = {key: info for key, info in live.items() if info.refid == parent}
        if sum((info.vol for info in found.values()), Decimal(0)) < entry.order.filled:
            found = self._closed_stops(parent) | found
        return [venue_order(order_id, info, listings) for order_id, info in found.items()]

    def _closed_stops(self, parent: str) -> dict[str, OrderInfo]:
        """Read what was opened or closed while the entry was open, or a little later."""
        placed = self._client.query_orders([parent], Purpose.PROTECTION).get(parent)
        if placed is None:
            return {}
        start, end = (
            to_datetime("QueryOrders", time) if time else None for time in (placed.opentm, placed.closetm)
        )
        pages = closed_orders(self._client, start or EPOCH, end + STOPS_LISTED_WITHIN if end else None)
        return {key: info for page in pages for key, info in page.items() if info.refid == parent}

    def books(self, since: datetime) -> VenueBooks:
        return self._books.read(since, self.now())


def _is_on_the_way_out(working: WorkingOrder) -> bool:
    """Return whether an exit waits for this: itself, or a stop that it takes the place of."""
    return working.intent.kind is OrderKind.EXIT or bool(working.order.cancel_reason)


def _ids(working: WorkingOrder) -> tuple[str, str]:
    """Return what names the order in a call: Kraken's id, or ours while Kraken's is not known; the other is empty."""
    order_id = working.order.venue_order_id
    return order_id, "" if order_id else working.intent.client_order_id

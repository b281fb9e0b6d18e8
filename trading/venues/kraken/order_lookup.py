"""Finds orders at Kraken: by Kraken's ids where they are known, else by the client order ids that we gave them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from trading.errors import InvalidMessage, VenueRefused
from trading.orders import Purpose, WorkingOrder
from trading.venues.kraken.account_responses import OrderInfo
from trading.venues.kraken.client import MAX_ORDERS, KrakenClient

PAGE_SIZE = 50  # orders of one ClosedOrders response
MAX_PAGES = 20  # that are read back; an account that closes more orders in a minute is not ours alone
MAX_DEADLINE = timedelta(seconds=60)  # that Kraken takes
SEARCH_RADIUS = MAX_DEADLINE + timedelta(minutes=1)
Orders = Mapping[str, OrderInfo]  # by Kraken's id


class OrderLookup:
    """Raises what the client raises when it could not look: that is not "nothing there"."""

    def __init__(self, client: KrakenClient, now: Callable[[], datetime]) -> None:
        """`now`: a time that has passed at Kraken."""
        self._client = client
        self._now = now

    def find(self, working: Sequence[WorkingOrder], purpose: Purpose) -> dict[str, Orders]:
        """Return what Kraken has of each, by intent id; what it does not show is missing.

        Two orders of one intent come from an attempt that was given up and turned up later.
        """
        known = {each.intent.intent_id: each.order.venue_order_id for each in working}
        by_id = self._by_order_id(sorted({order_id for order_id in known.values() if order_id}), purpose)
        found: dict[str, Orders] = {
            intent_id: {order_id: by_id[order_id]}
            for intent_id, order_id in known.items()
            if order_id in by_id
        }
        nameless = [each for each in working if not each.order.venue_order_id]
        return found | (self._by_client_id(nameless, purpose) if nameless else {})

    def _by_order_id(self, order_ids: Sequence[str], purpose: Purpose) -> dict[str, OrderInfo]:
        found: dict[str, OrderInfo] = {}
        for first in range(0, len(order_ids), MAX_ORDERS):
            found |= self._query(order_ids[first : first + MAX_ORDERS], purpose)
        return {order_id: found[order_id] for order_id in order_ids if order_id in found}

    def _query(self, order_ids: Sequence[str], purpose: Purpose) -> dict[str, OrderInfo]:
        """Ask for these. Kraken refuses all of them for one that it does not know: then each is asked for alone."""
        try:
            return self._client.query_orders(order_ids, purpose)
        except VenueRefused:
            if len(order_ids) == 1:
                return {}
            return {key: info for each in order_ids for key, info in self._query([each], purpose).items()}

    def _by_client_id(self, working: Sequence[WorkingOrder], purpose: Purpose) -> dict[str, Orders]:
        """Look among open orders, then among those that closed last: what closes meanwhile is found there.

        Once its deadline has passed an order is looked for in every way that there is before it counts as not taken.
        """
        now = self._now()
        intents = {each.intent.client_order_id: each.intent.intent_id for each in working}
        found: dict[str, dict[str, OrderInfo]] = {}

        def keep(orders: Orders) -> None:
            for order_id, info in orders.items():
                if (intent_id := intents.get(info.cl_ord_id or "")) is not None:
                    found.setdefault(intent_id, {})[order_id] = info

        def missing() -> list[WorkingOrder]:
            late = [each for each in working if each.order.void_after and each.order.void_after < now]
            return [each for each in late if each.intent.intent_id not in found]

        keep(self._client.open_orders(purpose=purpose))
        if len(found) < len(working):
            keep(self._client.closed_orders(purpose=purpose).closed)
        for each in missing():
            keep(self._client.closed_orders(each.intent.client_order_id, purpose=purpose).closed)
        for orders in self._closed_around(
            [each.order.void_after for each in missing() if each.order.void_after]
        ):
            keep(orders)
        return dict(found)

    def _closed_around(self, times: Sequence[datetime]) -> Iterator[Orders]:
        """Read all orders that closed in these minutes, without trusting that Kraken finds them by client order id."""
        if not times:
            return
        start, end = min(times) - SEARCH_RADIUS, max(times) + SEARCH_RADIUS
        yield from closed_orders(self._client, start, end)


def closed_orders(client: KrakenClient, start: datetime, end: datetime | None = None) -> Iterator[Orders]:
    """Read the orders opened or closed in this time page by page, newest first. InvalidMessage for too many."""
    first, last = int(start.timestamp()) - 1, int(end.timestamp()) + 1 if end else None
    for page in range(MAX_PAGES):
        closed = client.closed_orders(start=first, end=last, offset=page * PAGE_SIZE).closed
        yield closed
        if len(closed) < PAGE_SIZE:
            return
    raise InvalidMessage(
        "Kraken ClosedOrders", f"more than {MAX_PAGES * PAGE_SIZE} orders closed after {start}"
    )

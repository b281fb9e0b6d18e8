"""Finding the order of an intent at Kraken, and telling whether it is there at all."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from trading.errors import InvalidMessage
from trading.orders import OrderIntent
from trading.venues.kraken.account_responses import OrderInfo, TradeInfo
from trading.venues.kraken.client import MOST_FILLS, KrakenClient
from trading.venues.kraken.order_records import LONGEST_DEADLINE
from trading.venues.kraken.reports import check_order, client_order_id

PAGE = 50  # orders of one ClosedOrders answer
PAGES = 20  # of closed orders that are read back; an account that closes more in a minute is not ours alone
AROUND = LONGEST_DEADLINE + timedelta(minutes=1)

Found = tuple[str, OrderInfo]


class Lookup:
    """Every method raises what the client raises when it could not look: that is not "nothing there"."""

    def __init__(self, client: KrakenClient) -> None:
        self._client = client

    def order(self, intent: OrderIntent, order_id: str) -> OrderInfo:
        found = self._client.query_orders([order_id])
        if order_id not in found:
            raise InvalidMessage("Kraken QueryOrders", f"asked for {order_id}, got {', '.join(found)[:100]}")
        check_order(intent, order_id, found[order_id], self._client.listings().names(intent.pair))
        return found[order_id]

    def by_intent(self, intent: OrderIntent, void_after: datetime | None) -> str | None:
        """Its id; None: Kraken has no order of this intent. With `void_after`, recent orders are read one by one too.

        Open orders come first: one that closes meanwhile is found among the closed.
        """
        name = client_order_id(intent.intent_id)
        found = self._client.open_orders(name) | self._client.closed_orders(name).closed
        self._check_filter(found, name)
        if not found and void_after is not None:
            found = {key: info for key, info in self._around(void_after) if info.cl_ord_id == name}
        if len(found) > 1:
            raise InvalidMessage("Kraken orders", f"{', '.join(found)} are all of intent {intent.intent_id}")
        names = self._client.listings().names(intent.pair)
        for key, info in found.items():
            check_order(intent, key, info, names)
        return next(iter(found), None)

    def fills(self, info: OrderInfo) -> dict[str, TradeInfo]:
        fills: dict[str, TradeInfo] = {}
        for first in range(0, len(info.trades), MOST_FILLS):
            wanted = info.trades[first : first + MOST_FILLS]
            fills |= {key: each for key, each in self._client.query_trades(wanted).items() if key in wanted}
        return fills

    def _around(self, time: datetime) -> Iterator[Found]:
        """Closed orders of these minutes, without trusting that Kraken finds closed ones by client order id."""
        start, end = int((time - AROUND).timestamp()), int((time + AROUND).timestamp())
        for page in range(PAGES):
            answered = self._client.closed_orders(start=start, end=end, offset=page * PAGE)
            yield from answered.closed.items()
            if len(answered.closed) < PAGE:
                return
        raise InvalidMessage("Kraken ClosedOrders", f"more than {PAGES * PAGE} orders closed around {time}")

    def _check_filter(self, found: dict[str, OrderInfo], name: str) -> None:
        for key, info in found.items():
            if info.cl_ord_id != name:
                raise InvalidMessage(
                    "Kraken orders", f"asked for client order id {name}, got {key} with {info.cl_ord_id}"
                )
